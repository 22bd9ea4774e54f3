"""Activations from installed packages: the entry points of the group ``autoact.activations``."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

from autoact.activations.spec import Activation
from autoact.core.errors import AutoactError

GROUP = "autoact.activations"

_done: set[tuple[str, str]] = set()
_all_done = False


def _rows(entry_point: importlib.metadata.EntryPoint) -> list[Activation]:
    """What ``entry_point`` leads to: a row, or a callable that returns one or several."""
    try:
        found = entry_point.load()
        found = found() if callable(found) else found
        rows = [found] if isinstance(found, Activation) else list(found)
    except Exception as error:
        raise AutoactError(
            f"entry point {entry_point.name!r} ({entry_point.value}) of {GROUP} cannot be loaded: "
            f"{type(error).__name__}: {error}; repair or uninstall the package that brings it"
        ) from error
    for row in rows:
        if not isinstance(row, Activation):
            raise AutoactError(
                f"entry point {entry_point.name!r} ({entry_point.value}) of {GROUP} gives {type(row).__name__}: "
                "it must give an Activation, or a callable that returns one or several"
            )
    return rows


def load() -> Iterator[tuple[importlib.metadata.EntryPoint, list[Activation]]]:
    """Entry points that have not been added yet, with their rows; nothing once all have been.

    The caller says ``done`` for each that it has added, so that a broken one is told of again until it is repaired.

    Raises:
        AutoactError: one is broken; the message names it.
    """
    global _all_done
    if _all_done:  # looking through the installed packages takes milliseconds
        return
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        if (entry_point.name, entry_point.value) not in _done:
            yield entry_point, _rows(entry_point)
    _all_done = True


def done(entry_point: importlib.metadata.EntryPoint) -> None:
    """Remember that ``entry_point``'s rows have been added."""
    _done.add((entry_point.name, entry_point.value))


def forget() -> None:
    """Look through the installed packages again at the next lookup, for rows not added yet."""
    global _all_done
    _all_done = False
