"""What a search found, put together: rulings, verdict, table, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoact.core.records import FAILED, PRUNED, TrialRecord
from autoact.study.confirmation import Confirmation
from autoact.study.estimates import Estimates
from autoact.study.events import SearchInfo
from autoact.study.finalists import Measured, ratios
from autoact.study.known import Known
from autoact.study.result import SearchResult
from autoact.study.rows import final_rows, reference_note
from autoact.study.selection import Selection
from autoact.study.settings import ConfirmSettings
from autoact.study.verdict import Ruling, kept, rule
from autoact.tasks.task import Task


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        records: every trial.
        estimates: by which finalists were picked.
        selection: the trials that matter; None where the baseline did not finish.
        confirmation: the final check; None where there was none.
        measured: the finalists' times.
        interrupted: whether the user stopped it.
        seconds: of this run.
    """

    records: Sequence[TrialRecord]
    estimates: Estimates
    selection: Selection | None
    confirmation: Confirmation | None = None
    measured: Mapping[str, Measured] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0


def conclude(found: Found, task: Task, info: SearchInfo, known: Known, settings: ConfirmSettings) -> SearchResult:
    """The result of a search."""
    selection, confirmation = found.selection, found.confirmation
    rulings, verdict = _ruled(found, task, info)
    fitted = task.references if settings.references and not found.interrupted else None
    references = fitted(confirmation is not None) if fitted is not None else []
    rows = final_rows(selection, confirmation, found.measured, known, rulings, references)
    notes = [task.warning, *_about_trials(found.records), known.table.quietness]
    if selection is not None and not found.interrupted:
        notes.append(found.estimates.note)
    if confirmation is not None:
        notes += _about_check(confirmation, settings.confidence)
    notes.append(reference_note(rows, task.mode, task.quality_unit))
    return SearchResult(
        info=info,
        status="interrupted" if found.interrupted else "finished",
        records=found.records,
        selection=selection,
        rows=rows,
        gains=confirmation.gains if confirmation else {},
        rulings=rulings,
        verdict=verdict,
        seconds=found.seconds,
        opening=confirmation.opening if confirmation else 0,
        notes=[note for note in notes if note],
        quality_unit=task.quality_unit,
        mode=task.mode,
        seeds=settings.seeds if confirmation else 0,
        kept=kept(confirmation, task.mode) if confirmation else "tuned",
    )


def _ruled(found: Found, task: Task, info: SearchInfo) -> tuple[dict[str, Ruling], str]:
    """A ruling per policy, and the verdict."""
    rulings: dict[str, Ruling] = {}
    verdict = "No verdict: the baseline has not been trained yet."
    if found.selection is not None:
        tuned, policies = found.measured.get("tuned"), found.selection.policies
        timed = {p: ratios(found.measured[p], tuned, info.objectives) for p in policies} if tuned else {}
        rulings, verdict = rule(task, found.selection, found.confirmation, timed)
    if found.interrupted:
        verdict = (
            f"Interrupted after {len(found.records)} trials, before the end of the final check. Nothing is lost: "
            "the same command goes on from here."
        )
    return rulings, verdict


def _about_trials(records: Sequence[TrialRecord]) -> list[str]:
    """How many trials failed, and how many were stopped early."""
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


def _about_check(confirmation: Confirmation, confidence: float) -> list[str]:
    """What the intervals hold for."""
    many = "" if confirmation.comparisons == 1 else f" for {confirmation.comparisons} challengers together"
    over = (
        "fresh seeds and test rows"
        if confirmation.rows_counted
        else "fresh seeds alone (the module logs its metric itself: the noise of the test rows is not in them)"
    )
    notes = [f"intervals: {confidence:.0%}{many}, over {over}, for this training set"]
    if confirmation.trials_after:
        notes.append(
            f"this is opening {confirmation.opening} of the test part, and trials were added after an earlier one: "
            "it is no longer data that the search never saw"
        )
    elif confirmation.opening > 1:
        notes.append(
            f"this is opening {confirmation.opening} of the test part, for other finalists or more seeds: the "
            "intervals are not corrected for that"
        )
    return notes
