"""The study's memory: an Optuna study in a storage, to which each trial is written once, when it ends."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from autoact.activations import get
from autoact.activations.initialisation import other_rules
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED, PRUNED, Candidate, TrialRecord
from autoact.space.point import Point
from autoact.space.search_space import SearchSpace
from autoact.space.training_settings import LEARNING_RATE
from autoact.study.settings import SearchSettings
from autoact.study.storage._compat_optuna import CONSTRAINTS_KEY
from autoact.study.storage.optuna_storage import DIRECTIONS, open_storage, storage_errors
from autoact.study.storage.study_identity import Identity
from autoact.study.storage.study_notes import StudyNotes, cannot_open
from autoact.tasks.constraints import UNLIMITED, Limits
from autoact.tasks.objectives import Objective

SEEDED, RATE, RULES = "seeded_from", "activation_rate", "initialisation"
STATES = {COMPLETE: TrialState.COMPLETE, FAILED: TrialState.FAIL, PRUNED: TrialState.PRUNED}


class TrialStore(StudyNotes):
    """Remembers what came of trials, in this process and in the storage that other drivers may share.

    The study is opened, or created with the trials of its family that fit. ``records`` and ``spent`` answer from
    memory; ``refresh`` reads what other drivers have written since. ``drawn_otherwise`` counts trials with activations
    around which initial weights were drawn by other rules than today's, or by rules that nobody noted: a new study has
    left them to another one, one that goes on has them among its own.

    Args:
        space: gives a record's point; its costs replace what another study's table said of adopted trials.
        limits: by how much a trial breaks one is noted as Optuna's constraints.

    Raises:
        AutoactError: the storage cannot be opened.
    """

    def __init__(
        self,
        storage: str,
        identity: Identity,
        space: SearchSpace,
        objectives: Sequence[Objective],
        settings: SearchSettings,
        limits: Limits = UNLIMITED,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = space
        self.objectives = tuple(objectives)
        self.seed = settings.seed
        self.storage = storage
        self._limits = limits
        self._dimensions = space.distributions()
        self._records: dict[int, TrialRecord] = {}
        self._given: set[int] = set()
        try:
            backend = open_storage(storage)
            names = optuna.study.get_all_study_names(backend)
            study = optuna.create_study(
                study_name=identity.name,
                storage=backend,
                directions=[DIRECTIONS[objective.direction] for objective in self.objectives],
                load_if_exists=True,
            )
        except storage_errors() as error:
            raise cannot_open(storage, error) from error
        super().__init__(study, backend)
        self._study_id = self._backend.get_study_id_from_name(identity.name)
        self.seeded = self.drawn_otherwise = 0
        self.new = identity.name not in names
        if self.new:
            self.study.set_user_attr("family", identity.family)
            self.study.set_user_attr(RATE, identity.activation_rate)
            self.study.set_user_attr(RULES, dict(identity.initialisation))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self.study.set_metric_names([objective.name for objective in self.objectives])
            self._seed_from_family(names, identity)
        else:
            self._settle_stale()
        self.refresh()
        if identity.initialisation and not self.new:
            drawn_alike = _drawn_alike(self.study.user_attrs.get(RULES, {}))
            self.drawn_otherwise = sum(not _all_in(drawn_alike, record.candidate) for record in self._records.values())

    def refresh(self) -> None:
        """Read the records that other drivers have written."""
        for trial in self.study.get_trials(deepcopy=False):
            if "record" not in trial.user_attrs or trial.number in self._records:
                continue
            self._records[trial.number] = replace(
                TrialRecord.from_json(trial.user_attrs["record"]), number=trial.number
            )
            if SEEDED in trial.user_attrs:
                self._given.add(trial.number)

    def records(self) -> list[TrialRecord]:
        """Every trial that came to an end, in the order of their numbers."""
        return [self._records[number] for number in sorted(self._records)]

    @property
    def spent(self) -> int:
        """The trials that count against the budget: those of this study, not those that another one gave."""
        return len(self._records) - len(self._given)

    def tell(self, record: TrialRecord, populations: Sequence[Sequence[int]] = ()) -> TrialRecord:
        """Remember what came of a trial, in one transaction; returns the record with its number in the study.

        Each of the populations that it was trained in is batch, stage, job, then the members' places in the batch.
        """
        trained = {"populations": [list(one) for one in populations]} if populations else {}
        trial = self._trial(record, {"role": record.candidate.role, **trained})
        with self._writing():
            trial_id = self._backend.create_new_trial(self._study_id, template_trial=trial)
            record = replace(record, number=self._backend.get_trial_number_from_id(trial_id))
        self._records[record.number] = record
        return record

    def _trial(self, record: TrialRecord, attributes: Mapping[str, Any]) -> FrozenTrial:
        """The record as an Optuna trial; Optuna takes intermediate values of one objective only: they are attributes.

        Raises:
            AutoactError: an activation that this space does not offer.
            ValueError: a training setting that it does not offer.
        """
        broken = self._limits.constraints(record.values)
        rungs = {"rungs": {str(epoch): value for epoch, value in record.rungs.items()}} if record.rungs else {}
        params = self.space.point_of(record.candidate).params
        trial = optuna.trial.create_trial(
            state=STATES[record.status],
            params=dict(params),
            distributions={name: one for name, one in self._dimensions.items() if name in params},
            values=[record.values[objective.name] for objective in self.objectives] if record.complete else None,
            user_attrs={"record": record.to_json(numbered=False), **rungs, **attributes},
            # What Trial.set_constraint writes; a trial is written here in one transaction, when it has ended.
            system_attrs={f"{CONSTRAINTS_KEY}:{name}": over for name, over in broken.items()},
        )
        if trial.datetime_complete is not None:
            trial.datetime_start = trial.datetime_complete - timedelta(seconds=record.seconds)
        return trial

    def _settle_stale(self) -> None:
        """Close trials that an earlier version left running with a record; what it left without one is ignored."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if "record" not in trial.user_attrs:
                continue
            record = TrialRecord.from_json(trial.user_attrs["record"])
            values = [record.values[objective.name] for objective in self.objectives] if record.complete else None
            self.study.tell(trial.number, values, state=None if values else TrialState.FAIL)

    def _seed_from_family(self, names: Sequence[str], identity: Identity) -> None:
        """Take over the trials of studies that differ in their space alone, each candidate once."""
        taken: set[tuple[Point, int]] = set()
        for name in names:
            other = optuna.load_study(study_name=name, storage=self._backend)
            if other.user_attrs.get("family") != identity.family:
                continue
            alike = other.user_attrs.get(RATE, 1.0) == identity.activation_rate
            drawn_alike = _drawn_alike(other.user_attrs.get(RULES, {})) if identity.initialisation else None
            for trial in other.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                self._adopt(trial, name, taken, alike, drawn_alike)

    def _adopt(
        self,
        trial: FrozenTrial,
        source: str,
        taken: set[tuple[Point, int]],
        alike: bool,
        drawn_alike: frozenset[str] | None,
    ) -> None:
        """Take over a trial that fits; ``alike``: weights of activations were trained there as they are here.

        Around activations that ``drawn_alike`` names, all where it is None, initial weights were drawn as here.
        """
        if _everywhere(trial.distributions) != _everywhere(self._dimensions) or "record" not in trial.user_attrs:
            return
        old = TrialRecord.from_json(trial.user_attrs["record"])
        candidate = old.candidate
        # A dimension of the same name can stand for other sites.
        if set(candidate.assignment) != set(self.space.baseline):
            return
        if not alike and any(get(choice.name).learnable for choice in candidate.assignment.values()):
            return
        try:
            point = self.space.point_of(candidate)
            record = replace(old, values={**old.values, **point.costs})
            adopted = self._trial(record, {"role": candidate.role, SEEDED: source})
        except (AutoactError, ValueError):  # an activation or a setting that this space does not offer
            return
        if (point, candidate.seed) in taken:
            return
        if drawn_alike is not None and not _all_in(drawn_alike, candidate):
            self.drawn_otherwise += 1
            return
        self.study.add_trial(adopted)
        taken.add((point, candidate.seed))
        self.seeded += 1


