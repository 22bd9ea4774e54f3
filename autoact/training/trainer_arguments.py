"""The arguments of ``lightning.Trainer`` that users give: the defaults, and what no search can take."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import lightning

from autoact.core.errors import AutoactError, first_line, unknown
from autoact.training.quiet_lightning import quiet_lightning

TrainerArguments = Mapping[str, Any]
"""Arguments of ``lightning.Trainer``, by name."""

TRAINER_DEFAULTS: Mapping[str, int | bool] = {
    "max_epochs": 50,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
# Arguments that say where trainings run, with what asks for nothing. Lightning would start the whole command again,
# once for each device, and several searches would write into one folder.
_ONE_DEVICE: Mapping[str, tuple[object, ...]] = {
    "devices": (1, "1", "auto", [0], None),
    "num_nodes": (1, None),
    "strategy": ("auto", "single_device", None),
}
# Arguments that leave nothing to compare.
_NOTHING_LEFT = {
    "fast_dev_run": "one batch of one epoch is trained and nothing can be compared",
    "barebones": "nothing is logged, so no value decides",
}


def trainer_parameters() -> dict[str, inspect.Parameter]:
    """What ``lightning.Trainer`` takes, with its defaults.

    Example:
        >>> trainer_parameters()["max_epochs"].default is None
        True
    """
    return {name: p for name, p in inspect.signature(lightning.Trainer.__init__).parameters.items() if name != "self"}


def check_trainer(arguments: TrainerArguments) -> None:
    """Refuse arguments that ``lightning.Trainer`` does not take, or with which no search could go on.

    Raises:
        AutoactError: names the argument, and the nearest ones or what to give instead.

    Example:
        >>> check_trainer({"devices": 2})
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: trainer.devices=2: every candidate trains on one device; ...
    """
    allowed = [name for name in trainer_parameters() if name != "callbacks"]
    for name in arguments:
        if name == "callbacks":
            raise AutoactError("trainer.callbacks: name callbacks by reference, callbacks=[package.module:Class]")
        if name not in allowed:
            raise unknown("argument of lightning.Trainer", name, allowed)
    _check_place(arguments)
    _check_length(arguments)
    given = ", ".join(f"trainer.{name}={value}" for name, value in arguments.items())
    try:
        with quiet_lightning():
            lightning.Trainer(**{**TRAINER_DEFAULTS, **arguments})
    except Exception as error:  # each argument has errors of its own kind
        raise AutoactError(f"lightning.Trainer refuses {given}: {first_line(error)}") from error


def _check_place(arguments: TrainerArguments) -> None:
    """Refuse several devices, and trainings that leave nothing to compare."""
    for name, allowed in _ONE_DEVICE.items():
        if (value := arguments.get(name)) not in allowed:
            raise AutoactError(
                f"trainer.{name}={value}: every candidate trains on one device; hardware.device names it, and "
                "engine=processes trains several candidates at a time"
            )
    for name, why in _NOTHING_LEFT.items():
        if arguments.get(name):
            raise AutoactError(f"trainer.{name}: {why}; leave it out (trainer.max_epochs=N makes trainings short)")


def _check_length(arguments: TrainerArguments) -> None:
    """Refuse trainings without an epoch, without rows, or without a validation."""
    epochs = arguments.get("max_epochs")
    if epochs is not None and (type(epochs) is not int or epochs == 0 or epochs < -1):
        raise AutoactError(f"trainer.max_epochs={epochs} must be a whole number of epochs, 1 or more")
    for name in ("limit_train_batches", "limit_val_batches"):
        value = arguments.get(name)
        if isinstance(value, int | float) and not value > 0:
            raise AutoactError(f"trainer.{name}={value} leaves no rows: give a share above 0, or a number of batches")
    for name in ("check_val_every_n_epoch", "accumulate_grad_batches"):
        value = arguments.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise AutoactError(f"trainer.{name}={value} must be a whole number, 1 or more")
    every, most = arguments.get("check_val_every_n_epoch"), epochs or TRAINER_DEFAULTS["max_epochs"]
    if every is not None and 0 < most < every:
        raise AutoactError(
            f"trainer.check_val_every_n_epoch={every} is more than trainer.max_epochs={most}: no epoch would be "
            "validated"
        )
