"""Numbers in notations that no setting reads, of other tools and scripts, and what each is as programs write it."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd

_QUOTED = re.compile(r"([\"'])(.*)\1")
_FORTRAN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)[dDqQ][+-]?\d{1,3}", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:_\d{3})+(?:\.\d+)?", re.ASCII)
_HEX = re.compile(r"[+-]?0[xX][0-9a-fA-F]{1,16}")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
# The marks of Arabic numbers, before the fraction and between groups; a full stop and signs of full width.
_MARKS = str.maketrans({"\u066b": ".", "\u066c": "", "\uff0e": ".", "\uff0d": "-", "\uff0b": "+"})


def plainly(text: str) -> str | None:
    """The number that a text stands for, as programs write it; None for what is no number, or is written so already.

    Example:
        >>> plainly("2.5D+02"), plainly("1_280"), plainly('"3.2"'), plainly("0xfb"), plainly("\uff11\uff12")
        ('2.5e+02', '1280', '3.2', '251', '12')
        >>> plainly("12") is None, plainly("1_2") is None, plainly("D2") is None
        (True, True, True)
    """
    quoted = _QUOTED.fullmatch(text)
    found = (quoted[2] if quoted else text).strip()
    if not found.isascii():
        found = "".join(_digit(character) for character in found.translate(_MARKS))
    if _FORTRAN.fullmatch(found):
        found = re.sub("[dDqQ]", "e", found)
    elif _GROUPED.fullmatch(found):
        found = found.replace("_", "")
    elif _HEX.fullmatch(found):
        found = str(int(found, 16))
    return found if found != text and _NUMBER.fullmatch(found) else None


def _digit(character: str) -> str:
    """A digit of any script as one of ours."""
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def strange_notation(present: pd.Series) -> tuple[int, str] | None:
    """Where a column of numbers holds the first one in such a notation, and that one as programs write it.

    None where no value is written so, or some value is no number in any notation.

    Args:
        present: text without missing values.

    Example:
        >>> strange_notation(pd.Series(["7", "0xfb"])), strange_notation(pd.Series(["x", "0xfb"]))
        ((1, '251'), None)
    """
    plain = {value: plainly(value) for value in present.unique()}
    if any(found is None and not _NUMBER.fullmatch(value) for value, found in plain.items()):
        return None
    for place, value in enumerate(present):
        if (found := plain[value]) is not None:
            return place, found
    return None
