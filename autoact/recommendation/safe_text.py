"""Text of a file that others may have written: what it may hold, and how it is printed without harm."""

from __future__ import annotations

import re

# What a label may not hold: control characters, line separators, marks that turn the direction, quotes, backslashes.
_STRANGE = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"\\\\]')
LONGEST = 100


def printable(text: object) -> str:
    r"""A text for the terminal: what is no visible character, such as an escape or a line break, is written out.

    Example:
        >>> printable("a\x1b[31m\nb")
        'a\\x1b[31m\\nb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def quotable(text: object) -> str:
    r"""A text that ends no string of Python source that it stands in.

    Example:
        >>> print(quotable('x\"\"\"'))
        x\"\"\"
    """
    return printable(str(text).replace("\\", "\\\\").replace('"', '\\"'))


def label(text: str) -> str:
    r"""A text as the name of a task: what may not stand in one becomes ``_``.

    Example:
        >>> label("left\nor stayed"), label(" ")
        ('left_or stayed', 'task')
    """
    return _STRANGE.sub("_", text).strip()[:LONGEST] or "task"
