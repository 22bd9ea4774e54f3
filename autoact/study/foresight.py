"""Before the test part opens: the smallest difference that the check can tell from zero, and what limits it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoact.core.statistics import detectable_difference
from autoact.study.again import Retrained
from autoact.study.paired import row_variance, seed_sd

# The share of the variance from which on the test rows are said to limit a check: more seeds then hardly help.
ROWS_LIMIT = 0.5


@dataclass(frozen=True)
class Foresight:
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
            >>> print(Foresight(0.0042, 0.8, 10, "rows", 0.0041).text("ROC AUC"))
            the smallest difference that this check tells from zero with 80 % power is 0.0042 ROC AUC; the number of
            test rows limits it: twice the seeds would make it 0.0041
        """
        limits = {
            "rows": "the number of test rows limits it",
            "seeds": "the number of seeds limits it",
            "unknown": "the noise of the test rows is unknown and not in it",
        }
        return (
            (
                f"the smallest difference that this check tells from zero with {self.power:.0%} power is "
                f"{self.difference:.2g} {unit}; {limits[self.limit]}: twice the seeds would make it {self.doubled:.2g}"
            )
            .replace("%", " %")
            .replace("  ", " ")
        )


def foresee(
    trained: Mapping[str, Retrained],
    challenger: str,
    baseline: str,
    *,
    seeds: int,
    rows: tuple[int, int] | None,
    confidence: float,
    comparisons: int,
    power: float,
) -> Foresight | None:
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
    mine, theirs = trained[challenger], trained[baseline]
    sd = seed_sd(mine, theirs)
    if math.isnan(sd) or seeds < 2:
        return None
    validation, test = rows or (1, 1)
    noise = row_variance(mine, theirs) * validation / test
    groups = max((len(one) for one in mine.replicates.values()), default=0)

    def smallest(count: int) -> float:
        return detectable_difference(
            sd,
            count,
            power,
            confidence=confidence,
            comparisons=comparisons,
            row_variance=noise,
            row_df=groups - 1 if groups > 1 else math.inf,
        )

    share = noise / (noise + sd**2 / seeds) if noise + sd**2 > 0 else 0.0
    limit = "unknown" if not groups else "rows" if share > ROWS_LIMIT else "seeds"
    return Foresight(smallest(seeds), power, seeds, limit, smallest(2 * seeds))
