"""The test part, under seal until the final check opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

import numpy as np
import torch

from autoact.core.errors import AutoactError, SealedError


@dataclass(frozen=True, eq=False)
class Part:
    """Rows that are ready for a network.

    Attributes:
        x: inputs, float32. **Shape**: ``[rows, features]`` or ``[rows, channels, time]``.
        y: class indices (int64, ``[rows]``), numbers (float32, ``[rows]``) or futures (float32, ``[rows, horizon]``).
        rows: number of each row in its source, from 0; for forecasts the row where the horizon starts.
        series: which series each row belongs to (forecasts), else None.
    """

    x: torch.Tensor
    y: torch.Tensor
    rows: np.ndarray = field(repr=False)
    series: torch.Tensor | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.x)

    def __repr__(self) -> str:
        """Shapes, not values."""
        return f"Part(x={tuple(self.x.shape)}, y={tuple(self.y.shape)})"


@dataclass(frozen=True)
class Opening:
    """One opening of the test part: why and when (ISO 8601, UTC)."""

    reason: str
    time: str


class SealedTest:
    """A test part that nobody reads by accident.

    Its size is known; its rows come out of ``open`` only, which records why and when. Rows are preprocessed when
    they are opened, not before. A copy (``pickle``, ``copy.deepcopy``) is sealed and remembers earlier openings.

    Args:
        read: a picklable callable that makes the part.
        size: number of rows.
        fingerprint: sha256 of the rows' content, the identity under which openings are to be counted.

    Example:
        >>> test = SealedTest(lambda: Part(torch.ones(2, 1), torch.ones(2), np.arange(2)), 2, "f00")
        >>> test
        SealedTest(2 rows, sealed)
        >>> test.part
        Traceback (most recent call last):
        ...
        autoact.core.errors.SealedError: the test part is sealed: only the final check opens it, by open(reason)
        >>> len(test.open("final check").x), test.openings[0].reason
        (2, 'final check')
    """

    def __init__(self, read: Callable[[], Part], size: int, fingerprint: str) -> None:
        """Seal what ``read`` would give."""
        self.__read = read
        self.__part: Part | None = None
        self._openings: list[Opening] = []
        self._size = size
        self.fingerprint = fingerprint

    def open(self, reason: str) -> Part:
        """Open the seal: every call counts as an opening.

        Raises:
            AutoactError: no reason was given.
        """
        if not reason.strip():
            raise AutoactError("opening the test part needs a reason: open('final check')")
        self._openings.append(Opening(reason, datetime.now(timezone.utc).isoformat(timespec="seconds")))
        if self.__part is None:
            self.__part = self.__read()
        return self.__part

    @property
    def part(self) -> Part:
        """The opened part.

        Raises:
            SealedError: it was not opened.
        """
        if self.__part is None:
            raise SealedError("the test part is sealed: only the final check opens it, by open(reason)")
        return self.__part

    @property
    def x(self) -> torch.Tensor:
        """Inputs of the opened part; raises ``SealedError`` before."""
        return self.part.x

    @property
    def y(self) -> torch.Tensor:
        """Targets of the opened part; raises ``SealedError`` before."""
        return self.part.y

    @property
    def rows(self) -> np.ndarray:
        """Row numbers of the opened part; raises ``SealedError`` before."""
        return self.part.rows

    @property
    def opened(self) -> bool:
        """Whether this object was opened."""
        return self.__part is not None

    @property
    def openings(self) -> list[Opening]:
        """All openings so far, oldest first (a copy)."""
        return list(self._openings)

    def __len__(self) -> int:
        """The number of rows, known without opening."""
        return self._size

    def __getstate__(self) -> dict[str, object]:
        """A copy is sealed again: its reader would count as one more opening."""
        return {**self.__dict__, "_SealedTest__part": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore a copy."""
        self.__dict__.update(state)

    def __repr__(self) -> str:
        """The size and the state of the seal, never the data."""
        count = len(self._openings)
        state = f"opened {count} time{'s' * (count != 1)}" if self.opened else "sealed"
        return f"SealedTest({self._size} rows, {state})"
