"""The first stage of the final check: fresh seeds and validation rows choose, before any test row is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoact.core.trial import Role, TrialRecord
from autoact.core.value_holders import PlainData
from autoact.study.callbacks import SearchCallback
from autoact.study.confirmation.ensembles import validation_means
from autoact.study.confirmation.paired_differences import pairs_of
from autoact.study.confirmation.retraining import RetrainedCandidate, Retraining, SeedFold, same
from autoact.study.confirmation.shortlist import shortlist
from autoact.study.confirmation.shrinkage import Estimates
from autoact.study.execution.batch_trainer import Trainer
from autoact.study.paired_statistics import paired_interval
from autoact.study.selection import Selection, Selector
from autoact.study.settings import ConfirmSettings
from autoact.study.storage.trial_store import TrialStore
from autoact.study.tuned_baselines import (
    OUTWARD,
    Edge,
    beyond,
    doubt_at,
    measured,
    name_of,
    rising_edge,
    thinner,
    with_settings_of,
)
from autoact.tasks.objectives import QUALITY

# Seeds that choose lie far from the search's own, and from those that claim.
FIRST_SEED = 10_000
# Below this many rows of training and validation, one split says too little: rows are dealt out in folds.
FEW_ROWS, FOLDS = 2000, 5
CHOSEN = "chosen"
# From so many trainings of a candidate on, both stages take a look half way.
FEWEST_FOR_A_LOOK = 6
# How sure the choice is that a rival is better before it gives up a finalist half way: nothing is claimed by it.
DROPPING = 0.8


@dataclass(frozen=True)
class StageOneChoice:
    """What the first stage decided; it stays so until trials are added.

    Attributes:
        selection: the trials that the claim is made with; their picks go by means over fresh seeds.
        trained: name of a trial (``trial 12``) -> its trainings.
        over: what the means are over: ``10 fresh seeds``, or folds.
        ensembles: setting -> mean score of its ensembles on validation rows, which decides nothing; none in folds,
            since no two trainings of a setting then share their validation rows.
    """

    selection: Selection
    trained: Mapping[str, RetrainedCandidate]
    how: str
    over: str = ""
    ensembles: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Choosing:
    """The first stage."""

    selector: Selector
    settings: ConfirmSettings

    def run(
        self,
        records: Sequence[TrialRecord],
        selection: Selection,
        estimates: Estimates,
        ledger: TrialStore,
        trainer: Trainer,
        observers: Sequence[SearchCallback],
    ) -> StageOneChoice:
        """Train the finalists under fresh seeds, and choose one per policy, the tuned baseline and the best uniform.

        The baseline's own activations compete to be the tuned baseline with their own settings, with those of each
        challenger, and with learning rates beyond the largest or smallest that was tried where that one was the best.

        What was chosen stays chosen while the trials are the same, also where later runs ask for more seeds: they
        serve the claim.

        Raises:
            Interrupted: the user asked to stop; what was trained by then is kept.
        """
        task, space = self.selector.task, self.selector.space
        noted: PlainData | None = ledger.noted(CHOSEN)
        if noted is None or noted["trials"] != len(records):
            short = shortlist(records, selection, estimates.values, task, space, self.settings.finalists)
            noted = {
                "trials": len(records),
                "shortlist": [record.number for record in short],
                "seeds": self.settings.seeds,
                "folds": self._folds(),
            }
            ledger.note(CHOSEN, noted)
        by_number = {record.number: record for record in records}
        short = [by_number[number] for number in noted["shortlist"]]
        # The baseline with the settings of each challenger: from the same note, whenever it was made.
        twins = with_settings_of(short, records, selection.configured, space)
        pool = list({same(record.candidate): record for record in [*short, *twins.values()]}.values())
        turns = turns_of(ledger.seed, noted["seeds"], noted["folds"])

        size = 0 if noted["folds"] else self.settings.ensemble

        def retraining_of(wanted: Sequence[TrialRecord]) -> Retraining:
            named = {name_of(r): r.candidate for r in wanted}
            keep = named if size else ()
            retraining = Retraining(named, ledger, trainer, observers, stage=Role.CHOOSING, keep=keep)
            for observer in observers:
                observer.choosing(retraining.different * len(turns))
            return retraining

        retraining = retraining_of(pool)
        trained = retraining.run(turns[: len(turns) // 2] if len(turns) >= FEWEST_FOR_A_LOOK else turns)
        staying = self._staying(pool, trained, (selection.configured, selection.uniform))
        trained |= retraining.run(turns, {name_of(record) for record in staying})
        dropped = len(pool) - len(staying)
        tried = [*records, *pool]
        edge = self._edge(tried, staying, trained)
        for step in range(OUTWARD):
            if edge is None or edge[0].reached:
                break
            further = beyond(*edge, selection.configured, step)
            tried, staying = [*tried, further], [*staying, further]
            trained |= retraining_of([further]).run(turns)
            edge = self._edge(tried, staying, trained)
        chosen = self._choose(selection, staying, trained)
        own = {p: twins[r.number] for p, r in chosen.policies.items() if r.number in twins}
        own = {policy: measured(twin, trained[name_of(twin)].mean) for policy, twin in own.items()}
        doubts = thinner(chosen, records, [record for record in tried if record.number < 0], space)
        if edge is not None:
            doubts = dict.fromkeys(chosen.policies, doubt_at(edge[0], space))
        chosen = replace(chosen, twins=own, doubts={p: why for p, why in doubts.items() if p in own})
        how = _how(len(pool), noted["seeds"], noted["folds"], dropped)
        ensembles = validation_means(task, chosen, trained, size) if size else {}
        return StageOneChoice(chosen, trained, how, _over(noted["seeds"], noted["folds"]), ensembles)

    def _edge(
        self, tried: Sequence[TrialRecord], staying: Sequence[TrialRecord], trained: Mapping[str, RetrainedCandidate]
    ) -> tuple[Edge, TrialRecord] | None:
        """The edge at which the baseline's best setting lies, and that setting; None where it is bracketed."""
        own = [r for r in staying if self._own(r) and trained[name_of(r)].scores and not trained[name_of(r)].failures]
        if not own:
            return None
        sign = 1.0 if self.selector.task.mode == "max" else -1.0
        best = max(own, key=lambda record: sign * trained[name_of(record)].mean)

        def better(one: TrialRecord, other: TrialRecord) -> bool:
            return self._better(trained[name_of(one)], trained[name_of(other)])

        edge = rising_edge(own, best, tried, better, self.selector.space)
        return None if edge is None else (edge, best)

    def _own(self, record: TrialRecord) -> bool:
        return self.selector.space.is_baseline(record.candidate.assignment)

    def _staying(
        self,
        short: Sequence[TrialRecord],
        trained: Mapping[str, RetrainedCandidate],
        kept: Sequence[TrialRecord | None],
    ) -> list[TrialRecord]:
        """Those that train on after half of the turns.

        The others are given up: a finalist of their kind is better, as far as the noise of seeds lets one say so with
        four chances in five, at no higher latency or cost.
        """

        def no_dearer(one: TrialRecord, other: TrialRecord) -> bool:
            cheap = [o for o in self.selector.objectives if o.name != QUALITY]
            signs = [(1.0 if o.direction == "min" else -1.0, o.name) for o in cheap]
            ties = self.selector.epsilons
            return all(s * (one.values[n] - other.values[n]) <= ties.get(n, 0.0) for s, n in signs)

        def beaten(record: TrialRecord) -> bool:
            rivals = [
                r for r in short if r is not record and self._own(r) == self._own(record) and no_dearer(r, record)
            ]
            return any(self._better(trained[name_of(rival)], trained[name_of(record)]) for rival in rivals)

        return [record for record in short if record in kept or not beaten(record)]

    def _better(self, one: RetrainedCandidate, other: RetrainedCandidate) -> bool:
        """Whether one is better on these validation rows, as far as the noise of seeds lets one say."""
        differences = pairs_of(one, other).differences
        if len(differences) < 2 or one.failures:
            return False
        sign = 1.0 if self.selector.task.mode == "max" else -1.0
        return paired_interval([sign * difference for difference in differences], confidence=DROPPING).low > 0

    def _folds(self) -> int:
        """Folds that validation rows are dealt out in; 0: the task's own split."""
        rows = self.selector.task.facts.get("rows", {})
        count = sum(rows.get(part, 0) for part in ("train", "validation")) if isinstance(rows, Mapping) else 0
        return FOLDS if self.selector.task.make_fold is not None and 0 < count < FEW_ROWS else 0

    def _choose(
        self, first: Selection, short: Sequence[TrialRecord], trained: Mapping[str, RetrainedCandidate]
    ) -> Selection:
        """Pick again among the finalists that never failed, by their means."""
        finished = [record for record in short if not trained[name_of(record)].failures]
        whole = [measured(record, trained[name_of(record)].mean) for record in finished]
        if first.configured not in whole:
            whole.append(first.configured)
        means = {r.number: trained[name_of(r)].mean for r in whole if not math.isnan(trained[name_of(r)].mean)}
        chosen = self.selector.select(whole, means)
        assert chosen is not None, "the configured baseline is among them"
        return replace(chosen, front=first.front)


