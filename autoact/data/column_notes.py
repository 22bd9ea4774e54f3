"""What is said about a column: what it holds, and what to set; one line each, advice that can be pasted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsInt

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError
from autoact.core.override_text import override
from autoact.data.columns.number_formats import NumberForm
from autoact.data.columns.typed_text import SECONDS, spelt_numbers
from autoact.data.settings import DataSettings, declared_category, declared_number, dropping, marked_missing

# More stray texts than this are not spelt out.
MOST_MARKS = 5


@dataclass(frozen=True)
class Remark:
    """One line about a column.

    Attributes:
        name: of the column.
        what: what was found.
        advice: what to do about it by settings; a face without settings has its own.
    """

    name: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


class ColumnError(AutoactError):
    """A column that cannot be read as it is.

    Attributes:
        remark: what is the matter, and what to set.
    """

    def __init__(self, remark: Remark) -> None:
        super().__init__(str(remark))
        self.remark = remark

    def __reduce__(self) -> tuple[type[ColumnError], tuple[Remark]]:
        return ColumnError, (self.remark,)


def empty(name: str, settings: DataSettings, where: str = "at all") -> Remark:
    """A column without a value."""
    return Remark(name, f"column {name!r} holds no value {where}", dropping(settings, name))


def unreadable(column: pd.Series, settings: DataSettings) -> Remark:
    """A column of bytes, lists and the like."""
    name, shown = str(column.name), type(column.dropna().iloc[0]).__name__
    return Remark(
        name,
        f"column {name!r} holds values of type {shown}, neither numbers nor categories",
        f"{dropping(settings, name)} leaves it out",
    )


def dates(name: str, settings: DataSettings) -> Remark:
    """A column of dates among the features."""
    return Remark(
        name,
        f"column {name!r} holds dates",
        f"{override('data.time', name)} orders the split by them, {dropping(settings, name)} leaves them out",
    )


def dates_of_people(column: pd.Series, form: str, settings: DataSettings) -> Remark:
    """A column of dates with the names of months, and the settings that read them."""
    name, present = str(column.name), column.dropna()
    ordered = f"{override('data.time', name)} {override('data.time_format', form)}"
    return Remark(
        name,
        f"column {name!r} holds dates, as {str(present.iloc[0])!r} in row {_row(present.index[0])}",
        f"{ordered} orders the split by them, {dropping(settings, name)} leaves them out, "
        f"{declared_category(settings, name)} reads them as categories",
    )


def durations(column: pd.Series, settings: DataSettings) -> Remark:
    """A column of text that is times of day or durations."""
    name, present = str(column.name), column.dropna()
    seconds = spelt_numbers(present.iloc[:1], SECONDS)[0]
    return Remark(
        name,
        f"column {name!r} holds times or durations, as {str(present.iloc[0])!r} in row {_row(present.index[0])}",
        f"{declared_number(settings, name)} reads them as numbers of seconds ({seconds:.10g}), "
        f"{declared_category(settings, name)} reads them as categories",
    )


def read_as_numbers(column: pd.Series, meant: str) -> Remark:
    """A declared number whose text stands for one; ``meant`` is what ``spelt`` found."""
    name, present = str(column.name), column.dropna()
    first = spelt_numbers(present.iloc[:1], meant)[0]
    unit = " seconds" if meant == SECONDS else ""
    return Remark(
        name,
        f"column {name!r} holds {meant}, and {str(present.iloc[0])!r} is read as {first:.10g}{unit}",
        "write numbers in the file if others are meant",
    )


def notation(column: pd.Series, place: int, plain: str, settings: DataSettings) -> Remark:
    """Numbers in a notation that no setting reads."""
    name, present = str(column.name), column.dropna()
    return Remark(
        name,
        f"column {name!r} holds numbers written as in {str(present.iloc[place])!r} (row {_row(present.index[place])}), "
        f"which are {plain} and the like",
        f"write them so in the file to have them read as numbers, {declared_category(settings, name)} reads them as "
        "categories",
    )


def unique(column: pd.Series, settings: DataSettings) -> Remark:
    """Text that is another one in nearly every row."""
    name = str(column.name)
    return Remark(
        name,
        f"column {name!r} is text in which nearly every value is unique ({column.nunique()} of {len(column)})",
        f"nothing can be learnt from it, {dropping(settings, name)}",
    )


def codes(column: pd.Series, first: int, settings: DataSettings, *, refused: bool) -> Remark:
    """Whole numbers of which some have leading zeros."""
    name = str(column.name)
    number = declared_number(settings, name)
    what = f"column {name!r} holds codes with leading zeros (row {_row(first)} holds {column[first]!r})"
    if refused:
        return Remark(
            name,
            f"{what}, and nearly every value is unique ({column.nunique()} of {len(column)})",
            f"{dropping(settings, name)} leaves it out, {number} reads them as numbers",
        )
    return Remark(
        name,
        f"{what}, and is read as categories",
        f"{number} reads them as numbers, {declared_category(settings, name)} keeps the categories without this line",
    )


def written_otherwise(column: pd.Series, forms: Sequence[NumberForm], settings: DataSettings) -> Remark:
    """Numbers as people write them, and the settings that read them."""
    name = str(column.name)
    present = column.dropna()
    plain = pd.to_numeric(present, errors="coerce").isna()
    shown = present[plain] if plain.any() else present
    values = [form.parse(shown) for form in forms]
    # An example on which the forms disagree.
    split = np.flatnonzero(values[0] != values[-1]) if len(forms) > 1 else np.arange(len(shown))
    place = int(split[0])
    keep = f"{declared_category(settings, name)} keeps them as categories"
    what = f"column {name!r} holds numbers written as in {shown.iloc[place]!r} (row {_row(shown.index[place])})"
    if len(forms) == 1:
        return Remark(name, what, f"{forms[0].overrides(settings)} reads them as numbers, {keep}")
    meanings = " or ".join(
        f"{value[place]:g} ({form.overrides(settings)})" for form, value in zip(forms, values, strict=True)
    )
    return Remark(name, f"{what}, which can mean {meanings}", f"set one of them, or {keep}")


def stray(column: pd.Series, strange: pd.Series, settings: DataSettings) -> Remark:
    """Text in few rows of a column of numbers."""
    name, marks = str(column.name), [str(mark) for mark in strange.unique()]
    row = f"row {_row(strange.index[0])} holds {str(strange.iloc[0])!r}"
    more = "" if len(marks) == 1 else f" (and {len(strange) - 1} more rows hold text)"
    category = f"declare {declared_category(settings, name)}"
    if len(marks) > MOST_MARKS:
        return Remark(name, f"column {name!r} holds numbers, but {row}{more}", f"correct them, or {category}")
    them = "it" if len(marks) == 1 else "them"
    return Remark(
        name,
        f"column {name!r} holds numbers, but {row}{more}",
        f"add {them} to data.missing, {marked_missing(settings, *marks)}, or {category}",
    )


def counting(frame: pd.DataFrame, schema: Mapping[str, str], settings: DataSettings) -> list[str]:
    """Constant columns, columns that number the rows, and categories that are all rare: allowed, but worth a look.

    Example:
        >>> counting(pd.DataFrame({"id": [2.0, 1.0, 3.0]}), {"id": "numeric"}, DataSettings())
        ["column 'id' counts the rows: probably an id, data.drop=[id]"]
    """
    notes, counters = [], []
    for name, kind in schema.items():
        column = frame[name]
        if column.nunique() == 1 and not column.isna().any():
            notes.append(f"column {name!r} is {column.iloc[0]} in every row")
        elif kind == "numeric" and len(column) > 2 and _counts(column.to_numpy()):
            counters.append(name)
        elif kind == "category" and column.value_counts().max() < settings.min_frequency:
            notes.append(
                f"no category of column {name!r} stands in data.min_frequency={settings.min_frequency} rows: they "
                f"share one input and teach nothing; {dropping(settings, name)}, or a smaller data.min_frequency"
            )
    if len(counters) == 1:
        notes.append(f"column {counters[0]!r} counts the rows: probably an id, {dropping(settings, *counters)}")
    elif counters:
        shown = ", ".join(map(repr, counters))
        notes.append(f"columns {shown} count the rows: probably ids, {dropping(settings, *counters)}")
    return notes


def _counts(values: np.ndarray) -> bool:
    """Whether these are the numbers from the smallest on, each one once, in whatever order."""
    span = values.max() - values.min() + 1
    return bool(span == len(values) and (np.diff(np.sort(values)) == 1).all())


def _row(label: SupportsInt) -> int:
    """The number of a row for people, from 1."""
    return int(label) + 1
