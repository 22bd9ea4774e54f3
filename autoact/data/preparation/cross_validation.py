"""Folds of a cross-validation: the rows of training and validation dealt out anew, the test part untouched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from autoact.core.errors import AutoactError
from autoact.data.part import Part
from autoact.data.prepared_data import PreparedData

# Splits whose rows may change places: not those of one time after another, nor those that belong to a group.
EXCHANGEABLE = ("stratified", "random")


def has_folds(prepared: PreparedData) -> bool:
    """Whether the rows can be dealt out anew."""
    return prepared.split in EXCHANGEABLE


def fold_of(prepared: PreparedData, seed: int, fold: int, folds: int) -> PreparedData:
    """The same data with one fold as validation rows and all others as training rows.

    All folds are of one size, so that their members can train in one population: the few rows that are left over
    (fewer than there are folds, drawn by the seed) are training rows in every fold. Classes are dealt out evenly.
    Preprocessing and scales stay as they were fitted on the task's own training rows. The test part stays sealed.
    The seed decides which rows make up which fold, the same partition for all folds of a seed; ``fold`` counts from 0.

    Raises:
        AutoactError: rows of this split cannot be dealt out, or there are too few of them.

    Example:
        >>> from autoact.data.prepare import prepare
        >>> from autoact.data.settings import DataSettings
        >>> wine = prepare(DataSettings(source="sklearn", name="wine"), "classification")
        >>> wine.sizes["train"] + wine.sizes["validation"]
        142
        >>> fold_of(wine, seed=0, fold=4, folds=5).sizes
        {'train': 114, 'validation': 28, 'test': 36}
    """
    if not has_folds(prepared):
        allowed = " or ".join(EXCHANGEABLE)
        raise AutoactError(f"a {prepared.split} split has no folds: its rows cannot change places; allowed: {allowed}")
    whole = _joined(prepared.train, prepared.validation)
    if len(whole) < folds:
        raise AutoactError(f"{folds} folds of {len(whole)} rows: there must be a row in each")
    validation = _validation_rows(whole, seed, fold, folds, classes=prepared.classes is not None)
    train = np.setdiff1d(np.arange(len(whole)), validation)
    return replace(prepared, train=_taken(whole, train), validation=_taken(whole, validation))


def _validation_rows(whole: Part, seed: int, fold: int, folds: int, *, classes: bool) -> np.ndarray:
    order = np.random.default_rng(np.random.SeedSequence([seed, folds])).permutation(len(whole))
    dealt = order[len(order) % folds :]
    if classes:
        dealt = dealt[np.argsort(whole.y.numpy()[dealt], kind="stable")]
    return np.sort(dealt[fold::folds])


def _joined(one: Part, other: Part) -> Part:
    series = None
    if one.series is not None and other.series is not None:
        series = torch.cat([one.series, other.series])
    x, y = torch.cat([one.x, other.x]), torch.cat([one.y, other.y])
    return Part(x, y, np.concatenate([one.rows, other.rows]), series)


def _taken(part: Part, rows: np.ndarray) -> Part:
    index = torch.from_numpy(rows)
    series = None if part.series is None else part.series[index]
    return Part(part.x[index], part.y[index], part.rows[rows], series)
