"""The samplers that a search can ask, and the Optuna study in memory that they learn from."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState

from autoact.core.errors import AutoactError, first_line, unknown
from autoact.core.imports import load_reference
from autoact.space.point import Condition, Parameters
from autoact.study.settings import BY_REFERENCE
from autoact.study.storage._compat_optuna import generation_key
from autoact.study.storage.optuna_storage import DIRECTIONS

POPULATION = 16  # of the genetic samplers
SamplerFactory = Callable[[int], BaseSampler]
SAMPLERS: dict[str, tuple[type[BaseSampler], dict[str, object]]] = {
    "tpe": (TPESampler, {"multivariate": True, "n_startup_trials": 0, "constant_liar": True}),
    "nsga2": (NSGAIISampler, {"population_size": POPULATION}),
    "nsga3": (NSGAIIISampler, {"population_size": POPULATION}),
    "gp": (GPSampler, {"n_startup_trials": 0}),
    "random": (RandomSampler, {}),
}
# Points that a sampler is shown before it is asked whether it can propose at all: more than those that it draws freely.
TRIED_OUT = 12


def sampler_factory(
    name: str, options: Mapping[str, object] | None = None, *, conditional: bool = False
) -> SamplerFactory:
    """What makes a sampler from a seed, with further arguments of the sampler.

    It is one of ``SAMPLERS``, or a reference: ``optuna.samplers.GPSampler`` or ``mypkg.mod:MySampler``. Where some
    parameters are those of single activations (``conditional``), TPE models each group of parameters that come together
    by itself; it would draw them at random.

    Raises:
        AutoactError: there is no such sampler, it is no Optuna sampler, or it does not take the options.

    Example:
        >>> sampler_factory("optuna.samplers.NSGAIISampler", {"population_size": 8})(3).population_size
        8
    """
    made, defaults = SAMPLERS.get(name) or (_referenced(name), {})
    if conditional and name == "tpe":
        defaults = {**defaults, "group": (options or {}).get("multivariate", True)}
    accepted = inspect.signature(made).parameters
    if "seed" in (options or {}):
        raise AutoactError(
            "search.sampler_options.seed would draw every batch alike: search.seed is the sampler's seed"
        )
    if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in accepted.values()):
        for option in options or {}:
            if option not in accepted:
                raise unknown(f"option of search.sampler={name}", option, [one for one in accepted if one != "seed"])
    arguments = {**defaults, **(options or {})}

    def make(seed: int) -> BaseSampler:
        seeded = {"seed": seed % 2**32} if "seed" in accepted and "seed" not in arguments else {}
        try:
            sampler = made(**arguments, **seeded)
        except Exception as error:
            raise AutoactError(f"search.sampler={name} cannot be made: {first_line(error)}") from error
        if not isinstance(sampler, BaseSampler):
            raise AutoactError(
                f"search.sampler={name} gives {type(sampler).__name__}, which is no optuna.samplers.BaseSampler"
            )
        if getattr(sampler, "proposes_activations", False):
            raise AutoactError(
                f"search.sampler={name} proposes activations as every search does already, and its refinement would "
                "not act here: name a sampler to start from, such as tpe or optuna.samplers.GPSampler"
            )
        return sampler

    return make


def _referenced(name: str) -> Callable[..., object]:
    """What a reference names.

    Raises:
        AutoactError: nothing that could make a sampler.
    """
    if ":" not in name and "." not in name:
        raise unknown("search.sampler", name, SAMPLERS, advice=BY_REFERENCE)
    found = load_reference(name if ":" in name else ":".join(name.rsplit(".", 1)), "search.sampler")
    if not callable(found) or (isinstance(found, type) and not issubclass(found, BaseSampler)):
        raise AutoactError(f"search.sampler={name} is no optuna.samplers.BaseSampler, and no function that makes one")
    return found


def check_sampler(
    name: str,
    options: Mapping[str, object],
    dimensions: Mapping[str, BaseDistribution],
    directions: Sequence[str],
    conditions: Mapping[str, Condition] | None = None,
) -> None:
    """Try a sampler on made-up values before anything trains: what it cannot do is said in one line.

    Raises:
        AutoactError: it cannot propose in this space, for so many objectives, or draws activations at random.
    """
    make = sampler_factory(name, options, conditional=bool(conditions))
    categorical = sum(isinstance(one, CategoricalDistribution) for one in dimensions.values())
    numbers = len(dimensions) - categorical
    size = f"categorical parameters: {categorical}, numbers: {numbers}, objectives: {len(directions)}"
    # A sampler that models numbers alone shows it where there is a number to model.
    tried = dict(dimensions) if numbers else {**dimensions, "number": FloatDistribution(0.0, 1.0)}
    with quiet():
        study = optuna.create_study(directions=[DIRECTIONS[d] for d in directions], sampler=RandomSampler(seed=0))
        for place in range(TRIED_OUT):
            study.tell(study.ask(tried), [float(place)] * len(directions))
        try:
            sampler = make(0)
            study.ask()
            modelled = sampler.infer_relative_search_space(study, study.trials[-1])
            points = [(trial.params, trial.values) for trial in study.get_trials(states=(TrialState.COMPLETE,))]
            memory = Memory(dimensions, directions, make, 0, points, conditions=conditions)
            for forget in (True, False):
                memory.ask(forget=forget)
        except AutoactError:
            raise
        except Exception as error:
            raise AutoactError(
                f"search.sampler={name} cannot propose in this search ({size}): "
                f"{first_line(error)}; one of {', '.join(SAMPLERS)} can"
            ) from error
    if modelled and not any(isinstance(one, CategoricalDistribution) for one in modelled.values()):
        raise AutoactError(
            f"search.sampler={name} models numbers alone and would draw activations, which are categorical parameters, "
            f"at random: one of {', '.join(SAMPLERS)} models them"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna without its messages and without warnings that a feature may change."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)


class Memory:
    """A study in memory that is asked for proposals; evaluated points without values failed, pending ones train.

    A dimension with a condition is asked for where it is met.
    """

    def __init__(
        self,
        dimensions: Mapping[str, BaseDistribution],
        directions: Sequence[str],
        sampler: SamplerFactory,
        seed: int,
        evaluated: Sequence[tuple[Parameters, Sequence[float] | None]],
        pending: Sequence[Parameters] = (),
        conditions: Mapping[str, Condition] | None = None,
    ) -> None:
        self._dimensions = dict(dimensions)
        self._conditions = conditions or {}
        self._everywhere = {n: one for n, one in self._dimensions.items() if n not in self._conditions}
        with quiet():
            made = sampler(seed)
            self._study = optuna.create_study(directions=[DIRECTIONS[d] for d in directions], sampler=made)
            complete = 0
            for params, values in evaluated:
                attributes = _generation(made, complete) if values is not None else {}
                self._add(params, TrialState.FAIL if values is None else TrialState.COMPLETE, values, attributes)
                complete += values is not None
            for params in pending:
                self._add(params, TrialState.RUNNING, None, {})

    def _add(
        self, params: Parameters, state: TrialState, values: Sequence[float] | None, attributes: dict[str, int]
    ) -> None:
        trial = optuna.trial.create_trial(
            state=state,
            params={name: params[name] for name in self._dimensions if name in params},
            distributions={name: one for name, one in self._dimensions.items() if name in params},
            values=None if values is None else list(values),
            system_attrs=attributes,
        )
        self._study.add_trial(trial)

    def ask(self, *, forget: bool = False) -> Parameters:
        """The sampler's next proposal; unless it is to be forgotten, later ones keep away from it (constant liar)."""
        with quiet():
            trial = self._study.ask(self._everywhere)
            for name, condition in self._conditions.items():
                if trial.params[condition.dimension] == condition.choice:
                    one = self._dimensions[name]
                    assert isinstance(one, FloatDistribution), one
                    trial.suggest_float(name, one.low, one.high, log=one.log)
            if forget:
                # A sampler that has proposed everything ends the study, which no loop runs here.
                with suppress(RuntimeError):
                    self._study.tell(trial, state=TrialState.FAIL)
            return dict(trial.params)

    def avoid(self, params: Parameters) -> None:
        """Count a point that the sampler did not propose as in training."""
        with quiet():
            self._add(params, TrialState.RUNNING, None, {})


def _generation(sampler: BaseSampler, complete: int) -> dict[str, int]:
    """What a genetic sampler remembers with a trial: generations are filled in the order of the trials."""
    if isinstance(sampler, BaseGASampler):
        return {generation_key(sampler): complete // (sampler.population_size or POPULATION)}
    return {}
