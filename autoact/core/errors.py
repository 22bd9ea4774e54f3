"""The errors that a user can meet, each a sentence that says what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AutoactError(Exception):
    """A mistake of the user's, or a limit of his machine: printed as one line, exit code 2.

    A bug is never an ``AutoactError``: it keeps its traceback.

    Example:
        >>> raise AutoactError("no such file: 'x.csv'")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: no such file: 'x.csv'
    """


class SealedError(AutoactError):
    """The test part was read before the final check opened it."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line: its kind where it says nothing.

    Example:
        >>> first_line(ValueError("no such row")), first_line(KeyError())
        ('no such row', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def nearest(given: str, allowed: Iterable[str], count: int = 3, alike: float = 0.5) -> list[str]:
    """The allowed names that look most like ``given``, best first; ``alike`` is the least similarity, 0 to 1.

    Example:
        >>> nearest("geluu", ["relu", "gelu", "tanh"], count=1)
        ['gelu']
    """
    by_key = {name.lower(): name for name in allowed}
    hits = difflib.get_close_matches(str(given).lower(), list(by_key), n=count, cutoff=alike)
    return [by_key[hit] for hit in hits]


def unknown(kind: str, given: object, allowed: Iterable[str], *, advice: str = "") -> AutoactError:
    """The error for a name that does not exist: what was given, the nearest names, what is allowed.

    Example:
        >>> str(unknown("metric", "acc", ["accuracy", "f1"]))
        "unknown metric 'acc': did you mean accuracy? Allowed: accuracy, f1"
        >>> str(unknown("metric", None, ["accuracy", "f1"]))
        'no metric is named: Allowed: accuracy, f1'
    """
    names = list(allowed)
    close = [] if given is None else nearest(str(given), names)
    parts = [f"no {kind} is named:" if given is None else f"unknown {kind} {str(given)!r}:"]
    if close:
        parts.append(f"did you mean {' or '.join(close)}?")
    if names:
        shown = names if len(names) <= 40 else [*names[:40], f"... ({len(names)} in all)"]
        parts.append(f"Allowed: {', '.join(shown)}")
    else:
        parts.append("there is nothing to choose from")
    if advice:
        parts.append(f"({advice})")
    return AutoactError(" ".join(parts))
