"""Columns of another file read as those of the search were: what a recommendation knows of them decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from autoact.core.errors import AutoactError
from autoact.core.value_holders import PlainData
from autoact.data.column_notes import ColumnError
from autoact.data.columns.column_types import CATEGORY, NUMERIC, infer, numbers
from autoact.data.columns.dtype_readings import tidy
from autoact.data.columns.number_formats import NumberForm, form_of
from autoact.data.preparation.tables import target_column
from autoact.data.settings import DataSettings, declared_category, declared_number, dropping
from autoact.data.sources.load import load_table

_READ = {NUMERIC: "numbers", CATEGORY: "categories"}


def as_searched(settings: DataSettings, profile: PlainData) -> tuple[DataSettings, list[str]]:
    """The settings that read each column as the search did, and a line on each column that is another one here.

    Columns that the settings declare stay as declared.

    Args:
        settings: of a table; where the data are, and what the user said of them.
        profile: of the search's columns; see ``drift.profile``. Without columns nothing changes.

    Raises:
        AutoactError: the table cannot be found or read, has no such target, or holds text where the search read
            numbers.

    Example:
        >>> wine = DataSettings(source="sklearn", name="wine")
        >>> found, notes = as_searched(wine, {"columns": [{"name": "hue", "kind": "category"}]})
        >>> found.categorical, notes[0]
        (['hue'], "column 'hue' was read as categories in the search, and so it is here, where it would else be read \
as numbers: data.numeric=[hue] reads numbers")
    """
    kinds = {str(column["name"]): str(column["kind"]) for column in profile.get("columns", ())}
    if not kinds:
        return settings, []
    table = load_table(settings)
    apart = {target_column(table, settings), settings.time, settings.group, *settings.drop}
    names = [str(name) for name in table.frame.columns if name not in apart]
    found, notes = settings, []
    for name in names:
        if name not in kinds or name in (*settings.numeric, *settings.categorical) or names.count(name) > 1:
            continue
        now = _kind(table.frame[[name]], settings)
        if now != kinds[name]:
            found = _declared(found, name, kinds[name])
            _check_numbers(table.frame[[name]], kinds[name], settings)
            notes.append(_changed(name, kinds[name], now, settings))
    return found, [*notes, *_others(names, kinds, settings)]


def _kind(frame: pd.DataFrame, settings: DataSettings) -> str | None:
    """What a column would be read as; None where it would be refused."""
    try:
        return next(iter(infer(tidy(frame, settings.missing, settings.strip), settings).schema.values()))
    except ColumnError:
        return None


def _declared(settings: DataSettings, name: str, kind: str) -> DataSettings:
    if kind == NUMERIC:
        return replace(settings, numeric=[*settings.numeric, name])
    return replace(settings, categorical=[*settings.categorical, name])


def _check_numbers(frame: pd.DataFrame, kind: str, settings: DataSettings) -> None:
    """Refuse text in a column that the search read as numbers, and say that it did."""
    if kind != NUMERIC:
        return
    column = tidy(frame, settings.missing, settings.strip).iloc[:, 0]
    try:
        numbers(column, "", form_of(column, NumberForm.of(settings)), settings)
    except AutoactError as error:
        category = declared_category(settings, str(column.name))
        raise AutoactError(f"{error}; the search read numbers there, and {category} reads categories here") from error


def _changed(name: str, kind: str, now: str | None, settings: DataSettings) -> str:
    """A column that this file alone would have read otherwise."""
    line = f"column {name!r} was read as {_READ[kind]} in the search, and so it is here"
    if now is None:
        return line
    otherwise = declared_number if now == NUMERIC else declared_category
    return f"{line}, where it would else be read as {_READ[now]}: {otherwise(settings, name)} reads {_READ[now]}"


def _others(names: list[str], kinds: Mapping[str, str], settings: DataSettings) -> list[str]:
    more, gone = [name for name in names if name not in kinds], [name for name in kinds if name not in names]
    lines = []
    if more:
        shown = ", ".join(map(repr, more))
        have, are = ("column", "is") if len(more) == 1 else ("columns", "are")
        lines.append(
            f"{have} {shown} {are} learnt from here and not in the search: {dropping(settings, *more)} leaves "
            f"{'it' if len(more) == 1 else 'them'} out"
        )
    if gone:
        lines.append(f"the search learnt from {', '.join(map(repr, gone))}, which nothing is learnt from here")
    return lines
