"""Quality metrics by name, each with its direction; scikit-learn computes them on numpy arrays."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autoact.core.errors import AutoactError, unknown
from autoact.core.imports import load_reference
from autoact.core.registry import Registry
from autoact.data.settings import HALF, KINDS
from autoact.tasks import classification_metrics as classes
from autoact.tasks import regression_metrics as numbers
from autoact.tasks.decision_threshold import VALIDATION, best_threshold, decided

MetricFunction = Callable[[np.ndarray, np.ndarray], float]

CLASSIFICATION = ("classification", "sequence_classification")
REGRESSION = ("regression", "forecast")
# What a metric looks at, of what a model gives.
CLASSES, ORDER, PROBABILITIES, NUMBERS, OWN_UNIT = "classes", "order", "probabilities", "numbers", "own unit"
NEEDS = (CLASSES, ORDER, PROBABILITIES, NUMBERS, OWN_UNIT)


@dataclass(frozen=True)
class Metric:
    """A quality metric.

    Attributes:
        name: as it is logged (``val_<name>``).
        title: as people write it.
        mode: ``max`` or ``min``: which values are better.
        function: ``(y_true, y_score) -> float``. For classification ``y_true`` is ``[n]`` class indices and
            ``y_score`` the probability of class 1 ``[n]`` with two classes, else ``[n, classes]``; for regression and
            forecasts both are in the user's own unit, ``[n]`` or ``[n, horizon]``.
        kinds: the kinds of task that it fits.
        ideal: its value for perfect predictions; None where unknown.
        unit: what its values are in, for people: ``share``, ``%``, ``target`` (the target's own unit); empty: unknown.
        needs: what it looks at: ``classes`` (which one is predicted), ``order`` (how scores rank the rows),
            ``probabilities``, ``numbers``, or ``own unit`` (numbers that mean nothing once they are standardised);
            empty: all that a model gives.
        of_data: gives the function and the title for prepared data; None where the rows are enough.
        threshold: of two classes: the probability above which class 1 is predicted, which matters to metrics that need
            ``classes``; ``validation``: the best one on a training's validation rows, see ``fitted``.
    """

    name: str
    title: str
    mode: str
    function: MetricFunction
    kinds: tuple[str, ...]
    ideal: float | None = None
    unit: str = ""
    needs: str = ""
    of_data: Callable[..., tuple[MetricFunction, str]] | None = None
    threshold: float | str = HALF

    def fitted(self, y_true: np.ndarray, y_score: np.ndarray) -> Metric:
        """The metric at the threshold that is best on these rows; itself where none is to be fitted.

        Example:
            >>> metric = replace(METRICS["f1"], threshold="validation")
            >>> fitted = metric.fitted(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.4]))
            >>> round(fitted.threshold, 3), fitted(np.array([0, 1]), np.array([0.35, 0.45]))
            (0.3, 0.6666666666666666)
        """
        if self.threshold != VALIDATION:
            return self
        return self.at(best_threshold(lambda cut: self.at(cut)(y_true, y_score), self.mode, y_true, y_score))

    def at(self, threshold: float | str) -> Metric:
        """The metric at a threshold, or at one that is to be fitted."""
        return replace(self, threshold=threshold)

    def __call__(self, y_true: np.ndarray, y_score: np.ndarray) -> float:
        """The metric's value; raises ``FloatingPointError`` where it is not finite, ``AutoactError`` for no number."""
        # Rows that are scored must not choose their own threshold: it is fitted before.
        assert not isinstance(self.threshold, str), f"the threshold of {self.name} is not fitted"
        if self.needs == CLASSES and self.threshold != HALF:
            y_score = decided(y_score, self.threshold)
        found = self.function(y_true, y_score)
        try:
            value = float(found)
        except (TypeError, ValueError) as error:
            raise AutoactError(f"the metric {self.title} gives {type(found).__name__}, not one number") from error
        if not math.isfinite(value):
            raise FloatingPointError(f"{self.title} is {value}")
        return value


