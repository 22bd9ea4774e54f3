"""The search: try candidates in batches, check the finalists, rule; resumable at every step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoact.core.errors import AutoactError
from autoact.core.records import Candidate, TrialRecord
from autoact.engines.engine import Engine
from autoact.space.space import SearchSpace
from autoact.study.batches import Place, Trainer
from autoact.study.choosing import Choosing, Chosen
from autoact.study.claims import Claims
from autoact.study.conclusion import Found, conclude
from autoact.study.confirmation import Claim, Confirmation, finalists
from autoact.study.estimates import Estimates, estimate
from autoact.study.events import Observer, SearchInfo
from autoact.study.finalists import Measured, measure_finalists, timed_ratios
from autoact.study.known import Known
from autoact.study.ledger import Ledger
from autoact.study.pace import Pace
from autoact.study.planner import CONFIGURED, HANDED_DOWN, Planner
from autoact.study.result import SearchResult
from autoact.study.rungs import Rung
from autoact.study.selection import Front, Selection, select
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.study.shortlist import most_trainings
from autoact.study.verdict import hopeful, settled
from autoact.tasks.limits import Limits
from autoact.tasks.objectives import QUALITY, Objective
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted

Measure = Callable[[Task, Mapping[str, Candidate], Known], dict[str, Measured]]
# Seeds that a final check has at least, however short the minutes are; where the choice is noted.
FEWEST_SEEDS, AFFORDED = 3, "afforded"
# Of the trainings that a final check may take, so many it does take.
TYPICAL = 0.6
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
        population: candidates of a batch per job, at most.
        largest: candidates per job of the final check, at most; those of the search unless given.
        repeatable: after an interruption a batch is run again as a whole, so that its populations are the same ones.
        driver: this driver's id, where several share the study.
        included: candidates that are tried first.
        limits: what a setting may cost and must reach.
        measure: times the finalists end to end; ``measure_finalists`` unless given.
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
    largest: int | None = None
    repeatable: bool = False
    driver: str = "main"
    included: Sequence[Candidate] = ()
    limits: Limits = field(default_factory=Limits)
    measure: Measure | None = None

    def __post_init__(self) -> None:
        """Start the clock."""
        self.confirm.check()
        self._started = time.monotonic()
        self._earlier = float(self.ledger.noted("seconds") or 0.0)
        self._pace = Pace(time.monotonic)
        epsilons = self.known.epsilons()
        self._planner = Planner(
            self.task, self.space, self.settings, self.ledger, self.known.values, epsilons, self.included, self.limits
        )
        self._claims = Claims(self.ledger, self.driver, self._planner.key)
        self._front = Front(self.objectives, epsilons)
        traded = any(objective.name == QUALITY for objective in self.objectives)
        self._trainer = Trainer(
            task=self.task,
            engine=self.engine,
            population=self.population,
            largest=self.largest or self.population,
            epochs=self.rungs if traded else (),
            rung=Rung(self.settings.rungs.reduction, self.objectives, epsilons),
            known=lambda candidate: self.known.values(candidate.assignment),
            key=self._planner.key,
            repeatable=self.repeatable,
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
            self.ledger.note("seconds", self._earlier + self.elapsed)
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
        chosen, confirmation, measured = None, None, {}
        if selection is not None and not interrupted:
            try:
                if self.confirm.seeds and self.task.open_test is not None:
                    settings = self._affordable(records)
                    chosen = self._choose(records, selection, estimates, settings)
                    selection = chosen.selection
                measured = self._measure(selection)
                if chosen is not None:
                    confirmation = self._claim(chosen, measured, settings)
            except Interrupted:
                interrupted = True
        self._claims.release(self._claims.left_behind())
        broken = self._broken(measured)
        return Found(records, estimates, selection, confirmation, measured, chosen, broken, interrupted, self.elapsed)

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
            seconds = self._minutes_left(self.settings.minutes) - self._reserved(records, self.settings.minutes)
            left = min(left, self._pace.room(seconds, records) if records else 1)
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

    def _check_trainings(self, seeds: int) -> int:
        """Trainings of a final check with so many seeds, at most; none where there is none."""
        wanted = replace(self.confirm, seeds=min(seeds, self.confirm.seeds))
        return most_trainings(wanted) if self.task.open_test is not None else 0

    def _minutes_left(self, minutes: float) -> float:
        """Seconds that are left of the minutes, over all runs of the study."""
        return minutes * 60 - self._earlier - self.elapsed

    def _reserved(self, records: Sequence[TrialRecord], minutes: float) -> float:
        """Seconds kept back for the final check: half of the minutes at most, but time for a few seeds at least."""
        whole, least = (self._pace.check(records, self._check_trainings(n)) for n in (self.confirm.seeds, FEWEST_SEEDS))
        return max(least, min(whole, minutes * 60 / 2))

    def _affordable(self, records: Sequence[TrialRecord]) -> ConfirmSettings:
        """The final check with as many seeds as the minutes have time for; it stays so until trials are added."""
        if self.settings.minutes is None:
            return self.confirm
        asked = [len(records), self.confirm.seeds]
        noted = self.ledger.noted(AFFORDED)
        if noted is None or noted["asked"] != asked:
            each = self._pace.check(records, self._check_trainings(1))
            fit = int(self._minutes_left(self.settings.minutes) / each) if each > 0 else self.confirm.seeds
            noted = {"asked": asked, "seeds": min(self.confirm.seeds, max(FEWEST_SEEDS, fit))}
            self.ledger.note(AFFORDED, noted)
        return replace(self.confirm, seeds=noted["seeds"])

    @property
    def elapsed(self) -> float:
        """Seconds since this run started."""
        return time.monotonic() - self._started

    def _seconds_left(self, records: Sequence[TrialRecord]) -> float | None:
        """A forecast of the seconds until the search ends; None where nothing is known."""
        each = self._pace.per_trial(records) or 0.0
        check = self._pace.check(records, round(TYPICAL * self._check_trainings(self.confirm.seeds)))
        bounds = []
        if self.settings.budget is not None:
            bounds.append(max(0, self.settings.budget - self.ledger.spent) * each + check)
        if self.settings.minutes is not None:
            bounds.append(self._minutes_left(self.settings.minutes))
        return max(0.0, min(bounds)) if bounds else None

    def _select(self, estimates: Estimates) -> Selection | None:
        """The trials that matter."""
        records = self.ledger.records()
        epsilons = self.known.epsilons()
        return select(
            records, self.task, self.space, self.objectives, epsilons, self.margin, estimates.values, self.limits
        )

    def _measure(self, selection: Selection) -> dict[str, Measured]:
        """The finalists' times end to end, on a machine where nothing trains."""
        self.engine.wait_idle()
        return (self.measure or measure_finalists)(self.task, finalists(selection), self.known)

    def _choose(
        self,
        records: Sequence[TrialRecord],
        selection: Selection,
        estimates: Estimates,
        settings: ConfirmSettings,
    ) -> Chosen:
        """The first stage of the final check."""
        choosing = Choosing(
            self.task, self.space, self.objectives, self.known.epsilons(), self.margin, settings, self.limits
        )
        return choosing.run(records, selection, estimates, self.ledger, self._trainer, self.observers)

    def _claim(self, chosen: Chosen, measured: Mapping[str, Measured], settings: ConfirmSettings) -> Confirmation:
        """The second stage; what is not cheaper end to end cannot be recommended for that, and costs no certainty."""
        timed = timed_ratios(chosen.selection, measured, self.objectives)
        broken = self._broken(measured)
        claim = Claim(self.task, self.space, settings, hopeful(chosen.selection, timed, broken))
        return claim.run(
            chosen,
            self.ledger,
            self._trainer,
            self.observers,
            decided=lambda so_far: settled(self.task, chosen.selection, so_far, timed, broken),
        )

    def _broken(self, measured: Mapping[str, Measured]) -> dict[str, str]:
        """The limits that are broken end to end, by the name of the row; the table may have foreseen less."""
        return {name: why for name, one in measured.items() if (why := self.limits.broken(one.values))}


class _BaselineError(AutoactError):
    """The model as configured failed: nothing of its batch is worth going on with."""
