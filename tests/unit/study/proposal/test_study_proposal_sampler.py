"""Proposals: deterministic, new, screened, refined around the front, and replicated where noise is large."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from typing import Any

import moocore
import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autoact.core.errors import AutoactError
from autoact.core.trial import Role
from autoact.space.point import Point
from autoact.study import pareto
from autoact.study.proposal.expected_hypervolume import expected_gain
from autoact.study.proposal.local_search import points_at_random, swaps
from autoact.study.proposal.optuna_samplers import SAMPLERS
from autoact.study.proposal.sampler import Axis, Observation, Proposer

NAMES = ["relu", "tanh", "gelu", "silu", "selu"]
DIMENSIONS: dict[str, BaseDistribution] = {
    **{f"site{i}": CategoricalDistribution(NAMES) for i in range(4)},
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
}
AXES = [Axis("auc", "max"), Axis("latency", "min")]


def latency(params: Mapping[str, Any]) -> float:
    """Known before training: tanh is dear, relu is cheap."""
    return 1.0 + sum(NAMES.index(params[f"site{i}"]) for i in range(4)) / 10


def quality(params: Mapping[str, Any]) -> float:
    """Each site gains by its name's place, most so the first; a rate of 0.01 is best."""
    gains = sum(NAMES.index(params[f"site{i}"]) / (i + 1) for i in range(4))
    return gains / 20 - 0.1 * abs(math.log10(params["rate"]) + 2)


def at(params: Mapping[str, Any]) -> Point:
    """The point, whose latency is known before training."""
    return Point.plain(params, {"latency": latency(params)})


def seen(params: Mapping[str, Any]) -> Observation:
    """The point, evaluated."""
    return Observation(at(params), (quality(params), latency(params)))


def history(count: int, seed: int = 0) -> list[Observation]:
    """Points anywhere."""
    return [seen(params) for params in points_at_random(DIMENSIONS, random.Random(seed), count)]


def proposer(**settings: Any) -> Proposer:
    """One that knows latencies."""
    return Proposer(DIMENSIONS, AXES, point=at, **settings)


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"gp"}))
@pytest.mark.parametrize("left", [None, 5, 500])
def test_equal_arguments_give_equal_proposals(sampler: str, left: int | None) -> None:
    """Nothing is kept between calls: a fresh proposer answers as one that was asked before."""
    past, waiting = history(30), [seen_one.point for seen_one in history(3, seed=9)]
    asked_before = proposer(sampler=sampler, seed=3)
    asked_before.propose(history(12), 4, left=20)
    first = asked_before.propose(past, 6, pending=waiting, left=left)
    assert first == proposer(sampler=sampler, seed=3).propose(past, 6, pending=waiting, left=left)
    assert len(first) == 6
    if left != 5:  # swaps are chosen by the model, in which nothing is drawn
        assert first != proposer(sampler=sampler, seed=4).propose(past, 6, pending=waiting, left=left)


def test_no_proposal_repeats_the_history_the_pending_or_another() -> None:
    """In a small space, with equal functions under two names."""
    dimensions = {f"site{i}": CategoricalDistribution(["relu", "tanh", "tanh2"]) for i in range(2)}

    def point(params: Mapping[str, Any]) -> Point:
        return Point(tuple(sorted((name, str(value).rstrip("2")) for name, value in params.items())), params)

    small = Proposer(
        dimensions, [Axis("auc", "max")], point=point, allowed=lambda p: set(p.params.values()) != {"relu"}
    )
    past = [Observation(point({"site0": "relu", "site1": "tanh2"}), (0.5,))]
    waiting = [point({"site0": "tanh", "site1": "tanh2"})]
    found = small.propose(past, 10, pending=waiting, left=100)
    assert [proposal.point for proposal in found] == [point({"site0": "tanh", "site1": "relu"})]
    everything = [
        *past,
        *(Observation(p, (0.1,)) for p in waiting),
        *(Observation(one.point, (0.2,)) for one in found),
    ]
    assert small.propose(everything, 10, left=100) == []
    assert small.propose(everything, 10, left=1) == []


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"gp"}))
def test_a_small_space_is_searched_to_its_end(sampler: str) -> None:
    """Every sampler, batch after batch, until nothing is left: each point once."""
    dimensions = {"a": CategoricalDistribution(["x", "y", "z"]), "b": IntDistribution(1, 5)}
    small = Proposer(dimensions, [Axis("loss", "min")], sampler=sampler)
    past: list[Observation] = []
    while batch := small.propose(past, 4, left=20):
        past += [Observation(one.point, (float(one.point.params["b"]),)) for one in batch]
    assert len({one.point for one in past}) == len(past) == 15


