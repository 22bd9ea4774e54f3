"""Reference models on the same rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from autoact.data.part import Part
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings
from autoact.tasks.metrics import resolve, with_threshold
from autoact.tasks.reference_models import reference_scores


@pytest.fixture(scope="module")
def wine():
    return prepare(DataSettings(source="sklearn", name="wine"), "classification")


def _diabetes():
    return prepare(DataSettings(source="sklearn", name="diabetes"), "regression")


def test_classification(wine):
    scores = reference_scores(wine, resolve("accuracy", "classification"), None)
    assert [name for name, _, _ in scores] == ["logistic regression", "gradient boosting"]
    assert all(0.8 < validation <= 1 and test is None for _, validation, test in scores)


def test_the_test_part_is_scored_where_it_is_open(wine):
    part = wine.test.open("a test").prepared.validation
    scores = reference_scores(wine, resolve("log_loss", "classification"), part)
    assert all(validation > 0 and test > 0 for _, validation, test in scores)


def test_decisions_on_test_rows_keep_the_threshold_of_the_validation_rows():
    prepared = prepare(DataSettings(source="sklearn", name="breast_cancer"), "classification")
    part = prepared.test.open("a test").prepared.validation
    metric = with_threshold(resolve("f1", "classification"), "validation")
    plain = reference_scores(prepared, resolve("f1", "classification"), part)
    fitted = reference_scores(prepared, metric, part)
    assert all(mine[1] >= other[1] for mine, other in zip(fitted, plain, strict=True))
    assert all(0.9 < test <= 1 for _, _, test in fitted)


def test_regression_beats_the_mean():
    prepared = _diabetes()
    scores = reference_scores(prepared, resolve("mse", "regression"), None)
    y = prepared.validation.y.numpy()
    trivial = float(((y - prepared.train.y.numpy().mean()) ** 2).mean())
    assert [name for name, _, _ in scores] == ["ridge regression", "gradient boosting"]
    assert all(validation < trivial for _, validation, _ in scores)


def test_the_direction_of_the_metric_chooses_the_strength():
    # One feature, exactly linear: the weakest regularisation is the best one in both directions.
    x = torch.linspace(-1, 1, 40)[:, None]
    part = Part(x, 3 * x[:, 0], np.arange(40))
    prepared = dataclasses.replace(_diabetes(), train=part, validation=part)
    mse = dict((n, v) for n, v, _ in reference_scores(prepared, resolve("mse", "regression"), None))
    r2 = dict((n, v) for n, v, _ in reference_scores(prepared, resolve("r2", "regression"), None))
    assert mse["ridge regression"] < 1e-3
    assert r2["ridge regression"] > 0.999


@pytest.mark.parametrize("classes", [[0] * 59 + [1], list(range(20)) * 3], ids=["one row of a class", "many classes"])
def test_classes_too_rare_to_hold_some_rows_out(wine, classes):
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    part = Part(x, torch.tensor(classes), np.arange(60))
    rare = dataclasses.replace(wine, train=part, validation=part, input_shape=(3,))
    scores = reference_scores(rare, resolve("accuracy", "classification"), None)
    assert [name for name, _, _ in scores] == ["logistic regression", "gradient boosting"]


def test_very_wide_rows_get_no_reference(wine):
    wide = Part(torch.zeros(4, 3000), torch.zeros(4), np.arange(4))
    prepared = dataclasses.replace(wine, train=wide, validation=wide, input_shape=(3000,))
    assert reference_scores(prepared, resolve("accuracy", "classification"), None) == []
