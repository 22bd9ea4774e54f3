"""The final check as a search makes it: as large as there is time for, one stage after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoact.core.trial import Candidate, TrialRecord
from autoact.space.search_space import SearchSpace
from autoact.study.budget import Budget
from autoact.study.callbacks import SearchCallback
from autoact.study.confirmation.choose_on_validation import Choosing, StageOneChoice
from autoact.study.confirmation.claim_on_test import Confirmation, StageTwo, finalists
from autoact.study.confirmation.end_to_end_timing import Measured, measure_finalists, timed_ratios
from autoact.study.confirmation.retraining import same
from autoact.study.confirmation.shrinkage import Estimates
from autoact.study.confirmation.single_stage import chosen_at_once
from autoact.study.confirmation.verdict import hopeful, settled
from autoact.study.execution.batch_trainer import Trainer
from autoact.study.execution.predicted_costs import PredictedCosts
from autoact.study.outcome.build_result import SearchEvidence
from autoact.study.selection import Selection
from autoact.study.settings import ConfirmSettings
from autoact.study.storage.trial_store import TrialStore
from autoact.tasks.constraints import Limits
from autoact.tasks.objectives import Objective
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted

Measure = Callable[[Task, Mapping[str, Candidate], PredictedCosts], dict[str, Measured]]


@dataclass
class Stand:
    """How far a search has come.

    Attributes:
        estimates: of their quality.
        selection: the trials that matter; by the first stage of the check once it is made.
        settings: of the check, as far as there is time for it.
        chosen: the first stage.
        unfinished: whether the user's stop or the end of the minutes came before the end of the check.
    """

    records: Sequence[TrialRecord]
    estimates: Estimates
    selection: Selection | None
    settings: ConfirmSettings
    chosen: StageOneChoice | None = None
    unfinished: bool = False

    def choose(self, chosen: StageOneChoice) -> None:
        """Go on with what the first stage chose."""
        self.chosen, self.selection = chosen, chosen.selection


@dataclass
class FinalCheck:
    """Both stages, and the timing of what is claimed between them.

    Attributes:
        confirm: the check as the user wants it.
        margin: what a cheaper assignment may lose.
        measure: times the finalists end to end; ``measure_finalists`` unless given.
    """

    task: Task
    space: SearchSpace
    objectives: Sequence[Objective]
    known: PredictedCosts
    ledger: TrialStore
    trainer: Trainer
    budget: Budget
    observers: Sequence[SearchCallback]
    confirm: ConfirmSettings
    margin: float
    limits: Limits
    measure: Measure | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is a final check."""
        return bool(self.confirm.seeds) and self.task.test is not None

    def choose(self, stand: Stand) -> None:
        """The first stage; where there is no time for one, the challenger of the estimates."""
        settings = self.budget.affordable(stand.records)
        if settings is None:
            stand.unfinished = True
            return
        assert stand.selection is not None, "asked where there is one"
        stand.settings = settings
        for observer in self.observers:
            observer.preparing(self.budget.about_check(stand.records, settings))
        if not settings.finalists:
            stand.choose(chosen_at_once(stand.selection, stand.records, self.space))
            return
        choosing = Choosing(
            self.task, self.space, self.objectives, self.known.epsilons(), self.margin, settings, self.limits
        )
        self.budget.forecast.begin(check=True)
        try:
            stand.choose(
                choosing.run(stand.records, stand.selection, stand.estimates, self.ledger, self.trainer, self.observers)
            )
        except Interrupted:
            stand.unfinished = True
        finally:
            self.budget.forecast.end()

    def finish(self, stand: Stand, compared: bool, stop_asked: Callable[[], bool]) -> SearchEvidence:
        """Time what was chosen, and claim, where anything was trained that the baseline can be compared with."""
        stand.unfinished = stand.unfinished or stop_asked()
        confirmation, measured = None, {}
        if stand.selection is not None and not stand.unfinished and compared:
            try:
                measured = self._measured(stand.selection)
                confirmation = self._claim(stand, measured, stop_asked)
            except Interrupted:
                stand.unfinished = True
        stopped = stand.unfinished and stop_asked()
        return SearchEvidence(
            stand.records,
            stand.estimates,
            stand.selection,
            confirmation,
            measured,
            stand.chosen,
            self._broken(measured),
            stopped,
            self.budget.elapsed,
            self.budget.out_of_time(stand.records) if stand.unfinished and not stopped else "",
        )

    def _measured(self, selection: Selection) -> dict[str, Measured]:
        """The finalists' times end to end, on a machine where nothing trains."""
        self.trainer.engine.wait_idle()
        for observer in self.observers:
            observer.before_timing()
        return (self.measure or measure_finalists)(self.task, finalists(selection), self.known)

    def _claim(
        self, stand: Stand, measured: Mapping[str, Measured], stop_asked: Callable[[], bool]
    ) -> Confirmation | None:
        """The second stage; what is not cheaper end to end cannot be recommended for that, and costs no certainty.

        Raises:
            Interrupted: the user asked to stop, or the minutes have no time for it: the test part then stays sealed.
        """
        chosen = stand.chosen
        if chosen is None:
            return None
        seeds = self.budget.claim_seeds(stand.records, stand.settings, different(chosen.selection))
        if not seeds:
            raise Interrupted
        timed = timed_ratios(chosen.selection, measured, self.objectives)
        broken = self._broken(measured)
        settings = replace(stand.settings, seeds=seeds)
        claim = StageTwo(self.task, self.space, settings, hopeful(chosen.selection, timed, broken))
        self.budget.forecast.begin(check=True)
        try:
            return claim.run(
                chosen,
                self.ledger,
                replace(self.trainer, stop_asked=stop_asked),  # what is begun here fits, as far as one can tell
                self.observers,
                decided=lambda so_far: settled(self.task, chosen.selection, so_far, timed, broken),
            )
        finally:
            self.budget.forecast.end()

    def _broken(self, measured: Mapping[str, Measured]) -> dict[str, str]:
        """The limits that are broken end to end, by the name of the row; the table may have foreseen less."""
        return {name: why for name, one in measured.items() if (why := self.limits.broken(one.values))}


def different(selection: Selection) -> int:
    """How many different candidates a claim trains."""
    return len({same(candidate) for candidate in finalists(selection).values()})
