"""Metrics by name: values, directions, mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics

from autoact.core.errors import AutoactError
from autoact.tasks.metrics import METRICS, NEEDS, Metric, register_metric, resolve

BINARY = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.6, 0.4, 0.8, 0.9])
THREE = np.array([0, 1, 2, 2]), np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9]])
NUMBERS = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 2.0])
FUTURES = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [4.0, 2.0]])


@pytest.mark.parametrize(
    ("name", "rows", "value"),
    [
        ("accuracy", BINARY, 3 / 5),
        ("accuracy", THREE, 3 / 4),
        ("f1", BINARY, 2 * (2 / 3) * (2 / 3) / (4 / 3)),
        ("macro_f1", BINARY, (2 / 3 + 1 / 2) / 2),
        ("macro_f1", THREE, (1 + 2 / 3 + 2 / 3) / 3),
        ("f1", THREE, (1 + 2 / 3 + 2 / 3) / 3),  # of several classes it is the macro average
        ("roc_auc", BINARY, 5 / 6),
        ("average_precision", BINARY, (1 + 1 + 3 / 4) / 3),
        ("balanced_accuracy", BINARY, (1 / 2 + 2 / 3) / 2),
        ("balanced_accuracy", THREE, (1 + 1 + 1 / 2) / 3),
        ("ece", BINARY, (0.1 + 0.2 + 0.1 + 0.6 + 0.6) / 5),
        ("brier", BINARY, (0.01 + 0.36 + 0.36 + 0.04 + 0.01) / 5),
        ("brier", THREE, (0.14 + 0.54 + 0.86 + 0.02) / 4),
        ("log_loss", BINARY, -np.log([0.9, 0.4, 0.4, 0.8, 0.9]).mean()),
        ("log_loss", THREE, -np.log([0.7, 0.4, 0.3, 0.9]).mean()),
        ("mse", NUMBERS, 5 / 4),
        ("rmse", NUMBERS, np.sqrt(5 / 4)),
        ("mae", NUMBERS, 3 / 4),
        ("r2", NUMBERS, 1 - 5 / 5),
        ("mse", FUTURES, 5 / 4),
        ("mae", FUTURES, 3 / 4),
        ("r2", FUTURES, 1 - 5 / 5),
        ("smape", NUMBERS, 100 * (1 / 3.5 + 2 / 3) / 4),
        ("pinball", NUMBERS, 3 / 8),
    ],
)
def test_values(name, rows, value):
    assert METRICS[name](*rows) == pytest.approx(value)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_several_classes_are_one_against_the_rest(name):
    y, score = THREE
    expected = np.mean([METRICS[name]((y == k).astype(int), score[:, k]) for k in range(3)])
    assert METRICS[name](y, score) == pytest.approx(expected)


@pytest.mark.parametrize("name", METRICS)
def test_better_predictions_have_better_values(name):
    metric = METRICS[name]
    if metric.of_data is not None:
        metric = replace(metric, function=metric.of_data(SimpleNamespace(naive_error=1.0, season=1))[0])
    perfect = BINARY[0].astype(float) if "classification" in metric.kinds else NUMBERS[0]
    y, score = BINARY if "classification" in metric.kinds else NUMBERS
    best, middling = metric(y, np.clip(perfect, 1e-6, None if perfect.max() > 1 else 1 - 1e-6)), metric(y, score)
    assert best > middling if metric.mode == "max" else best < middling


def test_single_precision_does_not_lose_large_numbers():
    y, score = np.array([1e8, 1e8 + 8], dtype="float32"), np.array([1e8, 1e8], dtype="float32")
    assert METRICS["mae"](y, score) == 4.0


def test_a_value_that_is_not_finite_says_so():
    with pytest.raises(FloatingPointError, match="mine is nan"):
        Metric("mine", "mine", "max", lambda y, s: float("nan"), ())(None, None)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "acuracy",
            "classification",
            "unknown metric 'acuracy': did you mean accuracy.* Allowed: accuracy, balanced_a",
        ),
        (
            "auc",
            "classification",
            "unknown metric 'auc': .*Allowed: .*roc_auc, average_precision, log_loss, ece, brier",
        ),
        ("mase", "regression", "the metric mase does not fit a regression task. Allowed: mse, rmse, mae, r2, smape"),
        ("mape", "forecast", "unknown metric 'mape': did you mean smape.*Allowed: .*smape, pinball, mase"),
        ("mse", "classification", "the metric mse does not fit a classification task. Allowed: accuracy"),
        ("roc_auc", "forecast", "the metric roc_auc does not fit a forecast task. Allowed: mse"),
    ],
)
def test_mistakes_name_what_is_allowed(name, kind, message):
    with pytest.raises(AutoactError, match=message):
        resolve(name, kind)


def test_a_direction_is_needed_for_ones_own_metric_only():
    assert resolve("mse", "regression", "min").mode == "min"
    with pytest.raises(AutoactError, match="metric_mode=max contradicts the metric mse"):
        resolve("mse", "regression", "max")
    with pytest.raises(AutoactError, match="needs its direction"):
        resolve("math:hypot", "regression")
    own = resolve("math:hypot", "regression", "min")
    assert (own.name, own.mode, own.kinds, own(3, 4)) == ("hypot", "min", ("regression",), 5.0)


@pytest.mark.parametrize("levels", [2, 7, 10_000])
def test_the_area_under_the_curve_is_scikit_learns_with_and_without_ties(levels):
    draw = np.random.default_rng(levels)
    for rows in (2, 3, 50, 1001):
        y = np.r_[0, 1, draw.integers(0, 2, rows - 2)]
        score = draw.integers(0, levels, rows).astype("float32") / levels
        assert METRICS["roc_auc"](y, score) == pytest.approx(sklearn.metrics.roc_auc_score(y, score), abs=1e-12)


@pytest.fixture
def metrics():
    yield METRICS
    for name in set(METRICS) - set(METRICS.built_in):
        METRICS.remove(name)


def bias(y_true, y_score):
    return abs(float((y_score - y_true).mean()))


def test_a_metric_that_a_user_registers(metrics):
    register_metric("bias", bias, mode="min", kinds=["regression"], title="bias", ideal=0.0)
    metric = resolve("bias", "regression")
    assert (metric.mode, metric.ideal, metric(*NUMBERS)) == ("min", 0.0, 0.25)
    with pytest.raises(AutoactError, match="metric bias does not fit a forecast task"):
        resolve("bias", "forecast")
    with pytest.raises(AutoactError, match="unknown metric 'bais': did you mean bias"):
        resolve("bais", "regression")


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("rmse", {}, "metric name 'rmse' is taken by 'rmse'"),
        ("my bias", {}, "metric name 'my bias': use letters"),
        ("bias", {"mode": "lower"}, "direction of the metric 'bias' is 'lower'. Allowed: max, min"),
        ("bias", {"kinds": ["regresion"]}, "unknown task.kind 'regresion': did you mean regression"),
        ("bias", {"needs": "labels"}, "need of the metric 'bias' 'labels'.*Allowed: classes, order, probabilities"),
        ("bias", {"kinds": []}, "'bias' fits no kind of task"),
        ("bias", {"function": len}, "bias takes"),
    ],
)
def test_a_metric_that_cannot_be_registered(metrics, name, fields, message):
    with pytest.raises(AutoactError, match=message):
        register_metric(name, **{"function": bias, "mode": "min", "kinds": ["regression"]} | fields)
    assert "bias" not in metrics


def test_one_kind_of_task_can_be_given_by_its_name(metrics):
    assert register_metric("bias", bias, mode="min", kinds="regression").kinds == ("regression",)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_each_says_what_it_is(metric):
    assert (metric.ideal is None) == (metric.unit == "dB"), "decibels have no ideal that an error could be a share of"
    assert metric.unit and metric.needs in NEEDS
    known = {"classification": ("classes", "order", "probabilities")}.get(metric.kinds[0], ("numbers", "own unit"))
    assert metric.needs in known


def test_the_page_has_a_row_for_each():
    page = (Path(__file__).resolve().parents[3] / "docs/metrics.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:6]] for line in page.splitlines() if line.startswith("| `")]
    assert [row[0].strip("`") for row in rows] == list(METRICS.built_in)
    for name, title, mode, unit, needs in rows:
        metric = METRICS[name.strip("`")]
        assert (title, mode, unit, needs) == (metric.title, metric.mode, metric.unit, metric.needs), name
