"""The result of a search, as plain data that reports draw and trackers log, and its final table as plain cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import pandas as pd

from autoact.core.errors import unknown
from autoact.core.output_folder import for_people
from autoact.core.result_table import ResultTable, number, to_html
from autoact.core.trial import Candidate, TrialRecord
from autoact.recommendation import Recommendation, load_recommendation
from autoact.study.callbacks import SearchInfo
from autoact.study.confirmation.verdict import Ruling, signed
from autoact.study.outcome.group_scores import GroupScores, group_table
from autoact.study.paired_statistics import Interval
from autoact.study.selection import Selection
from autoact.tasks.objectives import COST

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
        others: other metrics -> mean over fresh seeds on the sealed test rows.
        threshold: median decision threshold of the fresh seeds; None where none was fitted.
        ensemble: so many trainings are averaged; ``test`` is the mean score of such ensembles, ``test_sd`` the standard
            deviation over those that were scored, which share trainings. 0: a single model.
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
    others: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None
    ensemble: int = 0


@dataclass(frozen=True, eq=False, repr=False)
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
        ensemble: the ruling on averaging trainings; None where it was not asked for.
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
        groups: the scores of named groups of test rows, by column of ``data.groups``.
        others: the metrics that the rows give beside the one that decides -> ``max`` or ``min``, which is better.
        fresh: what the rows' means on validation rows are over (``10 fresh seeds``); empty where no stage chose.
        files: what was written, by name: absolute paths.
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
    trainings: Mapping[str, object] = field(default_factory=dict)
    fresh: str = ""
    groups: Sequence[GroupScores] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    ensemble: Ruling | None = None
    files: dict[str, str] = field(default_factory=dict)

    def row(self, name: str) -> Row | None:
        """The row of that name."""
        return next((row for row in self.rows if row.name == name), None)

    def to_dataframe(self, of: Literal["trials", "front", "rows"] = "trials") -> pd.DataFrame:
        """The trials, those of the front, or the rows of the final table, one in each row.

        Args:
            of: ``"trials"``; ``"front"``, the trials that no other beats; or ``"rows"``, the final table as numbers.

        Raises:
            AutoactError: ``of`` is none of these.
        """
        if of == "rows":
            return pd.DataFrame([_plain_row(row) for row in self.rows])
        if of not in ("trials", "front"):
            raise unknown("table", of, ["trials", "front", "rows"])
        front = () if self.selection is None else self.selection.front
        trials = [
            _plain_trial(one, one.number in front) for one in self.records if of == "trials" or one.number in front
        ]
        return pd.DataFrame(trials)

    def __repr__(self) -> str:
        return f"SearchResult({self.info.study!r}, {len(self.records)} trials: {self.verdict})"

    def _repr_html_(self) -> str:
        rulings = [f"{one.policy}: {one.reason}" for one in self.rulings.values()]
        files = [f"{name}: {for_people(path)}" for name, path in self.files.items()]
        lines = [*rulings, ensemble_line(self), tuning_line(self), *effect_lines(self), *self.notes, *files]
        return to_html(self.verdict, [final_table(self), *detail_tables(self)] if self.rows else [], lines)

    @property
    def recommendation(self) -> Recommendation | None:
        """What was written to ``recommended.yaml``; None where the search ended before it."""
        path = self.files.get("recommendation")
        return None if path is None else load_recommendation(path)

    @property
    def best(self) -> Mapping[str, float]:
        """The best values over all trials, for a parent run."""
        if self.selection is None:
            return {}
        measured = [record.quality for record in self.records if record.complete and record.quality is not None]
        best = (max if self.mode == "max" else min)(measured)
        values = {"best_quality": best, "tuned_baseline_quality": self.selection.tuned.quality}
        return {name: value for name, value in values.items() if value is not None}


def _plain_trial(record: TrialRecord, on_front: bool) -> dict[str, object]:
    """A trial as a row of a data frame; activations are in columns ``act.SITE``."""
    candidate = record.candidate
    return {
        "number": record.number,
        "role": str(candidate.role),
        "status": record.status,
        "front": on_front,
        "quality": record.quality,
        **{name: value for name, value in record.values.items() if name != "quality"},
        **candidate.settings,
        **{f"act.{site}": str(choice) for site, choice in candidate.assignment.items()},
        "seed": candidate.seed,
        "epochs": record.epochs,
        "best_epoch": record.best_epoch,
        "seconds": record.seconds,
        "reason": record.reason,
    }


def _plain_row(row: Row) -> dict[str, object]:
    plain = {one.name: getattr(row, one.name) for one in fields(row) if one.name not in ("candidate", "own", "others")}
    assignment = None if row.candidate is None else row.candidate.assignment.summary()
    return {
        **plain,
        "activations": assignment,
        **(row.candidate.settings if row.candidate else {}),
        **row.own,
        **row.others,
    }


def final_table(result: SearchResult) -> ResultTable:
    """The table at the end of a search."""
    simulated = " (simulated data)" if result.info.simulated else ""
    objectives = {objective.name: objective for objective in result.info.objectives}
    own = [o for o in result.info.objectives if o.compute is not None]
    better = "higher is better" if result.mode == "max" else "lower is better"
    fresh = f", {result.fresh}" if result.fresh else ""
    settings = _settings_of(result)
    columns = [
        "setting",
        "activations",
        ", ".join(name.replace("_", " ") for name in settings),
        f"validation {result.quality_unit}{fresh}",
    ]
    if result.seeds:
        columns.append(f"test {result.quality_unit}, {result.seeds} fresh seeds")
    timed = any(row.measured for row in result.rows)
    ratio = " (ratio)" if timed else ""
    columns += [f"latency ms{ratio}", "p90 ms"] if timed else ["latency ms"]
    if COST in objectives:
        columns.append(f"cost, {objectives[COST].unit}{ratio}")
    columns += [f"{o.name}, {o.unit}" for o in own]
    rows = [_cells(row, result, COST in objectives, [o.name for o in own]) for row in result.rows]
    footnotes = _footnotes(result, better, timed)
    if result.selection is not None and (sites := result.selection.configured.candidate.assignment):
        counted = any(" x " in cell for row in rows for cell in row[1:2])
        reading = f"one name means the same one everywhere{', 5 x relu five sites side by side' * counted}"
        footnotes.append(f"Activations in the order of {', '.join(sites)}; {reading}.")
    return ResultTable(f"{result.info.task}{simulated}: {len(result.records)} trials", columns, rows, footnotes)


def _settings_of(result: SearchResult) -> tuple[str, ...]:
    """The training settings that the table shows: a dropout where it is searched."""
    searched = any("dropout" in row.candidate.settings for row in result.rows if row.candidate is not None)
    return ("learning_rate", "weight_decay", *(("dropout",) if searched else ()))


def detail_tables(result: SearchResult) -> list[ResultTable]:
    """What the final check's predictions of test rows say beside the metric that decides."""
    titles = {row.name: row.title for row in result.rows}
    groups = [group_table(one, result.quality_unit, titles) for one in result.groups]
    return [*_other_metrics(result), *groups]


