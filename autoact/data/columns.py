"""What each column is, number or category, and bringing a table into that form."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError
from autoact.data.settings import DataSettings

NUMERIC = "numeric"
CATEGORY = "category"
_DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}(:\d{2}){0,2}.*)?$")


def trim_text(frame: pd.DataFrame, missing: list[str], strip: bool = True) -> pd.DataFrame:
    """Trim blanks around every text value, then read missing-value marks as missing.

    Example:
        >>> trim_text(pd.DataFrame({"a": [" x", " ? "]}), ["?"])["a"].isna().tolist()
        [False, True]
    """
    marks = [mark.strip() for mark in missing] if strip else list(missing)
    done = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(column.dtype):
            text = as_text(column)
            text = text.map(str.strip, na_action="ignore") if strip else text
            column = text.astype(object).where(~text.isin(marks), np.nan)
        done[name] = column
    return pd.DataFrame(done, index=frame.index)


def as_text(column: pd.Series) -> pd.Series:
    """Values as text objects, missing as nan; whole numbers are written without a point.

    Not the str dtype of pandas 3: scikit-learn's imputer and encoder want plain objects.

    Example:
        >>> as_text(pd.Series([1.0, 2.0, None])).tolist()
        ['1', '2', nan]
    """
    values = column.astype(object)
    present = column.notna()
    if pd.api.types.is_float_dtype(column.dtype) and (column[present] % 1 == 0).all():
        values = column.where(present, 0.0).astype("int64").astype(object)
    return values.map(str).astype(object).where(present, np.nan)


def infer_schema(frame: pd.DataFrame, settings: DataSettings) -> dict[str, str]:
    """Column -> ``numeric`` or ``category``: as declared, else by what the values are.

    Text that holds only numbers is numeric. Truth values are categories.

    Raises:
        AutoactError: a column of dates, of nearly unique text, without a value, or with stray text among numbers.
    """
    schema = {}
    for name in frame.columns:
        column = frame[name]
        if column.isna().all():
            raise AutoactError(f"column {name!r} holds no value at all: data.drop=[{name}]")
        if name in settings.categorical:
            schema[name] = CATEGORY
        elif name in settings.numeric:
            schema[name] = NUMERIC
        elif pd.api.types.is_datetime64_any_dtype(column.dtype):
            raise _dates(name)
        elif pd.api.types.is_bool_dtype(column.dtype):
            schema[name] = CATEGORY
        elif pd.api.types.is_numeric_dtype(column.dtype):
            schema[name] = NUMERIC
        else:
            schema[name] = _kind_of_text(column)
    return schema


def _dates(name: str) -> AutoactError:
    """The error for a column of dates among the features."""
    return AutoactError(
        f"column {name!r} holds dates: data.time={name} orders the split by them, data.drop=[{name}] leaves them out"
    )


def _kind_of_text(column: pd.Series) -> str:
    """Number or category; refuses text that can be neither."""
    name = column.name
    present = column.dropna()
    parsed = pd.to_numeric(present, errors="coerce")
    if parsed.notna().all():
        return NUMERIC
    if present.head(50).map(lambda value: bool(_DATE.match(str(value)))).all():
        raise _dates(str(name))
    stray = present[parsed.isna()]
    if len(stray) <= 0.1 * len(present) and parsed.nunique() > 20:
        raise AutoactError(
            f"column {name!r} holds numbers, but row {int(stray.index[0]) + 1} holds {str(stray.iloc[0])!r}: "
            f"add it to data.missing, or declare data.categorical=[{name}]"
        )
    if present.nunique() > max(50, 0.9 * len(present)):
        raise AutoactError(
            f"column {name!r} is text in which nearly every value is unique ({present.nunique()} of {len(present)}): "
            f"nothing can be learnt from it, data.drop=[{name}]"
        )
    return CATEGORY


def conform(frame: pd.DataFrame, schema: dict[str, str], where: str = "") -> pd.DataFrame:
    """Exactly the columns of ``schema``: numbers as float64, categories as text objects, missing as nan.

    Args:
        frame: a table that has all the columns, in any order.
        schema: what ``infer_schema`` gave.
        where: what the table is, for messages.

    Raises:
        AutoactError: a column is missing, text stands where numbers are wanted, a value is infinite.
    """
    lacking = [name for name in schema if name not in frame.columns]
    if lacking:
        raise AutoactError(f"{where or 'the table'} has no column {lacking[0]!r}: it needs {', '.join(schema)}")
    done = {}
    for name, kind in schema.items():
        column = frame[name]
        done[name] = numbers(column, where) if kind == NUMERIC else as_text(column)
    return pd.DataFrame(done, index=frame.index)


def numbers(column: pd.Series, where: str = "") -> pd.Series:
    """A column as float64.

    Raises:
        AutoactError: text or an infinite value; names column, row (counted from 1 without the header) and value.
    """
    place = f" of {where}" if where else ""
    parsed = pd.to_numeric(column, errors="coerce").astype("float64")
    stray = parsed.isna() & column.notna()
    if stray.any():
        row = int(np.flatnonzero(stray)[0])
        raise AutoactError(
            f"column {column.name!r}{place} must hold numbers, but row {row + 1} holds {str(column.iloc[row])!r}: "
            f"correct it, or add it to data.missing"
        )
    infinite = np.isinf(parsed.to_numpy())
    if infinite.any():
        row = int(np.flatnonzero(infinite)[0])
        raise AutoactError(
            f"column {column.name!r}{place} holds an infinite value in row {row + 1}: correct it, or add it to "
            f"data.missing as text"
        )
    return parsed


def order_of(column: pd.Series, time_format: str | None) -> np.ndarray:
    """Numbers that order the rows in time.

    Raises:
        AutoactError: a missing value, or text that is neither a number nor a date.
    """
    name = column.name
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0])
        raise AutoactError(f"time column {name!r} has no value in row {row + 1}: every row needs one")
    if pd.api.types.is_numeric_dtype(column.dtype) and time_format is None:
        return column.to_numpy(dtype="float64")
    try:
        # Where pandas is unsure of day and month, or of the format, it warns and guesses: that is no basis for a split.
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            stamps = pd.to_datetime(column if time_format is None else column.astype(str), format=time_format)
    except (ValueError, TypeError) as error:
        raise _unreadable(str(name), str(error)) from error
    if doubts:
        raise _unreadable(str(name), str(doubts[0].message))
    # Not the raw counts: their unit depends on how the dates were written.
    return ((stamps - pd.Timestamp(0, tz=stamps.dt.tz)) / pd.Timedelta(seconds=1)).to_numpy(dtype="float64")


def _unreadable(name: str, reason: str) -> AutoactError:
    """The error for a time column that holds no plain dates."""
    first = reason.splitlines()[0].split(". ")[0]
    return AutoactError(
        f"time column {name!r} cannot be read as dates ({first}): set data.time_format, such as %d/%m/%Y"
    )
