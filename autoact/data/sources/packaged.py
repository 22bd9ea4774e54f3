"""The public sets that come along, as parquet files in the package; each has a text file with source and licence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from autoact.core.errors import unknown
from autoact.data.settings import PACKAGED

FOLDER = Path(__file__).resolve().parents[1] / "packaged"


@dataclass(frozen=True)
class PackagedSet:
    """The files of a set.

    Attributes:
        file: all rows, or those outside of the official test file.
        test_file: the official test file, if there is one.
        notice: what the set is, where it comes from, under which licence, and what was changed.
    """

    file: Path
    test_file: Path | None
    notice: str

    @property
    def licence(self) -> str:
        """The name of the licence.

        Example:
            >>> packaged_set("churn").licence
            'Apache License 2.0'
        """
        line = next(line for line in self.notice.splitlines() if line.startswith("Licence: "))
        return re.split(r"[,:(]", line.removeprefix("Licence: "))[0].strip()

    @property
    def size(self) -> int:
        """Bytes of its files in the package."""
        return sum(file.stat().st_size for file in (self.file, self.test_file) if file is not None)


def packaged_set(name: str | None) -> PackagedSet:
    """A set that comes along.

    Raises:
        AutoactError: there is no such set.

    Example:
        >>> packaged_set("income").test_file.name
        'income-test.parquet'
    """
    if name not in PACKAGED:
        raise unknown("set that comes along (data.name)", name, PACKAGED)
    test = FOLDER / f"{name}-test.parquet"
    notice = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return PackagedSet(FOLDER / f"{name}.parquet", test if PACKAGED[name] else None, notice)
