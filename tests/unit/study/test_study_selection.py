"""Which trials matter at the end."""

from __future__ import annotations

from typing import Any

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.selection import Selector, Trade, margin_of
from autoact.tasks.objectives import Objective

QUALITY = Objective("quality", "AUC", "max")
LOSS = Objective("quality", "MSE", "min")
LATENCY = Objective("latency", "ms", "min")
COST = Objective("cost", "USD per million samples", "min")
SIZE = Objective("size", "count", "min", lambda model: 1.0)
ROBUST = Objective("robust", "share", "max", lambda model: 1.0)
TIES = {"latency": 0.1, "cost": 0.01}


def trial(kit: Any, number: int, name: str, quality: float | None, role: str = "sampled", **values: float) -> Any:
    """A record of ``name`` (``a|b``) with its values; latency and cost are 1 unless given."""
    a, _, b = name.partition("|")
    assignment = Assignment({"a": a, "b": b or a})
    settings = {"learning_rate": 0.01 + number / 1e4}
    values = {"latency": 1.0, "cost": 1.0, **values}
    return kit.record(Candidate(assignment, settings, 0, role), number, quality, **values)


def pick(kit: Any, records: Any, *objectives: Objective, mode: str = "max", share: float = 0.05, **task: Any) -> Any:
    chosen = objectives or (QUALITY, LATENCY, COST)
    return Selector(kit.task(mode, **task), kit.space(), chosen, TIES, share).select(records)


def numbers(selection: Any) -> dict[str, int]:
    return {name: record.number for name, record in selection.policies.items()}


def test_before_the_baseline_is_done_there_is_nothing_to_select(kit):
    assert pick(kit, []) is None
    assert pick(kit, [trial(kit, 0, "relu", None, "configured"), trial(kit, 1, "tanh", 0.9)]) is None
    assert pick(kit, [trial(kit, 0, "relu", 0.8, "tuning")]) is None


def test_the_baseline_alone_is_everything(kit):
    found = pick(kit, [trial(kit, 0, "relu", 0.8, "configured")])
    assert found.configured.number == found.tuned.number == 0
    assert found.uniform is None
    assert numbers(found) == {"quality": 0, "balanced": 0, "economy": 0}


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_baselines_and_the_best_uniform(kit, mode, sign):
    records = [
        trial(kit, 0, "relu", sign * 0.80, "configured"),
        trial(kit, 1, "relu", sign * 0.82, "tuning"),
        trial(kit, 2, "relu", sign * 0.83, "sampled"),
        trial(kit, 3, "relu", None, "tuning"),
        trial(kit, 4, "gelu", sign * 0.84, "uniform"),
        trial(kit, 5, "tanh", sign * 0.85, "sampled"),
        trial(kit, 6, "tanh|gelu", sign * 0.90),
    ]
    found = pick(kit, records, QUALITY if mode == "max" else LOSS, LATENCY, mode=mode)
    assert (found.configured.number, found.tuned.number, found.uniform.number) == (0, 2, 5)
    assert found.policies["quality"].number == 6


def test_ties_go_to_the_earlier_trial(kit):
    records = [
        trial(kit, n, name, 0.8, role)
        for n, (name, role) in enumerate([("relu", "configured"), ("relu", "tuning"), ("tanh", "uniform")])
    ]
    found = pick(kit, records)
    assert (found.tuned.number, found.policies["quality"].number) == (0, 0)


def test_the_front_ignores_differences_within_measurement_error(kit):
    records = [
        trial(kit, 0, "relu", 0.80, "configured", latency=1.00),
        trial(kit, 1, "tanh", 0.795, latency=0.95),  # faster within the error, and worse
        trial(kit, 2, "gelu", 0.79, latency=0.80),
        trial(kit, 3, "tanh|gelu", 0.78, latency=0.75),  # again within the error of 2
        trial(kit, 4, "gelu|tanh", None, latency=0.10),
    ]
    objectives = (QUALITY, LATENCY)
    assert [r.number for r in Trade(objectives, {"latency": 0.15}).front(records)] == [0, 2]
    assert [r.number for r in Trade(objectives, {}).front(records)] == [0, 1, 2, 3]
    assert pick(kit, records, *objectives).front == (0, 2)
    assert Trade(objectives, {}).front([records[4]]) == []


def test_balanced_is_the_knee(kit):
    records = [
        trial(kit, 0, "relu", 0.80, "configured", latency=1.0, cost=1.0),
        trial(kit, 1, "tanh", 0.90, latency=5.0, cost=5.0),
        trial(kit, 2, "gelu", 0.89, latency=1.2, cost=1.2),
    ]
    assert numbers(pick(kit, records)) == {"quality": 1, "balanced": 2, "economy": 0}


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_economy_takes_the_cheapest_within_the_margin(kit, mode, sign):
    quality = QUALITY if mode == "max" else LOSS
    # The trivial predictor is 0.3 away from the tuned baseline: a fifth of that is 0.06.
    trivial = sign * 0.80 - sign * 0.3
    records = [
        trial(kit, 0, "relu", sign * 0.80, "configured", cost=1.0),
        trial(kit, 1, "tanh", sign * 0.75, cost=0.5),
        trial(kit, 2, "gelu", sign * 0.73, cost=0.1),
        trial(kit, 3, "gelu|tanh", sign * 0.95, cost=0.8),
    ]
    found = pick(kit, records, quality, LATENCY, COST, mode=mode, share=0.2, trivial=trivial)
    assert found.margin == pytest.approx(0.06)
    assert found.policies["economy"].number == 1
    generous = pick(kit, records, quality, LATENCY, COST, mode=mode, share=0.3, trivial=trivial)
    assert generous.policies["economy"].number == 2
    strict = pick(kit, records, quality, LATENCY, COST, mode=mode, share=0.0, trivial=trivial)
    assert strict.policies["economy"].number == 3


