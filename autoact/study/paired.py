"""Paired differences between two candidates that were trained under the same seeds and judged on the same rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from autoact.core.statistics import Interval, jackknife_variance, mean_sd, paired_interval
from autoact.study.again import Retrained, Turn


def gain_of(
    entry: Retrained, other: Retrained, mode: str, *, confidence: float = 0.95, comparisons: int = 1
) -> Interval | None:
    """The paired difference over the turns that both finished, better = positive; None below two.

    Seeds and rows are crossed: all seeds are judged on the same rows, so that the noise of the rows does not average
    out over seeds. It is added where predictions are known.

    Args:
        entry: whose gain it is.
        other: over whom.
        mode: ``max`` or ``min``: which scores are better.
        confidence: of all comparisons together.
        comparisons: how many intervals are claimed at once.
    """
    shared = _shared(entry, other)
    if len(shared) < 2:
        return None
    rows = _row_differences(entry, other, shared)
    return paired_interval(
        _differences(entry, other, shared, mode),
        confidence=confidence,
        comparisons=comparisons,
        row_variance=jackknife_variance(rows) if rows else 0.0,
        row_df=len(rows) - 1 if rows else math.inf,
    )


def seed_sd(entry: Retrained, other: Retrained) -> float:
    """The standard deviation of the paired difference between seeds; nan below two."""
    shared = _shared(entry, other)
    return mean_sd(_differences(entry, other, shared, "max"))[1] if len(shared) > 1 else math.nan


def row_variance(entry: Retrained, other: Retrained) -> float:
    """The variance of the seed-averaged difference due to the choice of rows; 0 where predictions are unknown."""
    rows = _row_differences(entry, other, _shared(entry, other))
    return jackknife_variance(rows) if rows else 0.0


def _shared(entry: Retrained, other: Retrained) -> list[Turn]:
    """The turns that both finished, in order."""
    return [turn for turn in entry.scores if turn in other.scores]


def _differences(entry: Retrained, other: Retrained, shared: Sequence[Turn], mode: str) -> list[float]:
    """A difference per turn, better = positive."""
    sign = 1.0 if mode == "max" else -1.0
    return [sign * (entry.scores[turn] - other.scores[turn]) for turn in shared]


def _row_differences(entry: Retrained, other: Retrained, shared: Sequence[Turn]) -> list[float]:
    """The averaged difference with one group of rows left out at a time; empty where predictions are unknown."""
    mine = [entry.replicates.get(turn, ()) for turn in shared]
    theirs = [other.replicates.get(turn, ()) for turn in shared]
    if not shared or len(mine[0]) < 2 or len({len(one) for one in (*mine, *theirs)}) != 1:
        return []
    return [
        statistics.fmean(a[group] - b[group] for a, b in zip(mine, theirs, strict=True))
        for group in range(len(mine[0]))
    ]
