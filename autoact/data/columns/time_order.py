"""Numbers that order rows in time, whatever a column of moments holds: counts, dates, moments, times, durations."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError
from autoact.core.override_text import override
from autoact.data.columns.dtype_readings import as_text, dated
from autoact.data.columns.month_names import date_form
from autoact.data.columns.number_formats import PLAIN
from autoact.data.columns.typed_text import SECONDS, spelt, spelt_numbers

# Dates as one number in which the year comes last: as numbers they are in no order of time.
_YEAR_LAST = ("%d%m%Y", "%m%d%Y")
_SLASHED = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?!\d)(.*)", re.ASCII)
# What may stand behind such a date, and how ``data.time_format`` says it.
_CLOCKS = {"": "", r" \d?\d:\d\d": " %H:%M", r" \d?\d:\d\d:\d\d": " %H:%M:%S", r" \d?\d:\d\d [AaPp][Mm]": " %I:%M %p"}
_YEARS = (1900, 2100)


def order_of(column: pd.Series, time_format: str | None) -> np.ndarray:
    """Numbers that order the rows in time.

    Raises:
        AutoactError: a missing value, text that is neither a number nor a date, or dates whose day and month, or whose
            year, cannot be told without ``time_format``.

    Example:
        >>> order_of(pd.Series(["2020-01-02 00:00:00+01:00", "2020-07-01 00:00:00+02:00"]), None).argsort().tolist()
        [0, 1]
        >>> order_of(pd.Series(["9999-12-31", "1700-01-01"]), None).argsort().tolist()
        [1, 0]
    """
    name = str(column.name)
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0])
        raise AutoactError(f"time column {name!r} has no value in row {row + 1}: every row needs one")
    if time_format is None and not dated(column):
        counted = PLAIN.parse(column) if column.dtype != bool else np.array([np.nan])
        if not np.isnan(counted).any():
            _refuse_year_last(column, name)
            return counted
        if spelt(column) == SECONDS:
            return spelt_numbers(column, SECONDS)
        _refuse_unsure(column, name)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    stamps = _stamps(column, name, time_format)
    # Not the raw counts: their unit depends on how the dates were written. Nanoseconds end in the year 2262.
    zero = pd.Timestamp(0, tz=stamps.dt.tz).as_unit(stamps.dt.unit)
    return ((stamps - zero) / pd.Timedelta(seconds=1)).to_numpy(dtype="float64")


def _stamps(column: pd.Series, name: str, time_format: str | None) -> pd.Series:
    """The moments; those of several time zones, such as on both sides of a change of the clock, in UTC."""
    if time_format is not None:
        column = as_text(column)
        if time_format in _YEAR_LAST:  # a number loses the zero before its day
            column = column.where(~column.str.fullmatch(r"\d{7}"), "0" + column)
    try:
        # Where pandas is unsure of day and month, or of the format, it warns and guesses: that is no basis for a split.
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            try:
                stamps = pd.to_datetime(column, format=time_format)
            except ValueError as error:
                if "Mixed timezones" not in str(error):
                    raise
                stamps = pd.to_datetime(column, format=time_format, utc=True)
    except (ValueError, TypeError) as error:
        raise _unreadable(column, name, str(error)) from error
    if doubts:
        raise _unreadable(column, name, str(doubts[0].message))
    return stamps


def _refuse_year_last(column: pd.Series, name: str) -> None:
    text = as_text(column).astype(str)
    if not text.str.fullmatch(r"\d{7,8}").all():
        return
    text = text.str.zfill(8)
    if _all_dates(text, "%Y%m%d"):
        return
    forms = [form for form in _YEAR_LAST if _all_dates(text, form)]
    if forms:
        ways = " or ".join(override("data.time_format", form) for form in forms)
        raise AutoactError(
            f"time column {name!r} holds dates as numbers with the year at their end ({text.iloc[0]}), which do not "
            f"order the rows: set {ways}"
        )


def _all_dates(text: pd.Series, form: str) -> bool:
    """Whether each value is a date of this form, of years that data are of."""
    stamps = pd.to_datetime(text, format=form, errors="coerce")
    return bool(stamps.dt.year.between(*_YEARS).all())


def _refuse_unsure(column: pd.Series, name: str) -> None:
    """Refuse dates of which each can mean its day or its month first, where that matters."""
    values = pd.Series(column.astype(str).unique(), dtype=object)
    found = [_SLASHED.fullmatch(value) for value in values]
    parts = [(int(one[1]), int(one[3])) for one in found if one is not None]
    if len(parts) < len(values) or max(max(pair) for pair in parts) > 12 or all(a == b for a, b in parts):
        return
    first = found[0]
    assert first is not None
    mark, year = first[2], "%Y" if len(first[4]) == 4 else "%y"
    clock = next((way for shape, way in _CLOCKS.items() if re.fullmatch(shape, first[5])), " ...")
    ways = [override("data.time_format", mark.join((*pair, year)) + clock) for pair in (("%d", "%m"), ("%m", "%d"))]
    raise AutoactError(
        f"time column {name!r} holds dates that can mean the day or the month first, as {values[0]!r}: set "
        f"{' or '.join(ways)}"
    )


def _unreadable(column: pd.Series, name: str, reason: str) -> AutoactError:
    first = reason.splitlines()[0].split(". ")[0]
    form = date_form(as_text(column))
    advice = (
        "set data.time_format, such as %d/%m/%Y, or write dates as 2024-12-31, or numbers"
        if form is None
        else f"set {override('data.time_format', form)}"
    )
    return AutoactError(f"time column {name!r} cannot be read as dates ({first}): {advice}")
