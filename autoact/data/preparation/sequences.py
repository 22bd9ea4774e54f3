"""Preparing labelled sequences: ``[rows, channels, time]`` with one class for each row."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from autoact.core.errors import AutoactError
from autoact.data.columns.column_types import NUMERIC
from autoact.data.part import Part
from autoact.data.preparation.fingerprint import content_hash, data_fingerprint
from autoact.data.preparation.split import settings_as_split, split_name, split_notes
from autoact.data.preparation.table_checks import class_indices, class_labels, class_names
from autoact.data.preparation.tables import Typed, check_table, split_table, subset
from autoact.data.prepared_data import PreparedData, TargetScale
from autoact.data.sealed_test import PreparedTest
from autoact.data.settings import DataSettings
from autoact.data.sources.load import existing_file, load_table


@dataclass(frozen=True)
class Sequences:
    """Sequences as they were found.

    Attributes:
        x: **Shape** ``[rows, channels, time]``, float32.
        labels: one for each row.
        test: the same pair for an official test part, if there is one.
        order: a number of each row that grows with time, if there is one.
        groups: the group of each row, if there is one.
        one_unit: whether all channels have the same unit (pixels), and so one scale.
    """

    x: np.ndarray
    labels: pd.Series
    name: str
    description: str
    simulated: bool = False
    test: tuple[np.ndarray, pd.Series] | None = None
    order: np.ndarray | None = None
    groups: np.ndarray | None = None
    one_unit: bool = False


@dataclass(frozen=True)
class SequenceReader:
    """Makes the part of some rows when it is called; picklable."""

    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    scale: TargetScale | None

    def __call__(self) -> Part:
        """Standardise each channel and hand over."""
        x = self.x
        if self.scale is not None:
            x = (x - self.scale.mean[:, None]) / self.scale.std[:, None]
        return Part(torch.from_numpy(np.array(x, dtype=np.float32, order="C")), torch.tensor(self.y), self.rows)

    def __repr__(self) -> str:
        return f"SequenceReader({len(self.rows)} rows)"


def prepare_sequences(settings: DataSettings, *, whole: bool = False) -> PreparedData:
    """Load, check, split, standardise each channel by the training rows, and seal the test rows.

    See ``prepare`` for ``whole``.

    Raises:
        AutoactError: what is wrong with the sequences or the settings, in one line.
    """
    kind = "sequence_classification"
    found = load_sequences(settings)
    typed = _typed(found, settings)
    how = split_name(settings, kind)
    if (settings.time is not None and found.order is None) or (settings.group is not None and found.groups is None):
        raise AutoactError("data.time and data.group name columns of a table: these sequences have none")
    # An npz file can hold its own test part: to the split that is like a test file.
    apart = settings if found.test is None else replace(settings, test_path=settings.test_path or settings.path)
    split = split_table(typed, subset(len(typed.y), how, settings, found.order), how, apart)
    split = split.whole() if whole else split
    channels = [f"channel_{k}" for k in range(found.x.shape[1])]
    scale = None
    if settings.scaling != "none":
        scale = channel_scale(found.x[split.train], channels, found.one_unit)
    read_train, validation, test = (
        SequenceReader(found.x[rows], typed.y[rows], rows, scale)
        for rows in (split.train, split.validation, split.test)
    )
    assert typed.classes is not None
    train = read_train()
    pieces = [("x", found.x), ("y", typed.y), ("classes", np.array(typed.classes, dtype=object))]
    if found.test is not None and typed.test is not None:
        test = SequenceReader(found.test[0], typed.test[1], np.arange(len(typed.test[1])), scale)
        pieces += [("test x", test.x), ("test y", test.y)]
    return PreparedData(
        kind=kind,
        name=found.name,
        description=found.description,
        simulated=found.simulated,
        train=train,
        validation=validation(),
        test=PreparedTest(test, len(test.rows), content_hash([("x", test.x), ("y", test.y)]), train=train),
        input_shape=tuple(found.x.shape[1:]),
        outputs=len(typed.classes),
        features=channels,
        target=typed.target,
        split=how,
        seed=settings.seed,
        fingerprint=data_fingerprint(kind, content_hash(pieces), settings_as_split(settings, kind)),
        classes=typed.classes,
        notes=[*split_notes(settings, kind), *_own_test(found, settings)],
    )


def _own_test(found: Sequences, settings: DataSettings) -> list[str]:
    """What is said of a share of test rows where the file brings a test part."""
    if found.test is None or settings.test == DataSettings().test:
        return []
    return [f"data.test={settings.test:g} has no effect: {found.description} holds a test part of its own"]


def channel_scale(x: np.ndarray, channels: list[str], one_unit: bool) -> TargetScale:
    """Mean and deviation of each channel over rows and time.

    Channels in one unit share a scale: a border pixel that is dark in all but a few rows would explode on its own.

    Example:
        >>> channel_scale(np.array([[[0.0, 2.0], [4.0, 4.0]]]), ["a", "b"], one_unit=False).std.tolist()
        [1.0, 1.0]
    """
    scale = TargetScale.of(x.transpose(0, 2, 1).reshape(-1, len(channels)), channels)
    if not one_unit:
        return scale
    std = float(x.astype("float64").std())
    return TargetScale(np.full(len(channels), x.mean(dtype="float64")), np.full(len(channels), std or 1.0), channels)


def load_sequences(settings: DataSettings) -> Sequences:
    """Sequences from an npz file, the digits set (8 rows in time, 8 pixels as channels), or a table.

    In a table every column but the target is one step of a single channel, in the columns' order.

    Raises:
        AutoactError: they cannot be found or read, or hold missing or infinite values.

    Example:
        >>> load_sequences(DataSettings(source="sklearn", name="digits")).x.shape
        (1797, 8, 8)
    """
    if settings.source == "npz":
        found = _from_npz(settings)
    elif settings.source == "sklearn" and settings.name == "digits":
        found = _digits()
    else:
        found = _from_table(settings)
    for x in (found.x, *(found.test or ())[:1]):
        bad = np.argwhere(~np.isfinite(x))
        if len(bad):
            row, channel, step = (int(n) for n in bad[0])
            raise AutoactError(
                f"{found.description}: missing or infinite value in row {row + 1}, channel {channel}, step {step}: "
                f"fill it before"
            )
    return found


def _digits() -> Sequences:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = bunch.images.transpose(0, 2, 1).astype(np.float32)
    return Sequences(
        x, pd.Series(bunch.target, name="target"), "digits", "scikit-learn set digits, rows as time", one_unit=True
    )


def _from_table(settings: DataSettings) -> Sequences:
    table = load_table(settings)
    typed = check_table(table, settings, "sequence_classification")
    text = [name for name, kind in typed.schema.items() if kind != NUMERIC]
    if text:
        raise AutoactError(f"column {text[0]!r} holds categories: the steps of a sequence must be numbers")
    assert typed.classes is not None
    names = np.array(typed.classes, dtype=object)

    def pair(frame: pd.DataFrame, y: np.ndarray) -> tuple[np.ndarray, pd.Series]:
        return frame.to_numpy(dtype=np.float32)[:, None, :], pd.Series(names[y], name=typed.target)

    x, labels = pair(typed.features, typed.y)
    test = None if typed.test is None else pair(*typed.test)
    return Sequences(x, labels, table.name, table.description, table.simulated, test, typed.order, typed.groups)


def _from_npz(settings: DataSettings) -> Sequences:
    """Arrays ``X`` and ``y``, or ``X_train, y_train, X_test, y_test`` with an official split."""
    file = existing_file(settings.path, "data.path")
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise AutoactError(
            f"{file.name} cannot be read as npz: save plain arrays with numpy.savez (X_train, y_train, X_test, y_test)"
        ) from error
    suffixes = ["_train", "_test"] if "X_train" in arrays else [""]
    pairs = []
    for suffix in suffixes:
        lacking = [key for key in (f"X{suffix}", f"y{suffix}") if key not in arrays]
        if lacking:
            raise AutoactError(
                f"{file.name} has no array {lacking[0]!r} (it has {', '.join(arrays) or 'none'}): give X and y, "
                f"or X_train, y_train, X_test and y_test"
            )
        pairs.append(_pair(file.name, arrays[f"X{suffix}"], arrays[f"y{suffix}"]))
    if len(pairs) == 2 and pairs[0][0].shape[1:] != pairs[1][0].shape[1:]:
        raise AutoactError(f"{file.name}: X_train and X_test differ in channels or time")
    name = settings.name or file.stem
    return Sequences(*pairs[0], name, f"npz file {file.name}", test=pairs[1] if len(pairs) == 2 else None)


def _pair(file: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, pd.Series]:
    x = x[:, None, :] if x.ndim == 2 else x
    if x.ndim != 3 or not np.issubdtype(x.dtype, np.number) or len(x) == 0:
        raise AutoactError(f"{file}: X must hold numbers [rows, channels, time], not {x.dtype} {list(x.shape)}")
    if y.shape != (len(x),):
        raise AutoactError(f"{file}: y must hold one label for each of the {len(x)} rows, not {list(y.shape)}")
    return x.astype(np.float32), pd.Series(y, name="y")


def _typed(found: Sequences, settings: DataSettings) -> Typed:
    """Labels as class indices, in the form that a split takes."""
    labels = class_labels(found.labels, settings)
    classes = class_names(labels, settings)
    test = None
    if found.test is not None:
        where = "the test part"
        test_labels = class_labels(found.test[1], settings, where)
        test = (pd.DataFrame(index=range(len(test_labels))), class_indices(test_labels, classes, where))
    target = str(found.labels.name)
    return Typed(
        pd.DataFrame(),
        class_indices(labels, classes),
        {},
        target,
        classes,
        pd.DataFrame(),
        test,
        found.order,
        found.groups,
    )
