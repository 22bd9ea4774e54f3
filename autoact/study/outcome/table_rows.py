"""The rows of the final table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from autoact.core.result_table import short
from autoact.core.trial import TrialRecord
from autoact.study.confirmation.claim_on_test import Confirmation
from autoact.study.confirmation.end_to_end_timing import Measured, every_ratio
from autoact.study.confirmation.retraining import RetrainedCandidate
from autoact.study.confirmation.verdict import Ruling
from autoact.study.execution.predicted_costs import PredictedCosts
from autoact.study.outcome.evidence import SearchEvidence
from autoact.study.outcome.result import TITLES, Row
from autoact.study.paired_statistics import Interval, mean_sd
from autoact.study.selection import ENSEMBLE, TWIN, Selection
from autoact.study.tuned_baselines import name_of
from autoact.tasks.objectives import BUILT_IN, COST, LATENCY
from autoact.tasks.production_model import PRODUCTION
from autoact.training.predictions import THRESHOLD


def final_rows(
    evidence: SearchEvidence,
    predicted: PredictedCosts,
    rulings: Mapping[str, Ruling],
    references: Sequence[tuple[str, float | None, float | None]],
    ideal: float | None,
) -> list[Row]:
    """Baselines first, then the best uniform assignment, references, a row per policy; ``ideal`` is a perfect score."""
    selection = evidence.selection
    if selection is None:
        return []
    rows = {
        name: _row(name, record, selection, evidence, predicted, rulings, ideal)
        for name, record in selection.named().items()
    }
    twins = {name: rows.pop(name) for name in list(rows) if name.endswith(TWIN)}
    described = [Row(name, name, None, validation, test) for name, validation, test in references]
    head = [rows.pop(name) for name in ("configured", "tuned", "uniform") if name in rows]
    beside = [[row, *([twins[row.name + TWIN]] if row.name + TWIN in twins else [])] for row in rows.values()]
    ensembles = _ensemble_rows(evidence, {row.name: row for row in [*head, *rows.values()]}, ideal)
    return [*head, *described, *(row for pair in beside for row in pair), *ensembles]


def _ensemble_rows(evidence: SearchEvidence, single: Mapping[str, Row], ideal: float | None) -> list[Row]:
    """A row for each setting whose ensembles were claimed; its own numbers are those of averaged trainings."""
    claim = evidence.confirmation.ensembles if evidence.confirmation else None
    if claim is None:
        return []
    assert evidence.chosen is not None, "what is claimed was chosen"
    baseline, found = evidence.measured["tuned"], []
    for name, gain in claim.gains.items():
        scores, mine = claim.scores[name], evidence.measured[name + ENSEMBLE]
        timed = every_ratio(mine, baseline)
        setting = "the tuned baseline" if name == "tuned" else f"{name}'s setting"
        row = Row(
            name=name + ENSEMBLE,
            title=f"ensemble: {claim.size} of {setting}",
            candidate=single[name].candidate,
            validation=evidence.chosen.ensembles.get(name),
            fresh=evidence.chosen.ensembles.get(name),
            test=scores.mean,
            test_sd=scores.sd,
            latency_ms=mine.latency.median_ms,
            p90_ms=mine.latency.p90_ms,
            p99_ms=mine.latency.p99_ms,
            cost=mine.cost,
            latency_ratio=timed[LATENCY].value,
            cost_ratio=timed[COST].value if COST in timed else None,
            epochs=single[name].epochs,
            measured=True,
            error_reduction=_error_reduction(gain, evidence.confirmation, ideal),
            finished=len(scores.entry.scores),
            others=scores.others,
            ensemble=claim.size,
        )
        found.append(row)
    return found


def reference_note(rows: Sequence[Row], mode: str, unit: str) -> str:
    """A sentence where a reference model, which costs seconds, beats every network on test rows; else nothing."""
    sign = 1.0 if mode == "max" else -1.0
    networks = [sign * row.test for row in rows if row.candidate is not None and row.test is not None]
    others = [row for row in rows if row.candidate is None and not row.name.startswith(PRODUCTION)]
    references = [(sign * row.test, row.name) for row in others if row.test is not None]
    if not networks or not references or max(references)[0] <= max(networks):
        return ""
    score, name = max(references)
    return (
        f"{name} ({unit} {short(sign * score)}) does better on the test rows than every network here "
        f"(at best {short(sign * max(networks))}): consider it before any activation"
    )


def _row(
    name: str,
    record: TrialRecord,
    selection: Selection,
    evidence: SearchEvidence,
    predicted: PredictedCosts,
    rulings: Mapping[str, Ruling],
    ideal: float | None,
) -> Row:
    estimate = predicted.values(record.candidate.assignment)
    confirmation, chosen = evidence.confirmation, evidence.chosen
    end_to_end, baseline = evidence.measured.get(name), evidence.measured.get("tuned")
    entry = confirmation.entries.get(name) if confirmation else None
    test, sd = mean_sd(list(entry.scores.values())) if entry and entry.scores else (None, None)
    timed = every_ratio(end_to_end, baseline) if end_to_end and baseline else {}
    fresh = chosen.trained.get(name_of(record)) if chosen else None
    gain = confirmation.gains.get(name) if confirmation else None
    return Row(
        name=name,
        title=_title(name, record, selection.tuned, rulings),
        candidate=record.candidate,
        validation=_finite(record.quality),
        test=test,
        test_sd=None if sd is None or math.isnan(sd) else sd,
        latency_ms=end_to_end.latency.median_ms if end_to_end else estimate.get("latency"),
        p90_ms=end_to_end.latency.p90_ms if end_to_end else None,
        cost=end_to_end.cost if end_to_end else estimate.get("cost"),
        latency_ratio=timed[LATENCY].value if LATENCY in timed else None,
        cost_ratio=timed[COST].value if COST in timed else None,
        epochs=entry.epochs if entry else record.best_epoch,
        threshold=entry.threshold if entry else record.metrics.get(THRESHOLD),
        measured=end_to_end is not None,
        p99_ms=end_to_end.latency.p99_ms if end_to_end else None,
        table_error=end_to_end.latency.median_ms / estimate["latency"] - 1 if end_to_end else None,
        training_ratio=_ratio_of(end_to_end, baseline),
        error_reduction=_error_reduction(gain, confirmation, ideal),
        fresh=None if fresh is None else _finite(fresh.mean),
        finished=len(entry.scores) if entry else 0,
        others=_others(entry),
        own={key: value for key, value in record.values.items() if key not in BUILT_IN},
    )


def _others(entry: RetrainedCandidate | None) -> dict[str, float]:
    """The means of the other metrics over those seeds on which they exist."""
    found = [details["metrics"] for details in entry.details.values()] if entry else []
    names = dict.fromkeys(name for metrics in found for name in metrics)
    return {name: fmean(metrics[name] for metrics in found if name in metrics) for name in names}


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _ratio_of(mine: Measured | None, baseline: Measured | None) -> float | None:
    if mine is None or baseline is None or mine.step_ms is None or baseline.step_ms is None:
        return None
    return mine.step_ms / baseline.step_ms


def _error_reduction(gain: Interval | None, confirmation: Confirmation | None, ideal: float | None) -> float | None:
    """The share of the tuned baseline's distance to perfect predictions that a gain takes away."""
    if gain is None or confirmation is None or ideal is None:
        return None
    error = abs(ideal - confirmation.entries["tuned"].mean)
    return gain.mean / error if error > 0 else None


def _title(name: str, record: TrialRecord, tuned: TrialRecord, rulings: Mapping[str, Ruling]) -> str:
    """The title; a policy that lost is a challenger, not a recommendation."""
    if name.endswith(TWIN):
        return f"baseline with {name.removesuffix(TWIN)}'s settings"
    ruling = rulings.get(name)
    if ruling is None or ruling.recommend:
        return TITLES[name]
    same = record.candidate.assignment == tuned.candidate.assignment
    return f"{name}: the baseline's own" if same else f"challenger: {name}"
