"""Metrics of classes and probabilities, as functions of NumPy arrays.

``y_true`` holds class indices ``[n]``; ``y_score`` the probability of class 1 ``[n]`` with two classes, else that of
each class ``[n, classes]``. Where a metric does not exist on the rows, a ``FloatingPointError`` says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Of the expected calibration error, as in Guo et al. (2017).
BINS = 15


def _no_nan(y_score: np.ndarray) -> np.ndarray:
    """The scores; comparing and sorting would take a NaN for a number.

    Raises:
        FloatingPointError: one is NaN.
    """
    if np.isnan(y_score).any():
        raise FloatingPointError(f"{int(np.isnan(y_score).sum())} of {y_score.size} predictions are NaN")
    return y_score


def _classes(y_score: np.ndarray) -> np.ndarray:
    """Class indices from scores: above one half with two classes, else the largest."""
    score = _no_nan(y_score)
    return (score > 0.5).astype("int64") if score.ndim == 1 else score.argmax(1)


def _need_every_class(y_true: np.ndarray, y_score: np.ndarray) -> None:
    """Refuse rows without some class, on which nothing ranks it.

    Raises:
        FloatingPointError: names the class by its index.
    """
    classes = 2 if y_score.ndim == 1 else y_score.shape[1]
    absent = np.setdiff1d(np.arange(classes), y_true)
    if len(absent):
        raise FloatingPointError(f"no row is of class {absent[0]} (of {classes}): nothing can be ranked")


def accuracy(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The share of rows whose class is predicted."""
    return float((_classes(y_score) == y_true).mean())


def balanced_accuracy(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The share of rows that is found, averaged over the classes that the rows hold (Brodersen et al., 2010)."""
    hits, truth, _ = _counts(y_true, y_score)
    held = truth > 0
    return float((hits[held] / truth[held]).mean())


def f1(average: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """F1 of class 1 (``binary``; of several classes it is the macro average), or the mean over classes (``macro``)."""

    def function(y_true: np.ndarray, y_score: np.ndarray) -> float:
        hits, truth, claimed = _counts(y_true, y_score)
        there = truth + claimed > 0
        score = 2 * hits / np.where(there, truth + claimed, 1)  # van Rijsbergen (1979)
        return float(score[1] if average == "binary" and y_score.ndim == 1 else score[there].mean())

    return function


def _counts(y_true: np.ndarray, y_score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class: rows that are found, rows that are of it, and rows that are said to be of it.

    They are counted after every epoch of every candidate, fifty times per training of the final check, and for every
    threshold that is tried; scikit-learn's checks take ten times as long.
    """
    found = _classes(y_score)
    classes = max(2 if y_score.ndim == 1 else y_score.shape[1], int(y_true.max(initial=0)) + 1)
    truth, claimed = (np.bincount(one, minlength=classes) for one in (y_true, found))
    return np.bincount(found[found == y_true], minlength=classes), truth, claimed


def roc_auc(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The area under the ROC curve; of several classes the mean over each one against the rest."""
    _need_every_class(y_true, y_score)
    if y_score.ndim == 1:
        positives = y_true == 1
        return _area(positives, _no_nan(y_score), int(positives.sum()))
    from sklearn.metrics import roc_auc_score

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


def average_precision(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Precision averaged over the recall that each threshold adds; of several classes the mean over them."""
    from sklearn.metrics import average_precision_score

    _need_every_class(y_true, y_score)
    if y_score.ndim == 1:
        return float(average_precision_score(y_true, y_score))
    one_hot = y_true[:, None] == list(range(y_score.shape[1]))
    return float(average_precision_score(one_hot, y_score, average="macro"))


def log_loss(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The mean negative logarithm of the probability that the true class was given."""
    from sklearn import metrics

    classes = 2 if y_score.ndim == 1 else y_score.shape[1]
    return float(metrics.log_loss(y_true, y_score, labels=list(range(classes))))


def calibration_error(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The expected calibration error over 15 bins of equal width (Guo et al., 2017).

    Rows are put into bins by the probability of the class that is predicted; the error is the mean over rows of how far
    the accuracy in their bin is from its mean probability. A constant prediction of the classes' shares has next to
    none: it says how far probabilities can be taken at their word, and not whether they tell rows apart.
    """
    score = _no_nan(y_score)
    found = _classes(score)
    confidence = np.maximum(score, 1.0 - score) if score.ndim == 1 else score.max(1)
    bins = np.clip(np.ceil(confidence * BINS).astype("int64") - 1, 0, BINS - 1)
    apart = np.bincount(bins, weights=(found == y_true) - confidence.astype("float64"), minlength=BINS)
    return float(np.abs(apart).sum() / len(y_true))


def brier(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The mean squared distance of probabilities to what came (Brier, 1950).

    With two classes it is that of class 1, from 0 to 1; else the sum over the classes, from 0 to 2.
    """
    score = y_score.astype("float64")
    if score.ndim == 1:
        return float(((score - (y_true == 1)) ** 2).mean())
    one_hot = y_true[:, None] == np.arange(score.shape[1])
    return float(((score - one_hot) ** 2).sum(axis=1).mean())
