"""Quality metrics by name, each with its direction; scikit-learn computes them on numpy arrays."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autoact.core.errors import AutoactError, unknown
from autoact.core.imports import load_reference
from autoact.core.registry import Registry
from autoact.data.settings import KINDS

MetricFunction = Callable[[np.ndarray, np.ndarray], float]

CLASSIFICATION = ("classification", "sequence_classification")
REGRESSION = ("regression", "forecast")


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
    """

    name: str
    title: str
    mode: str
    function: MetricFunction
    kinds: tuple[str, ...]
    ideal: float | None = None

    def __call__(self, y_true: np.ndarray, y_score: np.ndarray) -> float:
        """The metric's value; raises ``FloatingPointError`` where it is not finite, ``AutoactError`` for no number."""
        found = self.function(y_true, y_score)
        try:
            value = float(found)
        except (TypeError, ValueError) as error:
            raise AutoactError(f"the metric {self.title} gives {type(found).__name__}, not one number") from error
        if not math.isfinite(value):
            raise FloatingPointError(f"{self.title} is {value}")
        return value


def _hard(score: np.ndarray) -> np.ndarray:
    """Class indices from scores: above one half with two classes, else the largest."""
    return (score > 0.5).astype("int64") if score.ndim == 1 else score.argmax(1)


def _accuracy(y_true: np.ndarray, y_score: np.ndarray) -> float:
    return float((_hard(y_score) == y_true).mean())


def _f1(average: str) -> MetricFunction:
    def function(y_true: np.ndarray, y_score: np.ndarray) -> float:
        if average == "binary" and y_score.ndim == 1:
            return _binary_f1(y_true, y_score)
        from sklearn.metrics import f1_score

        kind = "macro" if average == "macro" or y_score.ndim > 1 else "binary"
        return float(f1_score(y_true, _hard(y_score), average=kind, zero_division=0.0))

    return function


def _binary_f1(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Twice the hits over hits, twice counted, and misses of both kinds (van Rijsbergen, 1979); 0 without positives.

    It is computed after every epoch of every candidate, and fifty times per training of the final check.
    """
    found, truth = y_score > 0.5, y_true == 1
    hits = int((found & truth).sum())
    claimed = int(found.sum()) + int(truth.sum())
    return 2 * hits / claimed if claimed else 0.0


def _roc_auc(y_true: np.ndarray, y_score: np.ndarray) -> float:
    if y_score.ndim == 1 and 0 < (positive := int((y_true == 1).sum())) < len(y_true):
        return _area(y_true == 1, y_score, positive)
    from sklearn.metrics import roc_auc_score

    if y_score.ndim == 1:
        return float(roc_auc_score(y_true, y_score))
    return float(roc_auc_score(y_true, y_score, multi_class="ovr", labels=list(range(y_score.shape[1]))))


def _area(positives: np.ndarray, y_score: np.ndarray, positive: int) -> float:
    """The area under the ROC curve from ranks, ties sharing theirs (Mann and Whitney, 1947).

    It is computed after every epoch of every candidate; scikit-learn's checks take ten times as long as the sort.
    """
    order = np.argsort(y_score)
    ranked = y_score[order]
    first = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
    sizes = np.diff(np.append(first, len(ranked)))
    ranks = np.repeat(first + (sizes + 1) / 2, sizes)
    negative = len(ranked) - positive
    above = float(ranks[positives[order]].sum()) - positive * (positive + 1) / 2
    return above / positive / negative


def _average_precision(y_true: np.ndarray, y_score: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    if y_score.ndim == 1:
        return float(average_precision_score(y_true, y_score))
    one_hot = y_true[:, None] == list(range(y_score.shape[1]))
    return float(average_precision_score(one_hot, y_score, average="macro"))


def _log_loss(y_true: np.ndarray, y_score: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    classes = 2 if y_score.ndim == 1 else y_score.shape[1]
    return float(log_loss(y_true, y_score, labels=list(range(classes))))


def _mse(y_true: np.ndarray, y_score: np.ndarray) -> float:
    return float(((y_true.astype("float64") - y_score) ** 2).mean())


def _rmse(y_true: np.ndarray, y_score: np.ndarray) -> float:
    return math.sqrt(_mse(y_true, y_score))


def _mae(y_true: np.ndarray, y_score: np.ndarray) -> float:
    return float(abs(y_true.astype("float64") - y_score).mean())


def _psnr(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The peak signal is 1: values lie from 0 to 1."""
    error = _mse(y_true, y_score)
    return -10 * math.log10(error) if error > 0 else math.inf


def _relative_l2(y_true: np.ndarray, y_score: np.ndarray) -> float:
    size = float((y_true.astype("float64") ** 2).sum())
    return math.sqrt(float(((y_true.astype("float64") - y_score) ** 2).sum()) / size) if size else math.nan


def _r2(y_true: np.ndarray, y_score: np.ndarray) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y_true.reshape(-1), y_score.reshape(-1)))


def _check_metric(metric: Metric) -> None:
    if not metric.name.isidentifier():
        raise AutoactError(f"metric name {metric.name!r}: use letters, digits and _, no digit first")
    if metric.mode not in ("max", "min"):
        raise AutoactError(f"the direction of the metric {metric.name!r} is {metric.mode!r}. Allowed: max, min")
    for kind in metric.kinds:
        KINDS.find(kind)
    if not metric.kinds:
        raise AutoactError(f"the metric {metric.name!r} fits no kind of task: name one or more of {', '.join(KINDS)}")
    check_metric(metric.function, metric.name)


METRICS: Registry[Metric] = Registry(
    "metric",
    "autoact.metrics",
    Metric,
    [
        Metric("accuracy", "accuracy", "max", _accuracy, CLASSIFICATION, 1.0),
        Metric("f1", "F1", "max", _f1("binary"), CLASSIFICATION, 1.0),
        Metric("macro_f1", "macro F1", "max", _f1("macro"), CLASSIFICATION, 1.0),
        Metric("roc_auc", "ROC AUC", "max", _roc_auc, CLASSIFICATION, 1.0),
        Metric("average_precision", "average precision", "max", _average_precision, CLASSIFICATION, 1.0),
        Metric("log_loss", "log loss", "min", _log_loss, CLASSIFICATION, 0.0),
        Metric("mse", "MSE", "min", _mse, REGRESSION, 0.0),
        Metric("rmse", "RMSE", "min", _rmse, REGRESSION, 0.0),
        Metric("mae", "MAE", "min", _mae, REGRESSION, 0.0),
        Metric("r2", "R2", "max", _r2, REGRESSION, 1.0),
        Metric("psnr", "PSNR in dB", "max", _psnr, ("image",)),
        Metric("relative_l2", "relative L2 error", "min", _relative_l2, REGRESSION, 0.0),
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
        replace: put it in the place of one registered before under this name.

    Raises:
        AutoactError: the name is taken, or a direction, a kind or the function cannot be used.

    Example:
        >>> _ = register_metric("doctest_bias", lambda y, s: abs((s - y).mean()), mode="min", kinds=["regression"])
        >>> resolve("doctest_bias", "regression").mode
        'min'
        >>> METRICS.remove("doctest_bias")
    """
    metric = Metric(name, title or name, mode, function, (kinds,) if isinstance(kinds, str) else tuple(kinds), ideal)
    METRICS.add(metric, replace=replace)
    return metric


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
