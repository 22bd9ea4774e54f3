"""Predictions of a validation, row by row, and the metric of all of them at once."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from autoact.core.errors import AutoactError
from autoact.tasks.decision_threshold import VALIDATION
from autoact.tasks.metrics import Metric
from autoact.training.state.best_epoch import Diverged

# Groups of test rows for the jackknife: enough degrees of freedom, few enough to cost nothing.
JACKKNIFE_GROUPS = 50

THRESHOLD = "val_threshold"
"""Under which name a fitted decision threshold is logged beside the metric."""


class RowScores(NamedTuple):
    """What a training predicts for each row, and the rows' targets; see ``Metric`` for what they are.

    Shape:
        targets, scores: ``[rows]``, or ``[rows, outputs]``.
    """

    targets: np.ndarray
    scores: np.ndarray

    def packed(self) -> str:
        """As text, which travels and is noted as plain data."""
        kept = io.BytesIO()
        np.savez(kept, targets=self.targets, scores=self.scores)
        return base64.b64encode(zlib.compress(kept.getvalue())).decode("ascii")

    @classmethod
    def unpacked(cls, text: str) -> RowScores:
        """The inverse of ``packed``.

        Example:
            >>> RowScores.unpacked(RowScores(np.array([0, 1]), np.array([0.25, 0.5])).packed()).scores
            array([0.25, 0.5 ])
        """
        with np.load(io.BytesIO(zlib.decompress(base64.b64decode(text))), allow_pickle=False) as kept:
            return cls(kept["targets"], kept["scores"])


class Predictions:
    """Scores and targets of one pass over the validation rows.

    The module's ``validation_step`` returns a mapping with ``score`` and ``target`` (as the recipes do); where it does
    not, the score is ``module(x)`` for batches ``(x, y)``.

    A decision threshold that is to be fitted is fitted on these rows, unless ``decide_as`` said before which one holds.

    Attributes:
        metric: as the task has it.
        fitted: the metric at the threshold of the last ``value``.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = self.fitted = metric
        self._scores: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def clear(self) -> None:
        """Forget the rows of the pass before."""
        self._scores, self._targets = [], []

    def add(self, module: torch.nn.Module, outputs: object, batch: object) -> None:
        """Collect one batch.

        Raises:
            AutoactError: neither the outputs nor the batch tell predictions and targets.
        """
        score, target = _predictions(module, outputs, batch)
        self._scores.append(score.detach().float().cpu())
        self._targets.append(target.detach().cpu())

    def value(self, epoch: int) -> float:
        """The metric over all rows.

        Raises:
            Diverged: some prediction is not finite.
        """
        scores, targets = torch.cat(self._scores), torch.cat(self._targets)
        if not bool(torch.isfinite(scores).all()):
            raise Diverged(f"predictions are not finite in epoch {epoch}")
        self.fitted = self.metric.fitted(targets.numpy(), scores.numpy())
        return self.fitted(targets.numpy(), scores.numpy())

    @property
    def threshold(self) -> dict[str, float]:
        """The threshold that the last ``value`` fitted, by the name under which it is logged; else empty."""
        return {THRESHOLD: float(self.fitted.threshold)} if self.metric.threshold == VALIDATION else {}

    def decide_as(self, logged: Mapping[str, float]) -> None:
        """From now on, score at the threshold that a training logged at its best epoch, where one was fitted."""
        if self.metric.threshold == VALIDATION:
            self.metric = self.metric.at(logged[THRESHOLD])

    @property
    def rows(self) -> int:
        """How many rows were collected."""
        return sum(len(target) for target in self._targets)

    def arrays(self) -> RowScores:
        """Targets and scores of all rows."""
        return RowScores(torch.cat(self._targets).numpy(), torch.cat(self._scores).numpy())

    def replicates(self, *, ordered: bool) -> tuple[float, ...]:
        """The metric with one group of rows left out at a time; see ``left_out``."""
        return left_out(self.fitted, *self.arrays(), ordered=ordered)


def left_out(
    metric: Metric, targets: np.ndarray, scores: np.ndarray, *, ordered: bool, within: np.ndarray | None = None
) -> tuple[float, ...]:
    """A metric with one group of rows left out at a time: the replicates of a jackknife.

    Where rows are ``ordered`` in time, groups are stretches of time; else a group is every n-th row. There are none
    where the metric does not exist without some group. ``within`` masks the rows that the metric is of, where these
    are not all; the groups are those of all rows.
    """
    rows = np.arange(len(targets))
    count = min(JACKKNIFE_GROUPS, len(rows))
    group = rows * count // len(rows) if ordered else rows % count
    try:
        kept = [group != g if within is None else within & (group != g) for g in range(count)]
        return tuple(metric(targets[rest], scores[rest]) for rest in kept)
    except (ValueError, ArithmeticError):
        return ()


def _predictions(module: torch.nn.Module, outputs: object, batch: object) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(outputs, Mapping) and "score" in outputs and "target" in outputs:
        return outputs["score"], outputs["target"]
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        with torch.no_grad():
            score = module(batch[0])
        return score.squeeze(-1) if score.ndim == 2 and score.shape[1] == 1 else score, batch[1]
    raise AutoactError(
        "the metric needs predictions: let validation_step return {'score': ..., 'target': ...}, or use batches (x, y)"
    )
