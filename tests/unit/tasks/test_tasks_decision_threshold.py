"""Decision thresholds: the best cut against all cuts, and metrics that never choose their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoact.data.settings import HALF
from autoact.tasks.decision_threshold import VALIDATION, best_threshold, decided
from autoact.tasks.metrics import CLASSES, METRICS, Metric

DECIDING = [name for name, metric in METRICS.items() if metric.needs == CLASSES]


def rows(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = (draw.random(count) < share).astype("int64")
    y[:2] = 0, 1
    return y, (1 / (1 + np.exp(3 - draw.normal(2 * y)))).astype("float32")


def fitted(name: str, y: np.ndarray, score: np.ndarray) -> Metric:
    return replace(METRICS[name], threshold=VALIDATION).fitted(y, score)


@pytest.mark.parametrize("name", DECIDING)
@pytest.mark.parametrize("seed", range(5))
def test_no_cut_is_better(name, seed):
    y, score = rows(150, 0.2, seed)
    every = [-1.0, *np.unique(score.astype("float64"))]  # a score is above none of these or all that are smaller
    best = max(METRICS[name](y, decided(score, cut)) for cut in every[1:])
    found = fitted(name, y, score)
    assert found(y, score) == pytest.approx(best)
    assert found(y, score) >= METRICS[name](y, score)


def test_of_many_rows_a_hundred_cuts_come_close():
    y, score = rows(20_000, 0.3, 0)
    best = max(METRICS["f1"](y, decided(score, cut)) for cut in np.quantile(score, np.linspace(0, 1, 2000)))
    assert fitted("f1", y, score)(y, score) == pytest.approx(best, abs=2e-3)


@pytest.mark.parametrize(
    ("y", "score", "wanted"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7], HALF),  # every cut from 0.2 to 0.6 is perfect
        ([0, 1, 0, 1], [0.1, 0.1, 0.1, 0.1], HALF),  # a constant: nothing beats saying no
        ([0, 0, 1], [0.9, 0.95, 0.97], 0.96),
        ([0, 0, 0], [0.1, 0.2, 0.3], HALF),
        ([1, 0], [0.0, 0.0], HALF),
    ],
)
def test_equal_cuts_are_told_apart_by_their_distance_to_one_half(y, score, wanted):
    found = fitted("accuracy", np.array(y), np.array(score, dtype="float32"))
    assert found.threshold == pytest.approx(wanted, abs=1e-6)


def test_a_cut_between_neighbours_of_float32_keeps_its_side():
    lower = np.float32(0.1)
    upper = np.nextafter(lower, np.float32(1))
    score, y = np.array([lower, upper]), np.array([0, 1])
    cut = fitted("f1", y, score).threshold
    assert decided(score, cut).tolist() == [0, 1] == decided(score, float(np.float32(cut))).tolist()


def test_less_may_be_better():
    y, score = rows(200, 0.2, 1)
    cost = Metric(
        "cost", "cost", "min", lambda y, s: float(((s > 0.5) != y).mean()), ("classification",), needs=CLASSES
    )
    assert replace(cost, threshold=VALIDATION).fitted(y, score).threshold == fitted("accuracy", y, score).threshold
    assert best_threshold(lambda cut: cut, "min", y, score) < best_threshold(lambda cut: cut, "max", y, score)


def test_rows_that_are_scored_choose_no_threshold():
    metric = replace(METRICS["f1"], threshold=VALIDATION)
    with pytest.raises(AssertionError, match="the threshold of f1 is not fitted"):
        metric(np.array([0, 1]), np.array([0.1, 0.2]))
    assert metric.at(0.15)(np.array([0, 1]), np.array([0.1, 0.2])) == 1.0
    assert METRICS["f1"].fitted(np.array([0, 1]), np.array([0.1, 0.2])) is METRICS["f1"]


def test_what_judges_no_decision_keeps_its_scores():
    y, score = rows(100, 0.3, 2)
    assert METRICS["roc_auc"].at(0.1)(y, score) == METRICS["roc_auc"](y, score)
    assert METRICS["log_loss"].at(0.1)(y, score) == METRICS["log_loss"](y, score)


def test_a_nan_is_no_decision():
    with pytest.raises(FloatingPointError, match="1 of 2 predictions are NaN"):
        METRICS["f1"].at(0.2)(np.array([0, 1]), np.array([np.nan, 0.3]))
