"""How long trials and a final check take, from how fast populations train."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from autoact.core.trial import Candidate
from autoact.study.forecast import Expected, Forecast


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def records(kit: Any, *epochs: int, pruned: int = 0) -> list[Any]:
    made = [dataclasses.replace(kit.record(Candidate(kit.space().baseline), n), epochs=e) for n, e in enumerate(epochs)]
    return [dataclasses.replace(r, status="pruned") if n < pruned else r for n, r in enumerate(made)]


def batch(forecast: Forecast, clock: Clock, seconds: float, epochs: int) -> None:
    forecast.begin()
    clock.now += seconds
    forecast.trained(epochs)
    forecast.end()


def test_before_anything_is_trained_timed_steps_tell():
    unknown, known = (Forecast(e, clock=Clock()) for e in (Expected(), Expected(0.1, epochs=50)))
    assert not unknown.known and unknown.per_trial([]) is None and unknown.check([], 10) == 0.0
    assert known.per_trial([]) == pytest.approx(0.1 * 30)
    with_rungs = Forecast(Expected(0.1, epochs=50, rungs=True), clock=Clock())
    assert with_rungs.per_trial([]) < known.per_trial([]), "rungs stop many early"


def test_what_all_workers_train_together_counts_by_wall_time(kit):
    clock = Clock()
    forecast = Forecast(Expected(99.0), clock=clock)
    batch(forecast, clock, 8.0, 160)
    assert forecast.per_trial(records(kit, *[10] * 8)) == pytest.approx(0.5)
    clock.now += 100.0
    assert forecast.per_trial(records(kit, *[10] * 8)) == pytest.approx(0.5), "what passes between batches is no batch"


def test_the_first_batch_pays_for_the_start_and_counts_as_long_as_there_is_no_other(kit):
    clock = Clock()
    forecast = Forecast(Expected(), clock=clock)
    batch(forecast, clock, 30.0, 100)
    assert forecast.per_trial(records(kit, *[10] * 8)) == pytest.approx(3.0)
    batch(forecast, clock, 5.0, 100)
    assert forecast.per_trial(records(kit, *[10] * 8)) == pytest.approx(0.5)


def test_a_batch_tells_as_soon_as_its_first_jobs_end(kit):
    clock = Clock()
    forecast = Forecast(Expected(), clock=clock)
    forecast.begin()
    assert not forecast.known
    clock.now = 4.0
    forecast.trained(40)
    assert forecast.per_trial(records(kit, *[10] * 8)) == pytest.approx(1.0)


def test_a_final_check_trains_to_the_end_and_faster_in_large_populations(kit):
    clock = Clock()
    forecast = Forecast(Expected(speed_up=2.0), clock=clock)
    batch(forecast, clock, 10.0, 100)
    some = records(kit, 3, 3, 3, 3, 3, 3, 30, 30, pruned=6)
    assert forecast.per_trial(some) == pytest.approx(0.1 * 78 / 8)
    assert forecast.check(some, 20) == pytest.approx(1.1 * 0.1 / 2 * 30 * 20)
    forecast.begin(check=True)
    clock.now += 60.0
    forecast.trained(300)
    assert forecast.check(some, 20) == pytest.approx(0.2 * 30 * 20), "its own trainings tell better"
    assert forecast.per_trial(some) == pytest.approx(0.1 * 78 / 8), "and say nothing of trials"


def test_a_later_run_knows_what_an_earlier_one_measured(kit):
    clock = Clock()
    first = Forecast(Expected(), clock=clock)
    batch(first, clock, 10.0, 100)
    later = Forecast(Expected(99.0), first.measured(), clock=clock)
    assert later.per_trial(records(kit, *[10] * 8)) == pytest.approx(1.0)
    assert Forecast(Expected(2.0), Forecast(Expected()).measured()).measured() == {"seconds_per_epoch": 2.0}


def test_room_is_what_fits(kit):
    clock = Clock()
    forecast = Forecast(Expected(), clock=clock)
    assert forecast.room(1e9, []) == math.inf and forecast.room(-1.0, []) == 0.0
    batch(forecast, clock, 2.0, 20)
    some = records(kit, *[10] * 8)
    assert forecast.room(10.0, some) == 10.0
    assert forecast.room(0.5, some) == 0.0
    assert forecast.room(-8.0, some) < 0


def test_trainings_that_take_no_time_have_room_without_end(kit):
    forecast = Forecast(Expected(), clock=Clock())
    forecast.begin()
    forecast.trained(5)
    forecast.end()
    assert forecast.room(1.0, records(kit, *[10] * 8)) == math.inf
