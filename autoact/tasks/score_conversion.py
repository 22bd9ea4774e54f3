"""What a model of another make gave, in the form that our metrics take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from autoact.core.errors import AutoactError
from autoact.data.columns.column_types import as_text
from autoact.data.prepared_data import PreparedData
from autoact.tasks.metrics import CLASSES, CLASSIFICATION, ORDER, Metric


def as_scores(
    values: ArrayLike, columns: Sequence[str] | None, prepared: PreparedData, metric: Metric, title: str
) -> np.ndarray:
    """What a model gave, in the form that metrics take.

    **Shape**: ``[rows]`` for numbers (standardised as the networks' targets are) and two classes, else
    ``[rows, classes]``.

    ``values`` are numbers, probabilities, or labels where the metric looks at classes alone. ``columns`` names the
    class of each column; where it is None, they are in the order of ``prepared.classes``.

    Raises:
        AutoactError: another shape, labels where probabilities are needed, or numbers that are none.
    """
    found = np.asarray(values)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if prepared.kind not in CLASSIFICATION:
        scale = prepared.target_scale
        numbers = _finite(found, title)
        if numbers.ndim != 1:
            raise AutoactError(f"production_model={title} gives {numbers.shape[1]} numbers for a row: one is wanted")
        return numbers if scale is None else (numbers - scale.mean[0]) / scale.std[0]
    classes = prepared.classes
    assert classes is not None
    if found.ndim == 1 and (len(classes) > 2 or _are_labels(found)):
        return _from_labels(found, classes, metric, title)
    return _from_probabilities(_finite(found, title), columns, classes, metric, title)


def _finite(values: np.ndarray, title: str) -> np.ndarray:
    try:
        numbers = values.astype("float64")
    except (ValueError, TypeError) as error:
        raise AutoactError(f"production_model={title} gives text where numbers are wanted: {error}") from error
    if numbers.ndim not in (1, 2) or not np.isfinite(numbers).all():
        raise AutoactError(f"production_model={title} gives scores that are not finite, or of shape {numbers.shape}")
    return numbers


def _are_labels(values: np.ndarray) -> bool:
    return values.dtype.kind in "OUSTbiu" or bool(np.isin(values, (0.0, 1.0)).all())


def _from_labels(values: np.ndarray, classes: Sequence[str], metric: Metric, title: str) -> np.ndarray:
    """Predicted classes as certain probabilities, where the metric asks for no more."""
    if metric.needs != CLASSES:
        raise AutoactError(
            f"production_model={title} gives classes, and {metric.title} needs probabilities: log the model with "
            f"pyfunc_predict_fn='predict_proba', or give them as a file"
        )
    text = as_text(pd.Series(values.ravel()).astype(object) if values.dtype.kind == "O" else pd.Series(values))
    index = {name: number for number, name in enumerate(classes)}
    numbered = {str(number): number for number in range(len(classes))}
    known = index if set(text) <= set(index) else numbered
    strange = next((value for value in text if value not in known), None)
    if strange is not None:
        raise AutoactError(f"production_model={title} gives the class {strange!r}. Allowed: {', '.join(classes)}")
    hard = np.eye(len(classes))[[known[value] for value in text]]
    return hard[:, 1] if len(classes) == 2 else hard


def _from_probabilities(
    found: np.ndarray, columns: Sequence[str] | None, classes: Sequence[str], metric: Metric, title: str
) -> np.ndarray:
    if found.ndim == 2:
        if found.shape[1] != len(classes):
            raise AutoactError(f"production_model={title} gives {found.shape[1]} columns for {len(classes)} classes")
        if columns is not None and set(columns) == set(classes):
            found = found[:, [list(columns).index(name) for name in classes]]
    ordered = metric.needs == ORDER and len(classes) == 2
    if not ordered and (found.min() < 0 or found.max() > 1):
        raise AutoactError(
            f"production_model={title} gives scores from {found.min():.4g} to {found.max():.4g}: {metric.title} needs "
            f"probabilities, from 0 to 1"
        )
    if found.ndim == 1:
        return found
    if len(classes) == 2:
        return found[:, 1]
    sums = found.sum(axis=1)
    if abs(sums - 1).max() > 0.01:
        raise AutoactError(
            f"production_model={title}: the probabilities of a row sum up to {sums[abs(sums - 1).argmax()]:.4g}"
        )
    return found / sums[:, None]
