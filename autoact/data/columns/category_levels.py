"""Categories of new rows by those of the training rows: as they are written, else as the value they stand for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from decimal import Decimal

import pandas as pd

from autoact.data.columns.typed_text import seconds_of

# Zeros before a number are a code's; a plus before its exponent is a program's (1e+20), and no letter of a code (1E5).
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))(?:\.0+)?", re.ASCII)
_AMOUNT = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]\d{1,3})?", re.ASCII)
_EXPONENT = re.compile(r"-?[1-9](?:\.\d+)?[eE][+-]\d{1,3}", re.ASCII)
_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[ T](?P<time>\d\d:\d\d)(?P<second>:\d\d)?(?P<part>\.\d+)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)


def same_value(text: str) -> str | None:
    """What two ways of writing one whole number, truth value, date or duration have in common; None for other text.

    One tool writes a whole number as 1, another one, where values are missing, as 1.0, a third -0.0 or 1e+20; one
    writes TRUE, another True; one writes the hour of midnight after a date, another leaves it out; a csv file has text
    where a parquet file has the seconds of a duration. Codes with leading zeros are none of these, and neither are
    fractions: 1.10 may be the version that follows on 1.9.

    Example:
        >>> same_value("1.0"), same_value("TRUE"), same_value("01"), same_value("1.50"), same_value("-0.0")
        ('1', 'true', None, None, '0')
        >>> same_value("2024-05-01 00:00:00"), same_value("1 days 00:00:30"), same_value("86430")
        ('2024-05-01', '86430', '86430')
    """
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        return "0" if whole[1] == "-0" else whole[1]
    if text.lower() in ("true", "false"):
        return text.lower()
    if _EXPONENT.fullmatch(text):
        return _normal(Decimal(text))
    if (moment := _MOMENT.fullmatch(text)) is not None:
        return _moment(moment)
    seconds = seconds_of(text, written_by_programs=True)
    return None if seconds is None else _normal(Decimal(repr(seconds)))


def same_amount(text: str) -> str | None:
    """As ``same_value``, and ``2.50`` is ``2.5``: for a column that holds numbers, and no text that looks like them.

    Example:
        >>> same_amount("2.50"), same_amount("2.5"), same_amount("01"), same_amount("TRUE")
        ('2.5', '2.5', None, 'true')
    """
    return _normal(Decimal(text)) if _AMOUNT.fullmatch(text) else same_value(text)


def same_number(text: str) -> str | None:
    """The looser rule of files of format 1, whose categories a reader had made numbers of: ``01`` was ``1``.

    Example:
        >>> same_number("01"), same_number("1.0"), same_number("1A")
        ('1.0', '1.0', None)
    """
    try:
        return str(float(text))
    except ValueError:
        return same_value(text)


def _normal(number: Decimal) -> str:
    """A number with no more digits than it needs, and no exponent.

    Example:
        >>> _normal(Decimal("2.50")), _normal(Decimal("1e+3")), _normal(Decimal("-0.0"))
        ('2.5', '1000', '0')
    """
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _moment(found: re.Match[str]) -> str:
    """A date without midnight, a time without zeros at its end."""
    second, part = found["second"] or ":00", (found["part"] or "").rstrip("0").rstrip(".")
    zone = (found["zone"] or "").replace("Z", "+00:00")
    if (found["time"] or "00:00") + second + part + zone == "00:00:00":
        return found["day"]
    return f"{found['day']} {found['time']}{second}{part}{zone}"


def as_levels(
    values: pd.Series,
    known: Collection[str],
    key: Callable[[str], str | None] = same_value,
    apart: Collection[str] = (),
) -> pd.Series:
    """Text with each value that is no level as written put as the one level that is the same value.

    Each value is looked at by itself: what else stands in the column does not matter.

    Args:
        values: text objects, missing as nan.
        known: the levels of the training rows.
        key: what two ways of writing one value have in common.
        apart: values that training had as levels of their own: they stand for no other.

    Example:
        >>> as_levels(pd.Series(["1.0", "2", "X", "3"]), ["1", "2.0", "X"]).tolist()
        ['1', '2.0', 'X', '3']
    """
    strange = values.notna() & ~values.isin(list(known)) & ~values.isin(list(apart))
    if not strange.any():
        return values
    counts = Counter(found for level in (*known, *apart) if (found := key(level)) is not None)
    by_key = {found: level for level in known if (found := key(level)) is not None and counts[found] == 1}
    meant = {value: by_key.get(key(value) or "", value) for value in values[strange].unique()}
    return values.where(~strange, values.map(meant))
