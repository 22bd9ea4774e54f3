"""The final check as a search makes it: as large as there is time for, one stage after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autoact.study.budget import Budget
from autoact.study.callbacks import SearchCallback
from autoact.study.confirmation.choose_on_validation import Choosing
from autoact.study.confirmation.claim_on_test import Confirmation, StageTwo, finalists
from autoact.study.confirmation.end_to_end_timing import Measured, measure_finalists, timed_ratios
from autoact.study.confirmation.ensembles import averaged
from autoact.study.confirmation.retraining import same
from autoact.study.confirmation.single_stage import chosen_at_once
from autoact.study.confirmation.verdict import hopeful, hopeful_ensembles, settled
from autoact.study.execution.batch_trainer import Trainer
from autoact.study.execution.predicted_costs import PredictedCosts
from autoact.study.outcome.evidence import SearchEvidence
from autoact.study.selection import ENSEMBLE, Selection, Selector
from autoact.study.storage.trial_store import TrialStore
from autoact.training.callbacks import Interrupted

# Called as ``measure_finalists`` is.
Measure = Callable[..., dict[str, Measured]]


@dataclass
class FinalCheck:
    """Both stages, and between them the timing of what is claimed: by ``measure_finalists`` unless ``measure`` does."""

    selector: Selector
    predicted: PredictedCosts
    ledger: TrialStore
    trainer: Trainer
    budget: Budget
    observers: Sequence[SearchCallback]
    measure: Measure | None = None

    def choose(self, evidence: SearchEvidence) -> None:
        """The first stage; where there is no time for one, the challenger of the estimates."""
        records, selection, estimates = evidence.records, evidence.selection, evidence.estimates
        settings = self.budget.affordable(records)
        if settings is None:
            evidence.unfinished = True
            return
        assert selection is not None, "asked where there is one"
        evidence.settings = settings
        for observer in self.observers:
            observer.preparing(self.budget.about_check(records, settings))
        if not settings.finalists:
            evidence.choose(chosen_at_once(selection, records, self.selector.space))
            return
        choosing = Choosing(self.selector, settings)
        self.budget.forecast.begin(check=True)
        try:
            evidence.choose(choosing.run(records, selection, estimates, self.ledger, self.trainer, self.observers))
        except Interrupted:
            evidence.unfinished = True
        finally:
            self.budget.forecast.end()

    def finish(self, evidence: SearchEvidence, compared: bool, stop_asked: Callable[[], bool]) -> None:
        """Time what was chosen, and claim, where anything was trained that the baseline can be compared with."""
        evidence.unfinished = evidence.unfinished or stop_asked()
        if evidence.selection is not None and not evidence.unfinished and compared:
            try:
                evidence.measured = self._measured(evidence.selection, evidence.settings.ensemble)
                # The table may have foreseen less.
                timed = {name: self.selector.limits.broken(one.values) for name, one in evidence.measured.items()}
                evidence.broken = {name: why for name, why in timed.items() if why}
                evidence.confirmation = self._claim(evidence, stop_asked)
            except Interrupted:
                evidence.unfinished = True
        evidence.interrupted = evidence.unfinished and stop_asked()
        if evidence.unfinished and not evidence.interrupted:
            evidence.out_of_time = self.budget.out_of_time(evidence.records)

    def _measured(self, selection: Selection, size: int) -> dict[str, Measured]:
        self.trainer.engine.wait_idle()
        for observer in self.observers:
            observer.before_timing()
        measure, candidates = self.measure or measure_finalists, finalists(selection)
        if not size:
            return measure(self.selector.task, candidates, self.predicted)
        averages = {name + ENSEMBLE: candidates[name] for name in averaged(selection)}
        return measure(self.selector.task, candidates | averages, self.predicted, dict.fromkeys(averages, size))

    def _claim(self, evidence: SearchEvidence, stop_asked: Callable[[], bool]) -> Confirmation | None:
        """The second stage; what is not cheaper end to end cannot be recommended for that, and costs no certainty.

        Raises:
            Interrupted: the user asked to stop, or the minutes have no time for it: the test part then stays sealed.
        """
        chosen = evidence.chosen
        if chosen is None:
            return None
        seeds = self.budget.claim_seeds(evidence.records, evidence.settings, different(chosen.selection))
        if not seeds:
            raise Interrupted
        task, space = self.selector.task, self.selector.space
        timed = timed_ratios(chosen.selection, evidence.measured, self.selector.objectives)
        settings = evidence.settings.smaller(seeds, evidence.settings.finalists)
        could = hopeful(chosen.selection, timed, evidence.broken)
        if 0 < settings.ensemble < seeds:
            could += hopeful_ensembles(chosen.selection, evidence.broken)
        claim = StageTwo(task, space, settings, could)
        self.budget.forecast.begin(check=True)
        try:
            return claim.run(
                chosen,
                self.ledger,
                replace(self.trainer, stop_asked=stop_asked),  # what is begun here fits, as far as one can tell
                self.observers,
                decided=lambda so_far: settled(task, chosen.selection, so_far, timed, evidence.broken),
            )
        finally:
            self.budget.forecast.end()


def different(selection: Selection) -> int:
    """How many different candidates a claim trains."""
    return len({same(candidate) for candidate in finalists(selection).values()})
