"""The result of a search, as plain data that reports draw and trackers log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoact.core.stats import Interval
from autoact.core.trial import Candidate, TrialRecord
from autoact.recommendation import Recommendation, load_recommendation
from autoact.study.callbacks import SearchInfo
from autoact.study.confirmation.verdict import Ruling
from autoact.study.selection import Selection

TITLES = {
    "configured": "baseline as configured",
    "tuned": "tuned baseline",
    "uniform": "best uniform",
    "quality": "recommended: quality",
    "balanced": "recommended: balanced",
    "economy": "recommended: economy",
}


@dataclass(frozen=True)
class Row:
    """One line of the final table.

    Attributes:
        name: ``configured``, ``tuned``, ``uniform``, a policy, or a reference model's name.
        title: as people read it.
        candidate: what was trained; None for a reference model.
        validation: quality on validation rows (of the search's trial).
        test: mean quality on the sealed test rows over fresh seeds; None where not confirmed.
        test_sd: its standard deviation over the seeds.
        latency_ms: median, measured end to end; an estimate of the latency table where ``measured`` is false.
        p90_ms: 90th percentile, measured end to end.
        cost: per million samples; an estimate where ``measured`` is false.
        latency_ratio: to the tuned baseline, paired round by round (geometric mean), as in the verdict.
        cost_ratio: to the tuned baseline, in the same way.
        p99_ms: 99th percentile, measured end to end.
        table_error: what the latency table missed: measured over predicted, less one.
        training_ratio: time of a training step relative to the tuned baseline's.
        error_reduction: share of the tuned baseline's distance to perfect predictions that the gain takes away.
        epochs: median best epoch of the fresh seeds.
        measured: whether latency and cost were measured end to end.
        fresh: mean quality on validation rows over the fresh seeds of the first stage; None where not trained there.
        finished: trainings on test rows that ended well; 0 where not confirmed.
        own: values of the user's own objectives.
    """

    name: str
    title: str
    candidate: Candidate | None
    validation: float | None
    test: float | None = None
    test_sd: float | None = None
    latency_ms: float | None = None
    p90_ms: float | None = None
    cost: float | None = None
    latency_ratio: float | None = None
    cost_ratio: float | None = None
    p99_ms: float | None = None
    table_error: float | None = None
    training_ratio: float | None = None
    error_reduction: float | None = None
    epochs: int = 0
    measured: bool = False
    fresh: float | None = None
    finished: int = 0
    own: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchResult:
    """Everything that a search found.

    Attributes:
        info: what was fixed at the start.
        status: ``finished`` or ``interrupted``.
        records: every trial.
        selection: the trials that matter; None where the baseline did not finish.
        rows: the final table.
        gains: row name -> paired difference to the tuned baseline on test rows, positive = better.
        rulings: policy -> ruling.
        verdict: in words.
        seconds: seconds of this run.
        opening: which opening of the test part the final check was; 0 for none.
        notes: what the reader must know.
        quality_unit: what the quality is.
        mode: ``max`` or ``min``: which qualities are better.
        seeds: fresh seeds of the final check.
        confidence: at which the intervals of the gains stand, over all challengers; 0 where there are none.
        kept: which baseline is kept where nothing is recommended: ``tuned`` or ``configured``.
        trainings: stage of the final check -> name -> every training of it, as plain data.
        fresh: what the rows' means on validation rows are over (``10 fresh seeds``); empty where no stage chose.
        files: what was written, by name.
    """

    info: SearchInfo
    status: str
    records: Sequence[TrialRecord]
    selection: Selection | None
    rows: Sequence[Row]
    gains: Mapping[str, Interval]
    rulings: Mapping[str, Ruling]
    verdict: str
    seconds: float
    opening: int
    notes: Sequence[str]
    quality_unit: str
    mode: str
    seeds: int
    kept: str = "tuned"
    confidence: float = 0.0
    trainings: Mapping[str, Any] = field(default_factory=dict)
    fresh: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def row(self, name: str) -> Row | None:
        """The row of that name."""
        return next((row for row in self.rows if row.name == name), None)

    @property
    def recommendation(self) -> Recommendation | None:
        """What was written to ``recommended.yaml``; None where the search ended before it."""
        path = self.files.get("recommendation")
        return None if path is None else load_recommendation(path)

    @property
    def best(self) -> Mapping[str, Any]:
        """The best values over all trials, for a parent run."""
        if self.selection is None:
            return {}
        measured = [record.quality for record in self.records if record.complete and record.quality is not None]
        best = (max if self.mode == "max" else min)(measured)
        values = {"best_quality": best, "tuned_baseline_quality": self.selection.tuned.quality}
        return {name: value for name, value in values.items() if value is not None}
