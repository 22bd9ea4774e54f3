"""Reference models that cost seconds: a linear one and a lightly tuned gradient boosting, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autoact.data.part import Part
from autoact.data.prepared_data import PreparedData
from autoact.tasks.metrics import CLASSIFICATION, Metric
from autoact.tasks.production_model import ProductionModel

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

LEARNING_RATES = (0.03, 0.1)
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
# Boosting on raw windows of a long sequence takes minutes; a reference should take seconds.
MOST_INPUTS = 2000


def reference_scores(
    prepared: PreparedData, metric: Metric, test: Part | None
) -> list[tuple[str, float, float | None]]:
    """Name, validation score and test score of each reference; settings are chosen on validation rows.

    Without an opened test part there is no test score.

    Example:
        >>> from autoact.data.prepare import prepare
        >>> from autoact.data.settings import DataSettings
        >>> from autoact.tasks.metrics import resolve
        >>> prepared = prepare(DataSettings(source="sklearn", name="wine"), "classification")
        >>> [name for name, _, _ in reference_scores(prepared, resolve("accuracy", "classification"), None)]
        ['logistic regression', 'gradient boosting']
    """
    if prepared.split == "drawn":  # training points hold no solution that a reference could learn from
        return []
    if prepared.train.y.ndim > 1 and prepared.kind == "regression":
        families = [("ridge regression", _linear(prepared.kind)), ("nearest neighbours", _neighbours())]
    elif int(np.prod(prepared.input_shape)) > MOST_INPUTS or (prepared.kind == "forecast"):
        families = [("ridge regression", _linear(prepared.kind))] if prepared.kind == "forecast" else []
    else:
        linear = "logistic regression" if prepared.kind in CLASSIFICATION else "ridge regression"
        families = [(linear, _linear(prepared.kind)), ("gradient boosting", _boosting(prepared))]
    return [(name, *_best_of(models, prepared, metric, test)) for name, models in families]


def reference_rows(
    prepared: PreparedData,
    metric: Metric,
    test: Part | None,
    production_model: ProductionModel | None,
    *,
    fitted: bool = True,
) -> list[tuple[str, float | None, float | None]]:
    """The production model's row, where there is one, then those of the references where these are ``fitted``."""
    rows: list[tuple[str, float | None, float | None]] = []
    if production_model is not None:
        rows.append(production_model.row(test is not None))
    return [*rows, *(reference_scores(prepared, metric, test) if fitted else [])]


def _linear(kind: str) -> list[BaseEstimator]:
    from sklearn.linear_model import LogisticRegression, Ridge

    if kind in CLASSIFICATION:
        return [LogisticRegression(C=strength, max_iter=2000) for strength in STRENGTHS]
    return [Ridge(alpha=1.0 / strength) for strength in STRENGTHS]


def _neighbours() -> list[BaseEstimator]:
    """The mean of the nearest rows, for several numbers at once."""
    from sklearn.neighbors import KNeighborsRegressor

    return [KNeighborsRegressor(n_neighbors=count, weights="distance") for count in (1, 2, 4, 8)]


def _boosting(prepared: PreparedData) -> list[BaseEstimator]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classes = prepared.kind in CLASSIFICATION
    make = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    stops = not classes or _held_out_has_every_class(prepared.train.y.numpy())
    rounds = 300 if stops else 100  # as many as scikit-learn's default, where nothing tells when to stop
    return [
        make(learning_rate=rate, early_stopping=stops, max_iter=rounds, max_leaf_nodes=15, random_state=0)
        for rate in LEARNING_RATES
    ]


def _held_out_has_every_class(y: np.ndarray) -> bool:
    """Whether the tenth of the rows that tells boosting when to stop can hold a row of each class."""
    _, counts = np.unique(y, return_counts=True)
    return bool(counts.min() >= 2 and len(y) >= 10 * len(counts))


def _best_of(
    models: Sequence[BaseEstimator], prepared: PreparedData, metric: Metric, test: Part | None
) -> tuple[float, float | None]:
    """Validation and test score of the model that is best on validation rows."""
    scored = []
    for model in models:
        model.fit(_rows(prepared.train), prepared.train.y.numpy())
        rows = prepared.validation.y.numpy(), _predict(model, prepared.validation)
        fitted = metric.fitted(*rows)
        scored.append((fitted(*rows), fitted, model))
    pick = max if metric.mode == "max" else min
    validation, fitted, best = pick(scored, key=lambda entry: entry[0])
    return validation, None if test is None else fitted(test.y.numpy(), _predict(best, test))


def _rows(part: Part) -> np.ndarray:
    return part.x.reshape(len(part.x), -1).numpy()


def _predict(model: BaseEstimator, part: Part) -> np.ndarray:
    if not hasattr(model, "predict_proba"):
        return model.predict(_rows(part))
    score = model.predict_proba(_rows(part))
    return score[:, 1] if score.shape[1] == 2 else score
