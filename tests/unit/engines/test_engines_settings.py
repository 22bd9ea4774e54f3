"""Settings: what is refused, and how many workers they mean."""

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from autoact.core.errors import AutoactError
from autoact.core.registry import Registry
from autoact.engines import factory, resources
from autoact.engines import settings as settings_module
from autoact.engines.factory import open_engine
from autoact.engines.inline import InlineEngine
from autoact.engines.settings import ENGINES, EngineKind, EngineSettings, register_engine

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


@pytest.mark.parametrize("name", ["inline", "processes", "ray"])
def test_every_name_is_allowed(name):
    EngineSettings(name=name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "rai"}, r"unknown engine 'rai': did you mean ray\? Allowed: inline, processes, ray"),
        ({"workers": 0}, r"engine\.workers=0 must be 1 or more"),
        ({"population": 0}, r"engine\.population=0 must be 1 or more"),
        ({"max_gpus": -1}, r"engine\.max_gpus=-1 must be 1 or more"),
        ({"gpu_memory_fraction": 0.0}, r"engine\.gpu_memory_fraction=0 is a share"),
        ({"gpu_memory_fraction": 1.5}, r"engine\.gpu_memory_fraction=1\.5 is a share"),
        ({"name": "inline", "workers": 2}, r"engine\.workers=2: engine=inline trains in this process alone"),
        ({"address": "here:1"}, r"engine\.address=here:1 is for engine=ray, but the engine is processes"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, message):
    with pytest.raises(AutoactError, match=message):
        EngineSettings(**given)


def test_they_are_a_schema():
    config = OmegaConf.structured(EngineSettings)
    merged = OmegaConf.merge(config, {"name": "ray", "workers": 3, "address": "127.0.0.1:6379"})
    assert OmegaConf.to_object(merged) == EngineSettings(name="ray", workers=3, address="127.0.0.1:6379")


@pytest.mark.parametrize(("share", "workers"), [(1.0, 1), (0.5, 2), (0.1, 10), (0.3, 3), (0.6, 1)])
def test_workers_that_share_a_gpu(share, workers):
    assert EngineSettings(gpu_memory_fraction=share).per_gpu == workers


def test_cores_are_divided(monkeypatch):
    monkeypatch.setattr(resources, "cpu_count", lambda: 8)
    assert resources.workers_here(EngineSettings(), CPU) == 8
    assert resources.workers_here(EngineSettings(workers=3), CPU) == 3
    assert resources.workers_here(EngineSettings(name="inline"), CPU) == 1
    assert [resources.threads_each(workers) for workers in (1, 3, 8, 20)] == [8, 2, 1, 1]


def test_gpus_are_shared_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,7")
    assert resources.gpus_here(EngineSettings(), CUDA) == ["2", "5", "7"]
    assert resources.gpus_here(EngineSettings(max_gpus=2), CUDA) == ["2", "5"]
    assert resources.gpus_here(EngineSettings(), torch.device("cuda:1")) == ["5"]
    assert resources.workers_here(EngineSettings(max_gpus=2, gpu_memory_fraction=0.25), CUDA) == 8


def test_the_engine_that_is_named_is_opened():
    assert isinstance(open_engine(EngineSettings(name="inline"), None, CPU), InlineEngine)
    with pytest.raises(AutoactError, match=r"unknown engine 'rya'"):
        open_engine(EngineSettings(name="rya"), None, CPU)


def test_an_engine_that_a_user_registers_is_opened_by_name(monkeypatch):
    rows = Registry("engine", "autoact.nothing", EngineKind, ENGINES.values())
    for module in (settings_module, factory):
        monkeypatch.setattr(module, "ENGINES", rows)
    settings_module.register_engine("mine", lambda settings, context, device, *, threads: InlineEngine(context))
    settings_module.register_engine("wrong", lambda settings, context, device, *, threads: 3)
    assert isinstance(open_engine(EngineSettings(name="mine"), None, CPU), InlineEngine)
    with pytest.raises(AutoactError, match=r"^engine=wrong opens int: it must be an Engine$"):
        open_engine(EngineSettings(name="wrong"), None, CPU)
    with pytest.raises(AutoactError, match="unknown engine 'mnie': did you mean mine"):
        EngineSettings(name="mnie")
    with pytest.raises(AutoactError, match="engine name 'ray' is taken by 'ray'"):
        settings_module.register_engine("ray", "shop:open")


def test_an_engine_that_nothing_can_start_is_refused_when_it_is_registered() -> None:
    with pytest.raises(AutoactError, match=r"engine.name=broken needs a function \(settings, .*got 3"):
        register_engine("broken", 3)  # type: ignore[arg-type]
    assert "broken" not in ENGINES


@pytest.mark.parametrize("open", [lambda: None, lambda settings, context, device: None])
def test_an_engine_that_takes_other_arguments_is_refused_when_it_is_registered(open: Any) -> None:
    with pytest.raises(AutoactError, match=r"engine.name=broken needs a function \(settings, worker_context, device"):
        register_engine("broken", open)
    assert "broken" not in ENGINES
