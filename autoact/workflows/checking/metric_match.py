"""What is known of the metric that a recommendation and a task speak of: whether it is the same, and its range."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from autoact.core.errors import AutoactError
from autoact.data.settings import HALF
from autoact.recommendation import Recommendation
from autoact.tasks.metrics import METRICS, Metric, titled
from autoact.tasks.task import Task

OF_POSITIVE = ("f1", "average_precision")
"""Metrics of two classes that change where the positive one is the other."""


def other_metric(recommendation: Recommendation, task: Task) -> bool:
    """Whether the stored quality is of another metric than the task's, or better in the other direction."""
    stored = (recommendation.metric.get("name"), recommendation.metric.get("mode"))
    return stored != (task.quality_unit, task.mode)


def said_metric(recommendation: Recommendation) -> str:
    """The stored quality's metric, for people: ``ROC AUC (max)``."""
    name, mode = recommendation.metric.get("name"), recommendation.metric.get("mode")
    return f"{name or 'an unnamed metric'} ({mode or 'no direction'})"


def same_metric(recommendation: Recommendation, task: Task) -> None:
    """Refuse to compare the stored quality with that of another metric.

    Raises:
        AutoactError: name or direction differ; names both, and what to do.
    """
    if not other_metric(recommendation, task):
        return
    raise AutoactError(
        f"the recommendation's quality is {said_metric(recommendation)}, this task measures {task.quality_unit} "
        f"({task.mode}): the two cannot be compared; {_advice(recommendation, task)}"
    )


def same_positive_class(recommendation: Recommendation, task: Task) -> None:
    """Refuse a task whose positive class was the other one in the search, where that matters.

    A decision threshold, F1 and average precision are of the positive class. Recommendations of before do not know it.

    Raises:
        AutoactError: names both, and the setting of the search.
    """
    was, now = recommendation.about.get("data", {}).get("classes"), task.facts.get("classes")
    of_positive = task.metric is not None and (task.metric.name in OF_POSITIVE or task.metric.threshold != HALF)
    if was and now and was[1] == now[0] and of_positive:
        raise AutoactError(
            f"{task.quality_unit} is of the positive class, which is {now[1]!r} here and was {was[1]!r} in the "
            f"search of the recommendation: give data.positive={was[1]}, or search again"
        )


def _advice(recommendation: Recommendation, task: Task) -> str:
    again = f"search again for a recommendation by {task.quality_unit}"
    if recommendation.task != task.name:
        return f"give the task and the metric of the search (its task was {recommendation.task}), or {again}"
    if task.metric is None:
        return f"give the monitor= and mode= of the search, or {again}"
    ours = titled(recommendation.metric.get("name") or "", recommendation.metric.get("mode"))
    if ours is not None and set(ours.kinds) & set(task.metric.kinds):
        moved = "" if ours.threshold == task.metric.threshold else f" task.threshold={ours.threshold}"
        return f"give metric={ours.name}{moved}, or {again}"
    return f"give the metric of the search, or {again}"


def within_range(task: Task, low: float, high: float) -> tuple[float, float]:
    """An interval of the quality without the values that the metric cannot have; unknown metrics can have any."""
    least, most = _range(task)
    return max(low, least), min(high, most)


def _range(task: Task) -> tuple[float, float]:
    """The smallest and the largest value of the metric; infinite where unknown."""
    ours = METRICS.get(task.metric.name) if task.metric is not None else None
    # A function of the user's own may have the name of one of ours.
    if task.metric is None or ours is None or task.metric.kinds != ours.kinds:
        return -math.inf, math.inf
    if ours.mode == "min":
        return 0.0, {"ece": 1.0, "brier": 2.0, "smape": 200.0}.get(ours.name, math.inf)
    return (-math.inf if ours.name == "r2" else 0.0), 1.0


def silent(metric: Metric) -> Metric:
    """The metric without scikit-learn's warning that it does not exist on these rows: its caller sees that."""
    return replace(metric, function=partial(_silently, metric.function))


def _silently(function: Callable[..., float], y_true: object, y_score: object) -> float:
    from sklearn.exceptions import UndefinedMetricWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return function(y_true, y_score)
