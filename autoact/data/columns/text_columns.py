"""Whether a column of text is numbers or categories, and what to say where that may surprise."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from autoact.data import column_notes
from autoact.data.column_notes import ColumnError, Remark
from autoact.data.columns.foreign_notations import strange_notation
from autoact.data.columns.month_names import date_form
from autoact.data.columns.number_formats import CODE, NumberForm, form_of, recognised
from autoact.data.columns.typed_text import SECONDS, spelt
from autoact.data.settings import DataSettings

_DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}(:\d{2}){0,2}.*)?$")
_WHOLE = r"[+-]?\d+"
# Numbers of more distinct values than this are no levels: what keeps them from being read as numbers is an error.
MOST_LEVELS = 20
# So much of a column must be numbers for the rest to be stray.
MOSTLY = 0.9


def kind_of_text(column: pd.Series, settings: DataSettings, found: list[Remark]) -> bool:
    """Whether a column of text is numbers; adds what is worth a line to ``found``.

    Raises:
        ColumnError: dates, nearly unique text, stray text among numbers, many numbers as people write them.
    """
    present = column.dropna().astype(object).map(str)
    given = NumberForm.of(settings)
    parsed = form_of(present, given).parse(present)
    strange = np.isnan(parsed)
    coded = _coded(present, strange)
    if not strange.any() and not coded.any():
        return True
    if present.head(50).map(lambda value: bool(_DATE.match(value))).all():
        raise ColumnError(column_notes.dates(str(column.name), settings))
    unique = present.nunique() > max(50, 0.9 * len(present))
    if coded.any():
        if not strange.any():
            remark = column_notes.codes(present, coded.index[coded][0], settings, refused=unique)
            if unique:
                raise ColumnError(remark)
            found.append(remark)
    elif (other := _otherwise(present, settings)) is not None:
        if present.nunique() > MOST_LEVELS:
            raise ColumnError(other)
        found.append(other)
        return False
    else:
        _refuse_stray(present, given, settings)
    if unique:
        raise ColumnError(column_notes.unique(present, settings))
    return False


def _otherwise(present: pd.Series, settings: DataSettings) -> Remark | None:
    """What to say of text that stands for numbers or dates in every row; None for other text."""
    if forms := recognised(present, settings):
        return column_notes.written_otherwise(present, forms, settings)
    if (strange := strange_notation(present)) is not None:
        return column_notes.notation(present, *strange, settings)
    if spelt(present) == SECONDS:
        return column_notes.durations(present, settings)
    form = date_form(present)
    return None if form is None else column_notes.dates_of_people(present, form, settings)


def _coded(present: pd.Series, strange: np.ndarray) -> pd.Series:
    """Which values are codes with leading zeros; none where fractions show that zeros only fill up."""
    coded = present.str.fullmatch(CODE)
    numbers = present[~strange]
    return coded & bool(numbers.str.fullmatch(_WHOLE).all())


def _refuse_stray(present: pd.Series, given: NumberForm, settings: DataSettings) -> None:
    """Refuse text in few rows of a column of numbers, in whatever form these are written."""
    forms = [NumberForm(), *([] if given.plain else [given])]
    for form in (*forms, *recognised(present, settings, MOSTLY)):
        parsed = form.parse(present)
        strange = np.isnan(parsed)
        if strange.sum() > (1 - MOSTLY) * len(present) or len(np.unique(parsed[~strange])) <= MOST_LEVELS:
            continue
        if form not in forms:
            raise ColumnError(column_notes.written_otherwise(present[~strange], [form], settings))
        raise ColumnError(column_notes.stray(present, present[strange], settings))
