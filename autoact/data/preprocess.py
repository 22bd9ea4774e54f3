"""Columns to numbers, fitted on the training rows alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from autoact.core.errors import AutoactError
from autoact.data.columns import CATEGORY, NUMERIC
from autoact.data.scores import NormalScores
from autoact.data.settings import DataSettings


def fit_preprocessing(frame: pd.DataFrame, schema: dict[str, str], settings: DataSettings) -> ColumnTransformer:
    """Fit the way from columns to network inputs.

    Numbers: median in place of missing values, then scaling; one more 0/1 column for each column with missing
    values. Categories: one column for each, one for missing, rare and unseen ones share one.

    Args:
        frame: the training rows, as ``conform`` gives them.
        schema: column -> ``numeric`` or ``category``.
        settings: scaling, min_frequency and max_categories are used.

    Raises:
        AutoactError: a column without any value in the training rows, or no column at all.
    """
    empty = [name for name in schema if frame[name].isna().all()]
    if empty:
        raise AutoactError(f"column {empty[0]!r} holds no value in the training rows: data.drop=[{empty[0]}]")
    if not schema:
        raise AutoactError("no column is left to learn from: see data.drop, data.target, data.time and data.group")
    numeric = [name for name, kind in schema.items() if kind == NUMERIC]
    gaps = [name for name in numeric if frame[name].isna().any()]
    category = [name for name, kind in schema.items() if kind == CATEGORY]
    steps = [
        ("numeric", _numeric(settings.scaling), numeric),
        ("missing", MissingIndicator(features="all"), gaps),
        ("category", _category(settings), category),
    ]
    transformer = ColumnTransformer(
        [step for step in steps if step[2]], sparse_threshold=0.0, verbose_feature_names_out=False
    )
    return transformer.fit(frame[list(schema)])


def _numeric(scaling: str) -> Pipeline:
    """Median for missing values, then scaling."""
    steps: list[tuple[str, object]] = [("median", SimpleImputer(strategy="median"))]
    if scaling == "quantile":
        steps.append(("scores", NormalScores()))
    elif scaling == "standard":
        steps.append(("standard", StandardScaler()))
    return Pipeline(steps)


def _category(settings: DataSettings) -> Pipeline:
    """A name for missing values, then one column for each frequent category."""
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=settings.min_frequency,
        max_categories=settings.max_categories,
        sparse_output=False,
        dtype=np.float32,
    )
    return Pipeline([("missing", SimpleImputer(strategy="constant", fill_value="missing")), ("one_hot", encoder)])


def encode(transformer: ColumnTransformer, frame: pd.DataFrame) -> np.ndarray:
    """Network inputs of ``frame``.

    **Shape**: ``[rows, columns]`` of the transformer's feature names, float32, contiguous.
    """
    return np.array(transformer.transform(frame), dtype=np.float32, order="C")


def feature_names(transformer: ColumnTransformer) -> list[str]:
    """The names of the network inputs, in order."""
    return [str(name) for name in transformer.get_feature_names_out()]
