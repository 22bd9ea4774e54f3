"""Before the test part opens: the smallest difference that the check can tell from zero, and what limits it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoact.study.confirmation.paired_differences import pairs_of
from autoact.study.confirmation.retraining import RetrainedCandidate
from autoact.study.paired_statistics import detectable_difference

# The share of the variance from which on the test rows are said to limit a check.
ROWS_LIMIT = 0.5
# More seeds help where twice as many bring the smallest difference below this share of what it is.
HELPS = 0.9


@dataclass(frozen=True)
class PowerAnalysis:
    """What the claim will be able to tell.

    Attributes:
        difference: the smallest true difference that is told from zero with this power, in the metric's unit.
        power: the probability.
        seeds: fresh seeds of the claim.
        limit: ``seeds``, ``rows``, or ``unknown`` where predictions are unknown.
        doubled: the same difference with twice as many seeds.
    """

    difference: float
    power: float
    seeds: int
    limit: str
    doubled: float

    def text(self, unit: str) -> str:
        """For people.

        Example:
            >>> print(PowerAnalysis(0.0042, 0.8, 10, "rows", 0.0041).text("ROC AUC"))
            the smallest difference that this check tells from zero with 80 % power is 0.0042 ROC AUC; the number of
            test rows limits it: twice the seeds would hardly change that (0.0041)
            >>> print(PowerAnalysis(0.004, 0.8, 10, "rows", 0.0028).text("ROC AUC"))
            the smallest difference that this check tells from zero with 80 % power is 0.004 ROC AUC; the number of test
            rows does most to it, but twice the seeds would still make it 0.0028
        """
        doubled = short(self.doubled)
        limits = {
            (
                "rows",
                True,
            ): f"the number of test rows does most to it, but twice the seeds would still make it {doubled}",
            ("rows", False): f"the number of test rows limits it: twice the seeds would hardly change that ({doubled})",
            ("seeds", True): f"the number of seeds limits it: twice the seeds would make it {doubled}",
            ("seeds", False): f"seeds and test rows limit it: twice the seeds would hardly change that ({doubled})",
            (
                "unknown",
                True,
            ): f"the noise of the test rows is unknown and not in it; twice the seeds would make it {doubled}",
            (
                "unknown",
                False,
            ): "the noise of the test rows is unknown and not in it; twice the seeds would hardly change "
            f"that ({doubled})",
        }
        return (
            f"the smallest difference that this check tells from zero with {100 * self.power:.3g} % power is "
            f"{short(self.difference)} {unit}; {limits[self.limit, self.seeds_help]}"
        )

    @property
    def seeds_help(self) -> bool:
        """Whether twice the seeds would tell clearly smaller differences."""
        return self.doubled < HELPS * self.difference


def short(value: float) -> str:
    """Two digits; large numbers without an exponent.

    Example:
        >>> short(0.00421), short(758.3)
        ('0.0042', '758')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def foresee(
    trained: Mapping[str, RetrainedCandidate],
    challenger: str,
    baseline: str,
    *,
    seeds: int,
    rows: tuple[int, int] | None,
    confidence: float,
    comparisons: int,
    power: float,
) -> PowerAnalysis | None:
    """From the first stage's trainings on validation rows; None where they are too few.

    Args:
        trained: the first stage, by name.
        challenger: whose difference is claimed.
        baseline: to whom.
        seeds: of the claim.
        rows: validation rows and test rows; None where unknown: they are then taken to be equally many.
        confidence: of the claim's intervals.
        comparisons: how many are claimed at once.
        power: the wanted probability.
    """
    pairs = pairs_of(trained[challenger], trained[baseline])
    count = len(pairs.differences)
    if count < 2 or seeds < 2:
        return None
    validation, test = rows or (1, 1)
    # What rows do shrinks with their number; what seeds do does not.
    fewer = validation / test
    of_seeds = max(0.0, pairs.seed_variance - pairs.interaction)
    of_rows = max(0.0, pairs.row_variance - pairs.interaction / count) * fewer
    of_both = pairs.interaction * fewer

    def smallest(number: int) -> float:
        return detectable_difference(
            math.sqrt(of_seeds + of_both),
            number,
            power,
            confidence=confidence,
            comparisons=comparisons,
            row_variance=of_rows + of_both / number,
            row_df=pairs.groups - 1 if pairs.groups else math.inf,
            overlap=of_both / number,
        )

    whole = of_rows + (of_seeds + of_both) / seeds
    limit = "unknown" if not pairs.groups else "rows" if whole > 0 and of_rows / whole > ROWS_LIMIT else "seeds"
    return PowerAnalysis(smallest(seeds), power, seeds, limit, smallest(2 * seeds))
