"""Paired differences between two candidates that were trained under the same seeds and judged on the same rows."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from autoact.study.confirmation.retraining import RetrainedCandidate
from autoact.study.paired_statistics import Interval, jackknife_variance, mean_sd, paired_interval


@dataclass(frozen=True)
class Pairs:
    """The differences of two candidates, and what they vary by: seeds, rows, and rows that move one seed alone.

    Seeds and rows are crossed factors, since all seeds are judged on the same rows: the noise of the rows does not
    average out over seeds. With S seeds the mean difference varies by seeds / S + rows + interaction / S.

    Attributes:
        differences: one per turn that both finished.
        seed_variance: between the differences: seeds + interaction.
        row_variance: of the mean difference due to the choice of rows: rows + interaction / S; 0 where unknown.
        interaction: of a single difference, due to what rows do to one seed alone; 0 where unknown.
        groups: groups of rows behind it; 0 where predictions are unknown.
    """

    differences: tuple[float, ...]
    seed_variance: float
    row_variance: float
    interaction: float
    groups: int

    def interval(self, sign: float, *, confidence: float = 0.95, comparisons: int = 1) -> Interval | None:
        """The mean difference with its interval, times ``sign``; None below two differences."""
        if len(self.differences) < 2:
            return None
        return paired_interval(
            [sign * difference for difference in self.differences],
            confidence=confidence,
            comparisons=comparisons,
            row_variance=self.row_variance,
            row_df=self.groups - 1 if self.groups else math.inf,
            overlap=self.interaction / len(self.differences),
        )


def pairs_of(entry: RetrainedCandidate, other: RetrainedCandidate) -> Pairs:
    """The differences ``entry`` - ``other`` over the turns that both finished.

    The rows' part is a grouped jackknife of the seed-averaged difference. A single seed's jackknife varies by rows +
    interaction; what it varies by more than the average of all seeds, times S / (S - 1), is the interaction.
    """
    shared = [turn for turn in entry.scores if turn in other.scores]
    differences = tuple(entry.scores[turn] - other.scores[turn] for turn in shared)
    seeds = len(shared)
    spread = mean_sd(differences)[1] ** 2 if seeds > 1 else math.nan
    mine = [entry.replicates.get(turn, ()) for turn in shared]
    theirs = [other.replicates.get(turn, ()) for turn in shared]
    if not shared or len(mine[0]) < 2 or len({len(one) for one in (*mine, *theirs)}) != 1:
        return Pairs(differences, spread, 0.0, 0.0, 0)
    left_out = [[a - b for a, b in zip(m, t, strict=True)] for m, t in zip(mine, theirs, strict=True)]
    groups = len(mine[0])
    averaged = jackknife_variance([statistics.fmean(seed[group] for seed in left_out) for group in range(groups)])
    alone = statistics.fmean(jackknife_variance(seed) for seed in left_out)
    interaction = max(0.0, alone - averaged) * seeds / (seeds - 1) if seeds > 1 else 0.0
    return Pairs(differences, spread, averaged, interaction, groups)


def gain_of(
    entry: RetrainedCandidate, other: RetrainedCandidate, mode: str, *, confidence: float = 0.95, comparisons: int = 1
) -> Interval | None:
    """The paired difference of ``entry`` to ``other`` over the turns that both finished, better = positive.

    None below two turns; the keyword arguments are those of ``paired_interval``.
    """
    sign = 1.0 if mode == "max" else -1.0
    return pairs_of(entry, other).interval(sign, confidence=confidence, comparisons=comparisons)
