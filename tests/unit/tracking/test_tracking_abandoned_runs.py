"""Runs that nobody runs any more are ended; those that somebody runs are left alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoact.study.storage.leases import driver_id, living
from autoact.tracking.abandoned_runs import SILENCE, end_abandoned, say_abandoned, sentence
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store

# Holds the lock of a study's folder until it is killed.
DRIVER = """
import sys, time
from pathlib import Path
from autoact.study.storage.leases import driver_id
with driver_id(Path(sys.argv[1])):
    print("runs", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(TrackingSettings(), tmp_path_factory.mktemp("runs"))


@pytest.fixture
def start(store: Store, request: pytest.FixtureRequest) -> Any:
    """Starts runs in an experiment of the test's own."""
    experiment = store.experiment(request.node.name)

    def start_one(name: str, kind: str = "search", age: float = 0.0, **tags: str) -> str:
        held = {"autoact.kind": kind, "autoact.study": name, "autoact.storage": "sqlite:////x/optuna.db", **tags}
        at = round(1000 * (time.time() - age))
        return str(store.client.create_run(experiment, start_time=at, tags=held, run_name=name).info.run_id)

    return start_one


def status(store: Store, run_id: str) -> str:
    return str(store.client.get_run(run_id).info.status)


def study_folder(store: Store, name: str) -> Path:
    folder = Path(store.uri.removeprefix("sqlite:///")).parent / name
    folder.mkdir()
    return folder


def test_a_killed_search_is_ended_with_its_trial_and_a_living_one_is_not(store: Store, start: Any) -> None:
    folder = study_folder(store, "a-study")
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(folder)], stdout=subprocess.PIPE, text=True)
    with driver:
        try:
            assert driver.stdout is not None and driver.stdout.readline() == "runs\n"
            search = start("a-study", **{"mlflow.note.content": "what an earlier part found"})
            trial = start("trial 3: relu", "trial", **{"mlflow.parentRunId": search})
            store.client.log_metric(search, "trials", 4.0, timestamp=round(1000 * time.time()) + 5000, step=4)
            assert living(folder) and end_abandoned(store) == []
            assert [status(store, run) for run in (search, trial)] == ["RUNNING", "RUNNING"]
        finally:
            driver.kill()
    assert not living(folder) and end_abandoned(store) == ["a-study"]
    assert [status(store, run) for run in (search, trial)] == ["KILLED", "KILLED"]
    run = store.client.get_run(search)
    assert run.data.tags["mlflow.note.content"] == (
        "killed: the process that ran this is gone. The same command goes on from what was finished.\n\n"
        "what an earlier part found"
    )
    assert run.data.tags["autoact.status"] == "killed"
    assert run.info.end_time - run.info.start_time >= 4000, "it ends when it was last heard of"
    assert end_abandoned(store) == []


def test_the_search_that_goes_on_is_spared_with_its_trials(store: Store, start: Any, capsys: Any) -> None:
    for name in ("mine", "another"):
        study_folder(store, name)
    mine, another = start("mine"), start("another")
    trial = start("trial 0: relu", "trial", **{"mlflow.parentRunId": mine})
    say_abandoned(store, mine)
    assert [status(store, run) for run in (mine, trial, another)] == ["RUNNING", "RUNNING", "KILLED"]
    assert capsys.readouterr().err == f"autoact: {sentence(['another'])}\n"
    store.client.set_terminated(mine)
    store.client.set_terminated(trial)


def test_the_folder_is_found_where_it_was_noted(store: Store, start: Any, tmp_path: Path) -> None:
    run = start("elsewhere", **{"autoact.folder": str(tmp_path)})
    with driver_id(tmp_path):
        assert end_abandoned(store) == []
    assert end_abandoned(store) == ["elsewhere"] and status(store, run) == "KILLED"


def test_what_cannot_be_seen_from_here_is_ended_after_a_day_of_silence(store: Store, start: Any) -> None:
    """Another machine's folder, a study that drivers of other machines share, and a training that is being logged."""
    study_folder(store, "shared")
    shared = {"autoact.storage": "postgresql://h/optuna"}
    young = [start("unseen"), start("shared", **shared), start("train", "train")]
    old = [
        start("unseen", age=2 * SILENCE),
        start("shared", age=2 * SILENCE, **shared),
        start("t", "train", 2 * SILENCE),
    ]
    heard = start("heard", age=2 * SILENCE)
    store.client.log_metric(heard, "trials", 1.0, step=1)
    assert sorted(end_abandoned(store)) == ["shared", "t", "unseen"]
    assert {status(store, run) for run in [*young, heard]} == {"RUNNING"}
    assert {status(store, run) for run in old} == {"KILLED"}
    for run in [*young, heard]:
        store.client.set_terminated(run)


def test_runs_of_other_peoples_are_left_alone(store: Store) -> None:
    run = store.client.create_run(store.experiment("theirs"), start_time=1000)
    assert end_abandoned(store) == [] and status(store, run.info.run_id) == "RUNNING"
