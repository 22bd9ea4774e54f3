"""What a search has evaluated: points, merged where they are the same, their front and the noise between seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from autoact.space.point import Point
from autoact.study import pareto
from autoact.study.proposal.surrogate import QualityScale

# Points between which a spread is estimated, at least.
FEWEST_COMPARED = 6


@dataclass(frozen=True)
class Observation:
    """One evaluated point, with a value per axis; None: it failed. A ``forecast`` was stopped at a rung."""

    point: Point
    values: tuple[float, ...] | None
    forecast: bool = False

    @property
    def finite(self) -> tuple[float, ...] | None:
        """The values, or None where the point failed or one of them is not a finite number."""
        usable = self.values is not None and all(math.isfinite(value) for value in self.values)
        return self.values if usable else None


@dataclass(frozen=True)
class Axis:
    """One objective; values that differ by less than ``epsilon`` tie."""

    name: str
    direction: str
    epsilon: float = 0.0


@dataclass
class MergedPoint:
    """A point with the values of its full trainings, and forecasts, which count where there is no full training."""

    point: Point
    full: list[tuple[float, ...]] = field(default_factory=list)
    forecasts: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def values(self) -> tuple[float, ...] | None:
        """The mean of the values over seeds; None where the point failed."""
        rows = self.full or self.forecasts
        return tuple(fmean(column) for column in zip(*rows, strict=True)) if rows else None


class History:
    """Evaluated points in the order in which they were first evaluated."""

    def __init__(self, observations: Sequence[Observation], axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self.points: dict[Point, MergedPoint] = {}
        for one in observations:
            merged = self.points.setdefault(one.point, MergedPoint(one.point))
            if (values := one.finite) is not None:
                (merged.forecasts if one.forecast else merged.full).append(values)

    @cached_property
    def front(self) -> list[MergedPoint]:
        """The non-dominated points among those that were trained in full, by their means over seeds, without ties."""
        full = [point for point in self.points.values() if point.full]
        directions = [axis.direction for axis in self.axes]
        best = [full[i] for i in pareto.front([point.values or () for point in full], directions)]
        kept = pareto.front([point.values or () for point in best], directions, [axis.epsilon for axis in self.axes])
        return [best[i] for i in kept]

    @cached_property
    def modelled(self) -> list[int]:
        """The objectives that no table predicts; empty where nothing was evaluated or all are predicted."""
        costs = next((point.costs for point in self.points), None)
        return [] if costs is None else [place for place, axis in enumerate(self.axes) if axis.name not in costs]

    def needed_seeds(self, axis: int, most: int, share: float = 1.0) -> int:
        """Seeds per front member after which their mean's noise is below the spread between points; 1 at least.

        Noise and spread are estimated from the points that were trained in full, the noise from those with several
        seeds (one-way analysis of variance; Fisher, 1925), on the model's scale, so that a loss that diverged does not
        count as spread. Where no point has several seeds, the noise is unknown and one seed it is. The spread counts
        between the best ``share`` of the points.
        """
        rows = [[values[axis] for values in point.full] for point in self.points.values() if point.full]
        free = sum(len(row) - 1 for row in rows)
        if free < 2 or len(rows) < 3:
            return 1
        scale = QualityScale([value for row in rows for value in row], self.axes[axis].direction)
        groups = [[scale.to(value) for value in row] for row in rows]
        noise = math.fsum((value - fmean(group)) ** 2 for group in groups for value in group) / free
        best = sorted(groups, key=fmean)[: max(FEWEST_COMPARED, math.ceil(share * len(groups)))]
        means = [fmean(group) for group in best]
        between = math.fsum((mean - fmean(means)) ** 2 for mean in means) / (len(means) - 1)
        spread = between - noise * fmean([1.0 / len(group) for group in best])
        if noise <= spread:
            return 1
        return most if spread <= noise / most else math.ceil(noise / spread)
