"""From a datamodule to its first batch, without leaving worker processes behind."""

from __future__ import annotations

from typing import Any


def prepared(datamodule: Any) -> Any:
    """The datamodule itself, ready to give its loaders for training and validation."""
    datamodule.prepare_data()
    datamodule.setup("fit")
    return datamodule


def first_of(loader: Any) -> Any:
    """The first batch of a loader; the workers that it started for that end at once.

    An iterator that is dropped half-way keeps its workers until Python clears it away, which may happen in another
    process that was forked meanwhile, and raises there.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> first_of(DataLoader(range(6), batch_size=2)).tolist()
        [0, 1]
    """
    batches = iter(loader)
    try:
        return next(batches)
    finally:
        if hasattr(batches, "_shutdown_workers"):
            batches._shutdown_workers()
        if getattr(loader, "_iterator", None) is batches:  # kept for the next epoch where its workers persist
            loader._iterator = None
