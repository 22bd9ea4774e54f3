"""Pareto maths with ties: dominance, the front, its knee, ranks, crowding.

A point is a sequence of objective values; ``directions`` says for each objective whether it is ``"min"`` or ``"max"``.
``epsilons`` gives for each objective the difference below which two values tie, in the objective's own unit.

Which points form the front when values tie? Dominance with ties is not transitive: c can beat b, and b can beat a by
trading a loss within the tie for a real gain, while c does not beat a. Dropping every dominated point would then drop
a, although nothing that stays is as good. With three objectives points can even beat each other in a circle, and
nothing would stay. So the front is the *kernel* of the dominance relation (von Neumann and Morgenstern, 1944):

1. points that no remaining point dominates join the front, and what they dominate is dropped; this is repeated;
2. where only points in circles remain, one circle that nothing outside dominates joins as a whole.

Hence every dropped point is dominated by a point of the front, and for each objective the front holds a value within
epsilon of the best one there is. Without epsilons this is the plain set of non-dominated points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from autoact.core.errors import AutoactError, unknown

Point = Sequence[float]
_SAME = 1e-9  # knee: normalised distances closer than this are equal but for rounding


def _minimised(points: Sequence[Point], directions: Sequence[str]) -> NDArray[np.float64]:
    for direction in directions:
        if direction not in ("min", "max"):
            raise unknown("direction", direction, ["min", "max"])
    for index, point in enumerate(points):
        if len(point) != len(directions):
            raise ValueError(f"point {index} has {len(point)} values for {len(directions)} directions")
        if not all(math.isfinite(value) for value in point):
            raise AutoactError(f"point {index} is {tuple(point)}: every objective must be finite; leave it out")
    signs = [1.0 if direction == "min" else -1.0 for direction in directions]
    return np.array(points, dtype=float).reshape(len(points), len(directions)) * signs


def _tolerances(epsilons: Sequence[float] | None, count: int) -> tuple[float, ...]:
    tolerances = (0.0,) * count if epsilons is None else tuple(epsilons)
    if len(tolerances) != count or not all(tolerance >= 0 for tolerance in tolerances):
        raise ValueError(f"epsilons need {count} values of at least 0, got {tolerances}")
    return tolerances


def _beats(rows: NDArray[np.float64], tolerances: Sequence[float]) -> NDArray[np.bool_]:
    """Whether row i dominates row j, at place (i, j); all objectives minimised."""
    one, other, tie = rows[:, None, :], rows[None, :, :], np.asarray(tolerances)
    return np.asarray(~np.any(one > other + tie, axis=2) & np.any(one < other - tie, axis=2))


def dominates(a: Point, b: Point, directions: Sequence[str], epsilons: Sequence[float] | None = None) -> bool:
    """Whether ``a`` is better than ``b`` in one objective at least and worse in none.

    Raises:
        AutoactError: an unknown direction, or a value that is not finite.

    Example:
        >>> dominates((0.90, 1.0), (0.89, 1.0), ["max", "min"])
        True
        >>> dominates((0.90, 1.0), (0.89, 1.0), ["max", "min"], epsilons=[0.02, 0.1])
        False
    """
    return bool(_beats(_minimised([a, b], directions), _tolerances(epsilons, len(directions)))[0, 1])


def front(points: Sequence[Point], directions: Sequence[str], epsilons: Sequence[float] | None = None) -> list[int]:
    """The indices of the non-dominated points, ascending; never empty where there are points.

    With ``epsilons`` this is the kernel that the head of this file defines: every point left out is dominated by one
    of the front, and each objective's best value is met within epsilon. Equal points are all kept.

    Raises:
        AutoactError: an unknown direction, or a value that is not finite.

    Example:
        >>> front([(0.90, 2.0), (0.89, 1.0), (0.88, 1.5)], ["max", "min"])
        [0, 1]
        >>> front([(0.90, 2.0), (0.89, 1.0), (0.88, 1.5)], ["max", "min"], epsilons=[0.02, 0.1])
        [1]
    """
    rows = _minimised(points, directions)
    tolerances = _tolerances(epsilons, len(directions))
    if any(tolerances):
        return np.flatnonzero(_kernel(_beats(rows, tolerances), np.ones(len(rows), dtype=bool))).tolist()
    return np.flatnonzero(moocore.is_nondominated(rows, keep_weakly=True)).tolist() if len(rows) else []


def ranks(points: Sequence[Point], directions: Sequence[str], epsilons: Sequence[float] | None) -> list[list[int]]:
    """The indices of the points in ranks: the front, the front of what is left, and so on (Goldberg, 1989).

    Raises:
        AutoactError: an unknown direction, or a value that is not finite.

    Example:
        >>> ranks([(3, 3), (1, 2), (2, 1), (2, 2)], ["min", "min"], [0, 0])
        [[1, 2], [3], [0]]
    """
    beats = _beats(_minimised(points, directions), _tolerances(epsilons, len(directions)))
    left = np.ones(len(points), dtype=bool)
    in_ranks = []
    while left.any():
        rank = _kernel(beats, left)
        in_ranks.append(np.flatnonzero(rank).tolist())
        left &= ~rank
    return in_ranks


def _kernel(beats: NDArray[np.bool_], among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The kernel of dominance ``among`` some of the points, circles joining as a whole."""
    kernel, remaining = np.zeros_like(among), among.copy()
    while remaining.any():
        joining = remaining & ~beats[remaining].any(axis=0)
        if not joining.any():
            joining = _source_circle(beats, remaining)
        kernel |= joining
        remaining &= ~joining & ~beats[joining].any(axis=0)
    return kernel


