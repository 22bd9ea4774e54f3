"""What the Ray engine decides without a cluster."""

import socket

import pytest

from autoact.core.errors import AutoactError
from autoact.engines import ray_engine
from autoact.engines.ray_engine import room_on
from autoact.engines.settings import EngineSettings

RAY = EngineSettings(name="ray")


@pytest.mark.parametrize("address", ["nonsense", "host:port", "host"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(AutoactError, match=rf"^engine\.address={address} must be host:port, auto or ray://host:port$"):
        ray_engine._check_reachable(address)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_cluster_that_does_not_answer_is_named_at_once(form):
    with socket.socket() as held:  # bound, but it does not listen
        held.bind(("127.0.0.1", 0))
        address = form.format(held.getsockname()[1])
        with pytest.raises(AutoactError, match=rf"^engine\.address={address}: no Ray cluster answers there"):
            ray_engine._check_reachable(address)


def test_somebody_who_listens_is_enough():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ray_engine._check_reachable(f"127.0.0.1:{server.getsockname()[1]}")


def test_without_ray_the_extra_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("autoact.core.imports.importlib.import_module", missing)
    with pytest.raises(
        AutoactError, match=r"^engine=ray needs the package ray: pip install '.\[ray\]' in a checkout of autoact$"
    ):
        ray_engine._import_ray(local=False)


def test_the_environment_names_an_address(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_engine._address(RAY) is None
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert ray_engine._address(RAY) == "auto"
    assert ray_engine._address(EngineSettings(name="ray", address="a:1")) == "a:1"


def test_room_is_counted_node_by_node():
    assert room_on([{"CPU": 3.0}, {"CPU": 5.0}, {}], RAY, 0.0, threads=2) == 3
    assert room_on([{"CPU": 8.0}], EngineSettings(name="ray", workers=3), 0.0, threads=1) == 3
    gpus = [{"CPU": 2.0, "GPU": 1.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0}]
    quarter = EngineSettings(name="ray", gpu_memory_fraction=0.25)
    assert room_on(gpus, quarter, 0.25, threads=1) == 2 + 8
    assert room_on(gpus, EngineSettings(name="ray", gpu_memory_fraction=0.25, max_gpus=1), 0.25, threads=1) == 4


@pytest.mark.parametrize(
    ("nodes", "share", "needs"),
    [
        ([{"CPU": 2.0}, {"CPU": 2.0}], 0.0, "4 CPUs"),
        ([{"CPU": 8.0}], 0.5, "4 CPUs and 0.5 of a GPU"),
        ([], 0.0, "4 CPUs"),
    ],
)
def test_a_cluster_that_is_too_small_is_told(nodes, share, needs):
    with pytest.raises(AutoactError, match=rf"^no node of the Ray cluster has what a job needs: {needs}$"):
        room_on(nodes, RAY, share, threads=4)


def test_workers_find_the_drivers_code(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    folders = ray_engine._environment()["env_vars"]["PYTHONPATH"].split(":")
    assert str(tmp_path / "mine") in folders
    assert str(tmp_path) in folders
    assert len(folders) == len(set(folders))
