"""Where everything is printed."""

from __future__ import annotations

from rich.console import Console

# Of output that is no terminal: wide enough for every table.
WIDTH = 200


def console() -> Console:
    """A console that never cuts a table: as wide as the terminal, or wide enough for a log file."""
    found = Console(highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)
