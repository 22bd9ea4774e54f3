"""Pareto maths against brute force on random points."""

from __future__ import annotations

import math
import random

import pytest

from autoact.core.errors import AutoactError
from autoact.study.pareto import crowding_distance, dominates, front, knee, ranks

DIRECTIONS = ["max", "min", "min"]


def cloud(seed: int, count: int = 30, objectives: int = 3, grid: int = 0) -> list[tuple[float, ...]]:
    rng = random.Random(seed)
    draw = (lambda: float(rng.randrange(grid))) if grid else rng.random
    return [tuple(draw() for _ in range(objectives)) for _ in range(count)]


def brute_dominates(a, b, directions, epsilons) -> bool:
    gains = [(x - y) if d == "max" else (y - x) for x, y, d in zip(a, b, directions, strict=True)]
    return all(g >= -e for g, e in zip(gains, epsilons, strict=True)) and any(
        g > e for g, e in zip(gains, epsilons, strict=True)
    )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("grid", [0, 4])
@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_front_without_epsilons_is_brute_force(seed: int, grid: int, objectives: int) -> None:
    points = cloud(seed, grid=grid, objectives=objectives)
    directions = DIRECTIONS[:objectives]
    none = [0.0] * objectives
    expected = [i for i, p in enumerate(points) if not any(brute_dominates(q, p, directions, none) for q in points)]
    assert front(points, directions) == expected
    assert front(points, directions, none) == expected


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_front_with_epsilons_covers_everything_that_it_leaves_out(seed: int, objectives: int) -> None:
    points = cloud(seed, objectives=objectives)
    directions = DIRECTIONS[:objectives]
    epsilons = [0.3, 0.2, 0.25][:objectives]
    kept = front(points, directions, epsilons)
    assert kept
    for i, point in enumerate(points):
        if i not in kept:
            assert any(brute_dominates(points[j], point, directions, epsilons) for j in kept)
    for axis, direction in enumerate(directions):
        values = [p[axis] for p in points]
        best = max(values) if direction == "max" else min(values)
        assert min(abs(points[i][axis] - best) for i in kept) <= epsilons[axis]
    if objectives < 3:  # circles need three objectives
        assert not any(dominates(points[i], points[j], directions, epsilons) for i in kept for j in kept)


def test_front_keeps_what_only_a_dropped_point_dominates() -> None:
    chain = [(1.0, 0.0), (0.5, 5.0), (-0.3, 10.0)]  # the second beats the first, the third beats the second
    assert dominates(chain[1], chain[0], ["max", "max"], [1, 1])
    assert dominates(chain[2], chain[1], ["max", "max"], [1, 1])
    assert not dominates(chain[2], chain[0], ["max", "max"], [1, 1])
    assert front(chain, ["max", "max"], [1, 1]) == [0, 2]


def test_front_keeps_a_circle_and_drops_what_it_beats() -> None:
    circle = [(0.0, 0.0, 0.0), (1.1, -0.6, -0.5), (0.6, 0.5, -1.1)]
    up, one = ["max"] * 3, [1.0] * 3
    for winner, loser in [(1, 0), (2, 1), (0, 2)]:
        assert dominates(circle[winner], circle[loser], up, one)
    assert front(circle, up, one) == [0, 1, 2]
    assert front([*circle, (-3.0, -3.0, -3.0)], up, one) == [0, 1, 2]
    assert front([(3.0, 3.0, 3.0), *circle], up, one) == [0]
    # A winner over one member opens the circle: what is left of it is an ordinary chain.
    assert front([*circle, (-1.0, -1.0, 1.2)], up, one) == [2, 3]


def test_two_separate_circles_both_stay() -> None:
    circle = [(0.0, 0.0, 0.0, 0.0), (1.1, -0.6, -0.5, 0.0), (0.6, 0.5, -1.1, 0.0)]
    apart = [(x - 20.0, y - 20.0, z - 20.0, 50.0) for x, y, z, _ in circle]
    assert front([*circle, *apart], ["max"] * 4, [1.0] * 4) == list(range(6))


def test_a_circle_below_another_is_dropped() -> None:
    circle = [(0.0, 0.0, 0.0, 0.0), (1.1, -0.6, -0.5, 0.0), (0.6, 0.5, -1.1, 0.0)]
    below = [(x, y, z, -5.0) for x, y, z, _ in circle]
    assert front([*below, *circle], ["max"] * 4, [1.0] * 4) == [3, 4, 5]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("grid", [0, 4])
