"""Metrics of numbers: each against a plain reference, on constants, on zeros and on NaN; MASE and its scale."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics

from autoact.core.errors import AutoactError
from autoact.tasks import regression_metrics as ours


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = draw.normal(3, 2, count).astype("float32")
    return y, (y + draw.normal(0, 1, count)).astype("float32")


def windows(count: int, horizon: int = 3) -> tuple[np.ndarray, np.ndarray]:
    y, score = rows(count * horizon, 4)
    return y.reshape(count, horizon), score.reshape(count, horizon)


def pairs(y, score):
    return [(float(t), float(s)) for t, s in zip(y.ravel(), score.ravel(), strict=True)]


def plain_mse(y, score):
    return sum((t - s) ** 2 for t, s in pairs(y, score)) / y.size


def plain_mae(y, score):
    return sum(abs(t - s) for t, s in pairs(y, score)) / y.size


def plain_r2(y, score):
    mean = sum(t for t, _ in pairs(y, score)) / y.size
    return 1 - plain_mse(y, score) / (sum((t - mean) ** 2 for t, _ in pairs(y, score)) / y.size)


def plain_smape(y, score):
    return 100 * sum(abs(t - s) / ((abs(t) + abs(s)) / 2) if t or s else 0.0 for t, s in pairs(y, score)) / y.size


def plain_pinball(y, score, quantile=0.5):
    return sum(quantile * (t - s) if t >= s else (1 - quantile) * (s - t) for t, s in pairs(y, score)) / y.size


PLAIN = {
    ours.mse: plain_mse,
    ours.rmse: lambda y, score: math.sqrt(plain_mse(y, score)),
    ours.mae: plain_mae,
    ours.r2: plain_r2,
    ours.smape: plain_smape,
    ours.pinball: plain_pinball,
}


@pytest.mark.parametrize("data", [rows(3), rows(200, 1), windows(20)])
@pytest.mark.parametrize("metric", PLAIN, ids=lambda metric: metric.__name__)
def test_each_is_what_the_literature_says(metric, data):
    assert metric(*data) == pytest.approx(PLAIN[metric](*data), rel=1e-5)


def test_they_are_scikit_learns_where_it_has_them():
    y, score = rows(100, 3)
    assert ours.mae(y, score) == pytest.approx(sklearn.metrics.mean_absolute_error(y, score))
    assert ours.rmse(y, score) == pytest.approx(sklearn.metrics.root_mean_squared_error(y, score))
    assert ours.pinball(y, score) == pytest.approx(ours.mae(y, score) / 2)


def test_constants_and_zeros():
    y, score = np.array([2.0, 2.0, 2.0]), np.array([2.0, 2.0, 5.0])
    assert ours.r2(y, score) == 0.0 and ours.r2(y, y) == 1.0
    assert ours.smape(np.zeros(2), np.array([0.0, 1.0])) == 100.0  # 0 where both are 0, 200 where one of them is
    assert ours.smape(np.array([-1.0]), np.array([1.0])) == 200.0


@pytest.mark.parametrize("metric", PLAIN, ids=lambda metric: metric.__name__)
def test_no_metric_takes_a_nan_for_a_number(metric):
    y, score = rows(10)
    score[3] = np.nan
    try:
        value = metric(y, score)
    except ValueError:  # scikit-learn's own
        return
    assert np.isnan(value)


def test_mase_is_the_error_over_that_of_the_naive_forecast_in_the_training_part():
    function, title = ours.scaled_by_naive(SimpleNamespace(naive_error=0.5, season=7))
    y, score = windows(5)
    assert (title, function(y, score)) == ("MASE (season 7)", pytest.approx(plain_mae(y, score) / 0.5, rel=1e-5))
    with pytest.raises(AutoactError, match="MASE is scaled by the training part"):
        ours.mase(y, score)


@pytest.mark.parametrize(
    ("error", "why"), [(None, "no longer than one season"), (0.0, "repeats itself exactly, so that errors have no")]
)
def test_mase_without_a_scale_is_refused(error, why):
    with pytest.raises(AutoactError, match=rf"metric=mase: the training part .*{why}.*\(data.season=7\)"):
        ours.scaled_by_naive(SimpleNamespace(naive_error=error, season=7))
