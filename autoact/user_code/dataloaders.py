"""The loaders of a datamodule that is not ours: what is missing, or does not fit, is known before anything trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader, IterableDataset

from autoact.core.errors import AutoactError, first_line
from autoact.training.quiet_lightning import quiet_lightning

SEALED_NOTHING = "there is no sealed data, so nothing can be confirmed and nothing is recommended"
NO_TEST = f"the datamodule has no test_dataloader: {SEALED_NOTHING}"


def training_loader(held: Any, kind: type) -> Any:
    """What the training batches come from.

    Args:
        held: the datamodule, set up.
        kind: its class, as the user wrote it.

    Raises:
        AutoactError: there is no loader, or no batch in it, and what to do.
    """
    return _present(held, kind.__name__, "train_dataloader", "to train on")


def check_steps(loader: Any, trainer: Mapping[str, Any]) -> None:
    """Refuse a number of steps that ends every training before its first validation.

    Args:
        loader: of the training batches.
        trainer: arguments of ``lightning.Trainer`` that the user set.

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


def check_validation(datamodule: Any) -> None:
    """Refuse a datamodule that has nothing to choose by, before anything trains.

    Args:
        datamodule: set up.

    Raises:
        AutoactError: there is no validation loader, or no batch in it, and what to do.
    """
    _present(datamodule, type(datamodule).__name__, "val_dataloader", "to choose by")


def _present(datamodule: Any, name: str, method: str, purpose: str) -> Any:
    """What a method of the datamodule returns.

    Raises:
        AutoactError: the user did not write it, or it returns nothing.
    """
    if not is_overridden(method, datamodule, parent=lightning.LightningDataModule):
        raise AutoactError(
            f"{name} has no {method}, so there are no rows {purpose}: autoact takes every loader from the datamodule, "
            f"none from the module. Define {method} in {name}"
        )
    made = getattr(datamodule, method)()
    if missing := _missing(made):
        raise AutoactError(f"{name}.{method} returns {missing}, so there are no rows {purpose}")
    return made


def why_untested(held: Any, datamodule: lightning.LightningDataModule) -> str:
    """Why the final check could not use the test rows; empty where it can. Their loader is made, no row is read.

    Args:
        held: the datamodule, set up; ``open_test`` opens its test part.
        datamodule: the same, as the user gave it.
    """
    if not has_test(datamodule):
        return NO_TEST
    if held.no_test:
        return f"{type(datamodule).__name__}.{held.no_test}: {SEALED_NOTHING}"
    name = f"{type(datamodule).__name__}.test_dataloader"
    try:
        made = held.open_test("to count its loaders").val_dataloader()
        missing = _missing(made)
    except Exception as error:  # whatever the user's code raises
        return f"{name} raises {type(error).__name__} ({first_line(error)}): {SEALED_NOTHING}"
    if missing:
        return f"{name} returns {missing}: {SEALED_NOTHING}"
    if not has_validation(datamodule):  # a search refuses that
        return ""
    valid = held.val_dataloader()
    if loaders_in(made) != loaders_in(valid):
        return (
            f"{name} returns {loaders_in(made)} loaders and val_dataloader {loaders_in(valid)}, so their values have "
            f"other names: {SEALED_NOTHING} (return one)"
        )
    if _together(made) != _together(valid):
        return (
            f"{name} and val_dataloader put loaders together in other ways, so their batches have other forms: "
            f"{SEALED_NOTHING} (return the same kind of CombinedLoader from both, with the same names)"
        )
    return ""


def has_test(datamodule: lightning.LightningDataModule) -> bool:
    """Whether the datamodule has test rows."""
    return is_overridden("test_dataloader", datamodule, parent=lightning.LightningDataModule)


def has_validation(datamodule: lightning.LightningDataModule) -> bool:
    """Whether the datamodule has validation rows."""
    return is_overridden("val_dataloader", datamodule, parent=lightning.LightningDataModule)


def loaders_in(made: Any) -> int:
    """How many loaders, one after the other, a datamodule's validation or test method returned.

    Example:
        >>> import torch
        >>> loaders_in([["a", "b"]]), loaders_in({"x": "a", "y": "b"}), loaders_in([torch.zeros(1)])
        (1, 2, 1)
        >>> loaders_in(CombinedLoader({"x": "a", "y": "b"}, "min_size"))  # one batch holds both
        1
    """
    if _together(made) is not None:
        return 1
    made = made.iterables if isinstance(made, CombinedLoader) else made
    return len(made) if isinstance(made, (list, tuple, Mapping)) else 1


def _together(made: Any) -> str | None:
    """The form of batches that hold one of each of several loaders; None where loaders come one after the other."""
    if not isinstance(made, CombinedLoader) or made._mode == "sequential":
        return None
    return str(made._spec)


def _missing(made: Any) -> str:
    """What a datamodule's method returned where there are no batches in it; empty where there are, or may be."""
    if made is None:
        return "None"
    if isinstance(made, (list, tuple, Mapping)) and not made:
        return "no loader"
    with quiet_lightning():
        loaders = made.flattened if isinstance(made, CombinedLoader) else CombinedLoader(made).flattened
    return "a loader without batches" if min(map(_batches, loaders)) == 0 else ""


def _batches(loader: Any) -> int:
    """Batches of a loader; 1 where their number is not known before they come.

    Raises:
        TypeError: its data are none.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return 1
    if not hasattr(loader.dataset, "__getitem__"):
        raise TypeError(f"the dataset of a loader is {loader.dataset!r}")
    return len(loader) if hasattr(loader.dataset, "__len__") else 1