def _other_metrics(result: SearchResult) -> list[ResultTable]:
    """The other metrics of this kind of task, a row each, for the candidates that differ; no table without any."""
    rows = [row for row in result.rows if row.others and row.name in ("configured", "tuned", *result.rulings)]
    differing = [row for i, row in enumerate(rows) if all(row.candidate != other.candidate for other in rows[:i])]
    if not differing:
        return []
    metrics = list(dict.fromkeys(metric for row in differing for metric in row.others))
    cells = [
        [metric, result.others.get(metric, "-"), *(number(row.others.get(metric)) for row in differing)]
        for metric in metrics
    ]
    title = f"Other metrics, means over {result.seeds} fresh seeds, on test rows"
    return [ResultTable(title, ["metric", "better", *(row.title for row in differing)], cells)]


def _footnotes(result: SearchResult, better: str, timed: bool) -> list[str]:
    """How to read the numbers: of what was measured, and of what was not."""
    said = [f"{result.quality_unit}: {better}"]
    if any(row.test_sd is not None for row in result.rows):
        said.append("± is the standard deviation over fresh seeds")
    if any(row.ensemble for row in result.rows):
        said.append("of an ensemble, over those that were scored, which share trainings")
    if result.gains:
        said.append("gains are positive where better")
    found = ["; ".join(said) + "."]
    if result.fresh and any(row.fresh is None and row.validation is not None for row in result.rows):
        found.append(f"Validation: means over {result.fresh}, on which the choice was made; (1) is of one training.")
    if timed:
        paired = "ratios are to the tuned baseline, paired round by round as in the verdict"
        found.append(f"Latency: median at batch 1, measured end to end; {paired}.")
    trained = [row for row in result.rows if row.candidate is not None and row.latency_ms is not None]
    if not all(row.measured for row in trained):
        found.append("~: estimated by adding up the latency table, not measured end to end.")
    return found


