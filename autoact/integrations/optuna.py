"""Optuna: activations as one line in an existing objective, and the assignment of a trial."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import BaseTrial, FrozenTrial

from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError, unknown
from autoact.sites import apply, find_sites
from autoact.space.build_space import build_space
from autoact.space.settings import SpaceSettings
from autoact.study.proposal.activation_sampler import CHOICES, SITES
from autoact.study.storage._compat_optuna import given_parameters
from autoact.workflows.searching.setting_names import Terms

if TYPE_CHECKING:
    from torch import nn

PREFIX = "autoact."
CHOSEN = "chosen"
"""Kept with a trial, after its prefix, where candidates have ranges: each dimension's activation with values."""

# What messages call the arguments of ``suggest``.
_TERMS = Terms({f"space.{name}": name for name in ("granularity", "candidates", "include", "exclude")})


def suggest(
    trial: BaseTrial,
    model: nn.Module,
    candidates: Sequence[str | Choice],
    *,
    granularity: str = "block",
    example_input: object = None,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    rescale: bool = False,
    prefix: str = PREFIX,
) -> nn.Module:
    """A copy of ``model`` with the activations that the trial suggests.

    Each block (site, model) becomes one categorical parameter of the trial, named ``prefix`` and the block's name, for
    instance ``autoact.encoder.0``; its choices are the current activation and ``candidates``, each function once. A
    candidate with a range, ``sine(omega=1..30)``, adds ``autoact.encoder.0.sine.omega`` where it is chosen. So it works
    with any sampler, storage and pruner, with ``enqueue_trial`` and ``FixedTrial``.

    Args:
        trial: what the objective was given.
        model: as the objective makes it; make the optimiser from what is returned.
        candidates: activations to try, such as ``gelu``, ``elu(alpha=0.5)`` or ``sine(omega=1..30)``.
        granularity: ``"site"`` (each site its own activation), ``"block"`` or ``"model"`` (one for all).
        example_input: as in ``find_sites``; needed for activations with weights, gated ones, and for ``rescale``. With
            it the model's output is known, and left alone.
        include: globs of site names to search; the others stay as they are.
        exclude: globs of site names to leave alone.
        rescale: scale the weights that consume a changed site by its gain, for a model that is trained from scratch.
        prefix: begins the names of the parameters; give each model of an objective its own.

    Warns:
        UserWarning: a candidate is not on offer somewhere, and why.

    Raises:
        AutoactError: nothing to search, an unknown name, an activation that fits nowhere, a value that was enqueued or
            fixed and is not on offer, or a study whose trials were offered other activations under these names.
        optuna.TrialPruned: what was suggested cannot be trained: the identity everywhere, or gated activations whose
            widths do not fit together.

    Example:
        >>> from optuna.trial import FixedTrial
        >>> from torch import nn
        >>> trial = FixedTrial({"autoact.1": "tanh"})
        >>> suggest(trial, nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), ["gelu", "tanh"])[1]
        ActivationModule(tanh)
        >>> assignment_from(trial)
        Assignment({'1': 'tanh'})
    """
    if not isinstance(trial, BaseTrial):
        raise AutoactError(f"autoact.suggest takes the objective's trial first, not {type(trial).__name__}")
    given = candidates if isinstance(candidates, Iterable) and not isinstance(candidates, str) else [candidates]
    sites = find_sites(model, example_input)
    with _TERMS.errors():
        settings = SpaceSettings(
            granularity=granularity,
            candidates=[str(choice) if isinstance(choice, Choice) else choice for choice in given],
            include=list(include),
            exclude=list(exclude),
            learning_rate=[],
            weight_decay=[],
        )
        space = build_space(sites, settings, {})
    for note in space.notes:
        warnings.warn(_TERMS.said(note), UserWarning, stacklevel=2)
    # Kept with the trial: reading the study takes no model, and ActivationSampler sees what will be suggested.
    dimensions = space.distributions()
    offered = {group: _choices(dimensions[group]) for group in space.groups}
    trial.set_user_attr(prefix + CHOICES, offered)
    trial.set_user_attr(prefix + SITES, {group: list(members) for group, members in space.groups.items()})
    params: dict[str, Any] = {group: _suggested(trial, prefix + group, choices) for group, choices in offered.items()}
    for name, condition in space.conditions.items():
        if params[condition.dimension] == condition.choice:
            params[name] = _value(trial, prefix + name, dimensions[name])
    assignment = space.point(params).assignment
    if space.ranged:  # names alone do not say the values
        chosen = {group: str(assignment[members[0]]) for group, members in space.groups.items()}
        trial.set_user_attr(prefix + CHOSEN, chosen)
    if not space.allowed(assignment):
        raise optuna.TrialPruned(f"{assignment.summary()} cannot be trained in this model")
    return apply(model, assignment, example_input=example_input, sites=sites, rescale=rescale)


