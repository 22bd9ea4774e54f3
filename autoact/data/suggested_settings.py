"""What messages about columns advise: settings that can be pasted, with what was set before."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.core.override_text import override
from autoact.data.settings import DataSettings


def dropping(settings: DataSettings, *names: str) -> str:
    """Leave columns out, besides those that are left out already.

    Example:
        >>> print(dropping(DataSettings(drop=["id"]), "Unnamed: 0"))
        "data.drop=[id,'Unnamed: 0']"
    """
    return _more("data.drop", settings.drop, names)


def declared_category(settings: DataSettings, *names: str) -> str:
    """Read columns as categories."""
    return _more("data.categorical", settings.categorical, names)


def declared_number(settings: DataSettings, *names: str) -> str:
    """Read columns as numbers."""
    return _more("data.numeric", settings.numeric, names)


def marked_missing(settings: DataSettings, *marks: str) -> str:
    """Read further marks as missing."""
    return _more("data.missing", settings.missing, marks)


def _more(key: str, before: Sequence[str], more: Sequence[str]) -> str:
    """A list with what it held and what is new."""
    return override(key, list(dict.fromkeys([*before, *more])))
