"""Categories of new rows by those of the training rows: as they are written, else as the value they stand for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection

import pandas as pd

_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))(?:\.0+)?")


def same_value(text: str) -> str | None:
    """What two ways of writing one whole number or truth value have in common; None for other text.

    One tool writes a whole number as 1, another one, where values are missing, as 1.0; one writes TRUE, another True.
    Codes with leading zeros are neither.

    Example:
        >>> same_value("1.0"), same_value("TRUE"), same_value("01"), same_value("1.50")
        ('1', 'true', None, None)
    """
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        return whole[1]
    return text.lower() if text.lower() in ("true", "false") else None


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
