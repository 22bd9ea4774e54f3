"""Points around a point, and points anywhere: what is tried where no sampler proposes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autoact.space.point import Condition, Parameter, Parameters

# Steps along a continuous dimension, in parts of its range: small ones to settle, large ones to leave.
RELATIVE_STEPS = (0.04, 0.12, 0.3)
# An integer dimension with no more values than this is taken value by value.
MOST_VALUES = 12


def swaps(
    params: Parameters,
    dimensions: Mapping[str, BaseDistribution],
    conditions: Mapping[str, Condition] | None = None,
) -> Iterator[dict[str, Parameter]]:
    """Every point that differs from ``params`` in one dimension; continuous dimensions move by ``RELATIVE_STEPS``.

    A choice that has parameters of its own comes with those that it is tried with first, and with those that it has in
    another dimension of the point.

    Example:
        >>> dimensions = {"layer": CategoricalDistribution(["relu", "tanh", "gelu"])}
        >>> [point["layer"] for point in swaps({"layer": "tanh"}, dimensions)]
        ['relu', 'gelu']
    """
    for name, distribution in dimensions.items():
        for value in neighbours(distribution, params[name]) if name in params else ():
            yield {**params, name: value}
            for known in _known_elsewhere(params, conditions or {}, name, value):
                yield {**params, name: value, **known}


def _known_elsewhere(
    params: Parameters, conditions: Mapping[str, Condition], dimension: str, choice: Parameter
) -> list[dict[str, Parameter]]:
    """The parameters of a choice as other dimensions of the point have them, each set once."""
    mine = {one.parameter: name for name, one in conditions.items() if one[:2] == (dimension, choice)}
    found: dict[str, dict[str, Parameter]] = {}
    for name, one in conditions.items():
        if one.choice == choice and one.dimension != dimension and one.parameter in mine and name in params:
            found.setdefault(one.dimension, {})[mine[one.parameter]] = params[name]
    return [known for place, known in enumerate(found.values()) if known not in list(found.values())[:place]]


def neighbours(distribution: BaseDistribution, value: Parameter) -> Sequence[Parameter]:
    """Other values of one dimension, each once."""
    if isinstance(distribution, CategoricalDistribution):
        return [choice for choice in distribution.choices if choice != value]
    assert isinstance(distribution, FloatDistribution | IntDistribution) and isinstance(value, int | float), (
        distribution
    )
    if isinstance(distribution, IntDistribution) and (every := _values(distribution, MOST_VALUES)):
        return [other for other in every if other != value]
    moved = [_moved(distribution, value, sign * step) for step in RELATIVE_STEPS for sign in (-1.0, 1.0)]
    return [other for other in dict.fromkeys(moved) if other is not None and other != value]


def _moved(distribution: FloatDistribution | IntDistribution, value: float, share: float) -> float | None:
    """The value moved by a share of the range, on the scale of the dimension; None where that leaves the range."""
    low, high = float(distribution.low), float(distribution.high)
    moved = value * (high / low) ** share if distribution.log else value + share * (high - low)
    if distribution.step is not None:
        moved = low + distribution.step * math.floor((moved - low) / distribution.step + 0.5)
    if not low <= moved <= high:
        return None
    return round(moved) if isinstance(distribution, IntDistribution) else moved


def points_at_random(
    dimensions: Mapping[str, BaseDistribution], draw: random.Random, most: int
) -> Iterator[dict[str, Parameter]]:
    """Points at random, ``most`` at most; where there are no more combinations, each of them once."""
    lists = {name: _values(distribution, most) for name, distribution in dimensions.items()}
    total = math.prod(len(values) for values in lists.values())
    if 0 < total <= most:
        for index in draw.sample(range(total), total):
            params = {}
            for name, values in lists.items():
                index, place = divmod(index, len(values))
                params[name] = values[place]
            yield params
        return
    for _ in range(most):
        yield {
            name: draw.choice(values) if values else _anywhere(dimensions[name], draw) for name, values in lists.items()
        }


def _values(distribution: BaseDistribution, most: int) -> Sequence[Parameter]:
    """The values of a dimension that has few; empty where they are drawn."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution), distribution
    if distribution.low == distribution.high:
        return (distribution.low,)
    if isinstance(distribution, IntDistribution):
        every = range(distribution.low, distribution.high + 1, distribution.step)
        return every if len(every) <= most else ()
    if distribution.step is None:
        return ()
    steps = math.floor((distribution.high - distribution.low) / distribution.step + 1e-9) + 1
    return [distribution.low + place * distribution.step for place in range(steps)] if steps <= most else ()


def _anywhere(distribution: BaseDistribution, draw: random.Random) -> float:
    """A value of a long dimension at random, on its own scale."""
    assert isinstance(distribution, FloatDistribution | IntDistribution), distribution
    low, high, at = float(distribution.low), float(distribution.high), draw.random()
    value = low * (high / low) ** at if distribution.log else low + at * (high - low)
    if distribution.step is not None:
        value = low + distribution.step * math.floor((value - low) / distribution.step)
    value = min(high, max(low, value))
    return round(value) if isinstance(distribution, IntDistribution) else value
