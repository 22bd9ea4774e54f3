"""Openings of the test part: each is numbered, remembered with what it was opened for, and costs certainty."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from autoact.core.errors import AutoactError
from autoact.core.value_holders import PlainData
from autoact.study.storage.study_notes import StudyNotes
from autoact.study.storage.turns import turn
from autoact.tasks.task import Task

OPENINGS = "openings"


@dataclass(frozen=True)
class NumberedOpening:
    """One opening.

    Attributes:
        number: from 1, over all studies of this storage that opened the same test rows.
        used: whether trials were added after an earlier one, or another study opened it: no longer unseen data.
        alpha: the probability of a false claim that this opening may spend.
        reason: why the rows are opened, for ``TestSet.open``.
    """

    number: int
    used: bool
    alpha: float
    reason: str = ""


def spent_at(number: int, confidence: float) -> float:
    """What the ``number``-th opening may spend of all openings' alpha: half of what is left, as many as there may be.

    alpha / 2^k sums up to alpha over any number of openings (Bonferroni), so that all claims ever made on one test
    part hold together with the given confidence.

    Example:
        >>> round(spent_at(1, 0.95), 6), round(spent_at(2, 0.95), 6)
        (0.025, 0.0125)
    """
    return (1.0 - confidence) / 2**number


def number_opening(
    notes: StudyNotes,
    task: Task,
    candidates: Collection[str],
    seeds: int,
    confidence: float,
    *,
    why: str,
    trials: int = 0,
    recurring: bool = False,
    tell: Callable[[str], object] | None = None,
) -> NumberedOpening:
    """Number the next opening of a task's test rows, and note what it is for: who, why and when.

    The latest opening is repeated, not numbered anew, for the same candidates and seeds after as many trials. Where the
    purpose is ``recurring``, this holds for every earlier opening: of checks that builds repeat in turn, none of which
    chooses what is claimed. ``candidates`` are keys that are equal for equal trainings, ``confidence`` is that of all
    openings together, and ``why`` is for people. Processes that share the storage number one after the other;
    a wait of more than some seconds is said to ``tell``, or warned of.

    Raises:
        AutoactError: there are no test rows, or the storage cannot be written.
    """
    if task.test is None:
        raise AutoactError(f"the task {task.name!r} has no test rows to score on")
    data, rows = task.facts.get("fingerprint"), task.test.fingerprint

    def opens_these(one: PlainData) -> bool:
        # Earlier releases noted the fingerprint of all data, and not that of the test rows among them.
        return bool(one["test"] == rows if "test" in one else data is not None and one.get("data") == data)

    purpose = {"trials": trials, "candidates": sorted(candidates), "seeds": seeds, "data": data}
    with turn(notes) if tell is None else turn(notes, tell):
        openings: list[PlainData] = notes.noted(OPENINGS) or []
        own = [one for one in openings if opens_these(one)]
        same_rows = [one for study in notes.noted_elsewhere(OPENINGS) for one in study if opens_these(one)]
        repeated = own if recurring else own[-1:]
        opening = next((one for one in repeated if {key: one.get(key) for key in purpose} == purpose), None)
        if opening is None:
            latest = max((one["time"] for one in (*own, *same_rows)), default=0.0)
            # Later than those before it, whatever the clocks of other machines say.
            opening = {**purpose, "test": rows, "why": why, "time": max(time.time(), latest + 1e-3)}
            notes.note(OPENINGS, [*openings, opening])
    earlier = [one for one in (*own, *same_rows) if one["time"] < opening["time"]]
    used = any(one in same_rows or one["trials"] < trials for one in earlier)
    number = len(earlier) + 1
    return NumberedOpening(number, used, spent_at(number, confidence), f"{why}, opening {number}")
