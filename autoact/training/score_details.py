"""What else the predictions of test rows say, beside the metric that decides: other metrics, and scores of groups."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from lightning import LightningDataModule

from autoact.core.errors import AutoactError, first_line
from autoact.core.value_holders import PlainData
from autoact.data.datamodule import TensorDataModule
from autoact.data.part import Part
from autoact.data.sealed_test import OpenedParts
from autoact.tasks.decision_threshold import VALIDATION
from autoact.tasks.metrics import Metric
from autoact.tasks.task import Task
from autoact.training.predictions import Predictions, left_out

# A score of fewer rows says next to nothing of a group.
FEWEST_ROWS = 30
# Where the details hold what was predicted for each row.
PREDICTIONS = "predictions"


def score_details(task: Task, predictions: Predictions, test: LightningDataModule) -> PlainData:
    """Other metrics, and the deciding one by group, of predictions that were made for the rows of ``test``.

    Those are only of rows that are an opened test part of autoact's own. Plain data: ``metrics`` (title -> value),
    ``absent`` (title -> why there is none), ``groups`` (column -> group -> ``rows``, and ``score`` with its jackknife
    ``replicates``, or ``why`` it is not scored); ``threshold`` of all decisions where a training fitted one;
    ``predictions`` (see ``RowScores``) where the task keeps them.
    """
    kept = {PREDICTIONS: predictions.arrays().packed()} if task.keep_predictions else {}
    part = _opened(test)
    if part is None or task.metric is None or not (task.also or task.groups):
        return kept
    targets, scores = predictions.arrays()
    found: dict[str, float] = {}
    absent: dict[str, str] = {}
    threshold = float(predictions.fitted.threshold)
    fitted = {"threshold": threshold} if task.metric.threshold == VALIDATION else {}
    for metric in task.also:
        judged = metric.at(threshold) if metric.threshold == VALIDATION else metric
        try:
            found[metric.title] = judged(targets, scores)
        except (ValueError, ArithmeticError, TypeError, AutoactError) as error:
            absent[metric.title] = first_line(error)
    named = {name: part.groups[name][: len(targets)] for name in task.groups if name in part.groups}
    groups = {
        name: by_group(predictions.fitted, targets, scores, of, ordered=task.ordered) for name, of in named.items()
    }
    return {**fitted, "metrics": found, "absent": absent, "groups": groups, **kept}


def by_group(
    metric: Metric, targets: np.ndarray, scores: np.ndarray, groups: np.ndarray, *, ordered: bool
) -> Mapping[str, PlainData]:
    """The metric of each group of rows; a group of fewer than 30 rows, or of one class alone, says why it has none."""
    found: dict[str, PlainData] = {}
    for name in np.unique(groups):
        held = groups == name
        entry: PlainData = {"rows": int(held.sum())}
        classes = np.issubdtype(targets.dtype, np.integer)
        if entry["rows"] < FEWEST_ROWS:
            entry["why"] = f"fewer than {FEWEST_ROWS} rows"
        elif classes and len(np.unique(targets[held])) < 2:
            entry["why"] = "its rows are of one class"
        else:
            try:
                entry["score"] = metric(targets[held], scores[held])
                entry["replicates"] = list(left_out(metric, targets, scores, ordered=ordered, within=held))
            except (ValueError, ArithmeticError) as error:
                entry["why"] = first_line(error)
        found[str(name)] = entry
    return found


def _opened(test: LightningDataModule) -> Part | None:
    """The test rows, where they are an opened part of autoact's own."""
    if isinstance(test, TensorDataModule) and isinstance(test.prepared, OpenedParts):
        return test.prepared.validation
    return None
