"""What a search found, put together: rulings, verdict, table, notes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from autoact.core.trial import FAILED, PRUNED, TrialRecord
from autoact.core.value_holders import PlainData
from autoact.study.callbacks import SearchInfo
from autoact.study.confirmation.claim_on_test import Confirmation
from autoact.study.confirmation.end_to_end_timing import every_ratio, timed_ratios
from autoact.study.confirmation.verdict import Ruling, interval_text, kept, rule, rule_on_ensembles
from autoact.study.execution.predicted_costs import PredictedCosts
from autoact.study.outcome.evidence import SearchEvidence
from autoact.study.outcome.group_scores import GroupScores, group_scores
from autoact.study.outcome.result import Row, SearchResult
from autoact.study.outcome.table_rows import final_rows, reference_note
from autoact.study.paired_statistics import Interval
from autoact.study.selection import ENSEMBLE
from autoact.study.settings import ConfirmSettings
from autoact.tasks.objectives import LATENCY
from autoact.tasks.production_model import PRODUCTION, production_note
from autoact.tasks.task import Task


def conclude(
    evidence: SearchEvidence,
    task: Task,
    info: SearchInfo,
    predicted: PredictedCosts,
    settings: ConfirmSettings,
    elapsed: Callable[[], float],
) -> SearchResult:
    """The result of a search, with the seconds that have elapsed by then: fitting reference models takes some."""
    selection, confirmation = evidence.selection, evidence.confirmation
    rulings, verdict = _ruled(evidence, task, info, predicted)
    on_ensembles = _on_ensembles(evidence, task)
    wanted = settings.references or task.facts.get("production_model")
    fitted = task.references if wanted and not evidence.unfinished else None
    references = fitted(confirmation is not None) if fitted is not None else []
    groups: list[GroupScores] = []
    if confirmation is not None:
        groups = group_scores(confirmation.entries, list(rulings), task.groups, task.mode)
    ideal = task.metric.ideal if task.metric is not None else None
    rows = final_rows(evidence, predicted, rulings, references, ideal)
    notes = [task.warning, *_about_trials(evidence.records), predicted.table.quietness]
    if selection is not None and not evidence.unfinished:
        notes.append(evidence.estimates.note)
    if "tuned" in evidence.broken:
        notes.append(f"the tuned baseline itself is outside your limits: {evidence.broken['tuned']}")
    if confirmation is not None:
        assert evidence.chosen is not None, "what is claimed was chosen"
        notes += [evidence.chosen.how, *_about_check(confirmation, task, settings.confidence)]
        notes += [*_about_details(confirmation), *_about_groups(groups, rows, rulings, task.quality_unit)]
    elif task.groups:
        notes.append(f"the groups of {', '.join(task.groups)} are scored by the final check, which was not made")
    notes += [*_about_production(rows, rulings, task), reference_note(rows, task.mode, task.quality_unit)]
    return SearchResult(
        info=info,
        status="interrupted" if evidence.interrupted else "finished",
        records=evidence.records,
        selection=selection,
        rows=rows,
        gains=_gains(confirmation) if confirmation else {},
        rulings={policy: replace(ruling, reason=info.say(ruling.reason)) for policy, ruling in rulings.items()},
        ensemble=on_ensembles and replace(on_ensembles, reason=info.say(on_ensembles.reason)),
        verdict=info.say(verdict),
        seconds=elapsed(),
        opening=confirmation.opening.number if confirmation else 0,
        notes=[info.say(note) for note in notes if note],
        quality_unit=task.quality_unit,
        mode=task.mode,
        seeds=confirmation.seeds if confirmation else 0,
        kept=kept(selection),
        confidence=1 - confirmation.alpha if confirmation else 0.0,
        groups=groups,
        others={metric.title: metric.mode for metric in task.also},
        trainings=_trainings(evidence, groups),
        fresh=evidence.chosen.over if evidence.chosen else "",
    )


def _ruled(
    evidence: SearchEvidence, task: Task, info: SearchInfo, predicted: PredictedCosts
) -> tuple[dict[str, Ruling], str]:
    rulings: dict[str, Ruling] = {}
    verdict = "No verdict: the baseline has not been trained yet."
    if evidence.out_of_time:
        verdict = f"No verdict: {evidence.out_of_time}."
    if evidence.selection is not None:
        timed = timed_ratios(evidence.selection, evidence.measured, info.objectives)
        rulings, verdict = rule(task, evidence.selection, evidence.confirmation, timed, evidence.broken)
        nothing = "" if evidence.confirmation is not None else _nothing_compared(evidence.records, predicted, info)
        if why := nothing or evidence.out_of_time:
            rulings = {policy: Ruling(policy, False, why) for policy in evidence.selection.policies}
            verdict = f"No recommendation: {why}."
    if evidence.interrupted:
        verdict = (
            f"Interrupted after {len(evidence.records)} trials, before the end of the final check. Nothing is lost: "
            "the same command goes on from here."
        )
    return rulings, verdict


def _on_ensembles(evidence: SearchEvidence, task: Task) -> Ruling | None:
    selection, confirmation, measured = evidence.selection, evidence.confirmation, evidence.measured
    if selection is None or confirmation is None:
        return None
    latencies = {
        name: every_ratio(one, measured["tuned"])[LATENCY] for name, one in measured.items() if name.endswith(ENSEMBLE)
    }
    return rule_on_ensembles(task, selection, confirmation, latencies, evidence.broken)


def _gains(confirmation: Confirmation) -> dict[str, Interval]:
    """The gains over the single tuned baseline, by the names of the rows."""
    ensembles = confirmation.ensembles.gains if confirmation.ensembles else {}
    return {**confirmation.gains, **{name + ENSEMBLE: gain for name, gain in ensembles.items()}}


def _nothing_compared(records: Sequence[TrialRecord], predicted: PredictedCosts, info: SearchInfo) -> str:
    """Why a search says nothing about activations; empty where at least one other assignment was judged."""
    others = [record for record in records if not predicted.space.is_baseline(record.candidate.assignment)]
    if any(record.complete or record.status == PRUNED for record in others):
        return ""
    failed = sum(record.status == FAILED for record in others)
    if failed:
        return f"nothing was compared: all {failed} trials with other activations failed"
    many = f"all {len(records)} trials" if len(records) > 1 else "the only trial"
    larger = [f"search.minutes={math.ceil(4 * info.minutes)}"] if info.minutes else []
    larger += [f"search.trials={max(20, 2 * len(records))}"] if info.budget or not larger else []
    return (
        f"nothing was compared: {many} went to the baseline's own activations; the same search with a larger budget "
        f"({' '.join(larger)}) goes on from here"
    )


def _about_production(rows: Sequence[Row], rulings: Mapping[str, Ruling], task: Task) -> list[str]:
    """The model in production against what is recommended, or against the baseline where nothing is."""
    won = next((policy for policy, ruling in rulings.items() if ruling.recommend), "tuned")
    other = next((row for row in rows if row.name == won), None)
    return [
        production_note(row.name, row.test, other.title, other.test, mode=task.mode, unit=task.quality_unit)
        for row in rows
        if row.name.startswith(PRODUCTION) and other is not None
    ]


def _about_trials(records: Sequence[TrialRecord]) -> list[str]:
    notes = []
    failed = [record for record in records if record.status == FAILED]
    if failed:
        first = failed[0]
        notes.append(f"{len(failed)} of {len(records)} trials failed, e.g. trial {first.number}: {first.reason}")
    pruned = sum(record.status == PRUNED for record in records)
    if pruned:
        notes.append(
            f"{pruned} of {len(records)} trials were stopped early, since others were better so far "
            "(search.rungs.enabled=false trains all to their end)"
        )
    return notes


def _trainings(evidence: SearchEvidence, groups: Sequence[GroupScores]) -> PlainData:
    stages: PlainData = {}
    if evidence.chosen is not None:
        stages["choosing"] = {name: entry.to_dict() for name, entry in evidence.chosen.trained.items()}
    if evidence.confirmation is not None:
        stages["claim"] = {name: entry.to_dict() for name, entry in evidence.confirmation.entries.items()}
        if evidence.confirmation.ensembles is not None:
            stages["ensembles"] = evidence.confirmation.ensembles.to_dict()
    if groups:
        stages["groups"] = [one.to_dict() for one in groups]
    return stages


def _about_groups(
    groups: Sequence[GroupScores], rows: Sequence[Row], rulings: Mapping[str, Ruling], unit: str
) -> list[str]:
    won = {row.name: row.title for row in rows if row.name in rulings and rulings[row.name].recommend}
    return [note for one in groups for note in one.notes(unit, won)]


def _about_details(confirmation: Confirmation) -> list[str]:
    """Metrics beside the deciding one that do not exist on these test rows, with the first reason."""
    details = [one for entry in confirmation.entries.values() for one in entry.details.values()]
    absent = {name: why for one in reversed(details) for name, why in one["absent"].items()}
    return [f"{name} does not exist on these test rows: {why}" for name, why in absent.items()]


def _about_check(confirmation: Confirmation, task: Task, confidence: float) -> list[str]:
    opening, unit = confirmation.opening, task.quality_unit
    many = "" if confirmation.comparisons == 1 else f" for {confirmation.comparisons} challengers together"
    over = (
        "fresh seeds and test rows"
        if confirmation.rows_counted
        else "fresh seeds alone (the module logs its metric itself: the noise of the test rows is not in them)"
    )
    level = f"{100 * (1 - confirmation.alpha):.4g} %"
    notes = [
        f"intervals: {level}{many}, over {over}, for this training set; claims of all openings of this test part hold "
        f"together with {100 * confidence:.4g} %"
    ]
    if confirmation.foresight is not None:
        notes.append(f"stated before the test part opened: {confirmation.foresight.text(unit)}")
    if confirmation.seeds < confirmation.planned:
        notes.append(
            f"the check ended after {confirmation.seeds} of {confirmation.planned} seeds: the verdict could not change"
        )
    if confirmation.mixed is not None:
        found = "is better" if confirmation.mixed.low > 0 else "is not shown to be better"
        notes.append(
            f"mixed against best uniform: {interval_text(confirmation.mixed, task)}: a mix of activations {found} than "
            "one activation everywhere"
        )
    if opening.used:
        notes.append(
            f"this is opening {opening.number} of the test part, and trials were added after an earlier one: "
            "it is no longer data that the search never saw"
        )
    elif opening.number > 1:
        notes.append(
            f"this is opening {opening.number} of the test part, for other finalists, more seeds or ensembles: its "
            "intervals are wider for that"
        )
    return notes
