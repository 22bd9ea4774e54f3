"""The study's memory: an Optuna study in a storage, with one record per trial."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autoact.core.errors import AutoactError
from autoact.core.records import FAILED, Candidate, TrialRecord
from autoact.space.space import SearchSpace
from autoact.study.identity import Identity
from autoact.study.settings import SearchSettings
from autoact.tasks.objectives import Objective

DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}


class Ledger:
    """Asks an Optuna study for candidates, tells it records, and reads them back after a restart."""

    def __init__(
        self,
        storage: str,
        identity: Identity,
        space: SearchSpace,
        objectives: Sequence[Objective],
        settings: SearchSettings,
    ) -> None:
        """Open the study, or create it seeded with the trials of its family that fit.

        Raises:
            AutoactError: the storage cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = space
        self.objectives = tuple(objectives)
        self.seed = settings.seed
        self.storage = storage
        try:
            backend = optuna.storages.get_storage(storage)
            names = optuna.study.get_all_study_names(backend)
            self.study = optuna.create_study(
                study_name=identity.name,
                storage=backend,
                sampler=_sampler(settings),
                directions=[DIRECTIONS[objective.direction] for objective in self.objectives],
                load_if_exists=True,
            )
        except _storage_errors() as error:
            raise AutoactError(f"cannot open search.storage={storage}: {str(error).splitlines()[0]}") from error
        self.seeded = 0
        self.new = identity.name not in names
        if self.new:
            self.study.set_user_attr("family", identity.family)
            self.study.set_metric_names([objective.name for objective in self.objectives])
            self._seed_from_family(backend, names, identity)
        else:
            self._settle_stale()
        # The sampler depends on what is known, not on how often the search was restarted.
        self.study.sampler = _sampler(settings, offset=len(self.study.get_trials(deepcopy=False)))

    @property
    def name(self) -> str:
        """The study's name in its storage."""
        return str(self.study.study_name)

    def records(self) -> list[TrialRecord]:
        """Every trial that came to an end, in the order of their numbers."""
        return [
            TrialRecord.from_json(trial.user_attrs["record"])
            for trial in self.study.get_trials(deepcopy=False)
            if "record" in trial.user_attrs
        ]

    def ask(self, candidate: Candidate | None = None) -> tuple[int, Candidate]:
        """A numbered candidate: the given one, one that waits from an interrupted search, or the sampler's next."""
        if candidate is not None:
            params = self.space.params(candidate.assignment, candidate.settings)
            self.study.enqueue_trial(params, user_attrs={"role": candidate.role})
        trial = self.study.ask(self.space.distributions())
        role = str(trial.user_attrs.get("role", "sampled"))
        trial.set_user_attr("role", role)
        found = Candidate(self.space.assignment(trial.params), self.space.settings(trial.params), self.seed, role)
        return trial.number, found

    def tell(self, record: TrialRecord) -> None:
        """Remember what came of a trial; one that failed keeps its reason."""
        self._mark(record.number, "record", record.to_json())
        self._close(record.number, record)

    def give_back(self, number: int) -> None:
        """A trial that was interrupted: closed without a record, and queued again."""
        trial = self.study.get_trials(deepcopy=False)[number]
        self.study.tell(number, state=TrialState.FAIL)
        self.study.enqueue_trial(trial.params, user_attrs={"role": trial.user_attrs.get("role", "sampled")})

    def repeat(self, number: int, record: TrialRecord) -> None:
        """A proposal that was trained before: answered with what is known, trained not again."""
        self._mark(number, "repeats", record.number)
        self._close(number, record)

    def refuse(self, number: int, reason: str) -> None:
        """A proposal that is not to be trained."""
        self._mark(number, "refused", reason)
        self.study.tell(number, state=TrialState.FAIL)

    def waiting(self) -> int:
        """Trials queued by an interrupted search."""
        return len(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def note(self, key: str, value: Any) -> None:
        """Keep plain data beside the trials."""
        self.study.set_user_attr(key, json.dumps(value))

    def noted(self, key: str) -> Any:
        """What ``note`` kept, or None."""
        text = self.study.user_attrs.get(key)
        return None if text is None else json.loads(text)

    def _mark(self, number: int, key: str, value: Any) -> None:
        """Keep plain data with a trial."""
        trial = self.study.get_trials(deepcopy=False)[number]
        self.study._storage.set_trial_user_attr(trial._trial_id, key, value)

    def _close(self, number: int, record: TrialRecord) -> None:
        """Tell the study a record's values, or its failure."""
        if record.complete:
            self.study.tell(number, [record.values[objective.name] for objective in self.objectives])
        else:
            self.study.tell(number, state=TrialState.FAIL)

    def _settle_stale(self) -> None:
        """Close trials that a killed process left running, and queue them again."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.give_back(trial.number)

    def _seed_from_family(self, backend: Any, names: Sequence[str], identity: Identity) -> None:
        """Take over the trials of studies that differ in their space alone."""
        for name in names:
            other = optuna.load_study(study_name=name, storage=backend)
            if other.user_attrs.get("family") != identity.family:
                continue
            for trial in other.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                self._adopt(trial, name)

    def _adopt(self, trial: FrozenTrial, source: str) -> None:
        """Add one trial of another study where its parameters fit this space."""
        dimensions = self.space.distributions()
        if set(trial.params) != set(dimensions) or "record" not in trial.user_attrs:
            return
        old = TrialRecord.from_json(trial.user_attrs["record"])
        if set(old.values) < {objective.name for objective in self.objectives} or not _fits(trial.params, dimensions):
            return
        number = len(self.study.get_trials(deepcopy=False))
        data = json.loads(trial.user_attrs["record"]) | {"number": number}
        self.study.add_trial(
            optuna.trial.create_trial(
                params=trial.params,
                distributions=dimensions,
                values=trial.values,
                user_attrs={"record": json.dumps(data), "role": old.candidate.role, "seeded_from": source},
            )
        )
        self.seeded += 1


def _fits(params: Mapping[str, Any], dimensions: Mapping[str, Any]) -> bool:
    """Whether every parameter lies in its dimension."""
    for name, dimension in dimensions.items():
        try:
            if not dimension._contains(dimension.to_internal_repr(params[name])):
                return False
        except ValueError:
            return False
    return True


def failed(number: int, candidate: Candidate, reason: str) -> TrialRecord:
    """The record of a candidate that could not be trained."""
    return TrialRecord(number, candidate, FAILED, reason=reason)


def _storage_errors() -> tuple[type[Exception], ...]:
    """What a database raises when it cannot be reached."""
    from sqlalchemy.exc import SQLAlchemyError

    return (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, ValueError, OSError)


def _sampler(settings: SearchSettings, offset: int = 0) -> optuna.samplers.BaseSampler:
    """The sampler by name, seeded."""
    seed = settings.seed * 100_003 + offset
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if settings.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=0, constant_liar=True)
        if settings.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=16)
        if settings.sampler == "nsga3":
            return optuna.samplers.NSGAIIISampler(seed=seed, population_size=16)
        if settings.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
        return optuna.samplers.RandomSampler(seed=seed)