def assignment_from(trial: BaseTrial | FrozenTrial, *, prefix: str = PREFIX) -> Assignment:
    """The assignment that ``suggest`` put into a trial's model: for ``apply``, ``ApplyActivations`` and production.

    Args:
        trial: one that ran, for instance ``study.best_trial``, also read from a storage in another process.
        prefix: what was given to ``suggest``.

    Raises:
        AutoactError: ``suggest`` was not called with this trial and prefix.
    """
    if not isinstance(trial, BaseTrial):
        raise AutoactError(f"autoact.assignment_from takes a trial, for instance study.best_trial: {_shown(trial)}")
    groups = trial.user_attrs.get(prefix + SITES)
    if not isinstance(groups, Mapping):
        used = [name.removesuffix(SITES) for name, value in trial.user_attrs.items() if _holds_sites(name, value)]
        if used:
            raise unknown("prefix", prefix, used)
        raise AutoactError(
            f"trial {trial.number} holds no assignment: autoact.suggest was not called with it, or it has not run"
        )
    chosen: dict[str, Any] = {}
    for group, members in groups.items():
        if prefix + group not in trial.params:
            raise AutoactError(f"trial {trial.number} has no parameter {prefix + group!r}: its attributes were changed")
        held = trial.user_attrs.get(prefix + CHOSEN, {}).get(group, trial.params[prefix + group])
        chosen.update(dict.fromkeys(members, held))
    return Assignment(chosen)


def _suggested(trial: BaseTrial, name: str, choices: list[str]) -> str:
    """The trial's choice.

    Raises:
        AutoactError: the value that was given, or what earlier trials of the study were offered, does not fit.
    """
    try:
        return trial.suggest_categorical(name, choices)
    except ValueError as error:
        given = given_parameters(trial)
        if name in given and given[name] not in choices:
            raise unknown(f"value of the parameter {name}", given[name], choices) from error
        earlier = _offered_before(trial, name)
        if earlier is None or earlier == choices:
            raise
        raise AutoactError(
            f"the study's earlier trials chose {name} from {', '.join(map(str, earlier))}; now it is "
            f"{', '.join(choices)}, and a study of Optuna keeps a parameter's choices: give the same candidates, "
            f"start another study, or give autoact.suggest another prefix="
        ) from error


def _choices(dimension: BaseDistribution) -> list[str]:
    assert isinstance(dimension, CategoricalDistribution), dimension
    return [str(choice) for choice in dimension.choices]


def _value(trial: BaseTrial, name: str, dimension: BaseDistribution) -> float:
    """The trial's value of an activation's parameter.

    Raises:
        AutoactError: the value that was given lies beyond the range, or none was given where all are fixed.
    """
    assert isinstance(dimension, FloatDistribution), dimension
    span = f"{dimension.low:g}..{dimension.high:g}"
    given = given_parameters(trial).get(name)
    if given is not None and not (isinstance(given, int | float) and dimension.low <= given <= dimension.high):
        raise AutoactError(f"the parameter {name}={given!r} must be a number within {span}")
    try:
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    except ValueError as error:
        raise AutoactError(f"the trial has no value of the parameter {name}: give it a number within {span}") from error


def _offered_before(trial: BaseTrial, name: str) -> list[object] | None:
    """What the first trial of the study that has the parameter chose it from."""
    if not isinstance(trial, optuna.Trial):
        return None
    for other in trial.study.get_trials(deepcopy=False):
        if isinstance(one := other.distributions.get(name), CategoricalDistribution):
            return list(one.choices)
    return None


def _holds_sites(name: str, value: object) -> bool:
    """Whether a user attribute of a trial was written by ``suggest``, under whatever prefix."""
    return name.endswith(SITES) and isinstance(value, Mapping)


def _shown(thing: object) -> str:
    return f"a study has many trials: {thing!r}" if isinstance(thing, optuna.Study) else f"not {type(thing).__name__}"
