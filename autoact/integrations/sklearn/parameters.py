"""The parameters of a scikit-learn estimator: listed once, and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

import numpy as np
from sklearn.base import BaseEstimator

from autoact.core.errors import AutoactError, unknown
from autoact.core.typed_values import check_value
from autoact.data.settings import DataSettings
from autoact.space.settings import SpaceSettings
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.tasks.objectives import COST, QUALITY
from autoact.tracking.settings import TrackingSettings
from autoact.workflows.searching.search_arguments import in_full
from autoact.workflows.searching.setting_names import ESTIMATOR

RECIPE_ARGUMENTS = ("width", "depth", "dropout", "learning_rate", "weight_decay")
LEAST = {"width": 1, "depth": 1, "dropout": 0, "learning_rate": 0, "weight_decay": 0, "max_epochs": 1, "batch_size": 1}
POLICIES = ("quality", "balanced", "economy", "baseline")


class RefusedError(AutoactError, ValueError):
    """A mistake of the user's, in scikit-learn's own kind too: ``except ValueError`` catches it."""


@dataclass(kw_only=True, eq=False, repr=False)
class EstimatorParameters(BaseEstimator):
    """The constructor of both estimators; ``AutoActClassifier`` says what each parameter means.

    The fields are the one list of parameters: the signature that scikit-learn reads is made from them, and so are
    the types that ``check_parameters`` asks for.
    """

    trials: int | None = 60
    minutes: float | None = None
    metric: str | None = None
    policy: str | None = None
    candidates: Sequence[str] | None = None
    granularity: str = "site"
    objectives: Sequence[str] = ("quality",)
    width: int = 64
    depth: int = 3
    dropout: float = 0.0
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    max_epochs: int = 50
    patience: int | None = 8
    batch_size: int | None = None
    scaling: str = "quantile"
    confirm_seeds: int = 10
    device: str = "cpu"
    n_jobs: int | None = None
    random_state: int | np.random.RandomState | None = None
    output: str | Path | None = None
    tracking: TrackingSettings | str = "none"
    verbose: bool | int = False


def check_parameters(given: EstimatorParameters) -> None:
    """Refuse what cannot be meant, whether the rows allow a whole search or not.

    Raises:
        AutoactError: names the parameter, what was given and what is allowed.
    """
    in_full(given.tracking, TrackingSettings, "tracking", "backend")
    kinds = get_type_hints(EstimatorParameters)
    for one in fields(EstimatorParameters):
        if one.name not in ("tracking", "random_state"):  # scikit-learn checks the latter
            check_value(getattr(given, one.name), kinds[one.name], one.name)
    for name, least in LEAST.items():
        value = getattr(given, name)
        if value is not None and not value >= least:
            raise AutoactError(f"{name}={value!r} must be {least} or more")
    SearchSettings(trials=given.trials, minutes=given.minutes, patience=given.patience)
    ConfirmSettings(seeds=given.confirm_seeds)
    DataSettings(scaling=given.scaling)
    _check_fitting(given)
    if given.candidates:
        from autoact.space.candidates import read_candidates  # imports Optuna

        read_candidates(given.candidates)
    SpaceSettings(granularity=given.granularity)
    if given.policy is not None:
        # What is traded decides which policies there are.
        policies = POLICIES if list(given.objectives) != [QUALITY] else (QUALITY, "baseline")
        if given.policy not in policies:
            raise unknown("policy", given.policy, policies, advice="balanced and economy need a traded latency")
    _check_place(given)


def _check_fitting(given: EstimatorParameters) -> None:
    """Refuse what only the command line and ``autoact.search`` take, and a network that lets nothing pass."""
    if given.dropout >= 1:
        raise AutoactError(f"dropout={given.dropout} must be below 1: nothing would pass")
    if given.metric is not None and ":" in given.metric:
        raise AutoactError(f"metric={given.metric!r} must be the name of a metric: functions are for autoact.search")
    if COST in given.objectives:
        raise AutoactError(
            "objectives names 'cost', and an estimator knows no price of hardware: leave it out, or take autoact.search"
        )
    if given.n_jobs == 0:
        raise AutoactError("n_jobs=0 must be a number of processes, -1 for one per core, or None for one")


def _check_place(given: EstimatorParameters) -> None:
    """Refuse an output folder without a name, and a store that would have no folder."""
    if given.output is not None and not str(given.output).strip():
        raise AutoactError("output='' must name a folder, or be None for none")
    if given.output is None and isinstance(given.tracking, str) and given.tracking != "none":
        raise AutoactError(f"tracking={given.tracking!r} keeps its store in the output folder: give output=")


@contextmanager
def in_sklearn_terms() -> Iterator[None]:
    """Errors of autoact's own kind become errors that are ``ValueError`` too, and name the estimator's parameters.

    Example:
        >>> with in_sklearn_terms():
        ...     raise AutoactError("no such thing")
        Traceback (most recent call last):
        ...
        autoact.integrations.sklearn.parameters.RefusedError: no such thing
    """
    try:
        yield
    except AutoactError as error:
        said = ESTIMATOR.said(str(error))
        if isinstance(error, ValueError) and said == str(error):
            raise
        raise RefusedError(said) from error
