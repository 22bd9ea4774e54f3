"""Rungs: where they lie, who goes on, what those that do not would have become."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import PRUNED, Candidate, TrialRecord
from autoact.study.execution.successive_halving import Rung, Standing, rungs_of, so_far, typical_gain
from autoact.study.proposal.trial_observations import forecasts, observations_of
from autoact.study.settings import RungSettings
from autoact.tasks.objectives import Objective

QUALITY, LATENCY = Objective("quality", "AUC", "max"), Objective("latency", "ms", "min")


@pytest.mark.parametrize(
    ("settings", "epochs", "patience", "expected"),
    [
        ({}, 50, 8, (6, 18)),
        ({}, 30, 8, (3, 9)),
        ({}, 9, 8, (3,)),
        ({}, 4, 8, ()),
        ({"first": 5}, 50, 8, (5, 15)),
        ({"first": 0.1, "reduction": 2}, 50, 8, (5, 10, 20)),
        ({"first": 40}, 50, 8, ()),
        ({"enabled": False}, 50, 8, ()),
        ({}, None, 8, (8, 24)),
        ({}, None, None, ()),
        ({"first": 4}, None, None, (4, 12)),
    ],
)
def test_where_rungs_lie(settings, epochs, patience, expected):
    assert rungs_of(RungSettings(**settings), epochs, patience) == expected


def record(values: list[float], **changes: Any) -> TrialRecord:
    curve = tuple({"val_auc": value} for value in values)
    given = {"status": "complete", "quality": max(values), "curve": curve, "epochs": len(values)}
    return TrialRecord(0, Candidate(Assignment({"a": "relu"})), **{**given, **changes})


def test_quality_so_far_is_the_best_of_the_first_epochs():
    trained = record([0.5, 0.7, 0.6, 0.8])
    assert so_far(trained, 3, "val_auc", "max") == 0.7
    assert so_far(trained, 3, "val_auc", "min") == 0.5
    assert so_far(trained, 9, "val_auc", "max") == 0.8, "it ended by itself before that rung"
    stopped = record([0.5, 0.7], status=PRUNED, quality=None, rungs={2: 0.7})
    assert so_far(stopped, 2, "val_auc", "max") == 0.7
    assert so_far(stopped, 6, "val_auc", "max") is None, "it never came there"
    assert so_far(record([float("nan")], quality=0.1), 1, "val_auc", "max") is None


def standings(*points: tuple[float, float]) -> list[Standing]:
    return [Standing(quality, {"latency": latency}) for quality, latency in points]


def test_who_is_among_the_best_third_of_all_goes_on():
    rung = Rung(3.0, (QUALITY,), {})
    here = [Standing(quality, {}) for quality in (0.1, 0.6, 0.5, 0.9, 0.2, 0.3)]
    assert rung.go_on(here, []) == [1, 3]
    better = [Standing(quality, {}) for quality in (0.95, 0.94, 0.93)]
    assert rung.go_on(here, better) == [], "three earlier ones are the best third of nine"
    worse = [Standing(0.0, {})] * 12
    assert rung.go_on(here, worse) == [0, 1, 2, 3, 4, 5]
    assert rung.go_on([], worse) == []


def test_fast_ones_go_on_though_they_are_worse():
    rung = Rung(2.0, (QUALITY, LATENCY), {})
    here = standings((0.9, 5.0), (0.8, 4.0), (0.7, 1.0), (0.6, 4.5), (0.5, 2.0), (0.4, 6.0))
    assert rung.go_on(here, []) == [0, 1, 2]


def test_ties_are_broken_by_crowding():
    # All four are on one front: the extremes stay, and of the middle ones the lonelier.
    rung = Rung(4 / 3, (QUALITY, LATENCY), {})
    here = standings((0.9, 5.0), (0.89, 4.9), (0.7, 2.0), (0.5, 1.0))
    assert rung.go_on(here, []) == [0, 2, 3]


def test_differences_within_the_error_of_timing_do_not_count():
    here = standings((0.9, 1.05), (0.8, 1.0))
    assert Rung(2.0, (QUALITY, LATENCY), {"latency": 0.1}).go_on(here, []) == [0]
    assert len(Rung(2.0, (QUALITY, LATENCY), {}).order(here)) == 2


def test_ones_own_objectives_are_unknown_at_a_rung():
    own = Objective("size", "count", "min", lambda model: 1.0)
    assert Rung(2.0, (QUALITY, own), {}).go_on(standings((0.9, 1.0), (0.8, 1.0)), []) == [0]


def test_too_few_tell_of_no_gain():
    assert typical_gain([(0.1, 0.5)] * 3) == 0.0
    assert typical_gain([(0.1, 0.5)] * 3 + [(0.1, 9.0)] * 2) == pytest.approx(0.4), "one that leaps does not count"


# What the proposer is told of stopped trials


def trials(kit: Any, count: int, gain: float, stopped_at: float = 0.6) -> list[TrialRecord]:
    """Complete trials that gained ``gain`` behind epoch 1, and one that was stopped there."""
    names = ["relu", "gelu", "tanh"]
    found = []
    for n in range(count):
        mixed = Assignment({"a": names[n % 3], "b": names[n // 3 % 3]})
        one = Candidate(mixed, {"learning_rate": 0.01 + n / 1e4, "weight_decay": 0.01})
        there = 0.5 + 0.1 * kit.draw(n)
        made = kit.record(one, n, there + gain, latency=1.0, cost=1.0)
        found.append(dataclasses.replace(made, curve=({"val_auc": there}, {"val_auc": there + gain}), epochs=2))
    last = Candidate(Assignment({"a": "gelu", "b": "relu"}), {"learning_rate": 0.03, "weight_decay": 0.01})
    pruned = TrialRecord(count, last, PRUNED, rungs={1: stopped_at}, values={"latency": 2.0, "cost": 3.0})
    return [*found, pruned]


def test_a_stopped_trial_is_forecast_by_the_typical_gain(kit):
    space = kit.space()
    assert forecasts(trials(kit, 12, 0.05), space, kit.task())[12] == pytest.approx(0.65)
    assert forecasts(trials(kit, 2, 0.05), space, kit.task())[2] == 0.6, "nothing is known of gains"
    lower = [dataclasses.replace(r) for r in trials(kit, 12, -0.05)]
    assert forecasts(lower, space, kit.task("min"))[12] == pytest.approx(0.55)
    assert forecasts(lower, space, kit.task())[12] == 0.6, "no worse than what was reached"


def test_the_proposer_sees_stopped_trials_with_their_forecast(kit):
    objectives = kit.Bench().objectives
    points = observations_of(trials(kit, 12, 0.05), kit.space(), kit.task(), objectives)
    assert [point.forecast for point in points] == [False] * 12 + [True]
    assert points[-1].values == (pytest.approx(0.65), 2.0, 3.0)
    assert points[-1].point.params["a"] == "gelu"
    failed = kit.record(Candidate(kit.space().baseline, kit.configured), 0, None)
    again = dataclasses.replace(failed, number=1, candidate=failed.candidate.with_seed(1, "replicate"))
    told = observations_of([failed, again], kit.space(), kit.task(), objectives)
    assert [(p.values, p.forecast) for p in told] == [(None, False), (None, False)]
