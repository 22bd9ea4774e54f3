"""One batch of training and one of validation, before anything is searched: what will be missing is missed now."""

from __future__ import annotations

from collections.abc import Mapping, Set

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden

from autoact.core.errors import AutoactError
from autoact.tasks.task import Task
from autoact.training.callbacks import ValidationNames
from autoact.training.lightning_session import trainer_from
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.best_epoch import logged_value
from autoact.training.state.random_state import preserved_random_state

# The shortest training that ends with a validation.
_SHORT: Mapping[str, int | bool | None] = {
    "max_epochs": 1,
    "min_epochs": None,
    "max_steps": -1,
    "min_steps": None,
    "limit_train_batches": 1,
    "limit_val_batches": 1,
    "check_val_every_n_epoch": 1,
    "val_check_interval": None,
    "enable_checkpointing": False,
}


class _ValidationLog(ValidationNames):
    names: Set[str] = frozenset()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.names |= self.by_validation(trainer)


def rehearse(task: Task, device: torch.device) -> None:
    """Train the module as it is on one batch, and validate it on one, to see whether the monitored value is logged.

    Where the task's own callbacks could log it, or where one batch is too few for the module's metrics, so that it
    raises, the first trial tells. The state of the random numbers is put back.

    Raises:
        AutoactError: validation does not log ``task.monitor``, or there is none; names what it logs.
    """
    if task.metric is not None or task.make_callbacks():
        return
    try:
        with preserved_random_state(), quiet_lightning():
            module, validation = task.make_module(), _ValidationLog()
            if not is_overridden("validation_step", module, LightningModule):
                raise AutoactError(
                    f"{type(module).__name__} has no validation_step, so nothing logs monitor={task.monitor}: define "
                    f"it, with self.log({task.monitor!r}, ...)"
                )
            trainer = trainer_from({**task.trainer, **_SHORT}, device, [validation])
            trainer.fit(module, datamodule=task.make_datamodule(0))
    except AutoactError:
        raise
    except Exception:  # of the user's code: a whole training of the baseline decides
        return
    if trainer.fit_loop.epoch_loop.val_loop._has_run:
        logged = {name: float(value.mean()) for name, value in trainer.callback_metrics.items()}
        logged_value(task.monitor, logged, trained=set(logged) - validation.names)