def _drawn_alike(noted: Mapping[str, str]) -> frozenset[str]:
    """The activations around which a study drew weights as they are drawn today."""
    other = {Choice.parse(text).name for text in other_rules(noted)}
    return frozenset({Choice.parse(text).name for text in noted} - other)


def _all_in(names: frozenset[str], candidate: Candidate) -> bool:
    return names.issuperset(choice.name for choice in candidate.assignment.values())


def _everywhere(dimensions: Mapping[str, BaseDistribution]) -> set[str]:
    """The dimensions that every trial has: not those of the parameters of single activations."""
    categorical = {name for name, one in dimensions.items() if isinstance(one, CategoricalDistribution)}
    return categorical | (dimensions.keys() & {LEARNING_RATE})


def peek(storage: str, study: str, key: str) -> Any:
    """What a study of a storage noted under ``key``; None where there is no such study, or nothing noted.

    Raises:
        AutoactError: the storage cannot be opened.
    """
    found = _existing(storage, study)
    text = None if found is None else found.user_attrs.get(key)
    return None if text is None else json.loads(text)


def spent_in(storage: str, study: str) -> int:
    """The trials of a study that count against its budget; 0 where there is no such study.

    Raises:
        AutoactError: the storage cannot be opened.
    """
    found = _existing(storage, study)
    attributes = [] if found is None else [trial.user_attrs for trial in found.get_trials(deepcopy=False)]
    return sum("record" in one and SEEDED not in one for one in attributes)


def _existing(storage: str, study: str) -> optuna.Study | None:
    try:
        return optuna.load_study(study_name=study, storage=open_storage(storage))
    except KeyError:
        return None
    except storage_errors() as error:
        raise cannot_open(storage, error) from error
