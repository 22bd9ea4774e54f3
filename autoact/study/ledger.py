"""The study's memory: an Optuna study in a storage, with one record per trial."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autoact.core.choice import Assignment
from autoact.core.errors import AutoactError
from autoact.core.records import Candidate, TrialRecord
from autoact.space.space import SearchSpace
from autoact.study.identity import Identity
from autoact.study.settings import SearchSettings
from autoact.tasks.objectives import Objective

SEEDED = "seeded_from"
# What marks a trial that came to an end, rather than being given back.
ENDS = frozenset({"record", "repeats", "refused"})
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
        known: Callable[[Assignment], Mapping[str, float]] = lambda _: {},
    ) -> None:
        """Open the study, or create it seeded with the trials of its family that fit.

        Args:
            storage: Optuna storage URL.
            identity: the study's name and family.
            space: translates Optuna's parameters.
            objectives: what is traded.
            settings: seed and sampler.
            known: latency and cost of an assignment, which replace what another study's table said of its trials.

        Raises:
            AutoactError: the storage cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = space
        self.objectives = tuple(objectives)
        self.settings = settings
        self.seed = settings.seed
        self.storage = storage
        self._known = known
        self._asked: dict[int, optuna.Trial] = {}
        self._read: dict[int, TrialRecord] = {}
        try:
            self._backend = optuna.storages.get_storage(storage)
            names = optuna.study.get_all_study_names(self._backend)
            self.study = optuna.create_study(
                study_name=identity.name,
                storage=self._backend,
                directions=[DIRECTIONS[objective.direction] for objective in self.objectives],
                load_if_exists=True,
            )
        except _storage_errors() as error:
            said = (str(error) or type(error).__name__).splitlines()[0]
            raise AutoactError(f"cannot open search.storage={storage}: {said}") from error
        self.seeded = 0
        self.new = identity.name not in names
        if self.new:
            self.study.set_user_attr("family", identity.family)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self.study.set_metric_names([objective.name for objective in self.objectives])
            self._seed_from_family(names, identity)
        else:
            self._settle_stale()

    @property
    def name(self) -> str:
        """The study's name in its storage."""
        return str(self.study.study_name)

    def records(self) -> list[TrialRecord]:
        """Every trial that came to an end, in the order of their numbers."""
        found = []
        for trial in self._trials():
            if "record" in trial.user_attrs:
                if trial.number not in self._read:
                    self._read[trial.number] = TrialRecord.from_json(trial.user_attrs["record"])
                found.append(self._read[trial.number])
        return found

    @property
    def spent(self) -> int:
        """The trials that count against the budget: those of this study, not those that another one gave."""
        return sum("record" in trial.user_attrs and SEEDED not in trial.user_attrs for trial in self._trials())

    def ask(self, candidate: Candidate | None = None) -> tuple[int, Candidate]:
        """A numbered candidate: the given one, one that waits from an interrupted search, or the sampler's next."""
        if candidate is not None:
            params = self.space.params(candidate.assignment, candidate.settings)
            self.study.enqueue_trial(params, user_attrs={"role": candidate.role})
        # The proposal depends on what is recorded, not on how often the search was interrupted: trials that were given
        # back do not count.
        offset = sum(trial.state != TrialState.FAIL or bool(trial.user_attrs.keys() & ENDS) for trial in self._trials())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.sampler = _sampler(self.settings, offset)
            trial = self.study.ask(self.space.distributions())
        self._asked[trial.number] = trial
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
        trial = self._trials()[number]
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
        return sum(trial.state == TrialState.WAITING for trial in self._trials())

    def note(self, key: str, value: Any) -> None:
        """Keep plain data beside the trials."""
        self.study.set_user_attr(key, json.dumps(value))

    def noted(self, key: str) -> Any:
        """What ``note`` kept, or None."""
        text = self.study.user_attrs.get(key)
        return None if text is None else json.loads(text)

    def noted_elsewhere(self, key: str) -> list[Any]:
        """What ``note`` kept under ``key`` in the other studies of this storage."""
        summaries = optuna.study.get_all_study_summaries(self._backend, include_best_trial=False)
        texts = [s.user_attrs.get(key) for s in summaries if s.study_name != self.name]
        return [json.loads(text) for text in texts if text is not None]

    def _trials(self) -> list[FrozenTrial]:
        """The study's trials by number."""
        return self.study.get_trials(deepcopy=False)

    def _mark(self, number: int, key: str, value: Any) -> None:
        """Keep plain data with a trial that this object asked for."""
        self._asked[number].set_user_attr(key, value)

    def _close(self, number: int, record: TrialRecord) -> None:
        """Tell the study a record's values, or its failure."""
        if record.complete:
            self.study.tell(number, [record.values[objective.name] for objective in self.objectives])
        else:
            self.study.tell(number, state=TrialState.FAIL)

    def _settle_stale(self) -> None:
        """Close trials that a killed process left running; those without a record are queued again."""
        for trial in self._trials():
            if trial.state != TrialState.RUNNING:
                continue
            if "record" in trial.user_attrs:
                self._close(trial.number, TrialRecord.from_json(trial.user_attrs["record"]))
            else:
                self.give_back(trial.number)

    def _seed_from_family(self, names: Sequence[str], identity: Identity) -> None:
        """Take over the trials of studies that differ in their space alone, each candidate once."""
        taken: set[Any] = set()
        for name in names:
            other = optuna.load_study(study_name=name, storage=self._backend)
            if other.user_attrs.get("family") != identity.family:
                continue
            for trial in other.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                self._adopt(trial, name, taken)

    def _adopt(self, trial: FrozenTrial, source: str, taken: set[Any]) -> None:
        """Add one trial of another study where its candidate fits this space."""
        dimensions = self.space.distributions()
        if set(trial.params) != set(dimensions) or "record" not in trial.user_attrs:
            return
        old = TrialRecord.from_json(trial.user_attrs["record"])
        key = (old.candidate.assignment, tuple(sorted(old.candidate.settings.items())))
        # A dimension of the same name can stand for other sites.
        if key in taken or set(old.candidate.assignment) != set(self.space.baseline):
            return
        try:
            params = self.space.params(old.candidate.assignment, old.candidate.settings)
            values = {**old.values, **self._known(old.candidate.assignment)}
            record = replace(old, number=len(self._trials()), values=values)
            adopted = optuna.trial.create_trial(
                params=params,
                distributions=dimensions,
                values=[values[objective.name] for objective in self.objectives],
                user_attrs={"record": record.to_json(), "role": old.candidate.role, SEEDED: source},
            )
        except (AutoactError, ValueError):  # an activation or a setting that this space does not offer
            return
        self.study.add_trial(adopted)
        taken.add(key)
        self.seeded += 1


def _storage_errors() -> tuple[type[Exception], ...]:
    """What a database raises when it cannot be reached."""
    from sqlalchemy.exc import SQLAlchemyError

    return (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, ValueError, OSError)


def _sampler(settings: SearchSettings, offset: int) -> optuna.samplers.BaseSampler:
    """The sampler by name, seeded for the next proposal."""
    seed = (settings.seed * 100_003 + offset) % 2**32
    if settings.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=0, constant_liar=True)
    if settings.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=16)
    if settings.sampler == "nsga3":
        return optuna.samplers.NSGAIIISampler(seed=seed, population_size=16)
    if settings.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
    return optuna.samplers.RandomSampler(seed=seed)
