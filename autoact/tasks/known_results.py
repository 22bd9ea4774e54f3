"""The best results that are known on the sets of autoact's tasks: what to measure oneself against."""

from __future__ import annotations

from dataclasses import dataclass

NOTES = "the notes of autoact's project on its data sets; no paper is named there"


@dataclass(frozen=True)
class KnownResult:
    """A result that others reached.

    Attributes:
        value: in the metric's unit.
        metric: with the unit, where it has one.
        model: what reached it.
        split: the rows that it was scored on.
        source: who says so.
    """

    value: float
    metric: str
    model: str
    split: str
    source: str

    def __str__(self) -> str:
        return f"{self.value:,g} {self.metric} ({self.model}; {self.split})"


# Task -> the best result known. A task that is not here has none that anybody published for such a split.
KNOWN_RESULTS: dict[str, KnownResult] = {
    "churn": KnownResult(0.857, "ROC AUC", "the best of several MLPs, .834 to .857", "a similar split", NOTES),
    "credit": KnownResult(0.782, "ROC AUC", "gradient boosting", "a similar split", NOTES),
    "income": KnownResult(0.927, "ROC AUC", "gradient boosting", "the official test file", NOTES),
    "houses": KnownResult(
        42_750,
        "RMSE in dollars",
        "TabM-mini with embeddings of numbers, 15 seeds, tuned",
        "a split of its own, and the set without ocean_proximity",
        "Gorishniy et al., TabM, ICLR 2025",
    ),
    "bike": KnownResult(65.1, "RMSE in bikes", "gradient boosting", "the last 20 % in time", NOTES),
}
