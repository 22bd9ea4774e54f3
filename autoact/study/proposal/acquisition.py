"""Which of many candidates to train: those whose predicted quality, at their predicted costs, promises most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna.distributions import BaseDistribution

from autoact.space.point import Parameters, Point
from autoact.study.proposal.expected_hypervolume import Array, expected_gain, undominated
from autoact.study.proposal.observations import History, MergedPoint
from autoact.study.proposal.surrogate import LEAST_R2, Surrogate, fit

# Points from which a model is fitted at all.
FEWEST = 10
# How far the reference lies beyond the worst cost, in parts of the range.
BEYOND = 0.1
# With three objectives or more the gain of every candidate is computed once, then only that of this many per choice.
SHORTLIST = 6
# On a logarithmic scale nothing counts as smaller than this part of the smallest value.
LEAST = 1e-3


class Screen:
    """A model of what is not predicted before training, and the front as the model sees it.

    The first objective that is not among the points' costs is modelled as a distribution, others by their expectation.
    Points in training are expected to come out as predicted. ``worth`` tells whether the model predicts well enough.
    """

    def __init__(
        self,
        history: History,
        dimensions: Mapping[str, BaseDistribution],
        pending: Sequence[Point] = (),
    ) -> None:
        self._history = history
        self._pending = list(pending)
        self._models: list[Surrogate] = []
        points = [point for point in history.points.values() if point.values is not None]
        self._modelled = history.modelled
        self._costs = [i for i in range(len(history.axes)) if i not in history.modelled]
        self.worth = len(points) >= FEWEST and bool(self._modelled)
        if self.worth:
            self._models = [self._fitted(axis, dimensions) for axis in self._modelled]
            self.worth = self._models[0].r2 >= LEAST_R2
        if self.worth:
            self._prepare(points)

    def _fitted(self, axis: int, dimensions: Mapping[str, BaseDistribution]) -> Surrogate:
        """The model of one objective; points that failed count as bad."""
        data: list[tuple[Parameters, float | None]] = []
        for point in self._history.points.values():
            rows = point.full or point.forecasts
            data.extend((point.point.params, row[axis]) for row in rows)
            if not rows:
                data.append((point.point.params, None))
        return fit(data, dimensions, self._history.axes[axis].direction)

    def _prepare(self, points: Sequence[MergedPoint]) -> None:
        raw = self._signed([point.values or () for point in points])
        self._logs = [bool(column.min() > 0.0 or column.max() < 0.0) for column in raw.T]
        self._floors = [LEAST * float(np.abs(column).min()) for column in raw.T]
        scaled = self._scaled(raw)
        high = scaled.max(axis=0)
        self._reference = np.concatenate(
            [
                [self._worst(points, place) for place in range(len(self._models))],
                high + BEYOND * np.maximum(high - scaled.min(axis=0), 1e-9),
            ]
        )
        full = [place for place, point in enumerate(points) if point.full]
        parts = [np.hstack([self._means([points[place].point for place in full]), scaled[full]])]
        if self._pending:
            parts.append(np.hstack([self._means(self._pending), self._costs_of(self._pending)]))
        self._front = np.vstack(parts)

    def _worst(self, points: Sequence[MergedPoint], place: int) -> float:
        axis, model = self._modelled[place], self._models[place]
        return max(model.scale.to(point.values[axis]) for point in points if point.values is not None)

    def _means(self, points: Sequence[Point]) -> Array:
        """Expected values of the modelled objectives: of an evaluated point, what its noise leaves of its values."""
        params = [point.params for point in points]
        return np.stack([model.posterior(params).mean for model in self._models], axis=1)

    def _costs_of(self, points: Sequence[Point]) -> Array:
        names = [axis.name for axis in self._history.axes]
        return self._scaled(self._signed([[point.costs.get(name, 0.0) for name in names] for point in points]))

    def _signed(self, rows: Sequence[Sequence[float]]) -> Array:
        """The costs out of full rows of values, all to be minimised."""
        signs = [-1.0 if self._history.axes[axis].direction == "max" else 1.0 for axis in self._costs]
        picked = [[row[axis] for axis in self._costs] for row in rows]
        return np.asarray(picked, dtype=float).reshape(len(rows), len(self._costs)) * np.asarray(signs)

    def _scaled(self, raw: Array) -> Array:
        """Costs whose values all have one sign on a logarithmic scale: ratios count."""
        columns = [
            np.sign(column) * np.log(np.maximum(np.abs(column), floor)) if log else column
            for column, log, floor in zip(raw.T, self._logs, self._floors, strict=True)
        ]
        return np.stack(columns, axis=1) if columns else raw

    def best(self, pool: Sequence[Point], count: int) -> list[Point]:
        """The candidates that promise most together: each is chosen as if those before came out as predicted."""
        if not pool or count < 1:
            return []
        params = [point.params for point in pool]
        posterior = self._models[0].posterior([*params, *(point.params for point in self._pending)])
        for place in range(len(self._pending)):
            posterior.condition(len(pool) + place)
        others = [model.posterior(params).mean[:, None] for model in self._models[1:]]
        costs = np.hstack([*others, self._costs_of(pool)])
        front, live = self._front, np.arange(len(pool))
        chosen: list[int] = []
        for _ in range(min(count, len(pool))):
            front = undominated(front)
            gain = expected_gain(posterior.mean[live], posterior.sd[live], costs[live], front, self._reference)
            if costs.shape[1] > 1 and not chosen:
                order = np.sort(np.argsort(-gain, kind="stable")[: SHORTLIST * count])
                live, gain = live[order], gain[order]
            place = int(np.argmax(gain))
            pick = int(live[place])
            chosen.append(pick)
            live = np.delete(live, place)
            posterior.condition(pick)
            front = np.vstack([front, np.concatenate([posterior.mean[pick : pick + 1], costs[pick]])])
        return [pool[pick] for pick in chosen]
