"""A batch or an input of the user's: put on a device, and handed to a model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from autoact.core.value_holders import Batch, changed_inside, held_in


def to_device(value: Batch, device: torch.device) -> Batch:
    """The input with every tensor in it on the device."""
    return changed_inside(
        value, lambda item: item.to(device) if isinstance(item, torch.Tensor) or held_in(item) else item
    )


def call_model(model: nn.Module, batch: Batch) -> Batch:
    """Run the model once: a tuple as positional arguments, a mapping as keywords, else one argument."""
    if isinstance(batch, tuple):
        return model(*batch)
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(batch)
