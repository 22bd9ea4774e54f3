"""How fast a search goes, by the wall clock and not by the sum of its trainings."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from autoact.core.records import Candidate
from autoact.study.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def records(kit: Any, *seconds: float, pruned: int = 0) -> list[Any]:
    made = [
        dataclasses.replace(kit.record(Candidate(kit.space().baseline), n), seconds=s) for n, s in enumerate(seconds)
    ]
    return [dataclasses.replace(r, status="pruned") if n < pruned else r for n, r in enumerate(made)]


def test_trials_of_many_workers_count_by_wall_time(kit):
    clock = Clock()
    pace = Pace(clock)
    assert pace.per_trial([]) is None
    assert pace.per_trial(records(kit, 2.0, 4.0)) == 3.0, "what an earlier run measured, until there is more"
    pace.begin()
    clock.now = 8.0
    pace.arrived(16)
    assert pace.per_trial(records(kit, 2.0)) == 0.5
    pace.end()
    clock.now = 100.0
    assert pace.per_trial([]) == 0.5, "what passes between batches is no training"
    pace.begin()
    clock.now = 108.0
    pace.arrived(16)
    assert pace.per_trial([]) == 0.5


def test_a_final_check_trains_to_the_end(kit):
    clock = Clock()
    pace = Pace(clock)
    pace.begin()
    clock.now = 6.0
    pace.arrived(4)
    # Three of four were stopped after a tenth of the time: a whole training takes 10/3.25 of the mean.
    found = pace.check(records(kit, 1.0, 1.0, 1.0, 10.0, pruned=3), 18)
    assert found == pytest.approx(1.5 * 10 / 3.25 * 18)
    assert pace.check([], 18) == 0.0


def test_room_is_what_fits(kit):
    clock = Clock()
    pace = Pace(clock)
    assert pace.room(1e9, []) == 1.0, "one trial tells how long it takes"
    pace.begin()
    clock.now = 2.0
    pace.arrived(2)
    assert pace.room(10.0, records(kit, 1.0, 1.0)) == 10.0
    assert pace.room(0.5, records(kit, 1.0, 1.0)) == 0.0
    assert pace.room(-8.0, records(kit, 1.0, 1.0)) < 0


def test_trainings_that_take_no_time_have_room_without_end(kit):
    pace = Pace(Clock())
    pace.begin()
    pace.arrived(1)
    assert pace.room(1.0, []) == math.inf
