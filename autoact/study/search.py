"""The search: try candidates in batches, check the finalists, rule; resumable at every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from autoact.core.errors import AutoactError
from autoact.core.trial import RAISED, Candidate, Role, TrialRecord
from autoact.engines.engine import Engine
from autoact.space.search_space import SearchSpace
from autoact.study.budget import Budget
from autoact.study.callbacks import SearchCallback, SearchInfo
from autoact.study.confirmation.shrinkage import estimate
from autoact.study.execution.batch_trainer import Place, Trainer
from autoact.study.execution.predicted_costs import PredictedCosts
from autoact.study.execution.successive_halving import Rung
from autoact.study.final_check import FinalCheck, Measure, different
from autoact.study.forecast import Expected, Forecast
from autoact.study.outcome.build_result import conclude
from autoact.study.outcome.evidence import SearchEvidence
from autoact.study.outcome.result import SearchResult
from autoact.study.proposal.planner import HANDED_DOWN, Planner
from autoact.study.selection import Front, Selector
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.study.storage.leases import Leases
from autoact.study.storage.trial_store import TrialStore
from autoact.tasks.constraints import Limits
from autoact.tasks.objectives import QUALITY, Objective
from autoact.tasks.task import Task

# Seconds between two looks at what another driver has in training.
OTHER_DRIVER_POLL_SECONDS = 0.5
# Where is noted how fast the study trains.
FORECAST = "forecast"
# Different assignments that raise before the search ends, where none has trained.
RAISED_BEFORE_GIVEN_UP = 8


@dataclass
class Search:
    """One search over one task; ``run`` does all of it.

    Attributes:
        margin: what a cheaper assignment may lose (``objectives.margin``).
        rungs: epochs at which trainings are compared and given up.
        largest: candidates per job of the final check, at most; those of the search unless given.
        repeatable: after an interruption a batch is run again as a whole, so that its populations are the same ones.
        began: when the command began, by ``time.monotonic``: minutes count from there; now unless given.
    """

    task: Task
    space: SearchSpace
    objectives: Sequence[Objective]
    predicted: PredictedCosts
    ledger: TrialStore
    engine: Engine
    settings: SearchSettings
    confirm: ConfirmSettings
    margin: float
    observers: Sequence[SearchCallback]
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
    expected: Expected = field(default_factory=Expected)
    began: float | None = None

    def __post_init__(self) -> None:
        self.space = self.space.with_costs(self.predicted.values)
        self._forecast = Forecast(self.expected, self.ledger.noted(FORECAST), clock=time.monotonic)
        self._budget = Budget(
            self.settings,
            self.confirm,
            self._forecast,
            self.ledger,
            checked=self.task.test is not None,
            began=self.began,
            clock=time.monotonic,
        )
        epsilons = self.predicted.epsilons()
        self._planner = Planner(self.task, self.space, self.settings, self.ledger, epsilons, self.included, self.limits)
        self._claims = Leases(self.ledger, self.driver, self._planner.key)
        self._front = Front(self.objectives, epsilons)
        traded = any(objective.name == QUALITY for objective in self.objectives)
        self._trainer = Trainer(
            task=self.task,
            engine=self.engine,
            population=self.population,
            largest=self.largest or self.population,
            epochs=self.rungs if traded else (),
            rung=Rung(self.settings.rungs.reduction, self.objectives, epsilons),
            costs=lambda candidate: self.space.point_of(candidate).costs,
            key=self._planner.key,
            repeatable=self.repeatable,
            stop_asked=self._must_stop,
            trained=self._forecast.trained,
        )
        self._selector = Selector(self.task, self.space, self.objectives, epsilons, self.margin, self.limits)
        self._check = FinalCheck(
            selector=self._selector,
            predicted=self.predicted,
            ledger=self.ledger,
            trainer=self._trainer,
            budget=self._budget,
            observers=self.observers,
            measure=self.measure,
        )

    def run(self) -> SearchResult:
        """Search, check and rule.

        Raises:
            AutoactError: the baseline itself cannot be trained.
        """
        for observer in self.observers:
            observer.search_started(self.info)
        with self._claims.beating():
            evidence = self._search_and_check()
            if self._forecast.anything and self.settings.minutes is not None:
                self.ledger.note("seconds", self._budget.spent)
        result = conclude(evidence, self.task, self.info, self.predicted, self.confirm, lambda: self._budget.elapsed)
        for observer in self.observers:
            observer.search_finished(result)
        return result

    def _must_stop(self) -> bool:
        return self.stop_asked() or self._budget.over

    def _search_and_check(self) -> SearchEvidence:
        evidence = self._until_chosen()
        self._check.finish(evidence, self._compared(evidence.records), self.stop_asked)
        self._claims.release(self._claims.left_behind())
        return evidence

    def _until_chosen(self) -> SearchEvidence:
        """Spend the budget, and make the first stage of the check.

        Where the minutes have time for it afterwards, the search goes on, and the choice is repeated; before the test
        part opens that costs no certainty.
        """
        chosen, settings, tried = None, self.confirm, -1
        while True:
            self._try_candidates()
            records = self.ledger.records()
            estimates = estimate(records, self.space, self.task)
            selection = self._selector.select(records, estimates.values)
            evidence = SearchEvidence(records, estimates, selection, settings)
            evidence.unfinished = self.stop_asked() or (self._budget.over and not self._budget.check_begun(records))
            if (
                evidence.unfinished
                or evidence.selection is None
                or not (self._budget.checked and self._compared(records))
            ):
                return evidence
            if chosen is None or self._budget.choose_again(records, settings, different(chosen.selection)):
                self._check.choose(evidence)
            else:
                evidence.choose(chosen)
            if self._budget.unchecked and len(records) != tried:
                tried = len(records)
                self._claims.release()
                continue
            if evidence.chosen is None or len(records) == tried:
                return evidence
            chosen, settings, tried = evidence.chosen, evidence.settings, len(records)
            if not self._budget.search_on(records, settings, different(chosen.selection)):
                return evidence
            self._claims.release()
            for observer in self.observers:
                observer.preparing("The first stage of the final check left time: the search uses it.")

    def _compared(self, records: Sequence[TrialRecord]) -> bool:
        """Whether any other assignment than the baseline's was trained to its end: without one there is no claim.

        What the user named themselves is checked whatever it holds.
        """
        if self.included:
            return True
        return any(r.complete and not self.space.is_baseline(r.candidate.assignment) for r in records)

    def _try_candidates(self) -> None:
        """Spend the budget; ends with the final check claimed, or stopped by the user.

        Where other drivers hold what is left of the budget, their end is waited for; what one of them leaves behind is
        tried here.
        """
        waiting = self._claims.left_behind()
        while not self._must_stop():
            self._forecast.begin()
            batch = self._next_batch(waiting)
            waiting = []
            if batch:
                if not self._forecast.begun:
                    self.engine.ready()  # what starts up once is no measure of what follows
                    self._forecast.begin()
                self._train(batch)
                self._forecast.end()
                self.ledger.note(FORECAST, self._forecast.measured())
            elif self._claims.take_final_check(self._must_stop):
                self.ledger.refresh()
                if not self._wanted([]):
                    return
                self._claims.release()

    def _next_batch(self, waiting: Sequence[Candidate]) -> list[Candidate]:
        """What this driver trains next, claimed; nothing where nothing is left to it."""
        while not self._must_stop():
            self.ledger.refresh()
            others = self._others()
            batch = self._left_of(waiting, others) or self._wanted(others)
            if any(candidate.role == Role.CONFIGURED for candidate in others):
                time.sleep(OTHER_DRIVER_POLL_SECONDS)  # all that follows is measured by it
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
        known = self._known_keys()
        return [one for one in self._claims.of_others() if self._planner.key(one) not in known]

    def _known_keys(self) -> set[object]:
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
        records = self.ledger.records()
        return self._budget.trials_left(records, len(others), self.engine.workers, compared=self._compared(records))

    def _train(self, batch: Sequence[Candidate]) -> None:
        """Train a batch and remember what comes back; what does not waits for the same command."""
        number = int(self.ledger.noted("batches") or 0)
        before, done = self._known_keys(), set()
        whole = [list(batch)]
        try:
            for record, places in self._trainer.train(batch, self.ledger.records()):
                key = self._planner.key(record.candidate)
                if not (self.repeatable and key in before):
                    self._hear(record, number, places)
                done.add(key)
        except _BaselineError:
            whole = []
            raise
        finally:
            missing = whole and any(self._planner.key(candidate) not in done for candidate in batch)
            self._claims.release(batch if missing else ())
            self.ledger.note("seconds", self._budget.spent)
            if not missing:
                self.ledger.note("batches", number + 1)

    def _hear(self, record: TrialRecord, batch: int, places: Sequence[Place]) -> None:
        costs = self.space.point_of(record.candidate).costs
        quality = {QUALITY: record.quality} if record.complete and record.quality is not None else {}
        record = replace(record, values={**costs, **quality, **record.values})
        record = self.ledger.tell(record, [[batch, place.stage, place.job, *place.members] for place in places])
        if record.candidate.role == Role.CONFIGURED and not record.complete:
            raise _BaselineError(
                f"the model as configured cannot be trained, so nothing can be compared: {record.reason}"
            )
        records = self.ledger.records()
        if record.reason.startswith(RAISED):
            _refuse_if_all_raise([r for r in records if not self.space.is_baseline(r.candidate.assignment)])
        count = self._front.count(records)
        for observer in self.observers:
            observer.trial_finished(record, count, self._budget.seconds_left(records))


def _refuse_if_all_raise(others: Sequence[TrialRecord]) -> None:
    """Where many different assignments raise and none but the baseline's trains, the search ends, and says why."""
    raised = [record for record in others if record.reason.startswith(RAISED)]
    different = len({record.candidate.assignment for record in raised})
    if different < RAISED_BEFORE_GIVEN_UP or any(record.complete for record in others):
        return
    raise AutoactError(
        f"{different} different assignments failed and none but the baseline's trains; trial {raised[-1].number} "
        f"{raised[-1].reason}: leave the sites whose values the model relies on as they are, space.exclude=[SITE]"
    )


class _BaselineError(AutoactError):
    """The model as configured failed: nothing of its batch is worth going on with."""
