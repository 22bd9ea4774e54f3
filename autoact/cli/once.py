"""The same key given twice on a command line: nobody can know which of both was meant."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.core.errors import AutoactError


def once(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments, each of whose keys is given once.

    Raises:
        AutoactError: a key is given twice; names both.

    Example:
        >>> once(["input=a.csv", "--input=b.csv"])
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: input is given twice, input=a.csv and --input=b.csv: give it once
    """
    seen: dict[str, str] = {}
    for word in arguments:
        key, separator, _ = word.removeprefix("--").partition("=")
        if not separator or key.startswith("models:/"):
            continue
        if key in seen:
            raise AutoactError(f"{key} is given twice, {seen[key]} and {word}: give it once")
        seen[key] = word
    return arguments
