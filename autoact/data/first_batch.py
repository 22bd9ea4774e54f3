"""From a datamodule to its first batch, without leaving worker processes behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader


def prepared(datamodule: Any) -> Any:
    """The datamodule itself, ready to give its loaders for training and validation."""
    datamodule.prepare_data()
    datamodule.setup("fit")
    return datamodule


def first_of(loader: Any) -> Any:
    """The first batch of a loader, or of several at once; the workers that it started for that end at once.

    Several come as in training: a batch of each, in the form that the loaders have.

    An iterator that is dropped half-way keeps its workers until Python clears it away, which may happen in another
    process that was forked meanwhile, and raises there.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> first_of(DataLoader(range(6), batch_size=2)).tolist()
        [0, 1]
        >>> first_of({"a": DataLoader(range(6), batch_size=2), "b": DataLoader(range(6))})
        {'a': tensor([0, 1]), 'b': tensor([0])}
    """
    if isinstance(loader, CombinedLoader):
        return first_of(loader.flattened[0] if loader._mode == "sequential" else loader.iterables)
    if isinstance(loader, Mapping):
        return {name: first_of(one) for name, one in loader.items()}
    if isinstance(loader, (list, tuple)) and any(isinstance(one, (DataLoader, CombinedLoader)) for one in loader):
        return [first_of(one) for one in loader]
    batches = iter(loader)
    try:
        return next(batches)
    finally:
        if hasattr(batches, "_shutdown_workers"):
            batches._shutdown_workers()
        if getattr(loader, "_iterator", None) is batches:  # kept for the next epoch where its workers persist
            loader._iterator = None
