"""What a scikit-learn estimator was told, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoact.activations import canonical
from autoact.core.errors import AutoactError, unknown
from autoact.core.typed_values import check_value
from autoact.data.settings import SCALINGS
from autoact.space.search_space import GRANULARITIES
from autoact.study.settings import ConfirmSettings
from autoact.tasks.objectives import COST, QUALITY
from autoact.tracking.settings import TrackingSettings
from autoact.workflows.searching.search_arguments import in_full
from autoact.workflows.searching.setting_names import ESTIMATOR

LEAST = {"max_epochs": 1, "batch_size": 1, "trials": 1, "patience": 1}
LEAST_OF_RECIPE = {"width": 1, "depth": 1, "dropout": 0, "learning_rate": 0, "weight_decay": 0}
KINDS: dict[str, Any] = {
    "trials": int | None,
    "minutes": float | None,
    "metric": str,
    "policy": str | None,
    "candidates": list[str] | None,
    "granularity": str,
    "objectives": list[str],
    "width": int,
    "depth": int,
    "dropout": float,
    "learning_rate": float,
    "weight_decay": float,
    "max_epochs": int,
    "patience": int | None,
    "batch_size": int | None,
    "scaling": str,
    "confirm_seeds": int,
    "device": str,
}
POLICIES = ("quality", "balanced", "economy", "baseline")


class RefusedError(AutoactError, ValueError):
    """A mistake of the user's, in scikit-learn's own kind too: ``except ValueError`` catches it."""


@dataclass(frozen=True)
class EstimatorParameters:
    """What the estimator was told, with its seed drawn.

    Attributes:
        name: of the estimator's class.
        seed: of the split, the search and the final training.
        arguments: of the recipe: width, depth, dropout, learning_rate, weight_decay.
        metric: by name.
        policy: which policy of the recommendation is used.
        trials: of the search.
        minutes: of search and final check.
        candidates: activations to try; None for autoact's own dozen.
        granularity: ``site``, ``block`` or ``model``.
        objectives: what is traded.
        scaling: of numeric columns.
        max_epochs: of a training.
        patience: epochs without a better validation value; None: never.
        batch_size: None for an eighth of the training rows, between 32 and 128.
        confirm_seeds: fresh seeds of each stage of the final check.
        device: where to train.
        workers: processes.
        output: folder; None for none.
        tracking: ``none``, ``mlflow``, or in full.
        verbose: whether progress is printed.
    """

    name: str
    seed: int
    arguments: Mapping[str, Any]
    metric: str
    policy: str | None
    trials: int | None
    minutes: float | None
    candidates: Sequence[str] | None
    granularity: str
    objectives: Sequence[str]
    scaling: str
    max_epochs: int
    patience: int | None
    batch_size: int | None
    confirm_seeds: int
    device: str
    workers: int
    output: str | Path | None
    tracking: TrackingSettings | str
    verbose: bool


def check_wishes(wishes: EstimatorParameters) -> None:
    """Refuse what cannot be meant, whether the rows allow a whole search or not.

    Raises:
        AutoactError: names the parameter, what was given and what is allowed.
    """
    _check_kinds(wishes)
    _check_numbers({name: getattr(wishes, name) for name in LEAST}, LEAST)
    _check_numbers(wishes.arguments, LEAST_OF_RECIPE)
    _check_fitting(wishes)
    for name in wishes.candidates or ():
        canonical(name)
    if wishes.granularity not in GRANULARITIES:
        raise unknown("granularity", wishes.granularity, GRANULARITIES)
    if wishes.scaling not in SCALINGS:
        raise unknown("scaling", wishes.scaling, SCALINGS)
    if wishes.policy is not None:
        # What is traded decides which policies there are.
        policies = POLICIES if list(wishes.objectives) != [QUALITY] else (QUALITY, "baseline")
        if wishes.policy not in policies:
            raise unknown("policy", wishes.policy, policies, advice="balanced and economy need a traded latency")
    ConfirmSettings(seeds=wishes.confirm_seeds)
    _check_place(wishes)


def _check_kinds(wishes: EstimatorParameters) -> None:
    """Refuse values of another type."""
    for name, kind in KINDS.items():
        given = wishes.arguments[name] if name in wishes.arguments else getattr(wishes, name)
        check_value(given, kind, name)


def _check_fitting(wishes: EstimatorParameters) -> None:
    """Refuse what only other faces take, and a network that lets nothing pass."""
    if wishes.arguments["dropout"] >= 1:
        raise AutoactError(f"dropout={wishes.arguments['dropout']} must be below 1: nothing would pass")
    if ":" in wishes.metric:
        raise AutoactError(f"metric={wishes.metric!r} must be the name of a metric: functions are for autoact.search")
    if COST in wishes.objectives:
        raise AutoactError(
            "objectives names 'cost', and an estimator knows no price of hardware: leave it out, or take autoact.search"
        )


def _check_place(wishes: EstimatorParameters) -> None:
    """Refuse an output folder without a name, and a store that would have no folder."""
    if wishes.output is not None and not str(wishes.output).strip():
        raise AutoactError("output='' must name a folder, or be None for none")
    in_full(wishes.tracking, TrackingSettings, "tracking", "backend")
    if wishes.output is None and isinstance(wishes.tracking, str) and wishes.tracking != "none":
        raise AutoactError(f"tracking={wishes.tracking!r} keeps its store in the output folder: give output=")


def _check_numbers(values: Mapping[str, Any], least: Mapping[str, int]) -> None:
    """Refuse numbers that are too small."""
    for name, value in values.items():
        if value is not None and not value >= least[name]:
            raise AutoactError(f"{name}={value!r} must be {least[name]} or more")


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
