"""Folds: every row once, classes evenly, equal sizes, the test part sealed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from autoact.core.errors import AutoactError
from autoact.data.preparation.cross_validation import fold_of, has_folds
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings


@pytest.fixture(scope="module")
def wine():
    return prepare(DataSettings(source="sklearn", name="wine"), "classification")


def test_every_row_is_validated_once_but_for_those_left_over(wine):
    folds = [fold_of(wine, 0, number, 5) for number in range(5)]
    judged = np.concatenate([fold.validation.rows for fold in folds])
    assert len(set(judged)) == len(judged) == 5 * (142 // 5)
    everything = {*wine.train.rows, *wine.validation.rows}
    for fold in folds:
        assert {*fold.train.rows, *fold.validation.rows} == everything
        assert not {*fold.train.rows} & {*fold.validation.rows}
    assert len({(len(fold.train), len(fold.validation)) for fold in folds}) == 1


def test_rows_keep_their_inputs_and_targets(wine):
    fold = fold_of(wine, 1, 2, 4)
    place = {row: i for i, row in enumerate(wine.train.rows)}
    for i, row in enumerate(fold.validation.rows):
        if row in place:
            assert torch.equal(fold.validation.x[i], wine.train.x[place[row]])
            assert fold.validation.y[i] == wine.train.y[place[row]]


def test_classes_are_dealt_out_evenly(wine):
    counts = np.array([np.bincount(fold_of(wine, 0, number, 5).validation.y) for number in range(5)])
    assert (counts.max(0) - counts.min(0) <= 1).all()


def test_the_seed_decides(wine):
    assert (fold_of(wine, 0, 1, 5).validation.rows == fold_of(wine, 0, 1, 5).validation.rows).all()
    assert set(fold_of(wine, 0, 1, 5).validation.rows) != set(fold_of(wine, 1, 1, 5).validation.rows)


def test_the_test_part_stays_sealed(wine):
    fold = fold_of(wine, 0, 0, 5)
    assert fold.test is wine.test
    assert not fold.test.opened


@pytest.mark.parametrize("split", ["time", "group"])
def test_rows_that_cannot_change_places_have_no_folds(wine, split):
    other = replace(wine, split=split)
    assert not has_folds(other)
    with pytest.raises(AutoactError, match=f"a {split} split has no folds.*stratified or random"):
        fold_of(other, 0, 0, 5)


def test_too_many_folds(wine):
    with pytest.raises(AutoactError, match="143 folds of 142 rows"):
        fold_of(wine, 0, 0, 143)
