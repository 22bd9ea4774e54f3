"""Metrics of numbers and forecasts, as functions of NumPy arrays.

``y_true`` and ``y_score`` are ``[n]``, or ``[n, horizon]``, in the user's own unit; steps of a forecast count alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from autoact.core.errors import AutoactError

if TYPE_CHECKING:
    from autoact.data.prepared_data import PreparedData

# Of the pinball loss: the median, which is what a network without quantiles of its own can be asked for.
QUANTILE = 0.5


def mse(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The mean squared error."""
    return float(((y_true.astype("float64") - y_score) ** 2).mean())


def rmse(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The root of the mean squared error."""
    return math.sqrt(mse(y_true, y_score))


def mae(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The mean absolute error."""
    return float(abs(y_true.astype("float64") - y_score).mean())


def psnr(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The peak signal-to-noise ratio in dB of values from 0 to 1, whose peak is 1; at most 120, an error of 1e-6."""
    return -10 * math.log10(max(mse(y_true, y_score), 1e-12))


def relative_l2(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The Euclidean norm of the errors over that of the truth; NaN where the truth is 0 everywhere."""
    truth = y_true.astype("float64")
    size = float((truth**2).sum())
    return math.sqrt(float(((truth - y_score) ** 2).sum()) / size) if size else math.nan


def r2(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The share of the variance of the rows that is explained; 0 where all their targets are one, and are not met."""
    from sklearn.metrics import r2_score

    return float(r2_score(y_true.reshape(-1), y_score.reshape(-1)))


def smape(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The symmetric mean absolute percentage error in percent, from 0 to 200, as the M4 competition has it.

    The error over the mean of the sizes of truth and prediction; 0 where both are 0 (Makridakis et al., 2020).
    """
    truth, found = y_true.astype("float64"), y_score.astype("float64")
    error, size = abs(truth - found), abs(truth) + abs(found)
    return float(200.0 * np.divide(error, size, out=np.zeros_like(error), where=size != 0).mean())


def pinball(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The pinball loss of the median (Koenker and Bassett, 1978): half of the mean absolute error."""
    from sklearn.metrics import mean_pinball_loss

    return float(mean_pinball_loss(y_true.reshape(-1), y_score.reshape(-1), alpha=QUANTILE))


def mase(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The mean absolute scaled error, which needs the training part: see ``scaled_by_naive``.

    Raises:
        AutoactError: always.
    """
    raise AutoactError("MASE is scaled by the training part of a series: it is for forecasts of autoact's own recipes")


def scaled_by_naive(prepared: PreparedData) -> tuple[Callable[[np.ndarray, np.ndarray], float], str]:
    """MASE over standardised targets, and its title with the season (Hyndman and Koehler, 2006).

    The mean absolute error over that of the seasonal naive forecast, which repeats the value of one season ago, inside
    the training part. Several series are standardised, and share one scale: the mean over the steps of all.

    Raises:
        AutoactError: the training part is no longer than a season, or repeats itself exactly.
    """
    scale, season = prepared.naive_error, prepared.season
    if not scale:
        why = (
            "is no longer than one season" if scale is None else "repeats itself exactly, so that errors have no scale"
        )
        raise AutoactError(f"metric=mase: the training part {why} (data.season={season}): metric=mae needs no scale")

    def function(y_true: np.ndarray, y_score: np.ndarray) -> float:
        return mae(y_true, y_score) / scale

    return function, f"MASE (season {season})"
