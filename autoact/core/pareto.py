"""Pareto maths on plain numbers: dominance with ties, the front, its knee, sorting, crowding, hypervolume.

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
from collections.abc import Iterable, Sequence

from autoact.core.errors import AutoactError, unknown

Point = Sequence[float]
_SAME = 1e-9  # knee: normalised distances closer than this are equal but for rounding


def _signs(directions: Sequence[str]) -> list[float]:
    """+1 for an objective to minimise, -1 for one to maximise."""
    for direction in directions:
        if direction not in ("min", "max"):
            raise unknown("direction", direction, ["min", "max"])
    return [1.0 if direction == "min" else -1.0 for direction in directions]


def _minimised(points: Iterable[Point], directions: Sequence[str]) -> list[tuple[float, ...]]:
    """The points with every objective to minimise, checked."""
    signs = _signs(directions)
    rows = []
    for index, point in enumerate(points):
        if len(point) != len(signs):
            raise ValueError(f"point {index} has {len(point)} values for {len(signs)} directions")
        if not all(math.isfinite(value) for value in point):
            raise AutoactError(f"point {index} is {tuple(point)}: every objective must be finite; leave it out")
        rows.append(tuple(sign * value for sign, value in zip(signs, point, strict=True)))
    return rows


def _tolerances(epsilons: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """One tolerance per objective, zero unless given."""
    tolerances = (0.0,) * count if epsilons is None else tuple(epsilons)
    if len(tolerances) != count or not all(tolerance >= 0 for tolerance in tolerances):
        raise ValueError(f"epsilons need {count} values of at least 0, got {tolerances}")
    return tolerances


def _beats(a: Point, b: Point, tolerances: Point) -> bool:
    """Whether ``a`` dominates ``b``, all objectives minimised."""
    better = False
    for x, y, tolerance in zip(a, b, tolerances, strict=True):
        if x > y + tolerance:
            return False
        better = better or x < y - tolerance
    return better


def dominates(a: Point, b: Point, directions: Sequence[str], epsilons: Sequence[float] | None = None) -> bool:
    """Whether ``a`` is better than ``b`` in one objective at least and worse in none.

    Args:
        a: the point that may dominate.
        b: the point that may be dominated.
        directions: ``"min"`` or ``"max"`` for each objective.
        epsilons: for each objective the difference up to which two values tie; all zero unless given.

    Raises:
        AutoactError: an unknown direction, or a value that is not finite.

    Example:
        >>> dominates((0.90, 1.0), (0.89, 1.0), ["max", "min"])
        True
        >>> dominates((0.90, 1.0), (0.89, 1.0), ["max", "min"], epsilons=[0.02, 0.1])
        False
    """
    first, second = _minimised([a, b], directions)
    return _beats(first, second, _tolerances(epsilons, len(directions)))


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
    return _kernel(rows, tolerances) if any(tolerances) else _plain_front(rows)


def _plain_front(rows: Sequence[tuple[float, ...]]) -> list[int]:
    """The non-dominated points without ties: in lexicographic order only earlier ones can dominate."""
    exact = (0.0,) * (len(rows[0]) if rows else 0)
    kept: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: rows[i]):
        if not any(_beats(rows[other], rows[index], exact) for other in kept):
            kept.append(index)
    return sorted(kept)


def _kernel(rows: Sequence[Point], tolerances: Point) -> list[int]:
    """The kernel of dominance with ties, circles joining as a whole."""
    everyone = range(len(rows))
    beaten_by = {i: {j for j in everyone if j != i and _beats(rows[j], rows[i], tolerances)} for i in everyone}
    kept: set[int] = set()
    remaining = set(everyone)
    while remaining:
        joining = {i for i in remaining if not beaten_by[i] & remaining}
        if not joining:
            joining = _source_circle(beaten_by, remaining)
        kept |= joining
        remaining -= joining
        remaining -= {i for i in remaining if beaten_by[i] & joining}
    return sorted(kept)


def _source_circle(beaten_by: dict[int, set[int]], remaining: set[int]) -> set[int]:
    """A set of remaining points that beat each other in circles and that no other remaining point beats.

    The smallest set of ancestors is such a set: any larger one contains it or another that is no larger.
    """
    smallest: set[int] | None = None
    for start in sorted(remaining):
        ancestors: set[int] = set()
        todo = [start]
        while todo:
            fresh = (beaten_by[todo.pop()] & remaining) - ancestors
            ancestors |= fresh
            todo.extend(fresh)
        if smallest is None or len(ancestors) < len(smallest):
            smallest = ancestors
    assert smallest, "only called where every remaining point is beaten by another"
    return smallest


def non_dominated_sort(
    points: Sequence[Point], directions: Sequence[str], epsilons: Sequence[float] | None = None
) -> list[list[int]]:
    """The points in ranks: the front, the front of what is left, and so on (Goldberg, 1989).

    Returns:
        Lists of indices, best rank first; each index is in one of them.

    Example:
        >>> non_dominated_sort([(3, 3), (1, 2), (2, 1), (2, 2)], ["min", "min"])
        [[1, 2], [3], [0]]
    """
    remaining = list(range(len(points)))
    ranks = []
    while remaining:
        rank = [remaining[i] for i in front([points[i] for i in remaining], directions, epsilons)]
        ranks.append(rank)
        taken = set(rank)
        remaining = [i for i in remaining if i not in taken]
    return ranks


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
    distance = [0.0] * len(points)
    for axis in range(len(points[0])):
        order = sorted(range(len(points)), key=lambda i: points[i][axis])
        span = points[order[-1]][axis] - points[order[0]][axis]
        if span == 0:
            continue
        distance[order[0]] = distance[order[-1]] = math.inf
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            distance[here] += (points[after][axis] - points[before][axis]) / span
    return distance


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
    rows = dict(zip(members, _minimised([points[i] for i in members], directions), strict=True))
    tolerances = _tolerances(epsilons, len(directions))
    score = dict.fromkeys(members, 0.0)
    for axis, tolerance in enumerate(tolerances):
        values = [row[axis] for row in rows.values()]
        ideal, nadir = min(values), max(values)
        if nadir - ideal > tolerance:
            for i in members:
                score[i] += (rows[i][axis] - ideal) / (nadir - ideal)
    lowest = min(score.values())
    return min((i for i in members if score[i] <= lowest + _SAME), key=lambda i: (rows[i], i))


def hypervolume(points: Sequence[Point], reference: Point, directions: Sequence[str]) -> float:
    """The volume that the points dominate, up to ``reference``; exact (WFG algorithm; While et al., 2012).

    Made for few objectives and up to some hundreds of points. Its unit is the product of the objectives' units. Points
    that are not better than the reference in every objective add nothing.

    Raises:
        AutoactError: an unknown direction, or a value that is not finite.

    Example:
        >>> hypervolume([(1, 2), (2, 1)], reference=(3, 3), directions=["min", "min"])
        3.0
    """
    corner, *rows = _minimised([reference, *points], directions)
    inside = [row for row in rows if all(x < limit for x, limit in zip(row, corner, strict=True))]
    return _volume([inside[i] for i in _plain_front(inside)], corner) if inside else 0.0


def _volume(rows: Sequence[tuple[float, ...]], corner: Point) -> float:
    """The dominated volume of mutually non-dominated points, all minimised and better than ``corner``."""
    if len(corner) == 1:
        return corner[0] - min(row[0] for row in rows)
    ordered = sorted(set(rows))
    if len(corner) == 2:
        total, ceiling = 0.0, corner[1]
        for x, y in ordered:
            total += (corner[0] - x) * (ceiling - y)
            ceiling = y
        return total
    total = 0.0
    for index, row in enumerate(ordered):
        box = math.prod(limit - x for x, limit in zip(row, corner, strict=True))
        shared = [tuple(map(max, row, other)) for other in ordered[index + 1 :]]
        total += box - (_volume([shared[i] for i in _plain_front(shared)], corner) if shared else 0.0)
    return total
