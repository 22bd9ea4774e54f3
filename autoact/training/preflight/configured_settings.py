"""The training settings that a module configures by itself: learning rate and weight decay."""

from __future__ import annotations

import lightning
import torch

from autoact.core.errors import AutoactError
from autoact.tasks.task import Task
from autoact.training.callbacks import optimizer_settings
from autoact.training.lightning_session import trainer_for
from autoact.training.quiet_lightning import quiet_lightning


class _SeenError(Exception):
    """The optimisers exist: there is no need to train."""


class _Look(lightning.Callback):
    """Reads the optimisers before the first step, and ends the training there."""

    def __init__(self) -> None:
        self.settings: dict[str, float] = {}

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Optimisers and schedulers are set up by now."""
        if any(optimizer.param_groups for optimizer in trainer.optimizers):  # Lightning puts an empty one for None
            self.settings = optimizer_settings(trainer.optimizers)
        raise _SeenError


def configured_settings(task: Task, device: torch.device) -> dict[str, float]:
    """Learning rate of the first parameter group and largest weight decay, as the module configures them.

    A Trainer asks the module, so that whatever ``configure_optimizers`` wants to know of its Trainer is there.

    Raises:
        AutoactError: the module configures no optimiser, or refuses its own settings.
    """
    look = _Look()
    module = task.make_module()
    name = type(module).__name__
    try:
        with quiet_lightning():
            trainer_for(task, device, [look]).fit(module, datamodule=task.make_datamodule(0))
    except _SeenError:
        pass
    except ValueError as error:  # torch refuses the user's learning rate or weight decay
        raise AutoactError(f"{name}.configure_optimizers: {error}") from error
    if not look.settings:
        raise AutoactError(f"{name}.configure_optimizers returns nothing: there is nothing to train")
    return look.settings
