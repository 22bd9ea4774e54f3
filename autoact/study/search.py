"""The search: try candidates in batches, check the finalists, rule; resumable at every step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autoact.core.errors import AutoactError
from autoact.core.records import Candidate, TrialRecord
from autoact.engines.engine import Engine
from autoact.space.space import SearchSpace
from autoact.study.batches import Place, Trainer
from autoact.study.claims import Claims
from autoact.study.conclusion import Found, conclude
from autoact.study.confirmation import Confirmation, confirm, finalists
from autoact.study.estimates import Estimates, estimate
from autoact.study.events import Observer, SearchInfo
from autoact.study.finalists import Measured, measure_finalists
from autoact.study.known import Known
from autoact.study.ledger import Ledger
from autoact.study.pace import Pace
from autoact.study.planner import CONFIGURED, HANDED_DOWN, Planner
from autoact.study.result import SearchResult
from autoact.study.rungs import Rung
from autoact.study.selection import Front, Selection, select
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.tasks.objectives import QUALITY, Objective
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted

# Seconds between two looks at what another driver has in training.
LOOK = 0.5


@dataclass
class Search:
    """One search over one task; ``run`` does all of it.

    Attributes:
        task: what is trained and how it is judged.
        space: what may change.
        objectives: what is traded.
        known: latency and cost of every assignment.
        ledger: the memory.
        engine: runs the jobs.
        settings: the budget.
        confirm: the final check.
        margin: what a cheaper assignment may lose (``objectives.margin``).
        observers: who watches.
        info: what they are told at the start.
        stop_asked: true once the user asked to stop.
        rungs: epochs at which trainings are compared and given up.
        population: candidates per job, at most.
        repeatable: after an interruption a batch is run again as a whole, so that its populations are the same ones.
        driver: this driver's id, where several share the study.
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
    rungs: tuple[int, ...] = ()
    population: int = 1
    repeatable: bool = False
    driver: str = "main"

    def __post_init__(self) -> None:
        """Start the clock."""
        self.confirm.check()
        self._started = time.monotonic()
        self._earlier = float(self.ledger.noted("seconds") or 0.0)
        self._pace = Pace(time.monotonic)
        epsilons = self.known.epsilons()
        self._planner = Planner(self.task, self.space, self.settings, self.ledger, self.known.values, epsilons)
        self._claims = Claims(self.ledger, self.driver, self._planner.key)
        self._front = Front(self.objectives, epsilons)
        traded = any(objective.name == QUALITY for objective in self.objectives)
        self._trainer = Trainer(
            task=self.task,
            engine=self.engine,
            population=self.population,
            epochs=self.rungs if traded else (),
            rung=Rung(self.settings.rungs.reduction, self.objectives, epsilons),
            known=lambda candidate: self.known.values(candidate.assignment),
            key=self._planner.key,
            stop_asked=self.stop_asked,
            meanwhile=lambda: any([observer.meanwhile() for observer in self.observers]),
            arrived=self._pace.arrived,
        )

    def run(self) -> SearchResult:
        """Search, check and rule.

        Raises:
            AutoactError: the baseline itself cannot be trained.
        """
        for observer in self.observers:
            observer.search_started(self.info)
        with self._claims.beating():
            self._try_candidates()
            found = self._check()
        result = conclude(found, self.task, self.info, self.known, self.confirm)
        for observer in self.observers:
            observer.search_finished(result)
        return result

    def _check(self) -> Found:
        """Pick the finalists, time them, and train them again."""
        records = self.ledger.records()
        estimates = estimate(records, self.space, self.task)
        selection = self._select(estimates)
        interrupted = self.stop_asked()
        confirmation, measured = None, {}
        if selection is not None and not interrupted:
            measured = self._measure(selection)
            try:
                confirmation = self._confirm(selection)
            except Interrupted:
                interrupted = True
        self._claims.release(self._claims.left_behind())
        return Found(records, estimates, selection, confirmation, measured, interrupted, self.elapsed)

    def _try_candidates(self) -> None:
        """Spend the budget; ends with the final check claimed, or stopped by the user.

        Where other drivers hold what is left of the budget, their end is waited for; what one of them leaves behind is
        tried here.
        """
        waiting = self._claims.left_behind()
        while not self.stop_asked():
            batch = self._next_batch(waiting)
            waiting = []
            if batch:
                self._train(batch)
            elif self._claims.take_final_check(self.stop_asked):
                self.ledger.refresh()
                if not self._wanted([]):
                    return
                self._claims.release()

    def _next_batch(self, waiting: Sequence[Candidate]) -> list[Candidate]:
        """What this driver trains next, claimed; nothing where nothing is left to it."""
        while not self.stop_asked():
            self.ledger.refresh()
            others = self._others()
            batch = self._left_of(waiting, others) or self._wanted(others)
            if any(candidate.role == CONFIGURED for candidate in others):
                time.sleep(LOOK)  # all that follows is measured by it
            elif not batch or (self._claims.take(batch) and self._still_open(batch)):
                return batch
        return []

    def _still_open(self, batch: Sequence[Candidate]) -> bool:
        """Whether nobody trained a claimed batch, or part of it, to its end while it was chosen; lets go otherwise."""
        before = self._known_keys()
        self.ledger.refresh()
        if self._known_keys().isdisjoint({self._planner.key(candidate) for candidate in batch} - before):
            return True
        self._claims.release()
        return False

    def _others(self) -> list[Candidate]:
        """What other drivers have in training and have not told."""
        known = self._known_keys()
        return [one for one in self._claims.of_others() if self._planner.key(one) not in known]

    def _known_keys(self) -> set[object]:
        """Keys of everything that came to an end."""
        return {self._planner.key(record.candidate) for record in self.ledger.records()}

    def _left_of(self, waiting: Sequence[Candidate], others: Sequence[Candidate]) -> list[Candidate]:
        """What an interrupted run of this driver left behind, as far as the budget still holds it."""
        taken = self._known_keys() | {self._planner.key(one) for one in others}
        missing = [one for one in waiting if self._planner.key(one) not in taken]
        room = max(0, int(min(self._left(others), len(missing))))
        return list(waiting) if room and self.repeatable else missing[:room]

    def _wanted(self, others: Sequence[Candidate]) -> list[Candidate]:
        """The next batch by plan; then what the baseline is still owed: it had as many trials as any other."""
        left = self._left(others)
        count = int(min(left, self.settings.together))
        if count > 0 and (batch := self._planner.next(count, others, left)):
            return batch
        records = self.ledger.records()
        owed = min(self.settings.together, self._planner.owed_to_baseline(others))
        if tuning := self._planner.tuning(records, owed, others):
            return tuning
        return self._planner.handed_down(records, HANDED_DOWN, others) if self.settings.budget is None else []

    def _left(self, others: Sequence[Candidate]) -> float:
        """Trials that the budget still holds, and that the minutes have time for."""
        left = math.inf
        if self.settings.budget is not None:
            left = self.settings.budget - self.ledger.spent - len(others)
        if self.settings.minutes is not None:
            records = self.ledger.records()
            seconds = self.settings.minutes * 60 - self._earlier - self.elapsed
            left = min(left, self._pace.room(seconds, records, self.confirm.seeds) if records else 1)
        return left

    def _train(self, batch: Sequence[Candidate]) -> None:
        """Train a batch and remember what comes back; what does not waits for the same command."""
        number = int(self.ledger.noted("batches") or 0)
        before, told = self._known_keys(), set()
        whole = [list(batch)]
        self._pace.begin()
        try:
            for record, places in self._trainer.train(batch, self.ledger.records()):
                key = self._planner.key(record.candidate)
                if not (self.repeatable and key in before):
                    self._hear(record, number, places)
                told.add(key)
        except _BaselineError:
            whole = []
            raise
        finally:
            self._pace.end()
            missing = whole and any(self._planner.key(candidate) not in told for candidate in batch)
            self._claims.release(batch if missing else ())
            self.ledger.note("seconds", self._earlier + self.elapsed)
            if not missing:
                self.ledger.note("batches", number + 1)

    def _hear(self, record: TrialRecord, batch: int, places: Sequence[Place]) -> None:
        """Remember a record and tell the observers."""
        known = self.known.values(record.candidate.assignment)
        quality = {QUALITY: record.quality} if record.complete and record.quality is not None else {}
        record = replace(record, values={**known, **quality, **record.values})
        record = self.ledger.tell(record, [[batch, place.stage, place.job, *place.members] for place in places])
        if record.candidate.role == CONFIGURED and not record.complete:
            raise _BaselineError(
                f"the model as configured cannot be trained, so nothing can be compared: {record.reason}"
            )
        records = self.ledger.records()
        count = self._front.count(records)
        for observer in self.observers:
            observer.trial_finished(record, count, self._seconds_left(records))

    @property
    def elapsed(self) -> float:
        """Seconds since this run started."""
        return time.monotonic() - self._started

    def _seconds_left(self, records: Sequence[TrialRecord]) -> float | None:
        """A forecast of the seconds until the search ends; None where nothing is known."""
        each = self._pace.per_trial(records) or 0.0
        check = self._pace.check(records, self.confirm.seeds)
        bounds = []
        if self.settings.budget is not None:
            bounds.append(max(0, self.settings.budget - self.ledger.spent) * each + check)
        if self.settings.minutes is not None:
            bounds.append(self.settings.minutes * 60 - self._earlier - self.elapsed)
        return max(0.0, min(bounds)) if bounds else None

    def _select(self, estimates: Estimates) -> Selection | None:
        """The trials that matter."""
        records = self.ledger.records()
        epsilons = self.known.epsilons()
        return select(records, self.task, self.space, self.objectives, epsilons, self.margin, estimates.values)

    def _measure(self, selection: Selection) -> dict[str, Measured]:
        """The finalists' times end to end, on a machine where nothing trains."""
        self.engine.wait_idle()
        return measure_finalists(self.task, finalists(selection), self.known)

    def _confirm(self, selection: Selection) -> Confirmation | None:
        """The final check; None where it is off or there are no test rows."""
        if self.confirm.seeds == 0 or self.task.open_test is None:
            return None
        return confirm(self.task, selection, self.ledger, self._trainer, self.confirm, self.observers)


class _BaselineError(AutoactError):
    """The model as configured failed: nothing of its batch is worth going on with."""
