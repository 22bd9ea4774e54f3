"""A batch or an input of the user's: put on a device, and handed to a model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from autoact.core.value_holders import Batch, held_in


def to_device(value: Batch, device: torch.device) -> Batch:
    """The input with every tensor in it on the device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        moved = [to_device(item, device) for item in value]
        if hasattr(value, "_fields"):  # a named tuple takes its fields one by one
            return type(value)(*moved)
        return type(value)(moved)
    return value.to(device) if held_in(value) else value


def call_model(model: nn.Module, batch: Batch) -> Batch:
    """Run the model once: a tuple as positional arguments, a mapping as keywords, else one argument."""
    if isinstance(batch, tuple):
        return model(*batch)
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(batch)