def test_among_equally_cheap_ones_economy_takes_the_best(kit):
    records = [
        trial(kit, 0, "relu", 0.80, "configured", cost=1.0),
        trial(kit, 1, "tanh", 0.795, cost=0.500),
        trial(kit, 2, "gelu", 0.81, cost=0.505),  # cheaper by less than the measurement error
        trial(kit, 3, "gelu|tanh", 0.82, cost=0.52),
    ]
    assert pick(kit, records).policies["economy"].number == 2


def test_cost_decides_economy_where_it_is_traded(kit):
    records = [
        trial(kit, 0, "relu", 0.80, "configured", latency=2.0, cost=2.0),
        trial(kit, 1, "tanh", 0.80, latency=1.0, cost=1.9),
        trial(kit, 2, "gelu", 0.80, latency=1.9, cost=1.0),
    ]
    assert pick(kit, records).policies["economy"].number == 2
    assert pick(kit, records, QUALITY, LATENCY).policies["economy"].number == 1
    assert pick(kit, records, LATENCY, COST).policies["economy"].number == 2


def test_quality_alone_has_one_policy(kit):
    records = [trial(kit, 0, "relu", 0.80, "configured"), trial(kit, 1, "tanh", 0.9)]
    assert numbers(pick(kit, records, QUALITY)) == {"quality": 1}


def test_without_quality_the_best_of_equals_is_taken(kit):
    # All trials of an assignment are equally fast: the one with the best quality stands for it.
    records = [
        trial(kit, 0, "relu", 0.80, "configured", latency=2.0, cost=2.0),
        trial(kit, 1, "tanh", 0.20, latency=1.0, cost=1.0),
        trial(kit, 2, "tanh", 0.79, latency=1.0, cost=1.0),
        trial(kit, 3, "gelu", 0.70, latency=1.5, cost=1.5),
    ]
    for objectives in ((LATENCY,), (LATENCY, COST)):
        found = pick(kit, records, *objectives)
        assert numbers(found) == {"quality": 0, "balanced": 2, "economy": 2}


@pytest.mark.parametrize(("other", "expected"), [(0.885, 1), (0.80, 0)])
def test_balanced_of_two_is_the_cheaper_one_unless_it_loses_more_than_the_margin(kit, other, expected):
    records = [
        trial(kit, 0, "relu", 0.90, "configured", latency=2.0),
        trial(kit, 1, "tanh", other, latency=1.0),
    ]
    assert pick(kit, records, QUALITY, LATENCY).policies["balanced"].number == expected


def test_balanced_of_two_equals_is_the_better_one(kit):
    records = [
        trial(kit, 0, "relu", 0.80, "configured", latency=2.0),
        trial(kit, 1, "tanh", 0.795, latency=1.0),
        trial(kit, 2, "tanh", 0.790, latency=1.0),
    ]
    assert pick(kit, records, LATENCY).policies["balanced"].number == 1


@pytest.mark.parametrize(("objective", "expected"), [(SIZE, 2), (ROBUST, 1)])
def test_ones_own_objective_decides_economy_where_nothing_else_is_traded(kit, objective, expected):
    records = [
        trial(kit, 0, "relu", 0.80, "configured", size=5.0, robust=0.5),
        trial(kit, 1, "tanh", 0.80, size=9.0, robust=0.9),
        trial(kit, 2, "gelu", 0.80, size=3.0, robust=0.3),
    ]
    assert pick(kit, records, QUALITY, objective).policies["economy"].number == expected


@pytest.mark.parametrize(
    ("mode", "tuned", "trivial", "margin"),
    [("max", 0.9, 0.5, 0.02), ("min", 1.0, 3.0, 0.1), ("max", 0.9, None, 0.009), ("min", 2.0, None, 0.02)],
)
def test_the_margin_is_a_share_of_the_distance_to_the_trivial_predictor(kit, mode, tuned, trivial, margin):
    assert margin_of(kit.task(mode, trivial=trivial), tuned, 0.05) == pytest.approx(margin)


@pytest.mark.parametrize(("loss", "wanted"), [(0.001, 2), (0.2, 1)])
def test_a_front_of_two_takes_the_cheaper_one_where_it_loses_no_more_than_the_margin(kit, loss, wanted):
    records = [
        trial(kit, 0, "relu", 0.6, "configured"),
        trial(kit, 1, "tanh", 0.9, latency=2.0),
        trial(kit, 2, "gelu", 0.9 - loss, latency=0.5),
    ]
    found = pick(kit, records, QUALITY, LATENCY)
    assert sorted(found.front) == [1, 2] and 0.001 < found.margin < 0.2
    assert numbers(found)["balanced"] == wanted
