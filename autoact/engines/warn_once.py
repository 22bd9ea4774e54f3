"""Each warning once: a search runs the same code in a hundred trainings and in several processes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


class _Once:
    """Shows a warning of one place and text the first time."""

    def __init__(self, show: Callable[..., None]) -> None:
        self.show = show
        self.shown: set[str] = set()
        self.file: Path | None = None

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        key = hashlib.sha1(f"{category.__name__}:{filename}:{lineno}:{message}".encode()).hexdigest()
        if key not in self.shown and self._is_first(key):
            self.show(message, category, filename, lineno, file, line)
        self.shown.add(key)

    def _is_first(self, key: str) -> bool:
        """Whether no other process has shown it; written down where the others look."""
        if self.file is None:
            return True
        with suppress(OSError):  # the file goes with the search that made it
            if key in self.file.read_text(encoding="ascii").split():
                return False
            self.note([key])
        return True

    def note(self, keys: Iterable[str]) -> None:
        assert self.file is not None, "there are others"
        with self.file.open("a", encoding="ascii") as file:
            file.writelines(f"{key}\n" for key in keys)


@contextmanager
def warned_once() -> Iterator[None]:
    """Inside the block a warning that comes again from the same line with the same text is not shown again.

    Code that records warnings, as ``pytest.warns`` does, records each of them.

    Example:
        >>> with warnings.catch_warnings(), warned_once():
        ...     warnings.simplefilter("always")
        ...     warnings.showwarning.show = lambda message, *_: print(message)
        ...     for _ in range(3):
        ...         warnings.warn("the scaler has not been fitted", stacklevel=1)
        the scaler has not been fitted
    """
    before = warnings.showwarning
    if isinstance(before, _Once):
        yield
        return
    warnings.showwarning = _Once(before)
    try:
        yield
    finally:
        warnings.showwarning = before


def share_warnings(file: Path, *, install: bool = False) -> None:
    """Show, from now on, no warning that another process of the same search has shown and noted in the file.

    With ``install`` this holds in a process that is not inside ``warned_once``, too.
    """
    once = warnings.showwarning
    if install and not isinstance(once, _Once):
        once = warnings.showwarning = _Once(once)
    if isinstance(once, _Once):
        once.file = file
        with suppress(OSError):
            once.note(once.shown)
