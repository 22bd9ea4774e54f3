"""An Optuna study in memory, rebuilt from what was seen: what the samplers learn from."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from autoact.core.errors import unknown
from autoact.study.storage._compat_optuna import generation_key

DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
POPULATION = 16  # of the genetic samplers
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True, n_startup_trials=0, constant_liar=True),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=POPULATION),
    "nsga3": lambda seed: NSGAIIISampler(seed=seed, population_size=POPULATION),
    "gp": lambda seed: GPSampler(seed=seed, n_startup_trials=0),
    "random": lambda seed: RandomSampler(seed=seed),
}

Params = dict[str, Any]


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
    """A study that holds given points, asked for proposals; nothing is stored."""

    def __init__(
        self,
        dimensions: Mapping[str, BaseDistribution],
        directions: Sequence[str],
        sampler: str,
        seed: int,
        seen: Sequence[tuple[Mapping[str, Any], Sequence[float] | None]],
        pending: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Fill a study.

        Args:
            dimensions: the Optuna dimensions.
            directions: ``"min"`` or ``"max"`` for each objective.
            sampler: one of ``SAMPLERS``.
            seed: of the sampler.
            seen: points with their values; without values they failed.
            pending: points in training.

        Raises:
            AutoactError: there is no such sampler.
        """
        if sampler not in SAMPLERS:
            raise unknown("sampler", sampler, SAMPLERS)
        self._dimensions = dict(dimensions)
        with quiet():
            made = SAMPLERS[sampler](seed % 2**32)
            self._study = optuna.create_study(directions=[DIRECTIONS[d] for d in directions], sampler=made)
            complete = 0
            for params, values in seen:
                attributes = _generation(made, complete) if values is not None else {}
                self._add(params, TrialState.FAIL if values is None else TrialState.COMPLETE, values, attributes)
                complete += values is not None
            for params in pending:
                self._add(params, TrialState.RUNNING, None, {})

    def _add(
        self, params: Mapping[str, Any], state: TrialState, values: Sequence[float] | None, attributes: Params
    ) -> None:
        """Put one point into the study."""
        trial = optuna.trial.create_trial(
            state=state,
            params={name: params[name] for name in self._dimensions},
            distributions=self._dimensions,
            values=None if values is None else list(values),
            system_attrs=attributes,
        )
        self._study.add_trial(trial)

    def ask(self, *, forget: bool = False) -> Params:
        """The sampler's next proposal; unless it is to be forgotten, later ones keep away from it (constant liar)."""
        with quiet():
            trial = self._study.ask(self._dimensions)
            if forget:
                self._study.tell(trial, state=TrialState.FAIL)
            return dict(trial.params)

    def avoid(self, params: Mapping[str, Any]) -> None:
        """Count a point that the sampler did not propose as in training."""
        with quiet():
            self._add(params, TrialState.RUNNING, None, {})


def _generation(sampler: BaseSampler, complete: int) -> dict[str, int]:
    """What a genetic sampler remembers with a trial: generations are filled in the order of the trials."""
    if isinstance(sampler, NSGAIISampler | NSGAIIISampler):
        return {generation_key(sampler): complete // POPULATION}
    return {}


def default_key(params: Mapping[str, Any]) -> str:
    """Equal for equal parameters, whatever their order."""
    return json.dumps(sorted(params.items()), default=repr)
