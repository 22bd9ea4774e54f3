"""The same search on any engine: with engine.deterministic=true the trials are equal, whoever trained them."""

import json
import shutil
import tempfile
from pathlib import Path

import optuna
import pytest

pytestmark = pytest.mark.slow

SETTINGS = [
    "engine.deterministic=true",
    "engine.population=3",
    "search.trials=14",
    "search.batch=6",
    "search.tuning=2",
    "search.rungs.first=1",
    "search.rungs.reduction=2",
    "trainer.max_epochs=4",
    "confirm.seeds=0",
]


def trials_of(folder):
    """The trials of the one study of a folder, without what differs between two runs of the same: times."""
    (file,) = folder.glob("*/trials.jsonl")
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for record in records:
        del record["seconds"]
        for name in ("latency", "cost"):
            record["values"].pop(name, None)
    return records


def populations_of(folder):
    """In which populations each trial was trained, and on how many threads."""
    storage = f"sqlite:///{folder / 'optuna.db'}"
    (name,) = optuna.study.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    return [trial.user_attrs["populations"] for trial in study.trials], study.user_attrs["shape"]


# One latency table for all: times decide at the rungs, too.
@pytest.fixture(scope="module")
def inline(small, cli, tmp_path_factory):
    """The study's folder and its trials, trained in this process."""
    folder = tmp_path_factory.mktemp("inline")
    done = cli("search", *small, *SETTINGS, "engine=inline", f"output={folder}")
    assert done.code == 0, done.err
    return folder


def with_table_of(folder, other):
    """The folder of another run of the same study, with the latency table of the first."""
    (table,) = folder.glob("*/latency.json")
    (other / table.parent.name).mkdir(parents=True)
    (other / table.parent.name / table.name).write_bytes(table.read_bytes())


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_give_the_trials_of_this_process(inline, small, cli, tmp_path, workers):
    with_table_of(inline, tmp_path)
    done = cli("search", *small, *SETTINGS, "engine=processes", f"engine.workers={workers}", f"output={tmp_path}")
    assert done.code == 0, done.err
    assert trials_of(tmp_path) == trials_of(inline)
    assert populations_of(tmp_path) == populations_of(inline)


def test_ray_gives_the_trials_of_this_process(inline, small, cli, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    folder = Path(tempfile.mkdtemp(prefix="aa"))  # short, since sockets lie below it
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with_table_of(inline, tmp_path)
    try:
        done = cli("search", *small, *SETTINGS, "engine=ray", f"output={tmp_path}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert done.code == 0, done.err
    assert trials_of(tmp_path) == trials_of(inline)
    assert populations_of(tmp_path) == populations_of(inline)


def test_some_trials_were_stopped_and_the_rest_trained_to_their_end(inline):
    records = trials_of(inline)
    assert {record["status"] for record in records} == {"complete", "pruned"}
    places, shape = populations_of(inline)
    assert json.loads(shape) == {"population": 3, "threads": 1, "largest": 3, "note": "", "alone": ""}
    assert {len(place[3:]) for stages in places for place in stages} <= {1, 2, 3}
