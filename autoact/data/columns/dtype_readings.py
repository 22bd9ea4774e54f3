"""What each type of column is read as: one reading for every dtype of pandas and of Arrow, whatever wrote the file.

=================================================  =============================================================
a column of                                        is read as
=================================================  =============================================================
whole and broken numbers of every width, nullable  numbers
ones, sparse ones, decimals (``decimal128``)
truth values: bool, nullable, objects              categories ``True`` and ``False``
``category`` and Arrow dictionaries                categories, also where the levels are numbers
text: objects, ``string``, ``large_string``        numbers where every value is one (as written, or as
                                                   ``data.decimal`` and its like say) and none is a code with
                                                   leading zeros (01, 02134); else categories
mixed objects (text, numbers, truth values)        as text, value by value; 2 and 2.0 are one value
durations (``timedelta64``, ``duration``)          numbers: seconds; missing ones are missing
times of day (``time32``, ``time64``)              numbers: seconds since midnight
dates, timestamps (zone or not), periods           dates: ``data.time`` orders rows by them; refused as a feature
intervals                                          categories
bytes, lists, structs, maps, complex numbers,      refused in one line, with the advice to leave them out
other objects
a named index of a parquet file                    a column like any other; an unnamed index is none
a column of a csv file                             text, as above
                                                   truth values, times and durations in it are numbers where
                                                   the settings declare them so, as those above are
=================================================  =============================================================

A column's reading is decided once, by the training rows. Later rows are read by what was decided, each value by
itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError

# What pandas calls the contents of objects that are read as dates.
_DATES = frozenset({"datetime64", "datetime", "date", "period"})
_NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "decimal"})
# One value of a mixed column may be any of these; what is none of them is no value of a table.
_SCALARS = (str, bool, int, float, Decimal, np.bool_, np.number, datetime.date, datetime.time, datetime.timedelta)


def tidy(frame: pd.DataFrame, missing: Sequence[str], strip: bool = True) -> pd.DataFrame:
    """Each column in one of the forms that ``infer`` and ``conform`` know; marks of missing values are missing.

    These are: numbers, truth values, ``category`` of text, text objects, dates; and objects that cannot be read, as
    they are.

    Raises:
        AutoactError: two columns of one name.

    Example:
        >>> tidy(pd.DataFrame({"a": [" x", " ? "], "b": [1.0, -9.0]}), ["?", "-9"]).isna().to_numpy().tolist()
        [[False, False], [True, True]]
    """
    names = [str(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise AutoactError(f"the table has {names.count(repeated[0])} columns named {repeated[0]!r}: rename them")
    marks = [mark.strip() for mark in missing] if strip else list(missing)
    columns = {name: _tidied(frame[name], marks, strip) for name in frame.columns}
    return pd.DataFrame(columns, index=frame.index, columns=frame.columns)


def _tidied(column: pd.Series, marks: Sequence[str], strip: bool) -> pd.Series:
    column = _of_pandas(column)
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if pd.api.types.is_datetime64_any_dtype(dtype.categories.dtype):
            return column.astype(dtype.categories.dtype)  # dates stay dates, however they are stored
        # By way of objects: the levels are text from here on, in the order of the text.
        return _cleaned(as_text(column), marks, strip).astype("category")
    if pd.api.types.is_timedelta64_dtype(dtype):
        return column.dt.total_seconds()
    if pd.api.types.is_bool_dtype(dtype) and not pd.api.types.is_object_dtype(dtype):
        return column
    if pd.api.types.is_numeric_dtype(dtype):
        return _unmarked(column, marks)
    if isinstance(dtype, pd.StringDtype):
        return _cleaned(column.astype(object), marks, strip)
    if pd.api.types.is_object_dtype(dtype):
        return _of_objects(column, marks, strip)
    if isinstance(dtype, pd.IntervalDtype):
        return as_text(column)
    return column


def _of_pandas(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.ArrowDtype):
        import pyarrow

        plain = pyarrow.chunked_array(pyarrow.array(column)).to_pandas()
        return pd.Series(plain.array, index=column.index, name=column.name)
    if isinstance(column.dtype, pd.SparseDtype):
        return pd.Series(np.asarray(column), index=column.index, name=column.name)
    return column


def _of_objects(column: pd.Series, marks: Sequence[str], strip: bool) -> pd.Series:
    kind = contents(column)
    if kind in _NUMBERS:
        return _unmarked(column.where(~column.isna(), np.nan).map(_number).astype("float64"), marks)
    if kind in ("timedelta", "timedelta64"):
        return pd.to_timedelta(column).dt.total_seconds()
    if kind == "time":
        return column.map(_seconds, na_action="ignore").astype("float64")
    if kind in _DATES or kind == "boolean" or not readable(column):
        return column
    return _cleaned(as_text(column), marks, strip)


def contents(column: pd.Series) -> str:
    """What pandas calls the objects of a column: ``string``, ``decimal``, ``mixed``, ``bytes``..."""
    return str(pd.api.types.infer_dtype(column, skipna=True))


def dated(column: pd.Series) -> bool:
    """Whether a tidy column holds dates or moments."""
    dtype = column.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return True
    return pd.api.types.is_object_dtype(dtype) and contents(column) in _DATES


def readable(column: pd.Series) -> bool:
    """Whether every value of a column is one that a table can hold: no bytes, lists, structs, complex numbers."""
    if not pd.api.types.is_object_dtype(column.dtype):
        return not pd.api.types.is_complex_dtype(column.dtype)
    kind = contents(column)
    if kind in ("string", "boolean", "empty") or kind in _NUMBERS or kind in _DATES:
        return True
    if kind in ("bytes", "complex"):
        return False
    values = column[column.notna()]
    return bool(values.map(lambda value: isinstance(value, _SCALARS) and not isinstance(value, complex)).all())


def _cleaned(text: pd.Series, marks: Sequence[str], strip: bool) -> pd.Series:
    text = text.map(str.strip, na_action="ignore") if strip else text
    return text.astype(object).where(~text.isin(marks) & text.notna(), np.nan)


def _unmarked(column: pd.Series, marks: Sequence[str]) -> pd.Series:
    """Numbers, those that mark a missing value as missing: ``-999`` marks -999.0 in a parquet file too."""
    numbers = pd.to_numeric(pd.Series(list(marks), dtype=object), errors="coerce").astype("float64")
    numbers = numbers[numbers.notna()]
    return column.mask(column.isin(numbers)) if len(numbers) else column


def _number(value: float | Decimal) -> float:
    """A number as float; one of more digits than a float can hold is infinite, and refused as such where it stands.

    Example:
        >>> _number(10**400), _number(Decimal("2.50"))
        (inf, 2.5)
    """
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _seconds(moment: datetime.time) -> float:
    return moment.hour * 3600.0 + moment.minute * 60.0 + moment.second + moment.microsecond / 1e6


def as_text(column: pd.Series) -> pd.Series:
    """Values as text objects, missing as nan; each by itself, and whole numbers without a point.

    Not the str dtype of pandas 3: scikit-learn's imputer and encoder want plain objects.

    Example:
        >>> as_text(pd.Series([1.0, 2.5, None])).tolist()
        ['1', '2.5', nan]
    """
    present = column.notna()
    if isinstance(column.dtype, pd.StringDtype):
        return column.astype(object).where(present, np.nan)
    if pd.api.types.is_float_dtype(column.dtype):
        floats = column.to_numpy(dtype="float64", na_value=np.nan)
        if (np.abs(floats[present]) < 2.0**53).all() and (floats[present] % 1 == 0).all():
            whole = pd.Series(np.where(present, floats, 0.0).astype("int64"), index=column.index, name=column.name)
            return whole.astype(object).map(str).astype(object).where(present, np.nan)
    if pd.api.types.is_integer_dtype(column.dtype) and present.all():
        return column.astype(object).map(str).astype(object)
    if column.dtype in (np.dtype("float32"), np.dtype("float16")):  # as short as their own precision allows
        return pd.Series(list(column.to_numpy()), column.index, dtype=object).map(_written).where(present, np.nan)
    return column.astype(object).map(_written, na_action="ignore").astype(object).where(present, np.nan)


def _written(value: object) -> str:
    if isinstance(value, float | np.floating | Decimal) and np.isfinite(float(value)) and value % 1 == 0:
        return str(int(value))
    return str(value)