@pytest.mark.parametrize("epsilons", [None, [0.2, 0.2, 0.2], [0.5, 0.0, 0.4]])
def test_ranks_are_the_front_then_the_front_of_what_is_left(seed: int, grid: int, epsilons: list[float] | None) -> None:
    points = cloud(seed, grid=grid)
    in_ranks = ranks(points, DIRECTIONS, epsilons)
    left = list(range(len(points)))
    for rank in in_ranks:
        assert rank == [left[i] for i in front([points[i] for i in left], DIRECTIONS, epsilons)]
        left = [i for i in left if i not in rank]
    assert left == []


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_kernel_with_tiny_epsilons_is_the_front_of_moocore(objectives: int) -> None:
    # No two values of a grid are closer than 1: epsilons below that change nothing, but take the other way.
    for seed in range(20):
        points, directions = cloud(seed, grid=4, objectives=objectives), DIRECTIONS[:objectives]
        assert front(points, directions, [0.5] * objectives) == front(points, directions)


def test_a_circle_of_ties_is_one_rank() -> None:
    points = [(0.0, 1.5, 3.0), (1.5, 3.0, 0.0), (3.0, 0.0, 1.5), (9.0, 9.0, 9.0)]
    assert ranks(points, ["min"] * 3, [2.0] * 3) == [[0, 1, 2], [3]]


def test_crowding_by_hand_and_where_points_tie() -> None:
    assert crowding_distance([]) == []
    assert crowding_distance([(1, 2)]) == [math.inf]
    assert crowding_distance([(1, 2), (2, 1)]) == [math.inf, math.inf]
    assert crowding_distance([(1, 1), (1, 1), (1, 1)]) == [0.0, 0.0, 0.0]
    got = crowding_distance([(0, 10), (2, 6), (3, 5), (10, 0)])
    assert got == [math.inf, pytest.approx(0.3 + 0.5), pytest.approx(0.8 + 0.6), math.inf]
    # An objective that ties adds nothing and crowns nobody.
    assert crowding_distance([(0, 7), (4, 7), (10, 7)]) == [math.inf, 1.0, math.inf]


def test_knee_is_the_bend_of_the_front() -> None:
    bend = [(x / 10, (1 - x / 10) ** 4) for x in range(11)]
    below_line = [1 - x - y for x, y in bend]
    assert knee(bend, ["min", "min"]) == below_line.index(max(below_line))
    flipped = [(-x, 5 * y + 3) for x, y in bend]
    assert knee(flipped, ["max", "min"]) == below_line.index(max(below_line))
    assert knee([*bend, (0.9, 0.9)], ["min", "min"]) == below_line.index(max(below_line))  # dominated: no matter


def test_knee_special_cases() -> None:
    assert knee([(1.0, 2.0)], ["max", "min"]) == 0
    assert knee([(0.8, 1.0), (0.9, 2.0)], ["max", "min"]) == 1  # two points: the first objective decides
    assert knee([(0.8, 1.0), (0.9, 2.0)], ["min", "max"]) == 0
    assert knee([(0.5, 0.5), (0.5, 0.5)], ["max", "min"]) == 0
    line = [(0.1 * i, 0.7 - 0.1 * i) for i in range(8)]
    assert knee(line, ["min", "min"]) == 0  # a straight front, in spite of rounding
    bulge = [(0.0, 1.0), (0.8, 0.8), (1.0, 0.0)]
    assert knee(bulge, ["min", "min"]) == 0
    # Latencies that tie within noise must not pull the knee away from quality.
    noisy = [(0.90, 1.0010), (0.80, 1.0001), (0.70, 1.0000)]
    assert knee(noisy, ["max", "min"], epsilons=[0.0, 0.01]) == 0
    assert knee(noisy, ["max", "min"]) == 1
    costs = [(0.90, 5.0, 1.000), (0.85, 1.0, 1.009), (0.60, 0.9, 1.000)]
    assert knee(costs, DIRECTIONS, epsilons=[0.0, 0.0, 0.01]) == 1  # costs tie: quality and latency decide
    assert knee(costs, DIRECTIONS) == 0
    with pytest.raises(AutoactError, match="no points"):
        knee([], ["min"])


def test_mistakes_are_named() -> None:
    with pytest.raises(AutoactError, match="did you mean min"):
        front([(1.0,)], ["mim"])
    with pytest.raises(AutoactError, match=r"point 1 .* finite"):
        front([(1.0,), (math.nan,)], ["min"])
    with pytest.raises(ValueError, match="2 values for 1 directions"):
        front([(1.0, 2.0)], ["min"])
    with pytest.raises(ValueError, match="epsilons need 1"):
        front([(1.0,)], ["min"], [-1.0])
    assert front([], ["min"]) == []
    assert ranks([], ["min"], [0.1]) == []