def test_the_last_part_of_the_budget_refines() -> None:
    """By trials left where they are counted; a steady share where minutes bound the search."""
    one = proposer(refine=0.5)
    past = history(40)
    assert {p.role for p in one.propose(past, 4, left=60)} == {Role.SAMPLED}
    assert {p.role for p in one.propose(past, 4, left=40)} == {Role.REFINED}
    assert {p.role for p in proposer(refine=0.0).propose(past, 4, left=4)} == {Role.SAMPLED}
    roles = [p.role for p in one.propose(past, 8)]
    assert (roles.count(Role.REFINED), roles.count(Role.SAMPLED)) == (4, 4)
    single = [one.propose(history(n), 1)[0].role for n in range(12, 18)]
    assert single.count(Role.REFINED) == 3


@pytest.mark.parametrize("known", [True, False])
def test_refined_points_differ_from_a_front_member_in_one_dimension(known: bool) -> None:
    """With a model, and at random without one (too few points)."""
    past = history(40 if known else 6)
    members = [past[i].point.params for i in pareto.front([one.values or () for one in past], ["max", "min"])]
    found = proposer().propose(past, 12, left=12)
    assert len(found) == 12
    for one in found:
        assert one.role == Role.REFINED
        assert min(sum(one.point.params[name] != member[name] for name in DIMENSIONS) for member in members) == 1


def test_screened_and_refined_points_are_better_than_the_samplers_own() -> None:
    """With an additive truth the model finds what gains: the hypervolume added by one batch is larger."""

    def added(found: Proposer, past: list[Observation], left: int) -> float:
        values = [one.values or () for one in past]
        values += [seen(one.point.params).values or () for one in found.propose(past, 8, left=left)]
        return float(moocore.hypervolume(values, ref=[-0.5, 3.0], maximise=[True, False]))

    gains = []
    for seed in range(4):
        past = history(60, seed)
        plain = added(proposer(screen=1, refine=0.0, seed=seed), past, 500)
        gains.append((added(proposer(seed=seed), past, 500) - plain, added(proposer(seed=seed), past, 5) - plain))
    assert np.mean(gains, axis=0).min() > 0.0


@pytest.mark.parametrize("screen", [1, 4])
def test_forecast_points_are_learnt_as_bad(screen: int) -> None:
    """A layer of which every point was stopped at a rung is proposed less than one whose points failed."""
    dimensions = {"layer": CategoricalDistribution(NAMES), "x": FloatDistribution(0.0, 1.0)}
    draw = random.Random(1)
    every = [Point.plain(params) for params in points_at_random(dimensions, draw, 60)]
    kept = [Observation(p, (draw.gauss(0.8, 0.01),)) for p in every if p.params["layer"] != "relu"]
    bad = [p for p in every if p.params["layer"] == "relu"]

    def proposed(stopped: list[Observation]) -> int:
        asked = [Proposer(dimensions, [Axis("auc", "max")], seed=s, screen=screen, refine=0.0) for s in range(8)]
        return [p.point.params["layer"] for one in asked for p in one.propose(kept + stopped, 8, left=500)].count(
            "relu"
        )

    forecast = proposed([Observation(p, (0.5,), forecast=True) for p in bad])
    assert forecast < 64 / len(NAMES) / 2
    assert forecast <= proposed([Observation(p, None) for p in bad])


