"""The test rows, sealed until the final check opens them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np
import torch

from autoact.core.errors import AutoactError, SealedError
from autoact.data.part import Part

if TYPE_CHECKING:
    from lightning import LightningDataModule

SEALED = "the test part is sealed: only the final check opens it"


@dataclass(frozen=True)
class Opening:
    """One opening of the test part: why and when (ISO 8601, UTC)."""

    reason: str
    time: str


class TestSet(ABC):
    """Test rows that nobody reads by accident: they come out of ``open`` only, which records why and when.

    Openings are counted over all studies of a storage by ``study/confirmation/alpha_spending.py``, which tells the same
    rows again by their fingerprint. A copy (``pickle``, ``copy.deepcopy``) is sealed and remembers earlier openings.
    """

    __test__ = False  # pytest takes classes called Test... for tests

    def __init__(self) -> None:
        self._openings: list[Opening] = []

    @property
    @abstractmethod
    def size(self) -> int | None:
        """The number of rows, known without opening; None where the data do not tell."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """The sha256 of the rows' content, under which openings are counted."""

    @abstractmethod
    def _unsealed(self) -> LightningDataModule:
        """A datamodule whose validation rows are the test rows."""

    def open(self, reason: str) -> LightningDataModule:
        """A datamodule whose validation rows are the test rows: every call counts as an opening.

        Raises:
            AutoactError: no reason was given.
        """
        if not reason.strip():
            raise AutoactError("opening the test part needs a reason: open('final check')")
        self._openings.append(Opening(reason, datetime.now(timezone.utc).isoformat(timespec="seconds")))
        return self._unsealed()

    @property
    def openings(self) -> list[Opening]:
        """All openings of this object, and of what it was copied from, oldest first (a copy)."""
        return list(self._openings)

    def __repr__(self) -> str:
        count = len(self._openings)
        state = f"opened {count} time{'s' * (count != 1)}" if count else "sealed"
        return f"{type(self).__name__}({'unknown' if self.size is None else self.size} rows, {state})"


@dataclass(frozen=True, eq=False)
class OpenedParts:
    """Parts of which the validation rows are the test rows.

    Attributes:
        train: the training rows, as they were.
        validation: the test rows.
        test: where they came from.
    """

    train: Part
    validation: Part
    test: PreparedTest


class PreparedTest(TestSet):
    """Test rows that autoact prepared itself; they are preprocessed when they are opened, not before.

    Args:
        read: a picklable callable that makes the part.
        fingerprint: sha256 of the rows' content.
        train: the training rows, which the opened datamodule hands out as before.

    Example:
        >>> rows = Part(torch.ones(2, 1), torch.ones(2), np.arange(2))
        >>> test = PreparedTest(lambda: rows, 2, "f00", train=rows)
        >>> test
        PreparedTest(2 rows, sealed)
        >>> test.part
        Traceback (most recent call last):
        ...
        autoact.core.errors.SealedError: the test part is sealed: only the final check opens it, by open(reason)
        >>> len(test.open("final check").val_dataloader()), test.openings[0].reason
        (1, 'final check')
    """

    def __init__(self, read: Callable[[], Part], size: int, fingerprint: str, *, train: Part) -> None:
        super().__init__()
        self.__read = read
        self.__part: Part | None = None
        self._size = size
        self._fingerprint = fingerprint
        self._train = train

    @property
    def size(self) -> int:
        """See ``TestSet``."""
        return self._size

    @property
    def fingerprint(self) -> str:
        """See ``TestSet``."""
        return self._fingerprint

    def _unsealed(self) -> LightningDataModule:
        from autoact.data.datamodule import TensorDataModule  # who prepares data without training needs no lightning

        if self.__part is None:
            self.__part = self.__read()
        return TensorDataModule(OpenedParts(self._train, self.__part, self))

    @property
    def part(self) -> Part:
        """The opened part.

        Raises:
            SealedError: it was not opened.
        """
        if self.__part is None:
            raise SealedError(f"{SEALED}, by open(reason)")
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

    def __getstate__(self) -> dict[str, object]:
        """A copy is sealed again: its reader would count as one more opening."""
        return {**self.__dict__, "_PreparedTest__part": None}