def _source_circle(beats: NDArray[np.bool_], remaining: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The smallest set of remaining points that beat each other in circles and that no other remaining point beats."""
    places = np.flatnonzero(remaining)
    arrows = beats[np.ix_(places, places)]
    _, circles = connected_components(csr_array(arrows), connection="strong")
    beaten = {int(circles[j]) for i, j in zip(*np.nonzero(arrows), strict=True) if circles[i] != circles[j]}
    sizes = [(int(np.sum(circles == circle)), int(np.argmax(circles == circle)), circle) for circle in set(circles)]
    smallest = min(size for size in sizes if size[2] not in beaten)[2]
    circle = np.zeros_like(remaining)
    circle[places[circles == smallest]] = True
    return circle


def crowding_distance(points: Sequence[Point]) -> list[float]:
    """How far each point stands from its neighbours in its rank: larger is lonelier (NSGA-II; Deb et al., 2002).

    The sum over objectives of the gap between a point's two neighbours, as a fraction of the objective's range. The
    first and the last point of an objective get infinity, and so do all where there are two points or fewer. An
    objective in which all points are equal counts nothing.

    Example:
        >>> crowding_distance([(0, 4), (1, 2), (4, 0)])
        [inf, 2.0, inf]
    """
    if len(points) <= 2:
        return [math.inf] * len(points)
    distance = np.zeros(len(points))
    for values in np.asarray(points, dtype=float).T:
        order = np.argsort(values, kind="stable")
        if span := np.ptp(values):
            distance[order[[0, -1]]] = math.inf
            distance[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / span
    return distance.tolist()


def knee(points: Sequence[Point], directions: Sequence[str], epsilons: Sequence[float] | None = None) -> int:
    """The index of the front's best compromise: where giving up a little of one objective stops gaining much.

    Each objective is scaled to 0 at the front's best value (ideal) and 1 at its worst (nadir). The knee lies farthest
    below the line that joins the two extremes (Das, 1999); with more objectives, below the plane through the corners
    where all objectives but one are at their best. That is the point with the smallest sum of scaled objectives.

    Special cases: an objective whose values on the front differ by no more than its epsilon ties and does not count,
    so that noise never decides. Where several points are equally far below the line (two points, or a straight
    front), the one that is best in the first objective wins, then in the second, and so on, then the lowest index. A
    front that bulges outwards has no knee below the line: an extreme is returned, by the same rule. One point is its
    own knee.

    Raises:
        AutoactError: there are no points, an unknown direction, or a value that is not finite.

    Example:
        >>> knee([(0.90, 5.0), (0.89, 1.0), (0.70, 0.9)], ["max", "min"])
        1
    """
    members = front(points, directions, epsilons)
    if not members:
        raise AutoactError("there are no points: the knee of an empty front does not exist")
    rows = _minimised([points[i] for i in members], directions)
    ideal, span = rows.min(axis=0), np.ptp(rows, axis=0)
    counts = span > np.asarray(_tolerances(epsilons, len(directions)))
    score = ((rows - ideal)[:, counts] / span[counts]).sum(axis=1)
    lowest = np.flatnonzero(score <= score.min() + _SAME).tolist()
    return members[min(lowest, key=lambda i: (rows[i].tolist(), i))]
