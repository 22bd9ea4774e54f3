"""Where studies lie: quick to write to, open to several drivers, honest about what cannot be reached."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest

from autoact.study.settings import SearchSettings
from autoact.study.storage.optuna_storage import open_storage, storage_url


def test_a_study_lies_in_the_output_folder_unless_told_otherwise(tmp_path):
    assert storage_url(SearchSettings(), tmp_path) == f"sqlite:///{tmp_path / 'optuna.db'}"
    assert storage_url(SearchSettings(storage="mysql://x/y"), tmp_path) == "mysql://x/y"


def test_a_file_commits_to_a_write_ahead_log(tmp_path):
    file = tmp_path / "study.db"
    storage: Any = open_storage(f"sqlite:///{file}")
    optuna.create_study(study_name="a", storage=storage)
    with storage._backend.engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 1]
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT study_name FROM studies").fetchall() == [("a",)]


def test_a_storage_stays_what_it_is():
    storage = optuna.storages.InMemoryStorage()
    assert open_storage(storage) is storage


@pytest.mark.parametrize(
    ("url", "message"),
    [("grpc://nowhere", "write grpc://HOST:PORT"), ("grpc://:5", "write grpc"), ("grpc://x:y", "write grpc")],
)
def test_addresses_of_a_proxy(url, message):
    with pytest.raises(ValueError, match=message):
        open_storage(url)


def test_a_proxy_that_nobody_runs(monkeypatch):
    monkeypatch.setattr("autoact.study.storage.optuna_storage.PATIENCE", 0.2)
    with pytest.raises(OSError, match="timeout"):
        open_storage("grpc://127.0.0.1:9")


def test_tables_that_another_driver_creates_at_this_moment_are_waited_for(tmp_path, monkeypatch):
    real: Any = optuna.storages.RDBStorage
    calls: list[int] = []

    class Sometimes(real):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            calls.append(1)
            if len(calls) < 3:
                raise optuna.exceptions.StorageInternalError("table studies already exists")
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(optuna.storages, "RDBStorage", Sometimes)
    monkeypatch.setattr("autoact.study.storage.optuna_storage.time.sleep", lambda _: None)
    assert open_storage(f"sqlite:///{Path(tmp_path) / 'x.db'}").get_all_studies() == []
    assert len(calls) == 3
