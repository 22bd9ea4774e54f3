"""A point of a search space: Optuna's parameters, what they stand for, and its predicted costs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from autoact.core.assignment import Assignment

Parameter = str | int | float | bool | None
Parameters = Mapping[str, Parameter]


class Condition(NamedTuple):
    """When a dimension counts: where another ``dimension`` has this ``choice``, whose ``parameter`` it is."""

    dimension: str
    choice: str
    parameter: str


@dataclass(frozen=True)
class Point:
    """One setting of a search; points whose trainings would be equal, but for the seed, are equal.

    Attributes:
        costs: the objectives that are predicted before training, by name.
        functions: equal for assignments that compute the same functions.
    """

    key: Hashable
    params: Parameters = field(compare=False)
    costs: Mapping[str, float] = field(default_factory=dict, compare=False)
    assignment: Assignment = field(default_factory=lambda: Assignment({}), compare=False)
    settings: Mapping[str, float] = field(default_factory=dict, compare=False)
    functions: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def plain(cls, params: Parameters, costs: Mapping[str, float] | None = None) -> Point:
        """A point of dimensions that stand for themselves: equal where its parameters are, whatever their order.

        Example:
            >>> Point.plain({"layer": "relu", "rate": 0.1}) == Point.plain({"rate": 0.1, "layer": "relu"})
            True
        """
        return cls(tuple(sorted(params.items())), params, costs or {})
