"""One counter of openings, for searches and checks, over all studies of a storage."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest

from autoact.core.errors import AutoactError
from autoact.study.confirmation.alpha_spending import OPENINGS, NumberedOpening, number_opening
from autoact.study.storage.study_notes import StudyNotes, open_notes

CONFIDENCE = 0.95


@pytest.fixture
def storage() -> Any:
    return optuna.storages.InMemoryStorage()


def notes_of(storage: Any, name: str) -> StudyNotes:
    return StudyNotes(optuna.create_study(study_name=name, storage=storage, load_if_exists=True), storage)


def opened(
    kit: Any, notes: StudyNotes, *, rows: str = "rows", data: str | None = "data", **more: Any
) -> NumberedOpening:
    task = kit.task(test=kit.GivenTest(fingerprint=rows), facts={"fingerprint": data})
    given = {"candidates": ["a"], "seeds": 3, "confidence": CONFIDENCE, "why": f"final check of {notes.name}"}
    return number_opening(notes, task, **{**given, **more})


def test_a_second_opening_says_so_and_spends_half_of_what_is_left(kit: Any, storage: Any) -> None:
    first = opened(kit, notes_of(storage, "one"))
    second = opened(kit, notes_of(storage, "one"), seeds=5)
    assert first == NumberedOpening(1, False, pytest.approx(0.025), "final check of one, opening 1")
    assert second == NumberedOpening(2, False, pytest.approx(0.0125), "final check of one, opening 2")


def test_who_opened_when_and_why_is_noted(kit: Any, storage: Any) -> None:
    opened(kit, notes_of(storage, "one"))
    (entry,) = notes_of(storage, "one").noted(OPENINGS)
    assert entry["why"] == "final check of one" and entry["test"] == "rows" and entry["time"] > 0


@pytest.mark.parametrize(("recurring", "numbers"), [(False, [1, 1, 2, 3, 4]), (True, [1, 1, 2, 1, 2])])
def test_the_same_purpose_again(kit: Any, storage: Any, recurring: bool, numbers: list[int]) -> None:
    one = notes_of(storage, "one")
    assert [opened(kit, one, seeds=n, recurring=recurring).number for n in (3, 3, 5, 3, 5)] == numbers


def test_the_same_rows_count_whatever_else_of_the_data_changed(kit: Any, storage: Any) -> None:
    assert opened(kit, notes_of(storage, "one")).number == 1
    found = opened(kit, notes_of(storage, "two"), data="the same file without a column")
    assert (found.number, found.used) == (2, True)


def test_other_rows_do_not_count(kit: Any, storage: Any) -> None:
    assert opened(kit, notes_of(storage, "one")).number == 1
    assert opened(kit, notes_of(storage, "two"), rows="others").number == 1


@pytest.mark.parametrize("recurring", [False, True])
def test_one_study_that_opens_two_test_parts_counts_each(kit: Any, storage: Any, recurring: bool) -> None:
    one = notes_of(storage, "one")  # a study is named by its training rows, which two datamodules may share
    assert [opened(kit, one, rows=rows, recurring=recurring).number for rows in ("may", "june")] == [1, 1]
    assert [opened(kit, notes_of(storage, "two"), rows=rows).number for rows in ("may", "june")] == [2, 2]
    assert opened(kit, one, rows="may", recurring=recurring).number == 1


def test_openings_of_earlier_releases_count_by_their_data(kit: Any, storage: Any) -> None:
    entry = {"trials": 0, "candidates": ["a"], "seeds": 3, "data": "data", "time": 1.0}
    notes_of(storage, "old").study.set_user_attr(OPENINGS, json.dumps([entry]))
    assert opened(kit, notes_of(storage, "old")).number == 1, "the same purpose: no opening is added"
    assert len(notes_of(storage, "old").noted(OPENINGS)) == 1
    assert opened(kit, notes_of(storage, "new")).number == 2
    assert opened(kit, notes_of(storage, "of other data"), rows="others", data="others").number == 1
    assert opened(kit, notes_of(storage, "of unknown data"), rows="unknown", data=None).number == 1


def test_without_test_rows_there_is_nothing_to_open(kit: Any, storage: Any) -> None:
    notes = notes_of(storage, "one")
    with pytest.raises(AutoactError, match="the task 'bench' has no test rows"):
        number_opening(notes, kit.task(test=None), ["a"], 3, CONFIDENCE, why="a check")
    assert notes.noted(OPENINGS) is None


@pytest.mark.parametrize("studies", [["one"] * 6, ["one", "two", "three"] * 2])
def test_openings_at_the_same_moment_have_different_numbers(kit: Any, tmp_path: Path, studies: list[str]) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    notes = [open_notes(url, name) for name in studies]  # each with a connection of its own, as of another process

    def number_of(place: int) -> int:
        return opened(kit, notes[place], candidates=[str(place)], recurring=True).number

    with ThreadPoolExecutor(len(studies)) as threads:
        assert sorted(threads.map(number_of, range(len(studies)))) == [1, 2, 3, 4, 5, 6]


def test_a_clock_that_goes_ahead_does_not_give_a_number_twice(
    kit: Any, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 30)
    assert opened(kit, notes_of(storage, "ahead")).number == 1
    monkeypatch.setattr(time, "time", lambda: now)
    assert [opened(kit, notes_of(storage, "here")).number for _ in range(2)] == [2, 2]
