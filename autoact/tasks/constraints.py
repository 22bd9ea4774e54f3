"""The user's limits: what a setting may cost and must reach to be recommended at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoact.tasks.objectives import COST, LATENCY, QUALITY


@dataclass(frozen=True)
class Limits:
    """Hard limits on objectives; None: no limit.

    Attributes:
        max_ms: latency at the latency batch, in ms.
        max_cost: cost per million samples, in the hardware's currency.
        min_quality: the worst quality, in the metric's own unit: a lower bound, for losses an upper one.
        mode: ``max`` or ``min``: which qualities are better.

    Example:
        >>> limits = Limits(max_ms=2.0, min_quality=0.8)
        >>> limits.constraints({"latency": 2.5, "quality": 0.9})
        {'latency': 0.5, 'quality': -0.1}
        >>> limits.broken({"latency": 2.5, "quality": 0.9})
        'its latency of 2.5 ms breaks objectives.latency.max_ms=2'
    """

    max_ms: float | None = None
    max_cost: float | None = None
    min_quality: float | None = None
    mode: str = "max"

    def constraints(self, values: Mapping[str, float]) -> dict[str, float]:
        """Objective -> by how much its limit is broken, as Optuna counts it: zero or less is within the limit.

        Objectives without a limit, or without a value, are left out.
        """
        found = {}
        for name, limit in ((LATENCY, self.max_ms), (COST, self.max_cost), (QUALITY, self.min_quality)):
            if limit is None or name not in values:
                continue
            over = values[name] - limit
            found[name] = round(-over if name == QUALITY and self.mode == "max" else over, 12)
        return found

    def keeps(self, values: Mapping[str, float]) -> bool:
        """Whether no limit is broken, as far as values are known."""
        return all(over <= 0 for over in self.constraints(values).values())

    def broken(self, values: Mapping[str, float]) -> str:
        """The first limit that is broken, in words; empty where none is."""
        said = {
            LATENCY: ("latency", " ms", "objectives.latency.max_ms", self.max_ms),
            COST: ("cost per million samples", "", "objectives.max_cost", self.max_cost),
            QUALITY: ("quality", "", "objectives.min_quality", self.min_quality),
        }
        for name, over in self.constraints(values).items():
            if over > 0:
                title, unit, key, limit = said[name]
                return f"its {title} of {values[name]:.4g}{unit} breaks {key}={limit:g}"
        return ""


UNLIMITED = Limits()