def turns_of(seed: int, seeds: int, folds: int) -> list[SeedFold]:
    """The trainings of the first stage: a seed each; in folds, every seed goes through all folds of its own partition.

    Example:
        >>> [str(turn) for turn in turns_of(0, 4, 2)]
        ['10000 fold 0/2', '10000 fold 1/2', '10001 fold 0/2', '10001 fold 1/2']
    """
    if not folds:
        return [SeedFold(FIRST_SEED + seed + index) for index in range(seeds)]
    repeats = math.ceil(seeds / folds)
    return [SeedFold(FIRST_SEED + seed + repeat, (fold, folds)) for repeat in range(repeats) for fold in range(folds)]


def _over(seeds: int, folds: int) -> str:
    """What the means of the first stage are over.

    Example:
        >>> _over(10, 0), _over(10, 5)
        ('10 fresh seeds', '5 folds x 2 fresh seeds')
    """
    return f"{folds} folds x {math.ceil(seeds / folds)} fresh seeds" if folds else f"{seeds} fresh seeds"


def _how(finalists: int, seeds: int, folds: int, dropped: int) -> str:
    early = f"; {dropped} of them trained half of it, since others were better by then at no higher cost"
    ending = early if dropped else ""
    if folds:
        times = math.ceil(seeds / folds)
        often = "once" if times == 1 else f"{times} times over"
        return f"{finalists} finalists were chosen from by {folds}-fold cross-validation, {often}{ending}"
    return f"{finalists} finalists were chosen from by the mean of {seeds} fresh seeds on validation rows{ending}"
