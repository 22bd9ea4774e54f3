"""Candidates trained again under fresh seeds: each training is noted when it ends, so that none is done twice."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

from autoact.core.trial import STOPPED, Candidate, Role, TrialRecord
from autoact.core.value_holders import PlainData
from autoact.engines.engine import Engine
from autoact.engines.job import Job
from autoact.study.callbacks import SearchCallback
from autoact.study.execution.batch_trainer import Trainer
from autoact.study.execution.successive_halving import Rung
from autoact.study.storage.study_identity import digest
from autoact.study.storage.study_notes import StudyNotes
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted
from autoact.training.score_details import PREDICTIONS


class SeedFold(NamedTuple):
    """One training of a candidate: its seed, and its fold where rows are dealt out in folds."""

    seed: int
    fold: tuple[int, int] | None = None

    def __str__(self) -> str:
        """The seed; with the fold where there is one.

        Example:
            >>> str(SeedFold(10_000)), str(SeedFold(10_000, (2, 5)))
            ('10000', '10000 fold 2/5')
        """
        return str(self.seed) if self.fold is None else f"{self.seed} fold {self.fold[0]}/{self.fold[1]}"


@dataclass(frozen=True)
class RetrainedCandidate:
    """What came of a candidate's trainings.

    Attributes:
        scores: the metric on the rows that judge (test rows, or validation rows while choosing), by turn.
        validation: the metric on the validation rows, by turn.
        best_epochs: epoch of the kept weights, by turn.
        failures: reasons, by turn.
        replicates: the metric with one group of the judging rows left out at a time, by turn; empty where unknown.
        details: what else the predictions of test rows say, by turn; see ``training/score_details.py``.
        predictions: what each training predicts for the rows that judge, packed, by turn; empty where not kept.
    """

    candidate: Candidate
    scores: Mapping[SeedFold, float] = field(default_factory=dict)
    validation: Mapping[SeedFold, float] = field(default_factory=dict)
    best_epochs: Mapping[SeedFold, int] = field(default_factory=dict)
    seconds: Mapping[SeedFold, float] = field(default_factory=dict)
    failures: Mapping[SeedFold, str] = field(default_factory=dict)
    replicates: Mapping[SeedFold, tuple[float, ...]] = field(default_factory=dict)
    details: Mapping[SeedFold, PlainData] = field(default_factory=dict)
    predictions: Mapping[SeedFold, str] = field(default_factory=dict, repr=False)

    @property
    def mean(self) -> float:
        """Mean score over the turns; nan where every one failed."""
        return statistics.fmean(self.scores.values()) if self.scores else float("nan")

    @property
    def epochs(self) -> int:
        """Median best epoch: how long to train in production."""
        return round(statistics.median(self.best_epochs.values())) if self.best_epochs else 0

    @property
    def threshold(self) -> float | None:
        """Median decision threshold: where to decide in production; None where none was fitted."""
        found = [details["threshold"] for details in self.details.values() if "threshold" in details]
        return statistics.median(found) if found else None

    def to_dict(self) -> PlainData:
        """Plain data for JSON: the candidate, then a row per training."""
        done = [
            {
                "seed": turn.seed,
                "fold": turn.fold,
                "score": score,
                "validation": self.validation[turn],
                "best_epoch": self.best_epochs[turn],
                "seconds": self.seconds[turn],
                "without_a_group_of_rows": list(self.replicates[turn]),
                **({"details": details} if (details := self.details.get(turn)) else {}),
            }
            for turn, score in self.scores.items()
        ]
        failed = [{"seed": turn.seed, "fold": turn.fold, "reason": why} for turn, why in self.failures.items()]
        return {"candidate": self.candidate.to_dict(), "trainings": done, "failed": failed}


def same(candidate: Candidate) -> str:
    """Equal for candidates that train the same thing, whatever their seed."""
    return digest([candidate.assignment.to_dict(), dict(candidate.settings)])


def trainer_to_the_end(
    task: Task, engine: Engine, largest: int, *, repeatable: bool, stop_asked: Callable[[], bool] = lambda: False
) -> Trainer:
    """A trainer of what no rung stops and no study compares, in populations of ``largest`` candidates at most."""
    return Trainer(
        task,
        engine,
        largest,
        largest,
        epochs=(),
        rung=Rung(1.0, (), {}),
        costs=lambda _: {},
        key=same,
        repeatable=repeatable,
        stop_asked=stop_asked,
    )


@dataclass(eq=False)
class Retraining:
    """Trains candidates again, equal ones once, in as few jobs as the populations hold.

    A ``stage`` keeps the trainings of one purpose apart from those of another. ``test`` says why the test part is
    opened; None: validation rows judge. Of the candidates named in ``keep``, predictions are noted, too.
    """

    candidates: Mapping[str, Candidate]
    ledger: StudyNotes
    trainer: Trainer
    observers: Sequence[SearchCallback]
    _: KW_ONLY
    stage: Role
    test: str | None = None
    keep: Collection[str] = ()

    def __post_init__(self) -> None:
        self._names = {name: same(candidate) for name, candidate in self.candidates.items()}
        self._unique: dict[str, Candidate] = {}
        for candidate in self.candidates.values():
            self._unique.setdefault(same(candidate), candidate)
        self._known: dict[str, dict[str, PlainData]] = {
            key: self.ledger.noted(self._note(key)) or {} for key in self._unique
        }
        kept = {self._names[name] for name in self.keep}
        self._predictions = {key: self.ledger.noted_long(self._note_of_rows(key)) for key in kept}
        self._said: set[tuple[str, SeedFold]] = set()

    @property
    def different(self) -> int:
        """How many different candidates there are."""
        return len(self._unique)

    def run(self, turns: Sequence[SeedFold], only: Collection[str] | None = None) -> dict[str, RetrainedCandidate]:
        """Train what is missing of these turns; what came of all, by the names of the candidates, or of ``only`` some.

        Raises:
            Interrupted: the user asked to stop; what ended by then is kept.
        """
        names = {name: key for name, key in self._names.items() if only is None or name in only}
        wanted = set(names.values())
        # Seed by seed: candidates that share a seed share its batches in a population.
        every = [(key, turn) for turn in turns for key in self._unique if key in wanted]
        missing = [(key, turn) for key, turn in every if not self._has(key, turn)]
        for key, turn in every:
            if (key, turn) not in missing:
                self._say(key, turn)
        futures = []
        for job in self.trainer.jobs(list(enumerate(missing)), self.trainer.largest):
            if self.trainer.stop_asked():
                break
            candidates = tuple(
                (number, self._unique[key].with_seed(turn.seed, self.stage, fold=turn.fold))
                for number, (key, turn) in job
            )
            futures.append(self.trainer.engine.submit(Job(candidates, test=self.test, validate=self.test is None)))
        ended = 0
        for future in futures:
            outcome = self.trainer.await_one(future)
            if outcome is not None:
                done = [record for record in outcome.records if record.status != STOPPED]
                ended += len(done)
                self.trainer.trained(sum(record.epochs for record in done))
                self._keep([(*missing[record.number], record) for record in done], outcome.scores)
        if ended < len(missing):
            raise Interrupted
        found = {key: self._retrained(key, turns) for key in self._unique if key in wanted}
        return {name: found[key] for name, key in names.items()}

    def _has(self, key: str, turn: SeedFold) -> bool:
        """Whether a training is noted, with the scores of all groups and the predictions that are asked for now."""
        entry = self._known[key].get(str(turn))
        if entry is None:
            return False
        if self.test is None or entry["score"] is None:
            return True
        if key in self._predictions and str(turn) not in self._predictions[key]:
            return False
        return set(self.trainer.task.groups) <= set(entry.get("details", {}).get("groups", {}))

    def _keep(self, ended: Sequence[tuple[str, SeedFold, TrialRecord]], scores: Mapping[int, float]) -> None:
        for key, turn, record in ended:
            score = scores.get(record.number) if self.test is not None else record.quality
            details = {name: value for name, value in record.details.items() if name != PREDICTIONS}
            if key in self._predictions and PREDICTIONS in record.details:
                self._predictions[key][str(turn)] = record.details[PREDICTIONS]
                self.ledger.note_long(f"{self._note_of_rows(key)}{turn}", record.details[PREDICTIONS])
            self._known[key][str(turn)] = {
                "score": score if record.complete else None,
                "validation": record.quality,
                "best_epoch": record.best_epoch,
                "seconds": record.seconds,
                "reason": record.reason,
                "replicates": list(record.replicates),
                **({"details": details} if details else {}),
            }
        for key in dict.fromkeys(key for key, _, _ in ended):
            self.ledger.note(self._note(key), self._known[key])
        for key, turn, _ in ended:
            self._say(key, turn)

    def _note(self, key: str) -> str:
        return f"{self.stage}-{key}"

    def _note_of_rows(self, key: str) -> str:
        return f"{PREDICTIONS}-{self.stage}-{key}-"

    def _say(self, key: str, turn: SeedFold) -> None:
        if (key, turn) in self._said:
            return
        self._said.add((key, turn))
        name = next(name for name, other in self._names.items() if other == key)
        for observer in self.observers:
            observer.confirmed_one(name, turn.seed, self._known[key][str(turn)]["score"])

    def _retrained(self, key: str, turns: Sequence[SeedFold]) -> RetrainedCandidate:
        known = {turn: self._known[key][str(turn)] for turn in turns}
        good = {turn: entry for turn, entry in known.items() if entry["score"] is not None}
        predictions = self._predictions.get(key, {})
        return RetrainedCandidate(
            self._unique[key],
            scores={turn: entry["score"] for turn, entry in good.items()},
            validation={turn: entry["validation"] for turn, entry in good.items()},
            best_epochs={turn: entry["best_epoch"] for turn, entry in good.items()},
            seconds={turn: entry["seconds"] for turn, entry in good.items()},
            replicates={turn: tuple(entry["replicates"]) for turn, entry in good.items()},
            details={turn: entry["details"] for turn, entry in good.items() if "details" in entry},
            predictions={turn: predictions[str(turn)] for turn in good if str(turn) in predictions},
            failures={turn: entry["reason"] for turn, entry in known.items() if turn not in good},
        )
