"""The Lightning callbacks of a training: scores, the best epoch, optimiser settings, orderly stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim import Optimizer

from autoact.sites.replacement.parameter_groups import (
    RATES,
    inner_schedulers,
    no_groups_in,
    put_activations_apart_,
)
from autoact.tasks.metrics import Metric
from autoact.training.predictions import Predictions
from autoact.training.state.best_epoch import Best, State


class Interrupted(Exception):  # noqa: N818  (an order, not an error)
    """The user asked to stop; the training in progress is given up."""


class PredictionScore(Predictions, Callback):
    """Logs a metric of all validation rows at once, under the name ``monitor``; see ``Predictions``."""

    def __init__(self, metric: Metric, monitor: str) -> None:
        super().__init__(metric)
        self.monitor = monitor

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the rows of the epoch before."""
        self.clear()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, *_: object, **__: object
    ) -> None:
        """Collect one batch."""
        self.add(pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the metric over all rows and log it."""
        if trainer.sanity_checking:  # a few batches only: the metric may not exist there
            return
        value = self.value(trainer.current_epoch + 1)
        pl_module.log(self.monitor, value, on_epoch=True, prog_bar=False, batch_size=self.rows)
        for name, threshold in self.threshold.items():
            pl_module.log(name, threshold, on_epoch=True, prog_bar=False, batch_size=1)


class ValidationNames(Callback):
    """Tells which names a validation logged; training may have logged them, too."""

    _before: Mapping[str, torch.Tensor]

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what was logged before."""
        self._before = dict(trainer.callback_metrics)

    def by_validation(self, trainer: Trainer) -> set[str]:
        """The names whose values are new since the validation began."""
        return {name for name, value in trainer.callback_metrics.items() if value is not self._before.get(name)}


class BestEpoch(Best, ValidationNames):
    """Tells ``Best`` what a Trainer logged."""

    def __init__(self, monitor: str, mode: str) -> None:
        super().__init__(monitor, mode)
        self._by_validation: set[str] = set()
        self._validated = False
        self._logged: dict[str, torch.Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give a resumed training what it has logged: hooks may ask for the last validation's values."""
        trainer.callback_metrics.update(self._logged)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what was logged for a resumed training."""
        self._logged = {name: value.detach().clone() for name, value in trainer.callback_metrics.items()}

    def state_dict(self) -> State:
        """What a resumed training needs."""
        return super().state_dict() | {"_by_validation": set(self._by_validation), "_logged": dict(self._logged)}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights where the monitored value is the best so far."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        logged = logged_values(trainer)
        self._validated = True
        own = self.by_validation(trainer) & set(logged)
        self._by_validation |= own - set(self._before)
        self.validated(logged, own, trainer.current_epoch + 1, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append what the epoch logged to the curve; not what Lightning still holds of an earlier validation."""
        stale = set() if self._validated else self._by_validation
        logged = {name: value for name, value in logged_values(trainer).items() if name not in stale}
        self.ended(logged, trainer.current_epoch + 1)
        self._validated = False


def logged_values(trainer: Trainer) -> dict[str, float]:
    """All scalars that were logged so far, as floats."""
    return {name: float(value) for name, value in trainer.callback_metrics.items() if value.numel() == 1}


class OptimizerSettings(Callback):
    """Sets learning rate and weight decay in whatever optimisers the module configured, schedulers included.

    The learning rate of every parameter group is scaled by the same factor, so that groups keep their proportions:
    ``learning_rate`` is the value that the first group gets. Weight decay replaces the value of each group that decays;
    where none does, of all groups.
    """

    def __init__(self, settings: Mapping[str, float], activation_rate: float = 1.0) -> None:
        self.settings = dict(settings)
        self.activation_rate = activation_rate

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Change the optimisers, which exist by now; a resumed training's own values come back after this."""
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        apply_settings(self.settings, trainer.optimizers, schedulers)
        able = [optimizer for optimizer in trainer.optimizers if not no_groups_in(optimizer)]
        put_activations_apart_(pl_module, able, schedulers, factor=self.activation_rate)


def apply_settings(
    settings: Mapping[str, float], optimizers: Sequence[Optimizer], schedulers: Sequence[object]
) -> None:
    """Set learning rate and weight decay as ``OptimizerSettings`` does."""
    configured = optimizer_settings(optimizers)
    rate = settings.get("learning_rate")
    if rate is not None and rate != configured["learning_rate"]:
        _scale_learning_rate(optimizers, schedulers, rate / configured["learning_rate"])
    decay = settings.get("weight_decay")
    if decay is not None and decay != configured.get("weight_decay"):
        groups = [g for o in optimizers for g in o.param_groups if "weight_decay" in g]
        for group in [g for g in groups if g["weight_decay"] > 0] or groups:
            group["weight_decay"] = decay


def _scale_learning_rate(optimizers: Sequence[Optimizer], schedulers: Sequence[object], factor: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for key in RATES:
                if key in group:
                    group[key] *= factor
    for scheduler in schedulers:
        _scale_scheduler(scheduler, factor)


def _scale_scheduler(scheduler: object, factor: float) -> None:
    """Multiply every rate that a scheduler holds: the whole schedule is scaled, its floor and ceiling included."""
    for inner in (*getattr(scheduler, "_schedulers", ()), *inner_schedulers(scheduler)):  # SequentialLR, warm-ups
        _scale_scheduler(inner, factor)
    for key in ("base_lrs", "max_lrs", "min_lrs", "_last_lr"):
        if hasattr(scheduler, key):
            setattr(scheduler, key, [rate * factor for rate in getattr(scheduler, key)])
    for key in ("eta_min", "default_min_lr"):
        if isinstance(getattr(scheduler, key, None), (int, float)):
            setattr(scheduler, key, getattr(scheduler, key) * factor)


def optimizer_settings(optimizers: Sequence[Optimizer]) -> dict[str, float]:
    """The settings as configured: first group's learning rate, largest weight decay."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    first = groups[0]
    settings = {"learning_rate": float(first.get("initial_lr", first["lr"]))}
    decays = [float(group["weight_decay"]) for group in groups if "weight_decay" in group]
    return settings | ({"weight_decay": max(decays)} if decays else {})


class StopWhen(Callback):
    """Gives the training up, between two batches, as soon as ``asked()`` is true."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self.asked = asked

    def on_train_batch_end(self, *_: object, **__: object) -> None:
        """Look at the flag."""
        if self.asked():
            raise Interrupted

    on_validation_batch_end = on_train_batch_end


class Patience(EarlyStopping):
    """Early stopping under a name of its own: Lightning refuses two of the same name, and the user may bring one."""


class PauseAt(Callback):
    """Ends a call of ``fit`` after ``epoch`` epochs in all; schedulers still see the full budget.

    The limit is set when it is reached. ``trainer.should_stop`` is left alone: it tells whether something else stopped
    the training for good, and it would have to wait for ``min_epochs``.
    """

    def __init__(self) -> None:
        self.epoch: int | None = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop when the epoch is reached."""
        if self.epoch is not None and trainer.current_epoch + 1 >= self.epoch:
            trainer.fit_loop.max_epochs = trainer.current_epoch + 1
