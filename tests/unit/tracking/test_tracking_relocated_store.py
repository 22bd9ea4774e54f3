"""A store that was moved or copied: what it names is where it is now."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autoact.core.errors import AutoactError
from autoact.tracking import relocated_store as moving
from autoact.tracking.models.model_artifacts import fetch_model, log_model
from autoact.tracking.models.model_registry import Registry
from autoact.tracking.relocated_store import follow
from autoact.tracking.runs import Runs
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import ARTIFACTS, DATABASE, Store

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a search's run and a registered model."""
    folder = tmp_path_factory.mktemp("a folder") / "runs"
    store = Store(TrackingSettings(), folder)
    runs = Runs(store, store.experiment("autoact-demo"))
    storage = {"autoact.storage": f"sqlite:///{folder}/optuna.db", "autoact.folder": f"{folder}/demo-1"}
    run = runs.start("demo-1", {"autoact.kind": "search", "autoact.study": "demo-1", **storage}, 1000)
    runs.attach_text(run, "report.md", "the report")
    runs.end(run, "FINISHED", 2000)
    log_model(
        store,
        "autoact-demo",
        nn.Linear(3, 1).eval(),
        torch.zeros(2, 3),
        name="train",
        params={},
        metrics={},
        tags={},
        files={"assignment.yaml": "a: b\n"},
        register="demo-autoact",
        task="demo",
    )
    return folder


def read(folder: Path) -> tuple[str, Any]:
    """The report and the model, through the store of a folder."""
    store = Store(TrackingSettings(), folder)
    runs = Runs(store, store.experiment("autoact-demo"))
    (run,) = runs.searches("demo-1", f"sqlite:///{folder}/optuna.db")
    assert run.data.tags["autoact.folder"] == f"{folder}/demo-1"
    file = Path(Registry(store).fetch(f"runs:/{run.info.run_id}/report.md", folder.parent))
    return file.read_text(), fetch_model(store, "models:/demo-autoact@candidate").module(torch.zeros(1, 3))


def addresses(folder: Path) -> set[str]:
    """The folders of artifacts that a store names."""
    with sqlite3.connect(folder / DATABASE) as store:
        found = [
            text
            for table, column in moving.ADDRESSES
            for (text,) in store.execute(f"SELECT {column} FROM {table}")
            if text and text.startswith("file:")
        ]
    return {text.partition(f"/{ARTIFACTS}")[0] for text in found}


def test_nothing_changes_where_nothing_moved(origin: Path, tmp_path: Path, capsys: Any) -> None:
    assert follow(origin / DATABASE, origin / ARTIFACTS) == []
    (tmp_path / "link").symlink_to(origin)
    assert follow(origin / DATABASE, tmp_path / "link" / ARTIFACTS) == [], "a link to the folder is the folder"
    assert read(origin)[0] == "the report" and capsys.readouterr().err == ""


def test_a_moved_folder_keeps_its_artifacts_its_models_and_its_studies(
    origin: Path, tmp_path: Path, capsys: Any
) -> None:
    first, now = tmp_path / "first" / "runs", tmp_path / "über 100 %" / "it's"
    shutil.copytree(origin, first)
    read(first)
    now.parent.mkdir()
    first.rename(now)
    shutil.rmtree(first.parent)
    capsys.readouterr()
    report, out = read(now)
    assert report == "the report" and torch.equal(out, read(origin)[1])
    said = capsys.readouterr().err
    assert said.startswith(f"autoact: this MLflow store was at {first} before: ") and said.count("\n") == 1
    assert said.endswith(f" addresses in it now name {now}\n")
    assert addresses(now) == {now.as_uri()}
    read(now)
    assert capsys.readouterr().err == "", "it is said once"


def test_a_copy_is_whole_while_its_original_is_there(origin: Path, tmp_path: Path) -> None:
    copy, before = tmp_path / "copy", addresses(origin)
    shutil.copytree(origin, copy)
    (copy / ARTIFACTS / "models").rename(copy / ARTIFACTS / "hidden")
    Store(TrackingSettings(), copy)
    assert addresses(copy) == {copy.as_uri(), origin.as_uri()}, "what did not come along is found where it was"
    (copy / ARTIFACTS / "hidden").rename(copy / ARTIFACTS / "models")
    assert read(copy)[0] == "the report" and addresses(origin) == before


def test_artifacts_that_did_not_come_along_are_missed(origin: Path, tmp_path: Path, capsys: Any) -> None:
    first = tmp_path / "first"
    shutil.copytree(origin, first)
    Store(TrackingSettings(), first)
    first.rename(tmp_path / "second")
    (tmp_path / "second" / ARTIFACTS).rename(tmp_path / "left behind")
    capsys.readouterr()
    Store(TrackingSettings(), tmp_path / "second")
    assert "but its artifacts did not come along: move them there, too" in capsys.readouterr().err


def test_addresses_of_other_peoples_are_left_alone(origin: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(origin, copy)
    store = Store(TrackingSettings(), copy)
    store.client.create_experiment("theirs", artifact_location=f"file://{tmp_path}/nas/mlruns/7")
    store.client.create_experiment("bucket", artifact_location=f"s3://bucket/{ARTIFACTS}")
    Store(TrackingSettings(), copy)
    assert store.client.get_experiment_by_name("theirs").artifact_location == f"file://{tmp_path}/nas/mlruns/7"
    assert store.client.get_experiment_by_name("bucket").artifact_location == f"s3://bucket/{ARTIFACTS}"


def test_a_store_that_cannot_be_written_is_refused_in_a_line(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    shutil.copytree(origin, tmp_path / "copy")
    monkeypatch.setattr(moving, "_moved", refuse)
    with pytest.raises(AutoactError, match=r"was moved, and the addresses in it cannot be changed \(attempt to write"):
        Store(TrackingSettings(), tmp_path / "copy")


def test_a_file_that_is_no_store_is_left_to_mlflow(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_text("no database at all, but long enough to be looked at as one" * 50)
    assert follow(tmp_path / DATABASE, tmp_path / ARTIFACTS) == []
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE runs (x TEXT)")
    assert follow(tmp_path / "other.db", tmp_path / ARTIFACTS) == []
