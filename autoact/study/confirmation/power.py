"""Before the test part opens: the smallest difference that the check can tell from zero, and what would lower it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoact.study.confirmation.paired_differences import pairs_of
from autoact.study.confirmation.retraining import RetrainedCandidate
from autoact.study.paired_statistics import detectable_difference

# More seeds help where twice as many bring the smallest difference below this share of what it is.
HELPS = 0.9


@dataclass(frozen=True)
class PowerAnalysis:
    """What the claim will be able to tell.

    Attributes:
        difference: the smallest true difference that is told from zero with this power, in the metric's unit.
        twice_the_rows: the same with twice as many test rows; None where predictions are unknown.
    """

    difference: float
    power: float
    seeds: int
    twice_the_seeds: float
    twice_the_rows: float | None

    def text(self, unit: str) -> str:
        """For people.

        Example:
            >>> print(PowerAnalysis(0.0042, 0.8, 10, 0.0041, 0.003).text("ROC AUC"))
            the smallest difference that this check tells from zero with 80 % power is 0.0042 ROC AUC; it would be
            0.0041 with twice the seeds, and 0.003 with twice the test rows
            >>> print(PowerAnalysis(0.004, 0.8, 10, 0.0028, None).text("ROC AUC"))
            the smallest difference that this check tells from zero with 80 % power is 0.004 ROC AUC; it would be 0.0028
            with twice the seeds; the noise of the test rows is unknown and not in it
        """
        if self.twice_the_rows is None:
            rows = "; the noise of the test rows is unknown and not in it"
        else:
            rows = f", and {short(self.twice_the_rows)} with twice the test rows"
        return (
            f"the smallest difference that this check tells from zero with {100 * self.power:.3g} % power is "
            f"{short(self.difference)} {unit}; it would be {short(self.twice_the_seeds)} with twice the seeds{rows}"
        )

    @property
    def seeds_help(self) -> bool:
        """Whether twice the seeds would tell clearly smaller differences."""
        return self.twice_the_seeds < HELPS * self.difference


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

    ``rows`` are the numbers of validation rows and test rows; where unknown, they are taken to be equal.
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

    def smallest(number: int, test_rows: int = 1) -> float:
        rows_part, both_part = of_rows / test_rows, of_both / test_rows
        return detectable_difference(
            math.sqrt(of_seeds + both_part),
            number,
            power,
            confidence=confidence,
            comparisons=comparisons,
            row_variance=rows_part + both_part / number,
            row_df=pairs.groups - 1 if pairs.groups else math.inf,
            overlap=both_part / number,
        )

    twice_the_rows = smallest(seeds, test_rows=2) if pairs.groups else None
    return PowerAnalysis(smallest(seeds), power, seeds, smallest(2 * seeds), twice_the_rows)
