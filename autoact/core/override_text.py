"""Settings as text that can be pasted: ``data.drop=[id]``, quoted for Hydra's grammar and for a shell where need be."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

# What needs no quotes in Hydra's grammar and is text there, whatever stands around it.
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_READ_AS_OTHERS = frozenset({"true", "false", "null", "nan", "inf"})
# What a shell hands over as it is. Brackets are among them: no file is called as a setting is.
_PLAIN_IN_SHELLS = re.compile(r"[A-Za-z0-9_.,:=+@%/\[\]\-]+")
_LIVE_IN_DOUBLE_QUOTES = frozenset('"$`\\!')


def quoted(value: str) -> str:
    r"""Text in quotes, as Hydra reads it: a backslash counts before a quote and at the end alone.

    Example:
        >>> print(quoted("it's"), quoted("C:\\"))
        'it\'s' 'C:\\'
    """
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def override(key: str, value: str | Sequence[str]) -> str:
    r"""A setting as people paste it behind a command: what a shell and Hydra make of it is ``value`` again.

    A text, or each one of a list, may hold whatever characters: blanks, quotes, commas, brackets.

    Example:
        >>> print(override("data.drop", ["id"]))
        data.drop=[id]
        >>> print(override("data.drop", ["Unnamed: 0", "a,b"]))
        "data.drop=['Unnamed: 0','a,b']"
        >>> print(override("data.decimal", ","))
        "data.decimal=','"
        >>> print(override("data.number_signs", ["$"]))
        'data.number_signs=["$"]'
    """
    texts = [value] if isinstance(value, str) else value
    written = ",".join(map(_text, texts))
    if not _LIVE_IN_DOUBLE_QUOTES.isdisjoint(written) and all({"'", '"', "\\"}.isdisjoint(text) for text in texts):
        # A shell leaves what is in single quotes alone: Hydra gets the double ones.
        written = written.replace("'", '"') if "\\" not in written else written
    return in_shell(f"{key}={written if isinstance(value, str) else f'[{written}]'}")


def in_shell(word: str) -> str:
    """One word of a command line, quoted only where a shell would change it.

    Example:
        >>> print(in_shell("data.path=my file.csv"))
        "data.path=my file.csv"
    """
    if _PLAIN_IN_SHELLS.fullmatch(word):
        return word
    if _LIVE_IN_DOUBLE_QUOTES.isdisjoint(word):
        return f'"{word}"'
    return shlex.quote(word)


def _text(value: str) -> str:
    """One text in Hydra's grammar; what OmegaConf would look up (``${...}``) is escaped."""
    if _BARE.fullmatch(value) and value.lower() not in _READ_AS_OTHERS:
        return value
    return quoted(re.sub(r"(\\*)\$\{", r"\1\1\\${", value))
