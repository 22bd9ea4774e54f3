"""Dividing rows into training, validation and test parts, by seed and reproducibly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from autoact.core.errors import AutoactError
from autoact.core.override_text import override
from autoact.data.settings import DataSettings


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, ascending; ``test`` is empty where the test part is a file of its own."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def sizes(self) -> dict[str, int]:
        """Part -> number of rows."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}

    def whole(self) -> Split:
        """The same split with the validation rows among the training rows; they stay validation rows, too.

        Example:
            >>> Split(np.array([0, 3]), np.array([1]), np.array([2])).whole().train.tolist()
            [0, 1, 3]
        """
        return Split(np.sort(np.concatenate([self.train, self.validation])), self.validation, self.test)


def split_name(settings: DataSettings, kind: str) -> str:
    """How rows are divided. ``auto``: by the column that is named for it, time before group.

    Without one, ``auto`` stands for stratified for classes, random for numbers, time for forecasts.

    Example:
        >>> split_name(DataSettings(), "regression"), split_name(DataSettings(time="day"), "regression")
        ('random', 'time')
    """
    if settings.split != "auto":
        return settings.split
    if kind == "forecast" or settings.time is not None:
        return "time"
    if settings.group is not None:
        return "group"
    return "random" if kind == "regression" else "stratified"


def split_notes(settings: DataSettings, kind: str) -> list[str]:
    """What is said of a column that is named for the split, where the other one divides the rows.

    Example:
        >>> split_notes(DataSettings(time="day", group="shop"), "regression")
        ["rows are split by time (data.time=day): rows of one 'shop' can lie in several parts; data.split=group keeps \
each in one part"]
    """
    if kind == "forecast" or settings.time is None or settings.group is None:
        return []
    time, group = override("data.time", settings.time), override("data.group", settings.group)
    if split_name(settings, kind) == "time":
        return [
            f"rows are split by time ({time}): rows of one {settings.group!r} can lie in several parts; "
            "data.split=group keeps each in one part"
        ]
    return [
        f"rows are split by group ({group}): {time} only leaves its column out; data.split=time splits by it instead"
    ]


def settings_as_split(settings: DataSettings, kind: str) -> DataSettings:
    """The settings with the split that a named column stands for, for the fingerprint.

    A study that was made when a named column did not decide had other parts, and is another study.
    """
    named = kind != "forecast" and (settings.time is not None or settings.group is not None)
    return replace(settings, split=split_name(settings, kind)) if named else settings


def split_rows(
    rows: int,
    how: str,
    settings: DataSettings,
    *,
    classes: np.ndarray | None = None,
    class_names: list[str] | None = None,
    order: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Split:
    """Divide ``rows`` rows.

    Args:
        rows: how many there are.
        how: ``stratified``, ``random``, ``time`` or ``group``.
        settings: shares, seed, and whether there is a test file.
        classes: class index of each row, for ``stratified``.
        class_names: names of the classes, for messages.
        order: a number of each row that grows with time, for ``time``; the row number unless given.
        groups: group of each row, for ``group``.

    Raises:
        AutoactError: too few rows, too few rows of a class, too few groups or moments.

    Example:
        >>> split_rows(100, "random", DataSettings()).sizes
        {'train': 65, 'validation': 15, 'test': 20}
    """
    test_share = 0.0 if settings.has_test_file else settings.test
    needed = 2 if test_share == 0 else 3
    if rows < needed:
        raise AutoactError(f"{rows} rows cannot be divided into {needed} parts: at least one row in each is needed")
    random = np.random.default_rng(settings.seed)
    if how == "stratified":
        assert classes is not None, "stratified split needs classes"
        names = class_names or [str(k) for k in range(int(classes.max()) + 1)]
        part = _by_class(classes, names, settings.validation, test_share, random)
    elif how == "random":
        part = np.empty(rows, dtype="int8")
        part[random.permutation(rows)] = _labels(rows, settings.validation, test_share)
    elif how == "time":
        part = _by_time(np.arange(rows) if order is None else order, settings.validation, test_share)
    else:
        assert groups is not None, "group split needs groups"
        part = _by_group(groups, settings.validation, test_share, random)
    return Split(*(np.flatnonzero(part == k) for k in range(3)))


def _labels(rows: int, validation: float, test: float) -> np.ndarray:
    """Part numbers 0, 1, 2 in this order, with at least one row in each part that is asked for."""
    count_test = max(1, round(rows * test)) if test else 0
    count_validation = max(1, round(rows * validation))
    train = max(1, rows - count_test - count_validation)
    count_validation = max(1, rows - count_test - train)
    return np.repeat(np.arange(3, dtype="int8"), [train, count_validation, rows - train - count_validation])


def _by_class(
    classes: np.ndarray, names: list[str], validation: float, test: float, random: np.random.Generator
) -> np.ndarray:
    needed = 3 if test else 2
    part = np.empty(len(classes), dtype="int8")
    for value in np.unique(classes):
        members = np.flatnonzero(classes == value)
        if len(members) < needed:
            raise AutoactError(
                f"class {names[value]!r} has too few rows ({len(members)}); a stratified split needs {needed} of each: "
                f"merge or remove the class, or use data.split=random"
            )
        part[random.permutation(members)] = _labels(len(members), validation, test)
    return part


def _by_time(order: np.ndarray, validation: float, test: float) -> np.ndarray:
    """Oldest rows train, newest test; rows of one moment stay in one part."""
    moments, first = np.unique(np.sort(order), return_index=True)
    needed = 3 if test else 2
    if len(moments) < needed:
        raise AutoactError(f"the time column has {len(moments)} distinct values; a split by time needs {needed}")
    ideal = np.cumsum(np.bincount(_labels(len(order), validation, test), minlength=3))[:2]
    # The borders move to the nearest change of moment, keeping every part non-empty.
    cut = int(np.clip(np.abs(first - ideal[0]).argmin(), 1, len(moments) - needed + 1))
    part = (order >= moments[cut]).astype("int8")
    if test:
        cut = int(np.clip(np.abs(first - ideal[1]).argmin(), cut + 1, len(moments) - 1))
        part += order >= moments[cut]
    return part


def _by_group(groups: np.ndarray, validation: float, test: float, random: np.random.Generator) -> np.ndarray:
    """Whole groups in random order, each given to the part that lacks most rows."""
    values, member = np.unique(groups, return_inverse=True)
    shares = np.array([1 - validation - test, validation, test])
    needed = 3 if test else 2
    if len(values) < needed:
        raise AutoactError(f"the group column has {len(values)} distinct values; a split by group needs {needed}")
    sizes = np.bincount(member)
    part_of = np.zeros(len(values), dtype="int8")
    filled = np.zeros(3)
    for turn, group in enumerate(random.permutation(len(values))):
        # The first groups go to one part each, so that none stays empty.
        part = turn if turn < needed else int((shares * len(groups) - filled)[:needed].argmax())
        part_of[group] = part
        filled[part] += sizes[group]
    return part_of[member]
