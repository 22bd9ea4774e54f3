"""The registry on a real MLflow server, over HTTP: train, promote, load, roll back; then the server goes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import autoact

pytestmark = pytest.mark.slow
NAME = "models:/cancer-autoact"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a server with a store of its own that hands out artifacts itself, and its process."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/health", process, folder / "log")
        yield address, process
    finally:
        _kill(process)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers; a server that has ended or is silent for two minutes is told with its log."""
    for _ in range(240):
        try:
            with urlopen(address, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.5)
        if process.poll() is not None:
            break
    raise AssertionError(log.read_text(encoding="utf-8"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the server and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def at(server, searched, cli, small) -> list[str]:
    """Options that name the server, after two trainings of the small search's recommendation."""
    uri = f"tracking.uri={server[0]}"
    (file,) = searched[0].glob("*/recommended.yaml")
    for seed in (0, 1):
        options = [word for word in small if word != "tracking=none"]
        done = cli("train", *options, f"recommendation={file}", f"search.seed={seed}", uri)
        assert done.code == 0, done.err
        assert f"{NAME}/{seed + 1}" in done.out
    return [uri]


def test_versions_move_between_aliases(at, cli):
    done = cli("promote", f"{NAME}/1", "to=champion", *at)
    assert done.code == 0 and "champion is given to version 1" in done.out
    done = cli("promote", f"{NAME}@candidate", "to=champion", *at)
    assert done.code == 0 and "champion moves from version 1 to version 2" in done.out
    done = cli("rollback", f"{NAME}@champion", *at)
    assert done.code == 0 and "champion moves from version 2 to version 1" in done.out
    assert "from models:/cancer-autoact/1" in cli("show", f"{NAME}@champion", *at).out


def test_a_recommendation_is_loaded_by_its_alias(server, at, searched):
    found = autoact.load_recommendation(f"{NAME}@candidate", tracking_uri=server[0])
    (file,) = searched[0].glob("*/recommended.yaml")
    assert found == autoact.load_recommendation(file)
    assert found.source["resolved"] == "models:/cancer-autoact/2"


def test_the_model_has_signature_example_and_any_number_of_rows(server, at):
    import mlflow

    mlflow.set_tracking_uri(server[0])
    try:
        model = mlflow.pyfunc.load_model(f"{NAME}@candidate")
        shape = model.metadata.signature.inputs.inputs[0].shape
        example = model.input_example
        assert shape == (-1, 30) and example.shape[0] >= 2 and example.shape[1] == 30
        for rows in (1, 7, 1000):
            assert model.predict(example[:1].repeat(rows, 0)).shape == (rows, 1)
    finally:
        mlflow.set_tracking_uri(None)  # the default, asked for and set again, would be the working folder's


@pytest.mark.parametrize(
    "words",
    [
        ["promote", f"{NAME}/2", "to=champion"],
        ["rollback", f"{NAME}@champion"],
        ["show", f"{NAME}@champion"],
        ["train", "recommendation={}"],
        ["train", f"recommendation={NAME}@champion"],
    ],
    ids=" ".join,
)
def test_without_the_server_there_is_one_line(words, server, at, searched, cli, small, monkeypatch):
    _kill(server[1])
    (file,) = searched[0].glob("*/recommended.yaml")
    options = [word for word in small if word != "tracking=none"] if words[0] == "train" else []
    done = cli(*(word.format(file) for word in words), *options, *at)
    assert done.code == 2 and done.err.count("\n") == 1
    assert "cannot reach MLflow at http://127.0.0.1:" in done.err
