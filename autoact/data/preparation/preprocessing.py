"""Columns to numbers, fitted on the training rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import count

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from autoact.core.errors import AutoactError
from autoact.data.column_notes import ColumnError
from autoact.data.column_notes import empty as empty_column
from autoact.data.columns.category_levels import as_levels
from autoact.data.columns.column_types import CATEGORY, NUMERIC
from autoact.data.preparation.normal_scores import NormalScores
from autoact.data.settings import DataSettings


def fit_preprocessing(frame: pd.DataFrame, schema: dict[str, str], settings: DataSettings) -> ColumnTransformer:
    """Fit the way from columns to network inputs.

    Numbers: median in place of missing values, then scaling; one more 0/1 column for each column with missing
    values. Categories: one column for each, one for missing, rare and unseen ones share one.

    Raises:
        AutoactError: a column without any value in the training rows, or no column at all.
    """
    empty = [name for name in schema if frame[name].isna().all()]
    if empty:
        raise ColumnError(empty_column(empty[0], settings, "in the training rows"))
    if not schema:
        raise AutoactError("no column is left to learn from: see data.drop, data.target, data.time and data.group")
    numeric = [name for name, kind in schema.items() if kind == NUMERIC]
    gaps = [name for name in numeric if frame[name].isna().any()]
    category = [name for name, kind in schema.items() if kind == CATEGORY]
    steps = [
        ("numeric", _numeric(settings.scaling), numeric),
        ("missing", MissingIndicator(features="all"), gaps),
        ("category", _category(settings, _gap_name(frame, category)), category),
    ]
    transformer = ColumnTransformer(
        [step for step in steps if step[2]], sparse_threshold=0.0, verbose_feature_names_out=False
    )
    return transformer.fit(frame[list(schema)])


def _numeric(scaling: str) -> Pipeline:
    steps: list[tuple[str, object]] = [("median", SimpleImputer(strategy="median"))]
    if scaling == "quantile":
        steps.append(("scores", NormalScores()))
    elif scaling == "standard":
        steps.append(("standard", StandardScaler()))
    return Pipeline(steps)


def _gap_name(frame: pd.DataFrame, category: list[str]) -> str:
    """What a missing category is called: a name that no category of the training rows has.

    Example:
        >>> _gap_name(pd.DataFrame({"a": ["x", "missing"]}), ["a"])
        'missing_2'
    """
    levels = {level for name in category for level in frame[name].dropna().unique()}
    return unique_name("missing", levels)


def _category(settings: DataSettings, gap: str) -> Pipeline:
    """A name for missing values, then one column for each frequent category."""
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=settings.min_frequency,
        max_categories=settings.max_categories,
        sparse_output=False,
        dtype=np.float32,
    )
    return Pipeline([("missing", SimpleImputer(strategy="constant", fill_value=gap)), ("one_hot", encoder)])


def encode(transformer: ColumnTransformer, frame: pd.DataFrame) -> np.ndarray:
    """Network inputs of ``frame``.

    A category that is no level as written counts as the level that is the same number or truth value; see ``levels``.

    **Shape**: ``[rows, columns]`` of the transformer's feature names, float32, contiguous.
    """
    levels = {name: as_levels(frame[name], known) for name, known in levels_of(transformer).items()}
    return np.array(transformer.transform(frame.assign(**levels)), dtype=np.float32, order="C")


def levels_of(transformer: ColumnTransformer) -> dict[str, list[str]]:
    """Categorical column -> all the categories of the training rows, rare ones too, and not what stands for missing."""
    for step, fitted, columns in transformer.transformers_:
        if step == "category":
            gap = fitted.named_steps["missing"].fill_value
            found = zip(columns, fitted.named_steps["one_hot"].categories_, strict=True)
            return {name: [str(level) for level in levels if level != gap] for name, levels in found}
    return {}


def feature_names(transformer: ColumnTransformer) -> list[str]:
    """The names of the network inputs, in order, each one once.

    A column's own name comes first: what stands for ``red`` of ``colour`` is ``colour_red``, and ``colour=red`` where
    a column is called ``colour_red``.
    """
    parts: list[tuple[str, list[str]]] = []
    for step, fitted, columns in transformer.transformers_:
        if step == "numeric":
            parts.append((step, list(columns)))
        elif step == "missing":
            parts.append((step, [f"missingindicator_{name}" for name in columns]))
        elif step == "category":
            parts.append((step, [str(name) for name in fitted[-1].get_feature_names_out(list(columns))]))
            others = [f"{name}={level}" for name, level in _encoded(fitted[-1], list(columns))]
    own = {name for step, names in parts if step == "numeric" for name in names}
    taken = set(own)
    counts = Counter(name for step, names in parts for name in names)
    done = []
    for step, names in parts:
        for k, name in enumerate(names):
            if step == "numeric":
                done.append(name)
                continue
            if counts[name] > 1 and step == "category":
                name = others[k]
            done.append(unique_name(name, taken))
            taken.add(done[-1])
    return done


def _encoded(encoder: OneHotEncoder, columns: list[str]) -> list[tuple[str, str]]:
    marked = encoder.get_feature_names_out([f"{k}\0" for k in range(len(columns))])
    parts = [str(name).partition("\0_") for name in marked]
    return [(columns[int(number)], level) for number, _, level in parts]


def unique_name(name: str, taken: Collection[str]) -> str:
    """The name, or where it is taken the name with the first number that is free.

    Example:
        >>> unique_name("a", {"a", "a_2"})
        'a_3'
    """
    free = name
    for number in count(2):
        if free not in taken:
            break
        free = f"{name}_{number}"
    return free
