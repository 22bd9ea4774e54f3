"""Turns of processes that share a storage."""

from __future__ import annotations

import time
from typing import Any

import optuna
import pytest

from autoact.study.storage.leases import HELD
from autoact.study.storage.study_notes import StudyNotes
from autoact.study.storage.turns import LAPSE, PREFIX, turn


def notes_of(storage: Any, name: str) -> StudyNotes:
    return StudyNotes(optuna.create_study(study_name=name, storage=storage, load_if_exists=True), storage)


def test_a_turn_is_given_back_whatever_happens_inside() -> None:
    storage = optuna.storages.InMemoryStorage()
    with pytest.raises(KeyboardInterrupt), turn(notes_of(storage, "one")):
        raise KeyboardInterrupt
    with turn(notes_of(storage, "two")):
        pass


def test_a_killed_process_does_not_keep_its_turn() -> None:
    storage = optuna.storages.InMemoryStorage()
    notes_of(storage, "killed").note(f"{PREFIX}0", {"state": HELD, "time": time.time() - LAPSE - 1})
    with turn(notes_of(storage, "one")):
        pass


def test_a_long_wait_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoact.study.storage.turns.PATIENCE", 0.1)
    storage = optuna.storages.InMemoryStorage()
    notes_of(storage, "holder").note(f"{PREFIX}0", {"state": HELD, "time": time.time() - LAPSE + 0.6})
    said: list[str] = []
    with turn(notes_of(storage, "one"), said.append):
        pass
    assert len(said) == 1 and "if it was killed, 120 seconds at most" in said[0]
    with turn(notes_of(storage, "two"), said.append):
        pass
    assert len(said) == 1
    notes_of(storage, "holder").note(f"{PREFIX}0", {"state": HELD, "time": time.time() - LAPSE + 0.6})
    with pytest.warns(UserWarning, match="Waiting for another process"), turn(notes_of(storage, "three")):
        pass


def test_who_comes_second_waits() -> None:
    storage = optuna.storages.InMemoryStorage()
    holder = f"{PREFIX}0"
    notes_of(storage, "holder").note(holder, {"state": HELD, "time": time.time() - LAPSE + 0.5})
    began = time.monotonic()
    with turn(notes_of(storage, "one")):
        assert time.monotonic() - began > 0.3
