"""Text of a csv file for what a parquet file has a type of its own for: truth values, times of day, durations."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from autoact.data.columns.dtype_readings import contents

TRUTH, SECONDS = "truth values", "times or durations"
_CLOCK = re.compile(
    r"(?P<minus>-?)(?P<hours>\d{1,4}):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d(?:\.\d+)?))?", re.ASCII
)
_DAYS = re.compile(r"(?P<days>-?\d+) days?(?:,? (?P<sign>[+-]?)(?P<clock>\d{1,2}:\d\d:\d\d(?:\.\d+)?))?", re.ASCII)
_ISO = re.compile(r"-?P(?=\d|T\d)(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?", re.ASCII)
_TRUE = {"true": 1.0, "false": 0.0}


def seconds_of(text: str, *, written_by_programs: bool = False) -> float | None:
    """The seconds of a time of day or a duration; None for other text.

    Args:
        text: as in ``07:50``, ``07:50:00``, ``1 days 07:50:00`` or ``P1DT7H50M``.
        written_by_programs: leave out what has no seconds, such as 07:50: people may mean minutes, or a ratio.

    Example:
        >>> seconds_of("07:50"), seconds_of("1 days 00:00:30.500000"), seconds_of("-1 days +23:59:00"), seconds_of("7")
        (28200.0, 86430.5, -60.0, None)
        >>> seconds_of("07:50", written_by_programs=True) is None
        True
    """
    if (days := _DAYS.fullmatch(text)) is not None:
        rest = 0.0 if days["clock"] is None else _clock(days["clock"])
        return 86400.0 * int(days["days"]) + (-rest if days["sign"] == "-" else rest)
    if (clock := _CLOCK.fullmatch(text)) is not None:
        return None if written_by_programs and clock["seconds"] is None else _clock(text)
    return float(pd.Timedelta(text).total_seconds()) if _ISO.fullmatch(text) else None


def _clock(text: str) -> float:
    """Hours, minutes and seconds as seconds."""
    hours, minutes, *seconds = text.lstrip("-").split(":")
    found = 3600.0 * int(hours) + 60.0 * int(minutes) + (float(seconds[0]) if seconds else 0.0)
    return -found if text.startswith("-") else found


def truth_of(text: str) -> float | None:
    """1 for true, 0 for false; None for other text."""
    return _TRUE.get(text.lower())


_READINGS: dict[str, Callable[[str], float | None]] = {TRUTH: truth_of, SECONDS: seconds_of}


def spelt(column: pd.Series) -> str | None:
    """What every value of a column of text stands for: ``TRUTH``, ``SECONDS``, or None: for neither.

    Example:
        >>> spelt(pd.Series(["True", None])), spelt(pd.Series(["07:50:00", "1 days"])), spelt(pd.Series(["07:50", "7"]))
        ('truth values', 'times or durations', None)
    """
    present = column.dropna()
    if not len(present) or pd.api.types.is_numeric_dtype(column.dtype):
        return None
    values = present.astype(str).unique()
    return next((kind for kind, of in _READINGS.items() if all(of(value) is not None for value in values)), None)


def meaning(column: pd.Series) -> str | None:
    """What the numbers of a column stand for, by its type or its text: ``TRUTH``, ``SECONDS``, or None for themselves.

    Example:
        >>> meaning(pd.Series([True])), meaning(pd.Series(["1 days"])), meaning(pd.to_timedelta(pd.Series([1]), "s"))
        ('truth values', 'times or durations', 'times or durations')
    """
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        return SECONDS
    if not pd.api.types.is_object_dtype(column.dtype) and pd.api.types.is_bool_dtype(column.dtype):
        return TRUTH
    kind = contents(column) if pd.api.types.is_object_dtype(column.dtype) else ""
    if kind in ("timedelta", "timedelta64", "time"):
        return SECONDS
    if kind == "boolean":
        return TRUTH
    stripped = column.map(lambda value: value.strip() if isinstance(value, str) else value, na_action="ignore")
    return spelt(stripped)


def spelt_numbers(column: pd.Series, kind: str) -> np.ndarray:
    """The numbers that such a column stands for, nan for what is missing. **Shape**: ``[rows]``."""
    of = _READINGS[kind]
    return column.map(lambda value: of(str(value)), na_action="ignore").to_numpy(dtype="float64", na_value=np.nan)
