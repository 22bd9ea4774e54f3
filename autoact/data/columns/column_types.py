"""What each column is, number or category, decided once by the training rows; later rows are brought into that form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError
from autoact.data.column_notes import ColumnError, Remark, dates, empty, read_as_numbers, unreadable, written_otherwise
from autoact.data.columns.dtype_readings import as_text, dated, readable
from autoact.data.columns.foreign_notations import plainly
from autoact.data.columns.number_formats import PLAIN, NumberForm, form_of, recognised
from autoact.data.columns.text_columns import kind_of_text
from autoact.data.columns.typed_text import spelt, spelt_numbers
from autoact.data.settings import DataSettings, marked_missing

NUMERIC = "numeric"
CATEGORY = "category"


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    Attributes:
        schema: column -> ``numeric`` or ``category``.
        forms: how numbers are written, for columns where that is not as programs write them.
        remarks: what a reader of the table should know.
    """

    schema: dict[str, str]
    forms: dict[str, NumberForm] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)


def infer(frame: pd.DataFrame, settings: DataSettings) -> Columns:
    """What each column is: as declared, else by what its values are; ``readings`` has the table.

    Args:
        frame: the training file's rows, tidy.
        settings: numeric and categorical declare, decimal, thousands and number_signs tell how numbers are written.

    Raises:
        ColumnError: a column of dates, of nearly unique text, without a value, of what is no value of a table, or
            with stray text among numbers; says what to set.

    Example:
        >>> infer(pd.DataFrame({"price": ["1,5", "2"], "zip": ["02134", "10001"]}), DataSettings(decimal=",")).schema
        {'price': 'numeric', 'zip': 'category'}
    """
    found = Columns({})
    given = NumberForm.of(settings)
    for name in frame.columns:
        column = frame[name]
        kind = _kind(column, settings, found.remarks)
        found.schema[name] = kind
        if kind == NUMERIC and (form := form_of(column, given)) != PLAIN:
            found.forms[name] = form
    return found


def _kind(column: pd.Series, settings: DataSettings, found: list[Remark]) -> str:
    name = str(column.name)
    if column.isna().all():
        raise ColumnError(empty(name, settings))
    if not readable(column):
        raise ColumnError(unreadable(column, settings))
    if name in settings.categorical:
        return CATEGORY
    if dated(column):
        raise ColumnError(dates(name, settings))
    if name in settings.numeric:
        if (meant := spelt(column)) is not None:
            found.append(read_as_numbers(column, meant))
        return NUMERIC
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column.dtype):
        return CATEGORY
    if pd.api.types.is_numeric_dtype(column.dtype):
        return NUMERIC
    if column.dropna().map(lambda value: isinstance(value, bool | np.bool_)).all():
        return CATEGORY
    return NUMERIC if kind_of_text(column, settings, found) else CATEGORY


def amounts_of(frame: pd.DataFrame, schema: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of categories in a tidy table that hold numbers, and no text that looks like them.

    Example:
        >>> amounts_of(pd.DataFrame({"a": [2.5], "b": ["2.50"]}), {"a": "category", "b": "category"})
        ('a',)
    """
    numbers = {str(name) for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name].dtype)}
    return tuple(
        name
        for name, kind in schema.items()
        if kind == CATEGORY and name in numbers and not pd.api.types.is_bool_dtype(frame[name].dtype)
    )


def conform(
    frame: pd.DataFrame,
    schema: Mapping[str, str],
    where: str = "",
    forms: Mapping[str, NumberForm] | None = None,
    settings: DataSettings | None = None,
) -> pd.DataFrame:
    """Exactly the columns of ``schema``: numbers as float64, categories as text objects, missing as nan.

    What else stands in a column does not matter to any of its values.

    Args:
        frame: a tidy table that has all the columns, in any order.
        schema: what ``infer`` gave.
        where: what the table is, for messages.
        forms: how numbers are written where ``infer`` found another form than that of programs.
        settings: to be advised on; None where the settings cannot be changed.

    Raises:
        AutoactError: a column is missing, text stands where numbers are wanted, a value is infinite.
    """
    lacking = [name for name in schema if name not in frame.columns]
    if lacking:
        raise AutoactError(f"{where or 'the table'} has no column {lacking[0]!r}: it needs {', '.join(schema)}")
    done = {}
    for name, kind in schema.items():
        column = frame[name]
        form = (forms or {}).get(name, PLAIN)
        done[name] = numbers(column, where, form, settings) if kind == NUMERIC else as_text(column)
    return pd.DataFrame(done, index=frame.index)


def numbers(
    column: pd.Series, where: str = "", form: NumberForm = PLAIN, settings: DataSettings | None = None
) -> pd.Series:
    """A column as float64; where every value is a truth value, a time or a duration, what these stand for.

    Args:
        column: of a tidy table.
        where: what the table is, for messages.
        form: how its numbers are written.
        settings: to be advised on; None where the settings cannot be changed.

    Raises:
        AutoactError: text or an infinite value; names column, row (counted from 1 without the header) and value.
    """
    place = f" of {where}" if where else ""
    if not readable(column) or dated(column):
        what = "dates" if dated(column) else f"values of type {type(column.dropna().iloc[0]).__name__}"
        raise AutoactError(f"column {column.name!r}{place} must hold numbers, but it holds {what}")
    parsed = pd.Series(form.parse(column), index=column.index, name=column.name)
    stray = parsed.isna() & column.notna()
    if stray.any() and (meant := spelt(column)) is not None:
        return pd.Series(spelt_numbers(column, meant), index=column.index, name=column.name)
    if stray.any():
        row = int(np.flatnonzero(stray)[0])
        value = str(column.iloc[row])
        raise AutoactError(
            f"column {column.name!r}{place} must hold numbers, but row {row + 1} holds {value!r}: "
            f"{_remedy(column, value, settings)}"
        )
    infinite = np.isinf(parsed.to_numpy())
    if infinite.any():
        row = int(np.flatnonzero(infinite)[0])
        raise AutoactError(
            f"column {column.name!r}{place} holds an infinite value in row {row + 1}: correct it"
            + (f", or {marked_missing(settings, str(column.iloc[row]))} reads it as missing" if settings else "")
        )
    return parsed


def _remedy(column: pd.Series, value: str, settings: DataSettings | None) -> str:
    if (plain := plainly(value)) is not None:
        return f"write it as {plain}"
    if settings is None:
        return "correct it"
    if forms := recognised(column, settings):
        return written_otherwise(column, forms, settings).advice
    return f"correct it, or add it to data.missing: {marked_missing(settings, value)}"
