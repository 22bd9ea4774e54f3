"""What a search needs, and what is known before it calibrates: sites, space, objectives, the name of the study."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from autoact.activations.initialisation import rules_of
from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.engines.job import AskedHere
from autoact.latency.hardware import resolve_device
from autoact.sites import Sites
from autoact.sites.discovery.model_copies import check_hidden_copies, copies_told
from autoact.sites.replacement.dropout import dropout_layers, other_dropout
from autoact.space.build_space import build_space
from autoact.space.candidates import ParameterRange
from autoact.space.groups import listed
from autoact.space.search_space import SearchSpace
from autoact.study.execution.successive_halving import rungs_of
from autoact.study.proposal.optuna_samplers import SAMPLERS, check_sampler
from autoact.study.settings import SearchSettings
from autoact.study.storage.study_identity import Identity, identify
from autoact.tasks.decision_threshold import check_averaged
from autoact.tasks.objectives import QUALITY, Objective, choose_objectives
from autoact.tasks.task import Task
from autoact.training.lightning_session import SessionOptions
from autoact.training.population.eligibility import set_up
from autoact.training.preflight.loaded_weights import loaded_note, loaded_weights, sites_of
from autoact.training.preflight.sanity_check import rehearse
from autoact.training.preflight.settings_in_force import configured_settings, rate_refusal
from autoact.training.trainer_arguments import TRAINER_DEFAULTS, check_trainer
from autoact.user_code.dataloaders import check_validation
from autoact.workflows.searching.choose_network import NetworkChoice
from autoact.workflows.searching.population_size import Shape
from autoact.workflows.searching.restrict_space import narrowed
from autoact.workflows.searching.setting_names import Terms

LONGEST_NAME = 100
# Sites that are named in one line.
MOST_NAMES = 8


@dataclass
class RunSettings(Config):
    """Everything a search needs beside its task, which is made already.

    Attributes:
        included: candidates that are tried first, whatever a sampler would propose.
        command: what the command line said, kept in the study's folder.
        began: when the command began, by ``time.monotonic``: minutes count from there.
        terms: how messages name settings: by the command line's keys unless given.
    """

    included: tuple[Candidate, ...] = ()
    command: Mapping[str, object] | None = None
    began: float = field(default_factory=time.monotonic)
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True)
class PreparedSearch:
    """A search that is ready to calibrate: what will be searched, what it is called, and how its network was chosen."""

    task: Task
    settings: RunSettings
    sites: Sites
    space: SearchSpace
    objectives: tuple[Objective, ...]
    identity: Identity
    device: torch.device
    notes: tuple[str, ...]
    networks: NetworkChoice | None = None

    @property
    def folder(self) -> Path:
        """Where the study's files lie."""
        return Path(self.settings.output) / self.identity.name

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which trainings are compared and given up; none where quality is not traded."""
        if not any(objective.name == QUALITY for objective in self.objectives):
            return ()
        return rungs_of(self.settings.search.rungs, self.epochs, self.settings.search.patience)

    @property
    def epochs(self) -> int | None:
        """The most epochs of a training; None where only its own callbacks end it."""
        most = {**TRAINER_DEFAULTS, **self.task.trainer}["max_epochs"]
        return most if most is not None and most > 0 else None


def prepare_search(task: Task, settings: RunSettings) -> PreparedSearch:
    """Find the sites, build the space, name the study.

    Raises:
        AutoactError: nothing to search, or settings that do not fit.
    """
    check_trainer(task.trainer)
    check_name(task.name)
    if settings.confirm.ensemble:
        task = averageable(task, settings.confirm.ensemble)
    device = resolve_device(settings.hardware.device)
    module = task.make_module()
    module.configure_model()
    loaded = loaded_weights(task)
    sites = sites_of(task, normalisations=bool(settings.space.normalisations)).named(settings.space.include)
    check_hidden_copies(module, sites)
    drawn = check_validation(set_up(task))
    configured = configured_settings(task, device)
    rehearse(task, device)
    space, narrow = narrowed(task, build_space(sites, settings.space, configured), device, type(module).__name__)
    objectives, note = choose_objectives(
        settings.objectives.use,
        quality_unit=task.quality_unit,
        quality_mode=task.mode,
        currency=settings.hardware.currency if settings.hardware.price_per_hour is not None else None,
    )
    search = settings.search
    if search.sampler not in SAMPLERS or search.sampler_options:
        directions = [objective.direction for objective in objectives]
        check_sampler(search.sampler, search.sampler_options, space.distributions(), directions, space.conditions)
    training = {
        "seed": settings.search.seed,
        "patience": settings.search.patience,
        "rescale": settings.space.rescale,
        "device": device.type,
    }
    hardware = {
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "price": settings.hardware.price_per_hour,
        "batches": [settings.hardware.latency_batch, settings.hardware.throughput_batch],
        "threads": settings.hardware.threads,
    }
    rate, learnt = settings.space.activation_rate, space.learnable
    rules = rules_of(space.tried) if settings.space.rescale else {}
    identity = identify(task, space, objectives, training, hardware, rate, rules)
    lines = (
        *task.facts.get("notes", ()),
        drawn,
        *what_is_searched(sites, space),
        *copies_told(sites),
        *space.notes,
        *narrow,
        dropout_note(module) if space.dropouts else "",
        "" if settings.included else untried_note(space, settings.search),
        loaded_note(loaded) if settings.space.rescale else "",
        rate_note(learnt, rate, rate_refusal(task, device) if learnt else ""),
    )
    notes = tuple(filter(None, (task.warning, note, *lines)))
    return PreparedSearch(task, settings, sites, space, objectives, identity, device, notes)


def averageable(task: Task, size: int) -> Task:
    """The task whose final check keeps predictions, which its ensembles average.

    Raises:
        AutoactError: the module logs the deciding metric itself, so that its predictions are unknown; or each training
            fits a decision threshold of its own.
    """
    if task.metric is None:
        raise AutoactError(
            f"confirm.ensemble={size} averages predictions, and {task.monitor} is logged by the module itself: let "
            "autoact compute it (metric=package.module:function), or leave confirm.ensemble out"
        )
    check_averaged(task.metric.threshold, f"confirm.ensemble={size}")
    return replace(task, keep_predictions=True)


def rate_note(learnt: Sequence[str], rate: float, refusal: str) -> str:
    """What a reader has to know of how the weights of activations train; empty where they train as all others.

    Example:
        >>> rate_note(["prelu"], 0.1, "")
        'prelu: their weights train with 0.1 times the learning rate and without weight decay (space.activation_rate)'
        >>> rate_note(["prelu"], 0.1, "LBFGS steps all its weights as one")
        'space.activation_rate=0.1 is not in force, prelu train as all else: LBFGS steps all its weights as one'
    """
    if not learnt or rate == 1.0:
        return ""
    if refusal:
        return f"space.activation_rate={rate:g} is not in force, {_first_of(learnt)} train as all else: {refusal}"
    with_rate = f"{rate:g} times the learning rate and without weight decay (space.activation_rate)"
    return f"{_first_of(learnt)}: their weights train with {with_rate}"


def dropout_note(module: torch.nn.Module) -> str:
    """Where a searched dropout acts, and what stays as it is.

    Example:
        >>> dropout_note(torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Dropout1d(0.2)))
        'dropout searched at 0; as they are stay calls of F.dropout, and 1 (Dropout1d, 0.2)'
    """
    others = ["calls of F.dropout", *([_first_of(found)] if (found := other_dropout(module)) else [])]
    return f"dropout searched at {_first_of(list(dropout_layers(module)))}; as they are stay {', and '.join(others)}"


def untried_note(space: SearchSpace, search: SearchSettings) -> str:
    """Which choices a number of trials leaves no room for at every site at once; empty where there is room for all."""
    if search.budget is None:
        return ""
    everywhere = space.uniform()
    untried = everywhere[_room(space, search, search.budget) :]
    if not untried:
        return ""
    names = dict.fromkeys(
        str(choice) for one in untried for site, choice in one.items() if choice != space.baseline[site]
    )
    enough = next(n for n in itertools.count(search.budget) if _room(space, search, n) >= len(everywhere))
    return (
        f"search.trials={search.budget} ends before these were tried everywhere: {_first_of(list(names))}; "
        f"search.trials={enough} tries all that are on offer"
    )


def _room(space: SearchSpace, search: SearchSettings, trials: int) -> int:
    """Trials that are left for others once the baseline has had its own."""
    given = replace(search, trials=trials)
    return max(0, trials - given.configured_seeds() - (given.tuning_trials() if space.setting_names else 0))


def check_name(name: str) -> None:
    """Refuse a task's name that could not be part of a folder's name.

    Raises:
        AutoactError: says what is allowed.

    Example:
        >>> check_name("../elsewhere")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: task.name='../elsewhere' becomes part of a folder's name: ...
    """
    if not name.strip() or name.startswith(".") or set(name) & set('/\\:*?"<>|\0\n\t') or len(name) > LONGEST_NAME:
        raise AutoactError(
            f"task.name={name!r} becomes part of a folder's name: use letters, digits, blanks, '-', '_' and '.', "
            f"{LONGEST_NAME} at most, and no '.' at the start"
        )


def session_options(
    prepared: PreparedSearch, shape: Shape | None = None, stop_asked: Callable[[], bool] = lambda: False
) -> SessionOptions:
    """How every session of a search trains."""
    search = prepared.settings.search
    return SessionOptions(
        prepared.device,
        search.patience,
        prepared.settings.space.rescale,
        AskedHere(stop_asked),
        search.threads if shape is None else shape.threads,
        None if shape is None else shape.largest,
        None if shape is None else shape.alone,
        activation_rate=prepared.settings.space.activation_rate,
    )


def what_is_searched(sites: Sites, space: SearchSpace) -> list[str]:
    """What is searched, what is kept though it could be replaced, and what cannot be, with the reasons: a line each."""
    lines = [f"searched: {_first_of([name for group in space.groups.values() for name in group])}"]
    for reason in dict.fromkeys(site.kept for site in sites if site.kept):
        mine = [site for site in sites if site.kept == reason]
        shown = _first_of([f"{site.name or 'the model itself'} ({site.current})" for site in mine])
        lines.append(
            f"kept: {shown}: {reason}; space.include={listed(['*', mine[0].name])} searches {mine[0].name} too"
        )
    if space.ranged:
        scales = {span: ", ".join(dict.fromkeys(_scale(one) for one in span.ranges)) for span in space.ranged.values()}
        lines.append(f"parameters searched: {', '.join(f'{span} ({scale})' for span, scale in scales.items())}")
    return [
        *lines,
        *(f"not searched: {item.name or 'the model itself'}: {item.reason}" for item in sites.unreplaceable),
    ]


def _scale(one: ParameterRange) -> str:
    return "log" if one.log else "linear"


def _first_of(names: Sequence[str]) -> str:
    """Names in one line; of many, the first ones and how many more there are."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"
