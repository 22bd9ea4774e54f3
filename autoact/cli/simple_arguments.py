"""Command lines of the small verbs: a word or two, and a few ``key=value`` of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from autoact.core.errors import AutoactError, unknown

# Where MLflow is; every verb that reads the registry takes them: key -> argument of its function.
PLACES = {"tracking.uri": "tracking_uri", "runs": "runs"}


@dataclass
class SimpleArguments:
    """What stood on the command line.

    Attributes:
        plain: words without an equals sign.
        values: ``key=value``.
    """

    plain: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def need(self, key: str, what: str) -> str:
        """The value of a key.

        Raises:
            AutoactError: it was not given; ``what`` says what for.
        """
        if not self.values.get(key):
            raise AutoactError(f"{key}=... is missing: {what}")
        return self.values[key]

    @property
    def places(self) -> dict[str, str]:
        """Where MLflow is, as arguments, as far as the command line says it."""
        return {argument: self.values[key] for key, argument in PLACES.items() if key in self.values}


def words(arguments: Sequence[str], keys: Collection[str], most: int = 0) -> SimpleArguments:
    """Read a command line.

    It may hold the keys given, and at most so many words without an equals sign.

    Raises:
        AutoactError: an unknown key or flag, a key given twice (which of both was meant?), or a word too many.

    Example:
        >>> words(["models:/a@candidate", "to=champion"], ["to"], 1).values
        {'to': 'champion'}
    """
    found, said = SimpleArguments(), dict[str, str]()
    for word in arguments:
        key, separator, value = word.partition("=")
        key = key.removeprefix("--") if separator else key
        if word.startswith("-") and not separator:
            raise unknown("flag", word, ["--help", *(f"{name}=..." for name in keys)])
        elif separator and not key.startswith("models:/"):
            if key not in keys:
                raise unknown("key", key, keys)
            if key in said:
                raise AutoactError(f"{key} is given twice, {said[key]} and {word}: give it once")
            said[key], found.values[key] = word, value
        elif len(found.plain) < most:
            found.plain.append(word)
        else:
            raise AutoactError(f"cannot read {word!r}: allowed are {', '.join(f'{name}=...' for name in keys)}")
    return found
