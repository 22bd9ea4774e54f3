"""Values of settings against the types that their records declare, given on a command line or in Python."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin, get_type_hints

from autoact.core.errors import AutoactError

# What torch, numpy and Optuna take as a whole number.
MOST = 2**31 - 1


def check_values(record: Any, section: str) -> None:
    """Refuse values that do not have the declared type, are not finite, or are too large to be meant.

    Settings within ``record`` are checked, too; ``section``, such as ``search``, stands before names in messages.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.

    Example:
        >>> from autoact.study.settings import SearchSettings
        >>> check_values(SearchSettings(minutes=float("nan")), "search")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: search.minutes=nan must be a finite number
    """
    hints = get_type_hints(type(record))
    for field in fields(record):
        value, name = getattr(record, field.name), f"{section}.{field.name}"
        if is_dataclass(hints[field.name]):
            if not isinstance(value, hints[field.name]):
                raise AutoactError(f"{name}={value!r} must be settings of its own ({hints[field.name].__name__})")
            check_values(value, name)
        else:
            check_value(value, hints[field.name], name)


def check_value(value: object, kind: object, name: str) -> None:
    """Refuse a value that is not of a declared type.

    A type is ``int``, ``float``, ``bool``, ``str``, a list of them, a ``dict``, or one of these or None; classes that
    are allowed too come last.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.

    Example:
        >>> check_value(3, float, "minutes")
        >>> check_value("relu", list[str], "candidates")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: candidates='relu' must be a list, such as ['relu']
    """
    if get_origin(kind) in (Union, types.UnionType):
        first, *others = (part for part in get_args(kind) if part is not type(None))
        if value is not None and not any(isinstance(value, part) for part in others):
            check_value(value, first, name)
        return
    if get_origin(kind) in (list, Sequence):
        if not isinstance(value, list | tuple):
            example = f", such as [{value!r}]" if isinstance(value, str) else ""
            raise AutoactError(f"{name}={value!r} must be a list{example}")
        for item in value:
            check_value(item, get_args(kind)[0], name)
        return
    if get_origin(kind) is dict:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise AutoactError(f"{name}={value!r} must be names with values, such as {{'name': 1}}")
        return
    if wanted := unfit(value, kind):
        raise AutoactError(f"{name}={value!r} must be {wanted}")


def takes(function: Callable[..., object], *arguments: object, **named: object) -> bool:
    """Whether a function can be called so; true where it does not say what it takes.

    Example:
        >>> takes(lambda a, *, b: 0, 1, b=2), takes(lambda: 0, 1)
        (True, False)
    """
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        return False
    except ValueError:  # written in C
        return True
    return True


def _by_name(value: object) -> str:
    """The text that a class, a function or an object that is called, such as a module, is named by."""
    name = getattr(value, "__name__", type(value).__name__)
    return f", such as {name!r}" if callable(value) else ""


def unfit(value: object, kind: object) -> str:
    """What is allowed, in words, where a value is not of a plain type; empty where it is, or the type is another.

    Example:
        >>> unfit(2.5, int), unfit(2, float)
        ('a whole number', '')
        >>> unfit(print, str)
        "text, such as 'print'"
    """
    if kind is bool:
        return "" if isinstance(value, bool) else "true or false"
    if kind is str:
        return "" if isinstance(value, str) else f"text{_by_name(value)}"
    if kind is int:
        if isinstance(value, bool) or not isinstance(value, Integral):
            return "a whole number"
        return "" if abs(int(value)) <= MOST else f"a whole number, {MOST} at most"
    if kind is float:
        number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        return "" if number else "a finite number"
    return ""
