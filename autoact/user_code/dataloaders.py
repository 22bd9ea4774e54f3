"""The loaders of a datamodule that is not ours: what is missing, or does not fit, is known before anything trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset

from autoact.core.errors import AutoactError
from autoact.data.foreign_datamodule import drawn_note, has, missing_batches


def training_loader(datamodule: LightningDataModule, kind: type) -> Any:
    """What the training batches come from.

    ``datamodule`` is set up; ``kind`` is its class, as the user wrote it.

    Raises:
        AutoactError: there is no loader, or no batch in it, and what to do.
    """
    return _present(datamodule, kind.__name__, "train_dataloader", "to train on")


def check_steps(loader: Any, trainer: Mapping[str, Any]) -> None:
    """Refuse a number of steps that ends every training before its first validation.

    Raises:
        AutoactError: it does; says how many steps an epoch has.

    Example:
        >>> check_steps(DataLoader(range(40), batch_size=10), {"max_steps": 4})
    """
    most, limit = trainer.get("max_steps", -1), trainer.get("limit_train_batches")
    # Within an epoch, or by the user's own count, Lightning validates at other times.
    if most < 0 or trainer.get("val_check_interval") is not None or not isinstance(loader, DataLoader):
        return
    if isinstance(loader.dataset, IterableDataset):
        return
    batches = len(loader)
    if limit is not None:
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    steps = math.ceil(batches / (trainer.get("accumulate_grad_batches") or 1))
    first = steps * (trainer.get("check_val_every_n_epoch") or 1)
    if most < first:
        raise AutoactError(
            f"trainer.max_steps={most} ends a training before its first validation, which comes after {first} steps: "
            f"set trainer.max_steps={first} or more"
        )


def check_validation(datamodule: LightningDataModule) -> str:
    """Refuse a datamodule, set up, that has nothing to choose by, before anything trains.

    Returns:
        A note where each training would be scored on other rows; empty where none would.

    Raises:
        AutoactError: there is no validation loader, or no batch in it, and what to do.
    """
    name = type(datamodule).__name__
    made = _present(datamodule, name, "val_dataloader", "to choose by")
    return drawn_note(made, f"{name}.val_dataloader")


def _present(datamodule: LightningDataModule, name: str, method: str, purpose: str) -> object:
    """What a method of the datamodule returns.

    Raises:
        AutoactError: the user did not write it, or it returns nothing.
    """
    if not has(datamodule, method):
        raise AutoactError(
            f"{name} has no {method}, so there are no rows {purpose}: autoact takes every loader from the datamodule, "
            f"none from the module. Define {method} in {name}"
        )
    made = getattr(datamodule, method)()
    if missing := missing_batches(made):
        raise AutoactError(f"{name}.{method} returns {missing}, so there are no rows {purpose}")
    return made