def _check_metric(metric: Metric) -> None:
    if not metric.name.isidentifier():
        raise AutoactError(f"metric name {metric.name!r}: use letters, digits and _, no digit first")
    if metric.mode not in ("max", "min"):
        raise AutoactError(f"the direction of the metric {metric.name!r} is {metric.mode!r}. Allowed: max, min")
    for kind in metric.kinds:
        KINDS.find(kind)
    if not metric.kinds:
        raise AutoactError(f"the metric {metric.name!r} fits no kind of task: name one or more of {', '.join(KINDS)}")
    if metric.needs and metric.needs not in NEEDS:
        raise unknown(f"need of the metric {metric.name!r}", metric.needs, NEEDS)
    check_metric(metric.function, metric.name)


METRICS: Registry[Metric] = Registry(
    "metric",
    "autoact.metrics",
    Metric,
    [
        Metric("accuracy", "accuracy", "max", classes.accuracy, CLASSIFICATION, 1.0, "share", CLASSES),
        Metric(
            "balanced_accuracy",
            "balanced accuracy",
            "max",
            classes.balanced_accuracy,
            CLASSIFICATION,
            1.0,
            "share",
            CLASSES,
        ),
        Metric("f1", "F1", "max", classes.f1("binary"), CLASSIFICATION, 1.0, "share", CLASSES),
        Metric("macro_f1", "macro F1", "max", classes.f1("macro"), CLASSIFICATION, 1.0, "share", CLASSES),
        Metric("roc_auc", "ROC AUC", "max", classes.roc_auc, CLASSIFICATION, 1.0, "share", ORDER),
        Metric(
            "average_precision",
            "average precision",
            "max",
            classes.average_precision,
            CLASSIFICATION,
            1.0,
            "share",
            ORDER,
        ),
        Metric("log_loss", "log loss", "min", classes.log_loss, CLASSIFICATION, 0.0, "nats", PROBABILITIES),
        Metric("ece", "ECE", "min", classes.calibration_error, CLASSIFICATION, 0.0, "share", PROBABILITIES),
        Metric("brier", "Brier score", "min", classes.brier, CLASSIFICATION, 0.0, "squared share", PROBABILITIES),
        Metric("mse", "MSE", "min", numbers.mse, REGRESSION, 0.0, "squared target", NUMBERS),
        Metric("rmse", "RMSE", "min", numbers.rmse, REGRESSION, 0.0, "target", NUMBERS),
        Metric("mae", "MAE", "min", numbers.mae, REGRESSION, 0.0, "target", NUMBERS),
        Metric("r2", "R2", "max", numbers.r2, REGRESSION, 1.0, "share", NUMBERS),
        Metric("smape", "sMAPE", "min", numbers.smape, REGRESSION, 0.0, "%", OWN_UNIT),
        Metric("pinball", "pinball loss (median)", "min", numbers.pinball, REGRESSION, 0.0, "target", NUMBERS),
        Metric(
            "mase",
            "MASE",
            "min",
            numbers.mase,
            ("forecast",),
            0.0,
            "naive errors",
            NUMBERS,
            of_data=numbers.scaled_by_naive,
        ),
        Metric("psnr", "PSNR in dB", "max", numbers.psnr, ("image",), None, "dB", NUMBERS),
        Metric("relative_l2", "relative L2 error", "min", numbers.relative_l2, REGRESSION, 0.0, "share", NUMBERS),
    ],
    check=_check_metric,
)


def register_metric(
    name: str,
    function: MetricFunction,
    *,
    mode: str,
    kinds: str | Sequence[str],
    title: str | None = None,
    ideal: float | None = None,
    unit: str = "",
    needs: str = "",
    replace: bool = False,
) -> Metric:
    """Make a metric known by name.

    Args:
        name: as ``metric=`` names it, and as it is logged (``val_<name>``).
        function: ``(y_true, y_score) -> float``; see ``Metric`` for what it is given.
        mode: ``max`` or ``min``: which values are better.
        kinds: the kinds of task that it fits, such as ``["regression", "forecast"]``, or one of them.
        title: as people write it; the name unless given.
        ideal: its value for perfect predictions.
        unit: what its values are in, for people.
        needs: ``classes``, ``order``, ``probabilities``, ``numbers`` or ``own unit``; see ``Metric``.
        replace: put it in the place of one registered before under this name.

    Raises:
        AutoactError: the name is taken, or a direction, a kind or the function cannot be used.

    Example:
        >>> _ = register_metric("doctest_bias", lambda y, s: abs((s - y).mean()), mode="min", kinds=["regression"])
        >>> resolve("doctest_bias", "regression").mode
        'min'
        >>> METRICS.remove("doctest_bias")
    """
    fitting = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    metric = Metric(name, title or name, mode, function, fitting, ideal, unit, needs)
    METRICS.add(metric, replace=replace)
    return metric


