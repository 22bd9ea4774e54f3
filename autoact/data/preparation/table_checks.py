"""Checks of a table against the settings: each mistake gets one line that says what to do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError, unknown
from autoact.core.override_text import override
from autoact.data.column_notes import counting
from autoact.data.columns.category_levels import as_levels
from autoact.data.columns.column_types import as_text
from autoact.data.columns.dtype_readings import readable
from autoact.data.columns.foreign_notations import plainly
from autoact.data.columns.number_formats import PLAIN, NumberForm, form_of, recognised
from autoact.data.columns.typed_text import seconds_of
from autoact.data.settings import DataSettings

MAX_CLASSES = 100
# More groups than these make no table that anybody reads, and are mostly numbers that are meant to be binned.
MAX_GROUPS = 20
NO_VALUE = "(missing)"


def check_columns(frame: pd.DataFrame, settings: DataSettings, roles: dict[str, str | None]) -> None:
    """Every column that the settings name exists, once.

    Args:
        frame: the table.
        settings: drop, numeric, categorical, groups are looked up.
        roles: option -> column for the columns with a role (target, time, group).

    Raises:
        AutoactError: a repeated column, or a name that no column has, with the nearest ones.
    """
    columns = [str(c) for c in frame.columns]
    repeated = sorted({c for c in columns if columns.count(c) > 1})
    if repeated:
        raise AutoactError(f"the table has {columns.count(repeated[0])} columns named {repeated[0]!r}: rename them")
    lists = {
        "data.drop": settings.drop,
        "data.numeric": settings.numeric,
        "data.categorical": settings.categorical,
        "data.series": settings.series,
        "data.known": settings.known,
        "data.groups": settings.groups,
    }
    named = {
        **lists,
        **{option: [column] for option, column in roles.items() if column is not None},
    }
    for option, wanted in named.items():
        for column in wanted:
            if column not in columns:
                rest = override(option, [name for name in wanted if name in columns])
                raise unknown(
                    f"column in {option}", column, columns, advice=f"{rest} leaves it out" if option in lists else ""
                )
    for option, role in roles.items():
        if role is not None and role in settings.drop:
            raise AutoactError(f"column {role!r} is both {option} and in data.drop: keep one")


def class_labels(column: pd.Series, settings: DataSettings, where: str = "") -> pd.Series:
    """The target as text labels.

    Raises:
        AutoactError: a missing label, or more distinct numbers than classes can have.
    """
    _no_missing(column, where)
    if not readable(column):
        raise AutoactError(f"target {column.name!r} holds values of type {type(column.iloc[0]).__name__}: no classes")
    count = column.nunique()
    if count > MAX_CLASSES:
        advice = "use task=regression" if pd.api.types.is_numeric_dtype(column.dtype) else "is it the right column?"
        raise AutoactError(
            f"target {column.name!r} has {count} distinct values, more than the {MAX_CLASSES} classes allowed: {advice}"
        )
    labels = as_text(column)
    return labels.map(lambda label: label.rstrip(settings.label_strip)) if settings.label_strip else labels


def class_names(labels: pd.Series, settings: DataSettings) -> list[str]:
    """The classes in the order of their indices: sorted (numbers as numbers), the positive one last.

    Raises:
        AutoactError: a single class, an unknown positive class, or a positive class among more than two.
    """
    found = [str(label) for label in labels.unique()]
    try:
        names = sorted(found, key=float)
    except ValueError:
        names = sorted(found)
    if len(names) < 2:
        raise AutoactError(f"target {labels.name!r} has only one class, {names[0]!r}: there is nothing to learn")
    if settings.positive is None:
        return names
    positive = as_levels(pd.Series([str(settings.positive)], dtype=object), names)[0]
    if positive not in names:
        raise unknown("class in data.positive", positive, names)
    if len(names) > 2:
        raise AutoactError(f"data.positive={positive} is for two classes; target {labels.name!r} has {len(names)}")
    return [name for name in names if name != positive] + [positive]


def class_indices(labels: pd.Series, names: list[str], where: str = "") -> np.ndarray:
    """Labels as int64 indices into ``names``.

    Raises:
        AutoactError: a label that is not among ``names`` (possible in an official test file only).
    """
    index = {name: k for k, name in enumerate(names)}
    labels = as_levels(labels, names)
    strange = sorted(set(labels) - set(names))
    if strange:
        raise unknown(f"class in {where or 'the target'}", strange[0], names, advice="data.label_strip cuts endings")
    return labels.map(index).to_numpy(dtype="int64")


def target_numbers(
    column: pd.Series, where: str = "", form: NumberForm | None = None, settings: DataSettings | None = None
) -> np.ndarray:
    """The target of a regression as float64.

    Args:
        column: of a tidy table.
        where: what the table is, for messages.
        form: how its numbers are written; as the settings say where they all are written so, unless given.
        settings: say how numbers may be written, and are advised on.

    Raises:
        AutoactError: missing, text, infinite, or all the same.
    """
    _no_missing(column, where)
    settings = DataSettings() if settings is None else settings
    form = form_of(column, NumberForm.of(settings)) if form is None else form
    parsed = form.parse(column) if readable(column) else np.full(len(column), np.nan)
    place = f" of {where}" if where else ""
    if np.isnan(parsed).any():
        row = int(np.flatnonzero(np.isnan(parsed))[0])
        raise AutoactError(
            f"target {column.name!r}{place} holds text ({str(column.iloc[row])!r} in row {row + 1}): "
            f"{_as_numbers(column, row, form, settings)}, classes need task=classification"
        )
    if np.isinf(parsed).any():
        row = int(np.flatnonzero(np.isinf(parsed))[0])
        raise AutoactError(
            f"target {column.name!r}{place} holds an infinite value in row {row + 1}: correct it, or remove the row"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        wide = not np.isfinite(parsed.std())
    if wide:
        raise AutoactError(
            f"target {column.name!r}{place} holds numbers as large as {np.abs(parsed).max():.2g}, whose deviation no "
            "float can hold: divide them by a power of ten"
        )
    values: np.ndarray = parsed
    if not where and np.ptp(values) == 0:
        raise AutoactError(f"target {column.name!r} is {values[0]:g} in every row: there is nothing to learn")
    return values


def _as_numbers(column: pd.Series, row: int, form: NumberForm, settings: DataSettings) -> str:
    if not readable(column):
        return "regression needs numbers"
    ways = [way.overrides(settings) for way in (recognised(column, settings) if form == PLAIN else [])]
    if len(ways) == 1:
        return f"{ways[0]} reads them as numbers"
    if ways:
        return f"set {' or '.join(ways)}, whichever is meant"
    value = str(column.iloc[row])
    plain = plainly(value)
    if plain is None and (seconds := seconds_of(value)) is not None:
        plain = f"{seconds:.10g} (seconds)"
    return "regression needs numbers" if plain is None else f"regression needs numbers, such as {plain} for it"


def _no_missing(column: pd.Series, where: str) -> None:
    missing = np.flatnonzero(column.isna())
    if len(missing):
        place = f" of {where}" if where else ""
        raise AutoactError(
            f"target {column.name!r}{place} has no value in {len(missing)} rows (the first is row {missing[0] + 1}): "
            f"remove those rows"
        )


def named_groups(frame: pd.DataFrame, settings: DataSettings, target: str, where: str = "") -> dict[str, np.ndarray]:
    """Column of ``data.groups`` -> the group of each row as text; rows without a value are a group of their own.

    Raises:
        AutoactError: the column is the target, or is not there, or holds more values than groups can be compared.
    """
    found: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(settings.groups):
        if name == target:
            raise AutoactError(f"data.groups names {name!r}, which is the target: name what tells the rows apart by")
        if name not in frame.columns:  # possible in an official test file only
            raise unknown(f"column of {where}: group", name, [str(c) for c in frame.columns])
        column = frame[name]
        count = column.nunique()
        if count > MAX_GROUPS:
            number = pd.api.types.is_numeric_dtype(column.dtype)
            advice = "put its numbers into bins, in a column of their own" if number else "name a column of fewer"
            raise AutoactError(
                f"data.groups: column {name!r} holds {count} distinct values, more than the {MAX_GROUPS} groups "
                f"allowed: {advice}"
            )
        found[name] = as_text(column).fillna(NO_VALUE).to_numpy(dtype=object).astype(str)
    return found


def untested_groups(named: Mapping[str, np.ndarray], tested: Mapping[str, np.ndarray]) -> list[str]:
    """A line on each column of ``data.groups`` of which some groups have no test row.

    Args:
        named: column -> the group of each row of the table.
        tested: column -> the group of each test row.

    Example:
        >>> untested_groups({"place": np.array(["north", "south"])}, {"place": np.array(["south"])})
        ["data.groups: no test row is of 'north' in place, so that the final check says nothing of it"]
    """
    absent = {name: sorted(set(of.tolist()) - set(tested[name].tolist())) for name, of in named.items()}
    return [
        f"data.groups: no test row is of {', '.join(map(repr, of))} in {name}, so that the final check says nothing "
        f"of {'it' if len(of) == 1 else 'them'}"
        for name, of in absent.items()
        if of
    ]


def idle_declarations(settings: DataSettings, roles: dict[str, str | None]) -> list[str]:
    """A line on each declared column that nothing is learnt from.

    Example:
        >>> idle_declarations(DataSettings(numeric=["age"], drop=["age"]), {"data.target": "y"})
        ["data.numeric names 'age', which has no effect: it is left out by data.drop"]
    """
    apart = {name: "left out by data.drop" for name in settings.drop}
    apart |= {name: f"the column of {role}" for role, name in roles.items() if name is not None}
    return [
        f"{option} names {name!r}, which has no effect: it is {apart[name]}"
        for option, names in (("data.numeric", settings.numeric), ("data.categorical", settings.categorical))
        for name in names
        if name in apart
    ]


def remarks(frame: pd.DataFrame, schema: dict[str, str], settings: DataSettings | None = None) -> list[str]:
    """What is allowed but worth a look: constant columns and columns that count the rows; see ``remarks.counting``."""
    return counting(frame, schema, settings or DataSettings())