def test_forecast_points_never_join_the_front() -> None:
    """However good a forecast is, refinement starts from points that were trained in full."""
    past = history(20)
    lucky = Observation(at({**{f"site{i}": "relu" for i in range(4)}, "rate": 0.05}), (9.0, 0.1), forecast=True)
    members = [past[i].point.params for i in pareto.front([one.values or () for one in past], ["max", "min"])]
    found = proposer(screen=1, refine=1.0).propose([*past, lucky], 8, left=8)
    assert len(found) == 8
    for one in found:
        assert min(sum(one.point.params[name] != member[name] for name in DIMENSIONS) for member in members) == 1


def test_replicates_come_first_where_noise_exceeds_the_spread() -> None:
    """Front members get seeds until their noise is below the spread, those with the fewest first, and no more."""
    draw = random.Random(3)
    points = [one.point for one in history(12)]

    def noisy(point: Point) -> Observation:
        return Observation(point, (draw.gauss(0.8, 0.05), latency(point.params)))

    past = [noisy(point) for point in points] + [noisy(point) for point in points[:4] for _ in range(2)]
    one = proposer(screen=1, refine=0.0)
    found = one.propose(past, 4, left=200)
    assert [p.role for p in found] == [Role.REPLICATE] * 4
    assert {p.point for p in found} <= set(points)
    waiting = [p.point for p in one.propose(past, 40, left=600) if p.role == Role.REPLICATE]
    assert max(map(waiting.count, waiting)) == 3
    assert {p.role for p in one.propose(past, 4, pending=waiting, left=200)} == {Role.SAMPLED}
    off = proposer(screen=1, refine=0.0, most_seeds=1)
    assert {p.role for p in off.propose(past, 4, left=200)} == {Role.SAMPLED}


def test_while_refining_noise_is_compared_with_the_spread_of_the_best() -> None:
    """Many bad points do not hide that the good ones cannot be told apart."""
    draw = random.Random(5)
    points = [one.point for one in history(40)]
    past = [
        Observation(point, (draw.gauss(0.9 if place < 10 else 0.5 + place / 200, 0.01), latency(point.params)))
        for place, point in enumerate(points)
        for _ in range(3 if place < 3 else 1)
    ]
    one = proposer(refine=0.5)
    assert {p.role for p in one.propose(past, 4, left=500)} == {Role.SAMPLED}
    assert Role.REPLICATE in {p.role for p in one.propose(past, 4, left=10)}


def test_no_replicates_where_points_differ_by_more_than_noise() -> None:
    """Small noise; or no replicate that tells of it."""
    past = history(12)
    first = past[0].point
    copies = [Observation(first, (quality(first.params) + d, latency(first.params))) for d in (0.001, -0.001)]
    assert {p.role for p in proposer().propose([*past, *copies], 4, left=200)} == {Role.SAMPLED}
    assert {p.role for p in proposer().propose(past, 4, left=200)} == {Role.SAMPLED}


def test_failed_points_are_avoided_but_not_fatal() -> None:
    """A history of failures, infinities and nothing."""
    past = [Observation(one.point, None if i % 2 else (math.inf, 1.0)) for i, one in enumerate(history(20))]
    assert len(proposer().propose(past, 4, left=4)) == 4
    assert len(proposer().propose([], 4, left=100)) == 4


@pytest.mark.parametrize("axes", [1, 3, 4])
def test_any_number_of_objectives(axes: int) -> None:
    """Quality alone, with several known values, and with a second one that nobody knows before training."""
    every = [Axis("auc", "max"), Axis("latency", "min"), Axis("cost", "min"), Axis("size", "max")][:axes]

    def told(params: Mapping[str, Any]) -> dict[str, float]:
        return {"latency": latency(params), "cost": latency(params) ** 2}

    def values(params: Mapping[str, Any]) -> tuple[float, ...]:
        return (quality(params), *told(params).values(), -params["rate"])[:axes]

    def point(params: Mapping[str, Any]) -> Point:
        return Point.plain(params, told(params))

    found = Proposer(DIMENSIONS, every, point=point)
    past = [Observation(point(one.point.params), values(one.point.params)) for one in history(30)]
    for left in (8, 500):
        assert len(found.propose(past, 8, left=left)) == 8


