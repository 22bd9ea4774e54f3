"""Numbers as people write them (``12,5``, ``1,500``, ``$1500``, ``(3.2)``, ``12 %``): read, and recognised."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from autoact.core.override_text import override
from autoact.data.settings import DataSettings

# A sign of its own among ``data.number_signs``: brackets around a number make it negative.
BRACKETS = "()"
_MINUS = "\u2212"
_BLANKS = "[ \u00a0\u2009\u202f]"
_SEPARATORS = {" ": _BLANKS, "'": "['\u2019]"}
# Codes of currencies that stand before or after amounts (ISO 4217), and what is written instead of them.
_CODES = (
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN MYR NOK NZD PLN RON RUB SEK SGD THB TRY TWD "
    "USD ZAR Rs Rs. Fr. kr R$ US$"
)
_CURRENCIES = frozenset(_CODES.split())
_AROUND = re.compile(
    r"(?P<before>[^\d]*?)(?P<number>[+\-]?[.,]?\d(?:[\d.,'\u2019 \u00a0\u2009\u202f]*\d)?)(?P<after>\D*)"
)
_UNIT = re.compile(r"[^\W\d_]{1,5}[²³]?|[%‰°]|°[CFK]")
MOST_SIGNS = 4
# A leading zero of a whole number carries meaning: 01, 007, a postcode 02134.
CODE = r"0\d+"


@dataclass(frozen=True)
class NumberForm:
    """How numbers are written.

    Attributes:
        decimal: what stands before the fraction.
        thousands: what stands between groups of digits; None: nothing does.
        signs: what may stand around a number and is left out; ``()`` makes a number in brackets negative.

    Example:
        >>> NumberForm(",", ".", ("€",)).parse(pd.Series(["1.234,5 €", "-€ 3", "1,2,3"])).tolist()
        [1234.5, -3.0, nan]
    """

    decimal: str = "."
    thousands: str | None = None
    signs: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: DataSettings) -> NumberForm:
        """As the settings say."""
        return cls(settings.decimal, settings.thousands, tuple(settings.number_signs))

    @property
    def plain(self) -> bool:
        """Whether these are numbers as programs write them."""
        return self == NumberForm()

    def parse(self, column: pd.Series) -> np.ndarray:
        """Each value by itself as float64; nan where it is no number of this form.

        A typographic minus is a minus in every form, and so is one behind the number (``264.21-``).

        **Shape**: ``[rows]``.
        """
        if pd.api.types.is_numeric_dtype(column.dtype):
            return column.to_numpy(dtype="float64", na_value=np.nan)
        if self.plain:
            text = column.astype(object)
            if text.map(lambda value: isinstance(value, str) and (_MINUS in value or value.endswith("-"))).any():
                text = text.map(lambda value: _minus_first(value) if isinstance(value, str) else value)
            return pd.to_numeric(text, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
        codes, values = pd.factorize(column.astype(object))
        pattern = self._pattern()
        parsed = np.array([*(self._one(str(value), pattern) for value in values), np.nan])
        return parsed[codes]

    def _one(self, text: str, pattern: re.Pattern[str]) -> float:
        text, factor = _minus_first(text.strip()), 1.0
        if BRACKETS in self.signs and text.startswith("(") and text.endswith(")"):
            text, factor = text[1:-1].strip(), -1.0
        found = pattern.fullmatch(text)
        if found is None or (found["minus"] and found["inner"]):
            return float("nan")
        digits = found["whole"]
        if self.thousands is not None:
            digits = re.sub(_SEPARATORS.get(self.thousands, re.escape(self.thousands)), "", digits)
        number = float(digits.replace(self.decimal, ".") + (found["power"] or ""))
        return factor * (-number if "-" in (found["minus"], found["inner"]) else number)

    def _pattern(self) -> re.Pattern[str]:
        """What a number of this form looks like; groups of digits must be whole, so that ``1,50`` is no 150."""
        point, whole = re.escape(self.decimal), r"\d+"
        if self.thousands is not None:
            between = _SEPARATORS.get(self.thousands, re.escape(self.thousands))
            whole = rf"(?:[1-9]\d{{0,2}}(?:{between}\d{{2,3}})*{between}\d{{3}}|\d+)"
        marks = "|".join(re.escape(sign) for sign in sorted(self.signs, key=len, reverse=True) if sign != BRACKETS)
        around = rf"(?:(?:{marks})\s*)*" if marks else ""
        return re.compile(
            rf"(?P<minus>[+-]?)\s*{around}(?P<inner>[+-]?)\s*(?P<whole>{whole}(?:{point}\d*)?|{point}\d+)"
            rf"(?P<power>[eE][+-]?\d+)?\s*{around}",
            re.ASCII,  # digits of other scripts are no numbers to the rest of the reading
        )

    def overrides(self, settings: DataSettings) -> str:
        """The settings to add to ``settings`` so that numbers of this form are read, ready to be pasted."""
        wanted = []
        if self.decimal != settings.decimal:
            wanted.append(override("data.decimal", self.decimal))
        if self.thousands is not None and self.thousands != settings.thousands:
            wanted.append(override("data.thousands", self.thousands))
        elif self.thousands is None and settings.thousands == self.decimal:
            wanted.append("data.thousands=null")
        if set(self.signs) - set(settings.number_signs):
            wanted.append(override("data.number_signs", self.signs))
        return " ".join(wanted)


def _minus_first(text: str) -> str:
    """A number with its minus as programs write it.

    Example:
        >>> _minus_first("264.21-"), _minus_first("\u22125"), _minus_first("-"), _minus_first("1-2")
        ('-264.21', '-5', '-', '1-2')
    """
    text = text.replace(_MINUS, "-")
    return f"-{text[:-1]}" if text.endswith("-") and text[:1].isdigit() else text


PLAIN = NumberForm()


def form_of(column: pd.Series, form: NumberForm) -> NumberForm:
    """The one form that a column of numbers is written in: the one that was set where every value has it, else plain.

    Example:
        >>> given = NumberForm(",")
        >>> form_of(pd.Series(["1,5", "2"]), given) == given, form_of(pd.Series(["1.5", "2"]), given) == PLAIN
        (True, True)
    """
    if form.plain or pd.api.types.is_numeric_dtype(column.dtype):
        return PLAIN
    present = column.dropna()
    return form if len(present) and not np.isnan(form.parse(present)).any() else PLAIN


def recognised(column: pd.Series, settings: DataSettings, share: float = 1.0) -> list[NumberForm]:
    """The forms in which ``share`` of the text of a column are numbers; more than one where they cannot be told apart.

    Example:
        >>> [form.thousands for form in recognised(pd.Series(["1,500", "2,300", "700"]), DataSettings())]
        [None, ',']
        >>> [form.decimal for form in recognised(pd.Series(["1,5", "2,25", "700"]), DataSettings())]
        [',']
    """
    present = column.dropna()
    counts = present.astype(str).value_counts()
    if not len(counts) or counts[counts.index.str.contains(r"\d", regex=True)].sum() < share * len(present):
        return []
    values, weight = pd.Series(counts.index, dtype=object), counts.to_numpy() / len(present)
    signs = _signs(list(counts.index), settings)
    if signs is None:
        return []
    found: list[NumberForm] = []
    results: list[np.ndarray] = []
    # What was set comes first: one file is rather written in one way.
    ways = [(settings.thousands, settings.decimal), *product((None, ",", ".", " ", "'"), (".", ","))]
    for thousands, decimal in ways:
        form = NumberForm(decimal, thousands, signs)
        if thousands == decimal:
            continue
        parsed = form.parse(values)
        enough = weight[~np.isnan(parsed)].sum() >= share - 1e-9
        if enough and not any(np.array_equal(parsed, other, equal_nan=True) for other in results):
            found.append(form)
            results.append(parsed)
    return found


def _signs(values: Sequence[str], settings: DataSettings) -> tuple[str, ...] | None:
    """What stands around the numbers, those of the settings first; None where it is no sign of a number."""
    signs, units = list(settings.number_signs), set()
    for value in values:
        text = _minus_first(value.strip())
        if text.startswith("(") and text.endswith(")"):
            text = text[1:-1]
            signs.append(BRACKETS)
        found = _AROUND.fullmatch(text)
        if found is None:
            continue
        before, after = found["before"].strip(" +-\u00a0"), found["after"].strip()
        if before:
            if not _money(before):
                continue
            signs.append(before)
        if after and (_money(after) or after in "%‰"):
            signs.append(after)
        elif after and _UNIT.fullmatch(after):
            units.add(after)
    # One unit for all is a unit; several are rather the letters of codes.
    signs += units if len(units) == 1 else []
    unique = tuple(dict.fromkeys(signs))
    return unique if len(unique) <= MOST_SIGNS + len(settings.number_signs) else None


def _money(text: str) -> bool:
    return text in _CURRENCIES or (len(text) == 1 and unicodedata.category(text) == "Sc")