def with_threshold(metric: Metric, threshold: float | str) -> Metric:
    """The metric of a task whose decisions have this threshold; the title says so where it matters to the metric.

    Example:
        >>> with_threshold(METRICS["f1"], 0.2).title, with_threshold(METRICS["roc_auc"], 0.2).title
        ('F1 at threshold 0.2', 'ROC AUC')
    """
    if threshold == HALF:
        return metric
    if metric.needs != CLASSES:
        return metric if threshold == VALIDATION else replace(metric, threshold=threshold)
    word = "fitted threshold" if threshold == VALIDATION else f"threshold {threshold:g}"
    return replace(metric, threshold=threshold, title=f"{metric.title} at {word}")


def titled(title: str, mode: str | None) -> Metric | None:
    """The metric of this title and direction, with the threshold that the title names; None where there is none.

    Example:
        >>> titled("F1 at fitted threshold", "max").threshold, titled("ROC AUC", "max").name
        ('validation', 'roc_auc')
    """
    for metric in METRICS.values():
        if metric.mode == mode and title == metric.title:
            return metric
        if metric.mode == mode and title == with_threshold(metric, VALIDATION).title:
            return with_threshold(metric, VALIDATION)
        number = title.removeprefix(f"{metric.title} at threshold ")
        if metric.mode == mode and number != title:
            return with_threshold(metric, float(number))
    return None


def check_metric(function: object, name: str) -> MetricFunction:
    """The user's own metric, if it can be called with the targets and the scores.

    Raises:
        AutoactError: it is no function, or takes other arguments.

    Example:
        >>> check_metric(len, "builtins:len")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: metric=builtins:len takes (obj, /): it is called with (y_true, y_score)
    """
    if not callable(function):
        raise AutoactError(f"metric={name} is a {type(function).__name__}, not a function (y_true, y_score) -> float")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions of C do not tell
        return function
    try:
        signature.bind(None, None)
    except TypeError:
        raise AutoactError(f"metric={name} takes {signature}: it is called with (y_true, y_score)") from None
    return function


def resolve(name: str, kind: str, mode: str | None = None) -> Metric:
    """The metric called ``name`` for tasks of ``kind``, or the user's own, ``package.module:function``.

    Args:
        name: a name of ``METRICS``, or a reference to ``(y_true, y_score) -> float``.
        kind: ``classification``, ``regression``, ``sequence_classification`` or ``forecast``.
        mode: the direction of the user's own metric, ``max`` or ``min``.

    Raises:
        AutoactError: unknown name, a metric of another kind, or no direction for the user's own.

    Example:
        >>> resolve("roc_auc", "classification").mode
        'max'
    """
    if ":" in name:
        if mode not in ("max", "min"):
            raise AutoactError(f"metric={name} needs its direction: metric_mode=max or metric_mode=min")
        own = name.rpartition(":")[2].replace(".", "_")
        return Metric(own, own, mode, check_metric(load_reference(name, "metric"), name), (kind,))
    like = {kind, KINDS.find(kind).like}
    fitting = [m.name for m in METRICS.values() if like & set(m.kinds)]
    metric = METRICS.get(name)
    if metric is None:
        raise unknown("metric", name, fitting, advice="or your own as package.module:function")
    if not like & set(metric.kinds):
        raise AutoactError(f"the metric {name} does not fit a {kind} task. Allowed: {', '.join(fitting)}")
    if mode is not None and mode != metric.mode:
        raise AutoactError(f"metric_mode={mode} contradicts the metric {name}, whose direction is {metric.mode}")
    return metric
