"""Optuna parameters as numbers: what the factorised model of quality sees of a point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autoact.space.point import Parameters

Array = NDArray[np.float64]
# Stands for a parameter that a point does not have, since its activation is another one.
ABSENT = -1.0


class Column:
    """One dimension as numbers: places of choices, or a position in 0..1.

    A categorical dimension whose choices are three or more numbers is ordered: its choices stand at equal distances in
    the order of their values.
    """

    def __init__(self, name: str, distribution: BaseDistribution) -> None:
        self.name = name
        self._places: dict[Any, float] | None = None
        self.choices = 0
        if isinstance(distribution, CategoricalDistribution):
            choices: list[Any] = list(distribution.choices)
            numbers = [choice for choice in choices if isinstance(choice, int | float) and not isinstance(choice, bool)]
            self.ordered = len(numbers) == len(choices) >= 3
            ranked = sorted(choices) if self.ordered else choices
            step = 1.0 / max(1, len(choices) - 1) if self.ordered else 1.0
            self._places = {choice: place * step for place, choice in enumerate(ranked)}
            self.choices = len(choices)
        else:
            assert isinstance(distribution, FloatDistribution | IntDistribution), distribution
            self.ordered = True
            self.log = distribution.log
            self.low, self.high = self._scaled(distribution.low), self._scaled(distribution.high)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else float(value)

    def encode(self, value: Any) -> float:
        """The number of one value; that of a parameter which the point does not have is ``ABSENT``."""
        if value is None and self._places is None:
            return ABSENT
        if self._places is not None:
            return self._places[value]
        return (self._scaled(value) - self.low) / (self.high - self.low) if self.high > self.low else 0.0

    def main_effect(self, a: Array, b: Array) -> Array:
        """The prior covariance of the dimension's own effect between two sets of numbers; its mean diagonal is 1.

        Choices have independent effects around their mean; an ordered dimension has a linear and, half as strong in
        variance, a quadratic effect (orthogonal Legendre polynomials on its range). A parameter that a point does not
        have has no effect.
        """
        if not self.ordered:
            same = (a[:, None] == b[None, :]).astype(float)
            return (same - 1.0 / self.choices) / (1.0 - 1.0 / self.choices) if self.choices > 1 else same * 0.0
        x, y = 2.0 * a - 1.0, 2.0 * b - 1.0
        linear = 3.0 * np.outer(x, y)
        quadratic = 5.0 * np.outer(1.5 * x * x - 0.5, 1.5 * y * y - 0.5)
        present = (a != ABSENT)[:, None] & (b != ABSENT)[None, :]
        return np.where(present, (2.0 * linear + quadratic) / 3.0, 0.0)

    def variance(self, a: Array) -> Array:
        """The prior variance of the dimension's own effect at each number: the diagonal of ``main_effect``."""
        if not self.ordered:
            return np.full(len(a), 1.0 if self.choices > 1 else 0.0)
        z = 2.0 * a - 1.0
        return np.where(a != ABSENT, (6.0 * z * z + 5.0 * (1.5 * z * z - 0.5) ** 2) / 3.0, 0.0)

    def distance(self, a: Array, b: Array) -> Array:
        """How far two sets of numbers are apart in this dimension: 0 or 1 for choices, in parts of its range.

        A parameter that a point does not have lies in the middle.
        """
        if not self.ordered:
            return (a[:, None] != b[None, :]).astype(float)
        x, y = np.where(a == ABSENT, 0.5, a), np.where(b == ABSENT, 0.5, b)
        return np.asarray(np.abs(x[:, None] - y[None, :]))


class Encoding:
    """All dimensions as columns of numbers."""

    def __init__(self, dimensions: Mapping[str, BaseDistribution]) -> None:
        self.columns = [Column(name, d) for name, d in dimensions.items() if not d.single()]

    def encode(self, points: Sequence[Parameters]) -> Array:
        """Points as rows of numbers, in the order of the dimensions that can vary.

        Shape:
            - output: (points, dimensions)
        """
        rows = [[column.encode(point.get(column.name)) for column in self.columns] for point in points]
        return np.asarray(rows, dtype=float).reshape(len(points), len(self.columns))
