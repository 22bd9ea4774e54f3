"""The decision threshold of two classes: above which probability a row is said to be of class 1."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np

from autoact.core.errors import AutoactError, unknown
from autoact.data.settings import HALF

VALIDATION = "validation"
"""The threshold that is best on the validation rows of a training: each training has its own."""
# Cuts that are tried: as many as scikit-learn's TunedThresholdClassifierCV tries.
CUTS = 100


def check_threshold(value: object) -> float | str:
    """A threshold as the user gives it: ``validation``, or a number between 0 and 1.

    Raises:
        AutoactError: it is neither.

    Example:
        >>> check_threshold("validation"), check_threshold(0.2)
        ('validation', 0.2)
        >>> check_threshold("validaton")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown task.threshold 'validaton': did you mean validation? Allowed: ...
    """
    if isinstance(value, str):
        if value != VALIDATION:
            raise unknown("task.threshold", value, [VALIDATION, "a number between 0 and 1"])
        return value
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < 1:
        raise AutoactError(f"task.threshold={value} must be {VALIDATION}, or a number between 0 and 1")
    return float(value)


def check_averaged(threshold: float | str, setting: str) -> None:
    """Refuse to average trainings, each of which fits a threshold to its own probabilities; ``setting`` asks for it.

    Raises:
        AutoactError: the threshold is fitted.
    """
    if threshold == VALIDATION:
        raise AutoactError(
            f"{setting} averages probabilities, and task.threshold={VALIDATION} fits each training's own threshold: "
            "give a number (task.threshold=0.2), or leave one of the two out"
        )


def decided(y_score: np.ndarray, threshold: float) -> np.ndarray:
    """The class of each row as a certain probability: 1 above the threshold, else 0; NaN stays NaN.

    **Shape**: ``[n]`` -> ``[n]``.

    Example:
        >>> decided(np.array([0.1, 0.3]), 0.2).tolist()
        [0.0, 1.0]
    """
    score = y_score.astype("float64")
    return np.where(np.isnan(score), score, score > threshold)


def best_threshold(value: Callable[[float], float], mode: str, y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The threshold at which ``value(threshold)`` is best; of equal ones the nearest to one half.

    Where finding rows of class 1 and claiming fewer others are both good, the best cut lies right below the score of a
    row of class 1, or above all rows: these are tried, at most 100 of them at equal ranks of those rows, and one half.

    Args:
        value: the metric on these rows at a threshold.
        mode: ``max`` or ``min``: which values are better.
        y_true: class indices, ``[n]``.
        y_score: probabilities of class 1, ``[n]``.

    Example:
        >>> y, score = np.array([0, 0, 1, 1]), np.array([0.05, 0.1, 0.3, 0.4])
        >>> round(best_threshold(lambda t: float(((score > t) == y).mean()), "max", y, score), 3)
        0.2
    """
    found = [(value(cut), -abs(cut - HALF), cut) for cut in _cuts(y_true, y_score)]
    sign = 1.0 if mode == "max" else -1.0
    return max(found, key=lambda entry: (sign * entry[0], entry[1]))[2]


def _cuts(y_true: np.ndarray, y_score: np.ndarray) -> list[float]:
    score = y_score.astype("float64")
    edges = np.unique(np.append(score, 0.0))
    positive = np.unique(score[(y_true == 1) & (score > 0)])
    chosen = positive[np.unique(np.linspace(0, len(positive) - 1, min(CUTS, len(positive))).astype("int64"))]
    cuts = [_between(edges[np.searchsorted(edges, upper) - 1], upper) for upper in chosen]
    return [HALF, *cuts, float(edges[-1])]


def _between(lower: float, upper: float) -> float:
    """The middle, as the float32 that is logged; the lower score where no float32 lies between."""
    middle = float(np.float32((lower + upper) / 2))
    return middle if lower <= middle < upper else float(lower)
