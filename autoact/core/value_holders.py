"""Objects of other libraries that hold values by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Batch = Any
"""What a data loader hands over and a model takes: a tensor, or tensors nested in whatever its author chose."""
PlainData = dict[str, Any]
"""What JSON and YAML hold under names: numbers, texts, lists, and more of the same."""


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
