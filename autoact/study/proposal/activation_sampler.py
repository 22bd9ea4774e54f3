"""Our proposals in a user's own Optuna study: activations by the search's rules, all else by another sampler."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral

from optuna.distributions import BaseDistribution, CategoricalChoiceType, CategoricalDistribution
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autoact.activations import function_key
from autoact.core.errors import AutoactError
from autoact.space.candidates import ranged
from autoact.space.point import Point
from autoact.study.proposal.observations import Axis, Observation
from autoact.study.proposal.optuna_samplers import quiet
from autoact.study.proposal.sampler import Proposer
from autoact.study.storage._compat_optuna import fixed_parameters

# What ``autoact.suggest`` keeps with a trial, after its prefix: each dimension's sites, and what is on offer there.
SITES, CHOICES = "sites", "choices"


class ActivationSampler(BaseSampler):
    """Samples the activations that ``autoact.suggest`` asks for, as a search of autoact does.

    The first trial is the model as it is; then each activation everywhere; then what a model of the objective finds
    promising: further assignments, and swaps of one activation around the best ones. No assignment is proposed twice
    until all were tried; from then on, and for every other parameter, the ``inner`` sampler proposes (a ``GridSampler``
    knows no activations: they are random then). A parameter that an activation has in a range (``sine(omega=1..30)``)
    is such another parameter. Activations that ``enqueue_trial`` or a ``PartialFixedSampler`` around this one gives are
    kept, and the others are proposed to go with them.

    Trials that were pruned count with the last value that they reported, failed ones as bad, running ones as about to
    come out as predicted. Nothing is kept outside the study: one that is reopened goes on as if it had not stopped.

    Args:
        inner: samples all other parameters of the objective; a ``TPESampler`` with the same seed unless given.
        seed: of the proposals; drawn unless given.
        trials: trials that the study will hold in all: the last ``refine`` of them swap one activation at a time.
            Unless given, that share of all trials does, from the start.
        refine: the share of trials that refine.

    Raises:
        AutoactError: ``inner`` is no Optuna sampler, ``seed`` or ``trials`` no whole number, or ``refine`` no share.

    Example:
        >>> import optuna
        >>> from torch import nn
        >>> from autoact import assignment_from, suggest
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> def objective(trial):
        ...     model = suggest(trial, nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), ["gelu", "tanh"])
        ...     return {"relu": 0.3, "gelu": 0.2, "tanh": 0.1}[trial.params["autoact.1"]]
        >>> study = optuna.create_study(sampler=ActivationSampler(seed=0))
        >>> study.optimize(objective, n_trials=3)
        >>> [trial.params["autoact.1"] for trial in study.trials]
        ['relu', 'gelu', 'tanh']
    """

    # A search, which does the same itself, refuses it as ``search.sampler``.
    proposes_activations = True

    def __init__(
        self,
        inner: BaseSampler | None = None,
        *,
        seed: int | None = None,
        trials: int | None = None,
        refine: float = 0.7,
    ) -> None:
        if inner is not None and (not isinstance(inner, BaseSampler) or isinstance(inner, ActivationSampler)):
            raise AutoactError(
                f"ActivationSampler takes an Optuna sampler for all other parameters, such as "
                f"optuna.samplers.RandomSampler(), not {inner!r}"
            )
        if seed is not None and (not _is_whole(seed) or not 0 <= seed < 2**32):
            raise AutoactError(f"seed={seed!r} must be a whole number within 0..{2**32 - 1}")
        if trials is not None and (not _is_whole(trials) or trials < 1):
            raise AutoactError(
                f"trials={trials!r} is the number of trials that the study will hold: a whole number from 1"
            )
        if isinstance(refine, bool) or not isinstance(refine, int | float) or not 0.0 <= refine <= 1.0:
            raise AutoactError(f"refine={refine!r} is a share of the trials: it must be within 0..1")
        self._inner = inner or TPESampler(seed=seed)
        self._seed = random.randrange(2**31) if seed is None else seed
        self._trials = trials
        self._refine = refine
        self._proposed: dict[tuple[str, int, str], Mapping[str, CategoricalChoiceType]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        """All but the lock, which cannot be copied."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def reseed_rng(self) -> None:
        """Draw another seed, here and in the inner sampler: Optuna asks for it where trials run at the same time."""
        self._seed = random.randrange(2**31)
        self._inner.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What the inner sampler samples together: everything but activations."""
        ours = {name for one in study.get_trials(deepcopy=False) for name in _activations(one)}
        every = self._inner.infer_relative_search_space(study, trial)
        return {name: distribution for name, distribution in every.items() if name not in ours}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, CategoricalChoiceType]:
        """The inner sampler's values of these parameters."""
        return self._inner.sample_relative(study, trial, search_space) if search_space else {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> CategoricalChoiceType:
        """An activation of the assignment that is proposed for this trial, or the inner sampler's value."""
        prefix = _activations(trial).get(param_name)
        if prefix is not None:
            with self._lock:
                key = (study.study_name, trial.number, prefix)
                if key not in self._proposed:
                    self._proposed[key] = self._propose(study, trial, prefix)
                proposed = self._proposed[key]
            if param_name in proposed:
                return proposed[param_name]
            if isinstance(self._inner, GridSampler):
                drawn = RandomSampler(seed=(self._seed + trial.number) % 2**32)
                found: CategoricalChoiceType = drawn.sample_independent(study, trial, param_name, param_distribution)
                return found
        value: CategoricalChoiceType = self._inner.sample_independent(study, trial, param_name, param_distribution)
        return value

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Tell the inner sampler."""
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget what was proposed for the trial, and tell the inner sampler."""
        with self._lock:
            for key in [key for key in self._proposed if key[:2] == (study.study_name, trial.number)]:
                del self._proposed[key]
        self._inner.after_trial(study, trial, state, values)

    def _propose(self, study: Study, trial: FrozenTrial, prefix: str) -> Mapping[str, CategoricalChoiceType]:
        """Activations for a trial; none where all assignments were tried."""
        offered: Mapping[str, list[str]] = trial.user_attrs[prefix + CHOICES]
        dimensions = {prefix + group: CategoricalDistribution(choices) for group, choices in offered.items()}
        given = fixed_parameters(study, trial)
        fixed = {name: given[name] for name, one in dimensions.items() if given.get(name) in one.choices}
        free = {name: one for name, one in dimensions.items() if name not in fixed}
        if not free:
            return {}
        history, pending = self._known(study, trial, prefix, dimensions, fixed)
        taken = {*(one.point for one in history), *pending}

        def allowed(point: Point) -> bool:
            """Whether an activation other than the identity stands somewhere, fixed ones included."""
            return _is_nonlinear(fixed) or _is_nonlinear(point.params)

        for params in _opening(free, allowed):
            if Point.plain(params) not in taken:
                return params
        axes = [
            Axis(str(place), "max" if direction == StudyDirection.MAXIMIZE else "min")
            for place, direction in enumerate(study.directions)
        ]
        left = None if self._trials is None else max(1, self._trials - len(history) - len(pending))
        proposer = Proposer(free, axes, seed=self._seed, allowed=allowed, refine=self._refine, most_seeds=1)
        with quiet():
            found = proposer.propose(history, 1, pending=pending, left=left)
        return found[0].point.params if found else {}

    def _known(
        self,
        study: Study,
        trial: FrozenTrial,
        prefix: str,
        dimensions: Mapping[str, CategoricalDistribution],
        fixed: Mapping[str, object],
    ) -> tuple[list[Observation], list[Point]]:
        """What came of other trials with the fixed values, and what is in training: points of the free parameters."""
        history, pending = [], []
        free = [name for name in dimensions if name not in fixed]
        for other in study.get_trials(deepcopy=False):
            if other.number == trial.number:
                continue
            proposed = self._proposed.get((study.study_name, other.number, prefix), {})
            if all(other.distributions.get(name) == one for name, one in dimensions.items()):
                if any(other.params[name] != value for name, value in fixed.items()):
                    continue
                point = Point.plain({name: other.params[name] for name in free})
                if other.state.is_finished():
                    history.append(_observation(other, point))
                else:
                    pending.append(point)
            elif proposed.keys() == set(free):
                pending.append(Point.plain(proposed))  # that trial is about to suggest them
        return history, pending


def _activations(trial: FrozenTrial) -> dict[str, str]:
    """The parameters of a trial that ``autoact.suggest`` asked for, or will ask for, with their prefixes."""
    prefixes = {
        name.removesuffix(CHOICES): value
        for name, value in trial.user_attrs.items()
        if name.endswith(CHOICES) and isinstance(value, dict) and name.removesuffix(CHOICES) + SITES in trial.user_attrs
    }
    return {prefix + group: prefix for prefix, offered in prefixes.items() for group in offered}


def _observation(trial: FrozenTrial, point: Point) -> Observation:
    if trial.state == TrialState.COMPLETE:
        return Observation(point, tuple(trial.values))
    if trial.state == TrialState.PRUNED and trial.last_step is not None:
        return Observation(point, (trial.intermediate_values[trial.last_step],), forecast=True)
    return Observation(point, None)


def _opening(
    dimensions: Mapping[str, CategoricalDistribution], allowed: Callable[[Point], bool]
) -> list[dict[str, CategoricalChoiceType]]:
    """The model as it is, then the same activation everywhere: what any search has to know first."""
    opening: list[dict[str, CategoricalChoiceType]] = [{name: one.choices[0] for name, one in dimensions.items()}]
    for choice in dict.fromkeys(choice for one in dimensions.values() for choice in one.choices):
        everywhere: dict[str, CategoricalChoiceType] = dict.fromkeys(dimensions, choice)
        offered = all(choice in one.choices for one in dimensions.values())
        if offered and everywhere not in opening and allowed(Point.plain(everywhere)):
            opening.append(everywhere)
    return opening


def _is_nonlinear(params: Mapping[str, object]) -> bool:
    return any(_function_of(str(choice)) != function_key("identity") for choice in params.values())


def _function_of(choice: str) -> str:
    """What a choice computes; one with a range counts as it begins."""
    span = ranged(choice)
    return function_key(choice if span is None else span.start)


def _is_whole(number: object) -> bool:
    """Whether this is a whole number; NumPy's count, ``True`` does not."""
    return isinstance(number, Integral) and not isinstance(number, bool)
