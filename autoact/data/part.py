"""Rows of prepared data that are ready for a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class Part:
    """Rows that are ready for a network.

    Attributes:
        x: inputs, float32. **Shape**: ``[rows, features]`` or ``[rows, channels, time]``.
        y: class indices (int64, ``[rows]``), numbers (float32, ``[rows]``) or futures (float32, ``[rows, horizon]``).
        rows: number of each row in its source, from 0; for forecasts the row where the horizon starts.
        series: which series each row belongs to (forecasts), else None.
        groups: column of ``data.groups`` -> the group of each row, as text (test rows of tables), else empty.
    """

    x: torch.Tensor
    y: torch.Tensor
    rows: np.ndarray = field(repr=False)
    series: torch.Tensor | None = None
    groups: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"Part(x={tuple(self.x.shape)}, y={tuple(self.y.shape)})"
