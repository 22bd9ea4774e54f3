"""The second stage of the final check: other fresh seeds, scored on the sealed test part, make the claim."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from autoact.core.trial import Candidate, Role
from autoact.space.search_space import SearchSpace
from autoact.study.callbacks import SearchCallback
from autoact.study.confirmation.alpha_spending import NumberedOpening, number_opening
from autoact.study.confirmation.choose_on_validation import FEWEST_FOR_A_LOOK, StageOneChoice
from autoact.study.confirmation.ensembles import EnsembleClaim, averaged, claim_ensembles, scored_settings
from autoact.study.confirmation.paired_differences import gain_of
from autoact.study.confirmation.power import PowerAnalysis, foresee
from autoact.study.confirmation.retraining import RetrainedCandidate, Retraining, SeedFold, same
from autoact.study.execution.batch_trainer import Trainer
from autoact.study.paired_statistics import Interval
from autoact.study.selection import ENSEMBLE, Selection
from autoact.study.settings import ConfirmSettings
from autoact.study.storage.trial_store import TrialStore
from autoact.study.tuned_baselines import name_of
from autoact.tasks.task import Task

# Seeds that claim are neither the search's own nor those that chose.
FIRST_SEED = 20_000
# The share of the opening's alpha that the look half way may spend.
LOOK_SHARE = 0.2

Decided = Callable[["Confirmation"], bool]


@dataclass(frozen=True)
class Confirmation:
    """The claim of a final check.

    Attributes:
        entries: name (``configured``, ``tuned``, ``uniform``, a policy) -> its trainings; equal candidates share one.
        gains: name -> paired difference to the tuned baseline on test rows, better = positive, with its interval.
        comparisons: number of different challengers that the intervals are corrected for.
        alpha: the probability of a false claim at which the intervals stand, over all challengers.
        rows_counted: whether the intervals hold for other test rows too, not only for other seeds.
        planned: fresh seeds that were to be trained; fewer were where the verdict could not change any more.
        mixed: paired difference of ``quality`` to the best uniform assignment; None where it is one itself.
        foresight: what the check could tell, stated before the test part opened.
        over_twins: policy -> paired difference to the baseline's own activations with the same training settings; none
            where these are the tuned baseline's. A claim has to hold against both, so that neither costs certainty (an
            intersection-union test: Berger, 1982).
        ensembles: what averaging trainings scores; None where it was not asked for.
    """

    entries: Mapping[str, RetrainedCandidate]
    gains: Mapping[str, Interval]
    comparisons: int
    opening: NumberedOpening
    alpha: float
    rows_counted: bool = False
    planned: int = 0
    mixed: Interval | None = None
    foresight: PowerAnalysis | None = None
    over_twins: Mapping[str, Interval] = field(default_factory=dict)
    ensembles: EnsembleClaim | None = None

    @property
    def seeds(self) -> int:
        """Fresh seeds that were trained."""
        return max((len(e.scores) + len(e.failures) for e in self.entries.values()), default=0)


@dataclass(frozen=True)
class StageTwo:
    """The second stage; only what is ``hopeful`` widens the intervals.

    That are the policies whose challenger could still be recommended, and the settings whose ensembles could
    (``tuned: ensemble``).
    """

    task: Task
    space: SearchSpace
    settings: ConfirmSettings
    hopeful: Sequence[str] = field(default_factory=tuple)

    def run(
        self,
        chosen: StageOneChoice,
        ledger: TrialStore,
        trainer: Trainer,
        observers: Sequence[SearchCallback],
        decided: Decided = lambda so_far: False,
    ) -> Confirmation:
        """Train what was chosen under other seeds and score it on the test part, which opens here.

        What an earlier, interrupted check has scored is not trained again. ``decided`` is asked half way whether the
        verdict of these intervals cannot change any more.

        Raises:
            Interrupted: the user asked to stop; what was scored by then is kept.
        """
        selection = chosen.selection
        named = finalists(selection)
        comparisons = self._comparisons(selection)
        keys = {same(candidate) for candidate in named.values()}

        def tell(message: str) -> None:
            for observer in observers:
                observer.preparing(message)

        size = self.settings.ensemble
        # An ensemble is a purpose of its own: asked for later, it opens the test part once more.
        averages = {f"ensemble of {size}: {same(named[name])}" for name in averaged(selection)} if size else set()
        opening = number_opening(
            ledger,
            self.task,
            keys | averages,
            self.settings.seeds,
            self.settings.confidence,
            why=f"final check of {ledger.name}",
            trials=len(ledger.records()),
            tell=tell,
        )
        foresight = self._foresee(chosen, comparisons, opening.alpha)
        stated = "" if foresight is None else foresight.text(self.task.quality_unit)
        for observer in observers:
            observer.confirming(len(keys) * self.settings.seeds, stated)
        assert self.task.test is not None
        # Workers open their own copies; what is scored in this process needs this one.
        self.task.test.open(opening.reason)
        keep = scored_settings(selection) if size else ()
        retraining = Retraining(named, ledger, trainer, observers, stage=Role.CLAIM, test=opening.reason, keep=keep)
        for seeds, share in looks(self.settings.seeds, early=self.settings.early, least=size + 1):
            entries = retraining.run([SeedFold(FIRST_SEED + ledger.seed + index) for index in range(seeds)])
            found = self._compare(selection, entries, comparisons, opening, opening.alpha * share, foresight)
            if seeds < self.settings.seeds and decided(found):
                break
        return found

    def _comparisons(self, selection: Selection) -> int:
        tuned = same(selection.tuned.candidate)
        hopeful = [r.candidate for policy, r in selection.policies.items() if policy in self.hopeful]
        averages = [name for name in averaged(selection) if name + ENSEMBLE in self.hopeful]
        return max(1, len({same(candidate) for candidate in hopeful} - {tuned}) + len(averages))

    def _compare(
        self,
        selection: Selection,
        entries: Mapping[str, RetrainedCandidate],
        comparisons: int,
        opening: NumberedOpening,
        alpha: float,
        foresight: PowerAnalysis | None,
    ) -> Confirmation:
        def gain(name: str, other: str, claims: int) -> Interval | None:
            mode = self.task.mode
            return gain_of(entries[name], entries[other], mode, confidence=1 - alpha, comparisons=claims)

        gains = {
            name: found
            for name in entries
            if name != "tuned" and (found := gain(name, "tuned", comparisons)) is not None
        }
        twins = {
            policy: found
            for policy in selection.policies
            if (twin := selection.twin(policy)) and (found := gain(policy, twin, comparisons)) is not None
        }
        quality = selection.policies["quality"].candidate.assignment
        is_uniform = self.space.is_baseline(quality) or self.space.is_uniform_alternative(quality)
        mixed = gain("quality", "uniform", 1) if "uniform" in entries and not is_uniform else None
        ensembles, size = None, self.settings.ensemble
        if size:
            ensembles = claim_ensembles(
                self.task, selection, entries, size, confidence=1 - alpha, comparisons=comparisons
            )
        averages = [one.entry for one in ensembles.scores.values()] if ensembles is not None else []
        return Confirmation(
            entries,
            gains,
            comparisons,
            opening,
            alpha,
            rows_counted=all(all(entry.replicates.values()) for entry in (*entries.values(), *averages)),
            planned=self.settings.seeds,
            mixed=mixed,
            foresight=foresight,
            over_twins=twins,
            ensembles=ensembles,
        )

    def _foresee(self, chosen: StageOneChoice, comparisons: int, alpha: float) -> PowerAnalysis | None:
        quality, tuned = (name_of(r) for r in (chosen.selection.policies["quality"], chosen.selection.tuned))
        if quality not in chosen.trained or tuned not in chosen.trained or quality == tuned:
            return None
        rows = self.task.facts.get("rows")
        sizes = (rows["validation"], rows["test"]) if isinstance(rows, Mapping) and rows.get("test") else None
        return foresee(
            chosen.trained,
            quality,
            tuned,
            seeds=self.settings.seeds,
            rows=sizes,
            confidence=1 - alpha,
            comparisons=comparisons,
            power=self.settings.power,
        )


def looks(seeds: int, *, early: bool, least: int = 1) -> list[tuple[int, float]]:
    """When the intervals are looked at, and which share of the opening's alpha each look may spend.

    A look half way may end the check; what both looks spend adds up to the whole (Bonferroni). Fewer than ``least``
    seeds could not end it.

    Example:
        >>> looks(10, early=True), looks(4, early=True)
        ([(5, 0.2), (10, 0.8)], [(4, 1.0)])
        >>> looks(10, early=True, least=6), looks(10, early=True, least=10)
        ([(6, 0.2), (10, 0.8)], [(10, 1.0)])
    """
    first = max(math.ceil(seeds / 2), least)
    if not early or seeds < FEWEST_FOR_A_LOOK or first >= seeds:
        return [(seeds, 1.0)]
    return [(first, LOOK_SHARE), (seeds, 1.0 - LOOK_SHARE)]


def finalists(selection: Selection) -> dict[str, Candidate]:
    """The candidates of the claim by name."""
    return {name: record.candidate for name, record in selection.named().items()}