def _cells(row: Row, result: SearchResult, with_cost: bool, own: Sequence[str]) -> list[str]:
    settings = dict(row.candidate.settings) if row.candidate else {}
    cells = [
        row.title,
        row.candidate.assignment.summary() if row.candidate else "-",
        ", ".join(number(settings.get(name), 3) for name in _settings_of(result)) if settings else "-",
        _validation(row, result),
    ]
    if result.seeds:
        spread = f" ± {number(row.test_sd, 2)}" if row.test_sd is not None else ""
        some = f" ({row.finished} of {result.seeds} seeds)" if 0 < row.finished < result.seeds else ""
        cells.append(number(row.test) + spread + some)
    cells.append(_with_ratio(row.latency_ms, row.latency_ratio, row))
    if any(one.measured for one in result.rows):
        cells.append(number(row.p90_ms, 3))
    if with_cost:
        cells.append(_with_ratio(row.cost, row.cost_ratio, row))
    return cells + [number(row.own.get(name)) for name in own]


def _validation(row: Row, result: SearchResult) -> str:
    """The mean over fresh seeds, on which the choice was made; of one training, marked so, where there is none."""
    if not result.fresh or row.validation is None:
        return number(row.validation)
    return f"{number(row.validation)} (1)" if row.fresh is None else number(row.fresh)


def _with_ratio(value: float | None, ratio: float | None, row: Row) -> str:
    """``0.0475 (1.23x)``; ``~0.0475`` where the latency table estimates it."""
    estimated = "~" if value is not None and row.candidate is not None and not row.measured else ""
    return estimated + number(value, 3) + ("" if ratio is None else f" ({ratio:.2f}x)")


def effect_lines(result: SearchResult) -> list[str]:
    """What each other assignment does to the error, to training and to slow requests, beside the tuned baseline.

    Rows of equal assignments and settings share a line.
    """
    tuned = result.row("tuned")
    if tuned is None or tuned.candidate is None:
        return []
    lines: dict[str, str] = {}
    for row in result.rows:
        if row.candidate is None or row.ensemble or row.candidate.assignment == tuned.candidate.assignment:
            continue
        said = list(filter(None, _effects(row, result)))
        if said:
            lines.setdefault(row.candidate.label(), f"{row.candidate.assignment.summary()}: {', '.join(said)}.")
    return list(lines.values())


def _effects(row: Row, result: SearchResult) -> list[str]:
    found = []
    if row.error_reduction is not None:
        word = "less" if row.error_reduction >= 0 else "more"
        error = result.quality_unit.removesuffix(" error") + " error"
        found.append(f"{abs(row.error_reduction):.1%} {word} {error}".replace("%", " %"))
    if row.training_ratio is not None:
        found.append(f"a training step takes {row.training_ratio:.2f}x")
    if row.p99_ms is not None:
        found.append(f"latency p99 {number(row.p99_ms, 3)} ms")
    if row.table_error is not None:
        found.append(f"median latency {row.table_error:+.0%} against the latency table".replace("%", " %"))
    return found


def ensemble_line(result: SearchResult) -> str:
    """Whether averaging trainings is recommended; empty where it was not asked for."""
    if result.ensemble is None:
        return ""
    word, more = "not recommended", ""
    if result.ensemble.recommend:
        word, more = "recommended", " (policy=ensemble of python -m autoact train makes it one model)"
    return f"ensemble: {word}: {result.ensemble.reason}{more}"


def tuning_line(result: SearchResult) -> str:
    """What better training settings alone brought, apart from any activation."""
    gain = result.gains.get("configured")
    configured, tuned = result.row("configured"), result.row("tuned")
    if configured is None or tuned is None:
        return ""
    if configured.candidate == tuned.candidate:
        return "Training settings alone brought nothing: none that was tried beats the configured ones."
    if gain is None:
        return (
            f"Training settings alone: validation {result.quality_unit} {number(configured.validation)} -> "
            f"{number(tuned.validation)}."
        )
    # The gain of *configured* over *tuned*, turned round.
    return (
        f"Training settings alone (configured -> tuned baseline): {signed(-gain.mean)} {result.quality_unit} on test "
        f"rows ({signed(-gain.high)} to {signed(-gain.low)}; positive is better)."
    )
