"""The same metric, or another; its range; its silence."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from autoact.core.errors import AutoactError
from autoact.tasks.metrics import METRICS, Metric, with_threshold
from autoact.workflows.checking.metric_match import same_metric, same_positive_class, silent, within_range


def task_by(metric, name="churn", **more):
    """What of a task is looked at."""
    given = {"name": name, "metric": metric}
    return SimpleNamespace(**(given | ({"quality_unit": metric.title, "mode": metric.mode} if metric else {}) | more))


def recommendation_by(name, mode, task="churn"):
    """What of a recommendation is looked at."""
    return SimpleNamespace(task=task, metric={"name": name, "mode": mode})


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_is_the_same_as_itself(metric):
    same_metric(recommendation_by(metric.title, metric.mode), task_by(metric))


def test_a_module_that_logs_its_metric_goes_by_the_name_it_logs():
    logged = task_by(None, quality_unit="auc", mode="max")
    same_metric(recommendation_by("auc", "max"), logged)
    with pytest.raises(
        AutoactError, match=r"quality is auc \(min\), this task measures auc \(max\).*mode= of the search"
    ):
        same_metric(recommendation_by("auc", "min"), logged)


@pytest.mark.parametrize(
    ("stored", "advice"),
    [
        (("log loss", "min"), "give metric=log_loss, or search again for a recommendation by ROC AUC"),
        (("foo", "sideways"), "give the metric of the search"),
        (("RMSE", "min"), "give the metric of the search"),
        (("log loss", "min", "cancer"), "give the task and the metric of the search (its task was cancer)"),
    ],
)
def test_another_metric_is_refused_with_what_to_do(stored, advice):
    with pytest.raises(AutoactError) as error:
        same_metric(recommendation_by(*stored), task_by(METRICS["roc_auc"]))
    assert f"quality is {stored[0]} ({stored[1]}), this task measures ROC AUC (max)" in str(error.value)
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ("stored", "mine", "advice"),
    [
        ("F1 at fitted threshold", 0.5, "give metric=f1 task.threshold=validation, or"),
        ("F1 at threshold 0.2", 0.5, "give metric=f1 task.threshold=0.2, or"),
        ("F1", "validation", "give metric=f1 task.threshold=0.5, or"),
        ("accuracy at fitted threshold", "validation", "give metric=accuracy, or"),
    ],
)
def test_another_threshold_is_another_metric(stored, mine, advice):
    with pytest.raises(AutoactError, match=advice):
        same_metric(recommendation_by(stored, "max"), task_by(with_threshold(METRICS["f1"], mine)))


@pytest.mark.parametrize(("metric", "threshold"), [("f1", 0.5), ("average_precision", 0.5), ("accuracy", "validation")])
def test_another_positive_class_is_refused_where_it_matters(metric, threshold):
    task = task_by(with_threshold(METRICS[metric], threshold), facts={"classes": ["no", "yes"]})
    stored = SimpleNamespace(about={"data": {"classes": ["yes", "no"]}})
    with pytest.raises(AutoactError, match=r"which is 'yes' here and was 'no' in the .* give data\.positive=no"):
        same_positive_class(stored, task)


@pytest.mark.parametrize("was", [["no", "yes"], ["0", "1"], None], ids=["the same", "coded anew", "not known"])
def test_a_positive_class_that_is_not_the_other_one_is_none_of_its_business(was):
    task = task_by(METRICS["f1"], facts={"classes": ["no", "yes"]})
    same_positive_class(SimpleNamespace(about={"data": {"classes": was}}), task)
    swapped = SimpleNamespace(about={"data": {"classes": ["yes", "no"]}})
    same_positive_class(swapped, task_by(METRICS["roc_auc"], facts={"classes": ["no", "yes"]}))


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("roc_auc", (0, 1)),
        ("f1", (0, 1)),
        ("r2", (-5, 1)),
        ("log_loss", (0, 5)),
        ("mae", (0, 5)),
        ("ece", (0, 1)),
        ("brier", (0, 2)),
    ],
)
def test_an_interval_stays_in_the_range(name, interval):
    assert within_range(task_by(METRICS[name]), -5, 5) == interval


def test_the_range_of_a_function_of_the_users_own_is_unknown():
    own = Metric("mae", "mae", "min", METRICS["mae"].function, ("regression",))
    assert within_range(task_by(own), -5, 5) == within_range(task_by(None), -5, 5) == (-5, 5)


def test_a_metric_that_does_not_exist_says_so_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FloatingPointError, match="no row is of class 0"):
            silent(METRICS["roc_auc"])(np.ones(3), np.ones(3))
