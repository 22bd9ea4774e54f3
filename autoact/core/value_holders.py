"""What holds values: nested containers, and objects of other libraries that hold them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Batch = Any
"""What a data loader hands over and a model takes: a tensor, or tensors nested in whatever its author chose."""
PlainData = dict[str, Any]
"""What JSON and YAML hold under names: numbers, texts, lists, and more of the same."""


def changed_inside(value: Batch, change: Callable[[Any], object]) -> Batch:
    """What lists, tuples and mappings hold, however nested, changed one by one; their kinds stay.

    Example:
        >>> changed_inside({"x": (1, [2])}, lambda number: 10 * number)
        {'x': (10, [20])}
    """
    if isinstance(value, Mapping):
        return {key: changed_inside(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [changed_inside(item, change) for item in value]
        # A named tuple takes its fields one by one.
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return change(value)


def held_in(value: object) -> Mapping[str, Any]:
    """What an object that holds tensors by name has, such as a batch of ``torch_geometric``; nothing of any other.

    Example:
        >>> held_in(3)
        {}
    """
    to_dict = getattr(value, "to_dict", None)
    if to_dict is None or isinstance(value, type) or not callable(getattr(value, "to", None)):
        return {}
    values = to_dict()
    return values if isinstance(values, Mapping) else {}
