"""Metrics of classes: each against a plain reference, on one class, on constants and on NaN."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from autoact.tasks import classification_metrics as ours


def binary(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = np.r_[0, 1, draw.integers(0, 2, rows - 2)]
    return y, np.clip(draw.normal(0.4 + 0.2 * y, 0.2), 0.001, 0.999).astype("float32")


def several(rows: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = np.r_[np.arange(classes), draw.integers(0, classes, rows - classes)]
    raw = draw.exponential(size=(rows, classes)) + 2.0 * (y[:, None] == np.arange(classes))
    return y, raw / raw.sum(1, keepdims=True)


# --- the same in plain Python, by the papers' words


def predicted(row) -> int:
    return int(row > 0.5) if np.ndim(row) == 0 else int(np.argmax(row))


def plain_accuracy(y, score):
    return sum(predicted(s) == t for t, s in zip(y, score, strict=True)) / len(y)


def plain_balanced_accuracy(y, score):
    found = [predicted(s) for s in score]
    shares = [np.mean([f == k for f, t in zip(found, y, strict=True) if t == k]) for k in sorted(set(y))]
    return float(np.mean(shares))


def plain_f1_of(y, score, k):
    found = [predicted(s) for s in score]
    hits = sum(f == k and t == k for f, t in zip(found, y, strict=True))
    claimed, held = found.count(k), list(y).count(k)
    if not hits:
        return 0.0
    precision, recall = hits / claimed, hits / held
    return 2 * precision * recall / (precision + recall)


def plain_macro_f1(y, score):
    classes = sorted({*y, *(predicted(s) for s in score)})
    return float(np.mean([plain_f1_of(y, score, k) for k in classes]))


def plain_f1(y, score):
    return plain_f1_of(y, score, 1) if score.ndim == 1 else plain_macro_f1(y, score)


def over_classes(of_two):
    """One class against the rest, averaged."""

    def function(y, score):
        if score.ndim == 1:
            return of_two(y == 1, score)
        return float(np.mean([of_two(y == k, score[:, k]) for k in range(score.shape[1])]))

    return function


@over_classes
def plain_roc_auc(positive, score):
    pairs = [(p > n) + 0.5 * (p == n) for p in score[positive] for n in score[~positive]]
    return float(np.mean(pairs))


@over_classes
def plain_average_precision(positive, score):
    total, before = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        claimed = score >= threshold
        recall = (claimed & positive).sum() / positive.sum()
        total += (recall - before) * (claimed & positive).sum() / claimed.sum()
        before = recall
    return total


def plain_log_loss(y, score):
    given = [(s if t else 1 - s) if np.ndim(s) == 0 else s[t] for t, s in zip(y, score.astype("float64"), strict=True)]
    return -sum(np.log(p) for p in given) / len(given)


def plain_calibration_error(y, score):
    """Equation 5 of Guo et al. (2017): bins ((m - 1) / M, m / M]."""
    rows = [(max(s, 1 - s) if np.ndim(s) == 0 else max(s), predicted(s) == t) for t, s in zip(y, score, strict=True)]
    error = 0.0
    for m in range(1, 16):
        held = [(c, right) for c, right in rows if (m - 1) / 15 < c <= m / 15]
        if held:
            accuracy, confidence = np.mean([r for _, r in held]), np.mean([c for c, _ in held])
            error += len(held) / len(rows) * abs(accuracy - confidence)
    return error


def plain_brier(y, score):
    if score.ndim == 1:
        return sum((float(s) - t) ** 2 for t, s in zip(y, score, strict=True)) / len(y)
    return sum(sum((p - (k == t)) ** 2 for k, p in enumerate(s)) for t, s in zip(y, score, strict=True)) / len(y)


PAIRS = [
    (ours.accuracy, plain_accuracy),
    (ours.balanced_accuracy, plain_balanced_accuracy),
    (ours.f1("binary"), plain_f1),
    (ours.f1("macro"), plain_macro_f1),
    (ours.roc_auc, plain_roc_auc),
    (ours.average_precision, plain_average_precision),
    (ours.log_loss, plain_log_loss),
    (ours.calibration_error, plain_calibration_error),
    (ours.brier, plain_brier),
]
NAMES = ["accuracy", "balanced", "f1", "macro f1", "auc", "ap", "log loss", "ece", "brier"]


@pytest.mark.parametrize("rows", [binary(2), binary(40, 1), binary(300, 2), several(5), several(120, 3, 1)])
@pytest.mark.parametrize(("metric", "plain"), PAIRS, ids=NAMES)
def test_each_is_what_the_literature_says(metric, plain, rows):
    assert metric(*rows) == pytest.approx(plain(*rows), abs=1e-6)


@pytest.mark.parametrize("rows", [binary(300, 5), several(300, 3, 6)])
def test_they_are_scikit_learns_where_it_has_them(rows):
    y, score = rows
    found = (score > 0.5).astype(int) if score.ndim == 1 else score.argmax(1)
    assert ours.balanced_accuracy(y, score) == pytest.approx(sklearn.metrics.balanced_accuracy_score(y, found))
    assert ours.accuracy(y, score) == sklearn.metrics.accuracy_score(y, found)
    if score.ndim == 1:
        assert ours.brier(y, score) == pytest.approx(sklearn.metrics.brier_score_loss(y, score))


CONSTANT = np.full(8, 0.25)
ONE_CLASS = np.zeros(8, dtype="int64")


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (ours.accuracy, 1.0),
        (ours.balanced_accuracy, 1.0),
        (ours.f1("binary"), 0.0),
        (ours.f1("macro"), 1.0),
        (ours.log_loss, -np.log(0.75)),
        (ours.calibration_error, 0.25),
        (ours.brier, 0.0625),
    ],
)
def test_rows_of_one_class_have_a_value_where_nothing_is_ranked(metric, value):
    assert metric(ONE_CLASS, CONSTANT) == pytest.approx(value)


@pytest.mark.parametrize("metric", [ours.roc_auc, ours.average_precision])
def test_rows_without_a_class_cannot_be_ranked_which_is_said_and_not_warned_of(metric):
    with pytest.raises(FloatingPointError, match=r"no row is of class 1 \(of 2\)"):
        metric(ONE_CLASS, CONSTANT)
    with pytest.raises(FloatingPointError, match=r"no row is of class 2 \(of 3\)"):
        metric(np.array([0, 1, 1]), several(5, 3)[1][:3])


def test_a_constant_prediction_has_the_value_of_chance():
    y = np.array([0, 1] * 20)
    half = np.full(40, 0.5)
    assert ours.roc_auc(y, half) == ours.balanced_accuracy(y, half) == ours.average_precision(y, half) == 0.5
    assert ours.calibration_error(y, half) == 0.0  # it says nothing, and that correctly
    assert ours.brier(y, half) == 0.25


@pytest.mark.parametrize(("metric", "_"), PAIRS, ids=NAMES)
@pytest.mark.parametrize("make", [binary, several])
def test_no_metric_takes_a_nan_for_a_number(metric, _, make):
    y, score = make(30)
    score[3] = np.nan
    try:
        value = metric(y, score)
    except (FloatingPointError, ValueError):  # scikit-learn's own is a ValueError
        return
    assert np.isnan(value)


def test_certain_predictions_fall_into_the_last_bin():
    assert ours.calibration_error(np.array([1, 1, 0, 1]), np.ones(4)) == 0.25
