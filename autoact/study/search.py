"""The search: calibrate, try, check the finalists, rule; resumable at every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoact.core.errors import AutoactError
from autoact.core.records import STOPPED, TrialRecord
from autoact.space.space import SearchSpace
from autoact.study.confirmation import Confirmation, confirm, finalists
from autoact.study.engine import Engine
from autoact.study.events import Observer, SearchInfo
from autoact.study.finalists import Measured, measure_finalists, ratios
from autoact.study.known import Known
from autoact.study.ledger import Ledger
from autoact.study.planner import CONFIGURED, Planner
from autoact.study.result import SearchResult
from autoact.study.rows import final_rows, reference_note
from autoact.study.selection import Selection, front_of, select
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.study.verdict import Ruling, kept, rule
from autoact.tasks.objectives import Objective
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted


@dataclass
class Search:
    """One search over one task; ``run`` does all of it.

    Attributes:
        task: what is trained and how it is judged.
        space: what may change.
        objectives: what is traded.
        known: latency and cost of every assignment.
        ledger: the memory.
        engine: trains candidates.
        settings: the budget.
        confirm: the final check.
        margin: what a cheaper assignment may lose (``objectives.margin``).
        observers: who watches.
        info: what they are told at the start.
        stop_asked: true once the user asked to stop.
    """

    task: Task
    space: SearchSpace
    objectives: Sequence[Objective]
    known: Known
    ledger: Ledger
    engine: Engine
    settings: SearchSettings
    confirm: ConfirmSettings
    margin: float
    observers: Sequence[Observer]
    info: SearchInfo
    stop_asked: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        """Start the clock."""
        self.confirm.check()
        self._started = time.monotonic()
        self._earlier = float(self.ledger.noted("seconds") or 0.0)
        self._planner = Planner(self.task, self.space, self.settings, self.ledger)

    def run(self) -> SearchResult:
        """Search, check and rule.

        Raises:
            AutoactError: the baseline itself cannot be trained.
        """
        for observer in self.observers:
            observer.search_started(self.info)
        self._try_candidates()
        interrupted = self.stop_asked()
        selection = self._select()
        confirmation, measured = None, {}
        if selection is not None and not interrupted:
            measured = measure_finalists(self.task, finalists(selection), self.known)
            try:
                confirmation = self._confirm(selection)
            except Interrupted:
                interrupted = True
        result = self._result(selection, confirmation, measured, interrupted)
        for observer in self.observers:
            observer.search_finished(result)
        return result

    def _try_candidates(self) -> None:
        """Spend the budget; then give the baseline the trials that it is still owed: it had as many as any other."""
        while not self.stop_asked() and not self._spent():
            batch = self._planner.next(self._batch_size())
            if not batch:
                break
            self._train(batch)
        while not self.stop_asked() and self._planner.owed_to_baseline(self.ledger.records()):
            tuning = self._planner.tuning(self.ledger.records())
            if tuning is None:
                break
            self._train([self.ledger.ask(tuning)])

    def _train(self, batch: Sequence[Any]) -> None:
        """Train a batch and remember what comes back."""
        heard = set()
        try:
            for record in self.engine.train(batch):
                heard.add(record.number)
                self._hear(record)
        finally:
            for number, _ in batch:
                if number not in heard:
                    self.ledger.give_back(number)

    def _hear(self, record: TrialRecord) -> None:
        """Remember a record and tell the observers."""
        if record.status == STOPPED:
            self.ledger.give_back(record.number)
            return
        known = self.known.values(record.candidate.assignment)
        quality = {"quality": record.quality} if record.complete and record.quality is not None else {}
        record = replace(record, values={**known, **quality, **record.values})
        self.ledger.tell(record)
        self.ledger.note("seconds", self._earlier + self.elapsed)
        if record.candidate.role == CONFIGURED and not record.complete:
            raise AutoactError(
                f"the model as configured cannot be trained, so nothing can be compared: {record.reason}"
            )
        records = self.ledger.records()
        count = len(front_of(records, self.objectives, self.known.epsilons()))
        for observer in self.observers:
            observer.trial_finished(record, count, self._seconds_left(records))

    def _spent(self) -> bool:
        """Whether the budget of trials or minutes is used up; minutes leave room for the final check."""
        records = self.ledger.records()
        if self.settings.budget is not None and self.ledger.spent >= self.settings.budget:
            return True
        if self.settings.minutes is None:
            return False
        left = self.settings.minutes * 60 - self._earlier - self.elapsed
        return left < self._seconds_per_trial(records) * (1 + 6 * self.confirm.seeds) and bool(records)

    def _batch_size(self) -> int:
        """How many candidates to ask for: no more than the budget has left."""
        if self.settings.budget is None:
            return self.settings.batch
        return min(self.settings.batch, self.settings.budget - self.ledger.spent)

    @property
    def elapsed(self) -> float:
        """Seconds since this run started."""
        return time.monotonic() - self._started

    def _seconds_per_trial(self, records: Sequence[TrialRecord]) -> float:
        """Mean seconds of the last trials."""
        recent = [record.seconds for record in records[-20:]]
        return sum(recent) / len(recent) if recent else 0.0

    def _seconds_left(self, records: Sequence[TrialRecord]) -> float | None:
        """A forecast of the seconds until the search ends; None where nothing is known."""
        per_trial = self._seconds_per_trial(records)
        check = per_trial * 6 * self.confirm.seeds
        bounds = []
        if self.settings.budget is not None:
            bounds.append(max(0, self.settings.budget - self.ledger.spent) * per_trial + check)
        if self.settings.minutes is not None:
            bounds.append(self.settings.minutes * 60 - self._earlier - self.elapsed)
        return max(0.0, min(bounds)) if bounds else None

    def _select(self) -> Selection | None:
        """The trials that matter."""
        records = self.ledger.records()
        return select(records, self.task, self.space, self.objectives, self.known.epsilons(), self.margin)

    def _confirm(self, selection: Selection) -> Confirmation | None:
        """The final check; None where it is off or there are no test rows."""
        if self.confirm.seeds == 0 or self.task.open_test is None:
            return None
        return confirm(self.task, selection, self.ledger, self.engine, self.confirm, self.observers)

    def _result(
        self,
        selection: Selection | None,
        confirmation: Confirmation | None,
        measured: dict[str, Measured],
        interrupted: bool,
    ) -> SearchResult:
        """Put everything together."""
        records = self.ledger.records()
        rulings: dict[str, Ruling] = {}
        verdict = "No verdict: the baseline has not been trained yet."
        if selection is not None:
            tuned = measured.get("tuned")
            found = {p: ratios(measured[p], tuned, self.objectives) for p in selection.policies} if tuned else {}
            rulings, verdict = rule(self.task, selection, confirmation, found)
        if interrupted:
            verdict = (
                f"Interrupted after {len(records)} trials, before the end of the final check. Nothing is lost: "
                "the same command goes on from here."
            )
        scored = confirmation is not None
        fitted = self.task.references if self.confirm.references and not interrupted else None
        references = fitted(scored) if fitted is not None else []
        rows = final_rows(selection, confirmation, measured, self.known, rulings, references)
        better = reference_note(rows, self.task.mode, self.task.quality_unit)
        return SearchResult(
            info=self.info,
            status="interrupted" if interrupted else "finished",
            records=records,
            selection=selection,
            rows=rows,
            gains=confirmation.gains if confirmation else {},
            rulings=rulings,
            verdict=verdict,
            seconds=self.elapsed,
            opening=confirmation.opening if confirmation else 0,
            notes=[*self._notes(records, confirmation), *filter(None, [better])],
            quality_unit=self.task.quality_unit,
            mode=self.task.mode,
            seeds=self.confirm.seeds if confirmation else 0,
            kept=kept(confirmation, self.task.mode) if confirmation else "tuned",
        )

    def _notes(self, records: Sequence[TrialRecord], confirmation: Confirmation | None) -> list[str]:
        """What the reader must know."""
        notes = [self.task.warning] if self.task.warning else []
        failed = [record for record in records if not record.complete]
        if failed:
            notes.append(
                f"{len(failed)} of {len(records)} trials failed, e.g. trial {failed[0].number}: {failed[0].reason}"
            )
        if self.known.table.quietness:
            notes.append(self.known.table.quietness)
        if confirmation is not None:
            many = "" if confirmation.comparisons == 1 else f" for {confirmation.comparisons} challengers together"
            over = (
                "fresh seeds and test rows"
                if confirmation.rows_counted
                else "fresh seeds alone (the module logs its metric itself: the noise of the test rows is not in them)"
            )
            notes.append(f"intervals: {self.confirm.confidence:.0%}{many}, over {over}, for this training set")
        if confirmation is not None and confirmation.opening > 1 and not confirmation.trials_after:
            notes.append(
                f"this is opening {confirmation.opening} of the test part, for other finalists or more seeds: the "
                "intervals are not corrected for that"
            )
        if confirmation is not None and confirmation.trials_after:
            notes.append(
                f"this is opening {confirmation.opening} of the test part, and trials were added after an earlier one: "
                "it is no longer data that the search never saw"
            )
        return notes


def storage_url(settings: SearchSettings, output: Path) -> str:
    """The Optuna storage: the configured one, or an SQLite file in the output folder."""
    return settings.storage or f"sqlite:///{(output / 'optuna.db').resolve()}"