def test_wrong_settings_are_named() -> None:
    """A sampler that does not exist, shares out of range."""
    with pytest.raises(AutoactError, match="nsga2"):
        proposer(sampler="nsga22")
    with pytest.raises(AutoactError, match=r"refine=1\.5"):
        proposer(refine=1.5)
    with pytest.raises(AutoactError, match="screen=0"):
        proposer(screen=0)
    with pytest.raises(AutoactError, match="most_seeds=0"):
        proposer(most_seeds=0)


def test_optuna_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """No log line, and the verbosity is as it was."""
    before = optuna.logging.get_verbosity()
    proposer().propose(history(12), 4, left=100)
    assert capsys.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before


def test_the_expected_gain_is_that_of_many_draws() -> None:
    """Against sampling, in one to three known objectives."""
    rng = np.random.default_rng(0)
    for known in (0, 1, 2, 3):
        front, reference = rng.random((6, known + 1)), np.full(known + 1, 1.2)
        place, mean, sd = rng.random((1, known)) * 0.6, np.array([0.4]), np.array([0.3])
        exact = expected_gain(mean, sd, place, front, reference)[0]
        before = moocore.hypervolume(front, ref=reference)
        draws = [[q, *place[0]] for q in rng.normal(0.4, 0.3, 4000)]
        gains = [moocore.hypervolume(np.vstack([front, d]), ref=reference) - before for d in draws]
        assert exact == pytest.approx(np.mean(gains), abs=float(4 * np.std(gains) / 60))


def test_swaps_change_one_dimension_and_stay_inside() -> None:
    """All choices; small and large steps on a logarithmic range; integers; steps."""
    dimensions: dict[str, BaseDistribution] = {
        "name": CategoricalDistribution(NAMES),
        "rate": FloatDistribution(1e-3, 1e-1, log=True),
        "width": IntDistribution(1, 1024, log=True),
        "units": IntDistribution(1, 3),
        "share": FloatDistribution(0.0, 1.0, step=0.25),
    }
    start = {"name": "tanh", "rate": 0.1, "width": 32, "units": 3, "share": 0.5}
    found = list(swaps(start, dimensions))
    for point in found:
        assert sum(point[name] != start[name] for name in start) == 1
        assert all(d._contains(d.to_internal_repr(point[name])) for name, d in dimensions.items())
    by_name = {name: [p[name] for p in found if p[name] != start[name]] for name in start}
    assert sorted(by_name["name"]) == sorted(set(NAMES) - {"tanh"})
    assert by_name["units"] == [1, 2]
    assert all(rate < 0.1 for rate in by_name["rate"])
    assert len(by_name["rate"]) == 3
    assert set(by_name["share"]) == {0.25, 0.75}
    assert len(set(by_name["width"])) == len(by_name["width"]) >= 5


def test_random_points_cover_a_small_space_once() -> None:
    """Each combination once; in large spaces as many as asked for, inside their ranges."""
    small = {"a": CategoricalDistribution(["x", "y"]), "b": FloatDistribution(0.0, 1.0, step=0.5)}
    every = [tuple(p.values()) for p in points_at_random(small, random.Random(0), 100)]
    assert sorted(every) == sorted(itertools.product(["x", "y"], [0.0, 0.5, 1.0]))
    large = {"n": IntDistribution(1, 10**6, log=True), "r": FloatDistribution(1e-3, 1.0, log=True)}
    drawn = list(points_at_random(large, random.Random(0), 50))
    assert len({Point.plain(params) for params in drawn}) == 50
    assert all(d._contains(d.to_internal_repr(p[name])) for p in drawn for name, d in large.items())
