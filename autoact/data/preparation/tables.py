"""Preparing tables: rows with columns of numbers and categories, and one target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np
import pandas as pd
import torch
from sklearn.compose import ColumnTransformer

from autoact.core.errors import AutoactError, unknown
from autoact.core.override_text import override
from autoact.data.columns.category_levels import as_levels
from autoact.data.columns.column_types import NUMERIC, Columns, amounts_of, as_text, conform, infer
from autoact.data.columns.dtype_readings import tidy
from autoact.data.columns.number_formats import NumberForm, form_of
from autoact.data.columns.target_kind import kind_remarks
from autoact.data.columns.time_order import order_of
from autoact.data.columns.typed_text import meaning
from autoact.data.columns.unfamiliar_values import category_lines
from autoact.data.part import Part
from autoact.data.preparation.drift import profile
from autoact.data.preparation.fingerprint import content_hash, data_fingerprint, frame_pieces
from autoact.data.preparation.preprocessing import encode, feature_names, fit_preprocessing, levels_of
from autoact.data.preparation.split import Split, settings_as_split, split_name, split_notes, split_rows
from autoact.data.preparation.table_checks import (
    check_columns,
    class_indices,
    class_labels,
    class_names,
    idle_declarations,
    named_groups,
    remarks,
    target_numbers,
    untested_groups,
)
from autoact.data.prepared_data import PreparedData, TargetScale
from autoact.data.sealed_test import PreparedTest
from autoact.data.settings import DataSettings
from autoact.data.sources.csv_file import retyped
from autoact.data.sources.load import LoadedTable


@dataclass(frozen=True)
class TableReader:
    """Makes the part of some rows when it is called; picklable, and the only holder of sealed rows."""

    frame: pd.DataFrame
    y: np.ndarray
    rows: np.ndarray
    preprocessing: ColumnTransformer
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __call__(self) -> Part:
        """Preprocess and hand over."""
        x = torch.from_numpy(encode(self.preprocessing, self.frame))
        return Part(x, torch.tensor(self.y), self.rows, groups=self.groups)

    def __repr__(self) -> str:
        return f"TableReader({len(self.rows)} rows)"


@dataclass(frozen=True)
class Typed:
    """A checked table: features as ``conform`` gives them, the target as numbers or class indices.

    ``raw`` and ``raw_test`` hold all columns, dropped ones too: what identifies rows whatever is set around them.
    ``forms`` tells how numbers are written where programs write them otherwise, ``amounts`` which categories are
    numbers and no text, ``meanings`` which numbers stand for truth values, times or durations, ``notes`` what is worth
    a look. ``named`` holds the group of each row by column of ``data.groups``, ``named_test`` those of the test file.
    """

    features: pd.DataFrame
    y: np.ndarray
    schema: dict[str, str]
    target: str
    classes: list[str] | None
    raw: pd.DataFrame
    test: tuple[pd.DataFrame, np.ndarray] | None = None
    order: np.ndarray | None = None
    groups: np.ndarray | None = None
    raw_test: pd.DataFrame | None = None
    forms: dict[str, NumberForm] = field(default_factory=dict)
    amounts: tuple[str, ...] = ()
    meanings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    named: dict[str, np.ndarray] = field(default_factory=dict)
    named_test: dict[str, np.ndarray] = field(default_factory=dict)


def prepare_table(table: LoadedTable, settings: DataSettings, kind: str, *, whole: bool = False) -> PreparedData:
    """Check, split, fit on the training rows, and seal the test rows; see ``prepare`` for ``whole``.

    Raises:
        AutoactError: what is wrong with the table or the settings, in one line.
    """
    typed = check_table(table, settings, kind)
    how = split_name(settings, kind)
    keep = subset(len(typed.y), how, settings, typed.order)
    split = split_table(typed, keep, how, settings)
    return prepare_rows(
        typed,
        split.whole() if whole else split,
        settings,
        kind,
        name=table.name,
        description=table.description,
        simulated=table.simulated,
        notes=[
            *table.notes,
            *split_notes(settings, kind),
            *kind_remarks(typed.target, typed.y, typed.classes),
            *typed.notes,
            *untested_groups(typed.named, _tested_groups(typed, split)),
        ],
    )


def prepare_rows(
    typed: Typed,
    split: Split,
    settings: DataSettings,
    kind: str,
    *,
    name: str,
    description: str,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> PreparedData:
    """Fit the preprocessing on the training rows, and seal the test rows.

    Raises:
        AutoactError: a column without any value in the training rows.
    """
    preprocessing = fit_preprocessing(typed.features.iloc[split.train], typed.schema, settings)
    scale = None
    if typed.classes is None:
        scale = TargetScale.of(typed.y[split.train][:, None], [typed.target])
    read_train, validation, test = _readers(typed, split, preprocessing, scale)
    identity = typed.raw.iloc[split.test] if typed.raw_test is None else typed.raw_test
    features, train = feature_names(preprocessing), read_train()
    return PreparedData(
        kind=kind,
        name=name,
        description=description,
        simulated=simulated,
        train=train,
        validation=validation(),
        test=PreparedTest(test, len(test.rows), content_hash(frame_pieces(identity)), train=train),
        input_shape=(len(features),),
        outputs=1 if typed.classes is None else len(typed.classes),
        features=features,
        target=typed.target,
        split=split_name(settings, kind),
        seed=settings.seed,
        fingerprint=data_fingerprint(kind, _content(typed), settings_as_split(settings, kind)),
        classes=typed.classes,
        target_scale=scale,
        preprocessing=preprocessing,
        frame_schema=typed.schema,
        forms=typed.forms,
        amounts=typed.amounts,
        meanings=typed.meanings,
        notes=[*notes, *(_test_notes(typed.test[0], preprocessing) if typed.test is not None else ())],
        profile=profile(typed.features.iloc[split.train], typed.schema),
    )


def _readers(
    typed: Typed, split: Split, preprocessing: ColumnTransformer, scale: TargetScale | None
) -> tuple[TableReader, TableReader, TableReader]:
    """A reader for each part, the last from the official test file where there is one."""

    def reader(frame: pd.DataFrame, y: np.ndarray, rows: np.ndarray) -> TableReader:
        return TableReader(frame, y if scale is None else standardised(y, scale), rows, preprocessing)

    train, validation, test = (
        reader(typed.features.iloc[rows], typed.y[rows], rows) for rows in (split.train, split.validation, split.test)
    )
    if typed.test is not None:
        test = reader(*typed.test, np.arange(len(typed.test[1])))
    return train, validation, replace(test, groups=_tested_groups(typed, split))


def _tested_groups(typed: Typed, split: Split) -> dict[str, np.ndarray]:
    """Column of ``data.groups`` -> the group of each test row."""
    return typed.named_test or {name: of[split.test] for name, of in typed.named.items()}


def _test_notes(frame: pd.DataFrame, preprocessing: ColumnTransformer) -> list[str]:
    """What the official test file holds that the training rows did not, a line for each column."""
    return [
        f"the test file: {line}"
        for name, known in levels_of(preprocessing).items()
        for line in category_lines(as_levels(frame[name].dropna(), known), {"known": known, "other": False})
    ]


def chosen(frame: pd.DataFrame, wanted: Iterable[str], where: str) -> pd.DataFrame:
    """The wanted columns of new rows, whatever type their names have; other columns do not matter.

    Raises:
        AutoactError: columns are missing, all of which are named, or stand there twice.

    Example:
        >>> list(chosen(pd.DataFrame([[1, 2]], columns=[0, " b "]), ["b", "0"], "the input").columns)
        ['b', '0']
    """
    names = [str(name).strip() for name in frame.columns]
    exact = [str(name) for name in frame.columns]
    wanted = list(wanted)
    names = [name if name in wanted else stripped for name, stripped in zip(exact, names, strict=True)]
    lacking = [name for name in wanted if name not in names]
    if lacking:
        like = {name.lower(): name for name in names if name not in wanted}
        near = [
            (name, close[0]) for name in lacking if (close := get_close_matches(name.lower(), like, n=1, cutoff=0.8))
        ]
        hint = f" (is {like[near[0][1]]!r} meant to be {near[0][0]!r}? rename it)" if near else ""
        raise AutoactError(f"{where} has no column {', '.join(map(repr, lacking))}{hint}: it needs {', '.join(wanted)}")
    repeated = [name for name in wanted if names.count(name) > 1]
    if repeated:
        raise AutoactError(f"{where} has {names.count(repeated[0])} columns named {repeated[0]!r}: keep one")
    return frame.set_axis(names, axis=1)[wanted]


def standardised(y: np.ndarray, scale: TargetScale) -> np.ndarray:
    """Targets with mean 0 and deviation 1 over the training rows, float32."""
    return ((y - scale.mean[0]) / scale.std[0]).astype("float32")


def check_table(table: LoadedTable, settings: DataSettings, kind: str) -> Typed:
    """Everything that can be said about a table before it is split.

    Raises:
        AutoactError: a column or value that does not fit.
    """
    target = target_column(table, settings)
    roles = {"data.target": target, "data.time": settings.time, "data.group": settings.group}
    check_columns(table.frame, settings, roles)
    frame = tidy(table.frame, settings.missing, settings.strip)
    apart = {column for column in (*roles.values(), *settings.drop) if column is not None}
    features = frame[[name for name in frame.columns if name not in apart]]
    columns = infer(features, settings)
    raw = _identity(frame, settings)
    classes, target_form = None, form_of(frame[target], NumberForm.of(settings))
    if kind == "regression":
        y = target_numbers(frame[target], form=target_form, settings=settings)
    else:
        labels = class_labels(raw[target], settings)
        classes = class_names(labels, settings)
        y = class_indices(labels, classes)
    named = named_groups(frame, settings, target)
    named_test: dict[str, np.ndarray] = {}
    test = test_frame = None
    if table.test_frame is not None:
        test_frame = tidy(table.test_frame, settings.missing, settings.strip)
        test = _check_test(test_frame, target, columns, classes, settings, target_form)
        named_test = named_groups(test_frame, settings, target, "the test file")
        test_frame = _identity(test_frame, settings)
    order = order_of(raw[settings.time], settings.time_format) if settings.time is not None else None
    groups = _groups(raw[settings.group]) if settings.group is not None else None
    schema, forms = columns.schema, columns.forms
    done = conform(features, schema, forms=forms, settings=settings)
    notes = [*map(str, columns.remarks), *remarks(done, schema, settings), *idle_declarations(settings, roles)]
    # A form is kept for new rows also where all training rows can be read without it.
    written = [n for n in forms if (pd.to_numeric(frame[n], errors="coerce").isna() & frame[n].notna()).any()]
    if not (written or NumberForm.of(settings).plain or (kind == "regression" and not target_form.plain)):
        notes.append("data.decimal, data.thousands and data.number_signs change nothing: no column is written so")
    amounts = amounts_of(features, schema)
    meanings = meanings_of(table.frame, schema)
    found = Typed(
        done, y, schema, target, classes, raw, test, order, groups, test_frame, forms, amounts, meanings, notes
    )
    return replace(found, named=named, named_test=named_test)


def meanings_of(frame: pd.DataFrame, schema: Mapping[str, str]) -> dict[str, str]:
    """Numeric column -> what its numbers stand for, where that is not themselves; see ``spelt.meaning``.

    Args:
        frame: as it was read.
        schema: column -> ``numeric`` or ``category``.
    """
    numeric = [name for name in frame.columns if schema.get(str(name)) == NUMERIC]
    return {str(name): found for name in numeric if (found := meaning(frame[name])) is not None}


def _identity(frame: pd.DataFrame, settings: DataSettings) -> pd.DataFrame:
    """All columns in the form that identifies rows, however the settings say that they are to be read."""
    return retyped(frame) if settings.source == "csv" else frame


def target_column(table: LoadedTable, settings: DataSettings) -> str:
    """The target's name: as set, or the source's own.

    Raises:
        AutoactError: neither, or there is no such column.
    """
    target = settings.target if settings.target is not None else table.default_target
    columns = [str(c) for c in table.frame.columns]
    if target is None:
        raise AutoactError(f"data.target is not set: which column is to be predicted? Columns: {', '.join(columns)}")
    if target not in columns:
        hint = "data.header=false if the first line holds data" if settings.source == "csv" and settings.header else ""
        raise unknown("column in data.target", target, columns, advice=hint)
    return target


def _check_test(
    frame: pd.DataFrame,
    target: str,
    columns: Columns,
    classes: list[str] | None,
    settings: DataSettings,
    form: NumberForm,
) -> tuple[pd.DataFrame, np.ndarray]:
    where = "the test file"
    features = conform(frame, columns.schema, where, columns.forms, settings)
    if target not in frame.columns:
        raise unknown(f"column of {where}: target", target, [str(c) for c in frame.columns])
    if classes is None:
        return features, target_numbers(frame[target], where, form, settings)
    labels = class_labels(_identity(frame[[target]], settings)[target], settings, where)
    return features, class_indices(labels, classes, where)


def _groups(column: pd.Series) -> np.ndarray:
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0])
        raise AutoactError(f"group column {column.name!r} has no value in row {row + 1}: every row needs one")
    return as_text(column).to_numpy(dtype=object).astype(str)


def subset(rows: int, how: str, settings: DataSettings, order: np.ndarray | None) -> np.ndarray:
    """Row numbers to use, ascending: all, the first ones in time, or a random ``max_rows`` of them."""
    limit = settings.max_rows
    if limit is None or limit >= rows:
        return np.arange(rows)
    if how == "time":
        by_time = np.arange(rows) if order is None else np.argsort(order, kind="stable")
        return np.sort(by_time[:limit])
    return np.sort(np.random.default_rng([settings.seed, 1]).permutation(rows)[:limit])


def split_table(typed: Typed, keep: np.ndarray, how: str, settings: DataSettings) -> Split:
    """Divide the kept rows; row numbers are those of the whole table.

    Raises:
        AutoactError: too few rows, or a class that the training rows do not hold.
    """
    inner = split_rows(
        len(keep),
        how,
        settings,
        classes=typed.y[keep] if typed.classes is not None else None,
        class_names=typed.classes,
        order=None if typed.order is None else typed.order[keep],
        groups=None if typed.groups is None else typed.groups[keep],
    )
    split = Split(keep[inner.train], keep[inner.validation], keep[inner.test])
    if typed.classes is not None:
        _check_classes(typed, split, how, settings)
    return split


def _check_classes(typed: Typed, split: Split, how: str, settings: DataSettings) -> None:
    """Refuse a training part that lacks a class, and parts of one class, on which nothing can be told apart."""
    assert typed.classes is not None
    named = {"time": settings.time, "group": settings.group}.get(how)
    out = "" if named is None else f" without {override(f'data.{how}', named)} ({override('data.drop', [named])})"
    advice = f"more rows, or data.split=stratified{out}"
    absent = set(range(len(typed.classes))) - set(typed.y[split.train].tolist())
    if absent:
        raise AutoactError(f"no training row of class {typed.classes[min(absent)]!r} after the {how} split: {advice}")
    for part, rows in (("validation", split.validation), ("test", split.test)):
        held = np.unique(typed.y[rows])
        if len(held) == 1:
            raise AutoactError(
                f"every {part} row is of class {typed.classes[held[0]]!r} after the {how} split, and nothing can be "
                f"told apart there: {advice}"
            )


def _content(typed: Typed) -> str:
    pieces = [*frame_pieces(typed.features), ("target", typed.y)]
    for name, values in (("time", typed.order), ("group", typed.groups)):
        if values is not None:
            pieces.append((name, values.astype(object) if name == "group" else values))
    if typed.classes is not None:
        pieces.append(("classes", np.array(typed.classes, dtype=object)))
    if typed.test is not None:
        pieces += [*frame_pieces(typed.test[0], "test:"), ("test target", typed.test[1])]
    return content_hash(pieces)
