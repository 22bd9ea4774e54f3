"""What a training step leaves on a module in plain Python: a population would keep it once for all members."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import lightning
import torch
from torch import nn

from autoact.training.population.grouped import GroupedActivation
from autoact.training.population.streams import StreamDropout

_DEPTH = 4
# What every module has, and what Lightning writes itself.
_OWN = frozenset(vars(lightning.LightningModule())) | {"training"}


def plain_state(base: nn.Module) -> dict[str, Any]:
    """A value for each plain attribute of each module; two of them are equal where nothing changed.

    Example:
        >>> module = nn.Linear(1, 1)
        >>> before = plain_state(module)
        >>> module.calls = 1
        >>> plain_state(module) == before
        False
    """
    found = {}
    for path, module in base.named_modules():
        if isinstance(module, (GroupedActivation, StreamDropout)):
            continue
        for key, value in vars(module).items():
            if key not in _OWN and not isinstance(value, nn.Module):
                found[f"{path}.{key}".lstrip(".")] = _value(value, _DEPTH)
    return found


def _value(value: Any, depth: int) -> Any:
    """Something that is equal for equal contents."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, torch.Tensor):
        return id(value), value._version if not value.is_inference() else 0
    if depth == 0 or callable(value) or isinstance(value, (nn.Module, type)):
        return id(value)
    if isinstance(value, Mapping):
        return id(value), [(_value(key, 1), _value(item, depth - 1)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return id(value), [_value(item, depth - 1) for item in value]
    if isinstance(value, Set):
        return id(value), len(value)
    return id(value), _value(dict(getattr(value, "__dict__", {})), depth - 1)[1]
