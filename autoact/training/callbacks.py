"""The Lightning callbacks of a training: scores, the best epoch, optimiser settings, orderly stops."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from autoact.core.errors import AutoactError, nearest
from autoact.tasks.metrics import Metric

# Groups of test rows for the jackknife: enough degrees of freedom, few enough to cost nothing.
JACKKNIFE_GROUPS = 50


class Diverged(ArithmeticError):  # noqa: N818  (says what happened to the trial)
    """Training produced values that are not finite; the trial fails alone, with this reason."""


class Interrupted(Exception):  # noqa: N818  (an order, not an error)
    """The user asked to stop; the training in progress is given up."""


class PredictionScore(Callback):
    """Logs a metric of all validation rows at once, under the name ``monitor``.

    The module's ``validation_step`` returns a mapping with ``score`` and ``target`` (as the recipes do); where it does
    not, the score is ``module(x)`` for batches ``(x, y)``.
    """

    def __init__(self, metric: Metric, monitor: str) -> None:
        self.metric = metric
        self.monitor = monitor
        self._scores: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the rows of the epoch before."""
        self._scores, self._targets = [], []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        """Collect one batch."""
        score, target = _predictions(pl_module, outputs, batch)
        self._scores.append(score.detach().float().cpu())
        self._targets.append(target.detach().cpu())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the metric over all rows and log it."""
        if trainer.sanity_checking:  # a few batches only: the metric may not exist there
            return
        scores, targets = torch.cat(self._scores), torch.cat(self._targets)
        if not bool(torch.isfinite(scores).all()):
            raise Diverged(f"predictions are not finite in epoch {trainer.current_epoch + 1}")
        value = self.metric(targets.numpy(), scores.numpy())
        pl_module.log(self.monitor, value, on_epoch=True, prog_bar=False, batch_size=len(targets))

    def replicates(self, *, ordered: bool) -> tuple[float, ...]:
        """The metric of the last validation with one group of rows left out at a time.

        Args:
            ordered: rows follow each other in time: groups are then stretches of time, else every n-th row.

        Returns:
            One value per group; none where the metric does not exist without some group.
        """
        scores, targets = torch.cat(self._scores).numpy(), torch.cat(self._targets).numpy()
        rows = np.arange(len(targets))
        count = min(JACKKNIFE_GROUPS, len(rows))
        group = rows * count // len(rows) if ordered else rows % count
        try:
            return tuple(self.metric(targets[group != g], scores[group != g]) for g in range(count))
        except (ValueError, ArithmeticError):
            return ()


def _predictions(module: LightningModule, outputs: Any, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and targets of one validation batch."""
    if isinstance(outputs, Mapping) and "score" in outputs and "target" in outputs:
        return outputs["score"], outputs["target"]
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        with torch.no_grad():
            score = module(batch[0])
        return score.squeeze(-1) if score.ndim == 2 and score.shape[1] == 1 else score, batch[1]
    raise AutoactError(
        "the metric needs predictions: let validation_step return {'score': ..., 'target': ...}, or use batches (x, y)"
    )


class BestEpoch(Callback):
    """Keeps the weights of the best epoch in memory, and the learning curve.

    Attributes:
        value: the best value of ``monitor``; None before the first validation.
        epoch: its epoch, counted from 1.
        metrics: everything that was logged there.
        curve: per epoch, everything that was logged.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor = monitor
        self.mode = mode
        self.value: float | None = None
        self.epoch = 0
        self.metrics: dict[str, float] = {}
        self.curve: list[dict[str, float]] = []
        self._weights: dict[str, Any] = {}
        self._by_validation: set[str] = set()
        self._before: set[str] = set()
        self._validated = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what was logged before, to tell which names are the validation's."""
        self._before = set(trainer.callback_metrics)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights where the monitored value is the best so far."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        logged = logged_values(trainer)
        if self.monitor not in logged:
            close = nearest(self.monitor, logged)
            hint = f": did you mean {' or '.join(close)}?" if close else ""
            names = ", ".join(sorted(logged)) or "nothing"
            raise AutoactError(f"monitor={self.monitor} was not logged by validation{hint} Logged: {names}")
        value, epoch = logged[self.monitor], trainer.current_epoch + 1
        self._validated = True
        self._by_validation |= set(logged) - self._before
        if not math.isfinite(value):
            raise Diverged(f"{self.monitor} is {value} in epoch {epoch}")
        if self.value is None or (value > self.value if self.mode == "max" else value < self.value):
            # A count of right answers stays finite where every output is nan.
            if not weights_are_finite(pl_module):
                raise Diverged(f"weights are not finite in epoch {epoch}")
            self.value, self.epoch = value, epoch
            self.metrics = {name: logged[name] for name in self._by_validation if name in logged}
            self._weights = {key: _copy(entry) for key, entry in pl_module.state_dict().items()}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append what the epoch logged to the curve; not what Lightning still holds of an earlier validation."""
        stale = set() if self._validated else self._by_validation
        logged = {name: value for name, value in logged_values(trainer).items() if name not in stale}
        self.curve.append(logged)
        if self.epoch == trainer.current_epoch + 1:  # what training logged is known only now
            self.metrics = {**logged, **self.metrics}
        self._validated = False

    def restore_(self, module: LightningModule) -> None:
        """Put the best epoch's weights into ``module``."""
        module.load_state_dict(self._weights, strict=module.strict_loading)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return copy.deepcopy(
            {k: getattr(self, k) for k in ("value", "epoch", "metrics", "curve", "_weights")},
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        for name, value in state_dict.items():
            setattr(self, name, value)


def weights_are_finite(module: torch.nn.Module) -> bool:
    """Whether every parameter is finite.

    Example:
        >>> weights_are_finite(torch.nn.Linear(1, 1))
        True
    """
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())


def _copy(entry: Any) -> Any:
    """A copy of one entry of a state dict; a module's extra state need not be a tensor."""
    return entry.detach().clone() if isinstance(entry, torch.Tensor) else copy.deepcopy(entry)


def logged_values(trainer: Trainer) -> dict[str, float]:
    """All scalars that were logged so far, as floats."""
    return {name: float(value) for name, value in trainer.callback_metrics.items() if value.numel() == 1}


class OptimizerSettings(Callback):
    """Sets learning rate and weight decay in whatever optimisers the module configured, schedulers included.

    The learning rate of every parameter group is scaled by the same factor, so that groups keep their proportions:
    ``learning_rate`` is the value that the first group gets. Weight decay replaces the value of each group that decays;
    where none does, of all groups.
    """

    def __init__(self, settings: Mapping[str, float]) -> None:
        self.settings = dict(settings)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Change the optimisers, which exist by now; a resumed training's own values come back after this."""
        configured = optimizer_settings(trainer.optimizers)
        rate = self.settings.get("learning_rate")
        if rate is not None and rate != configured["learning_rate"]:
            _scale_learning_rate(trainer, rate / configured["learning_rate"])
        decay = self.settings.get("weight_decay")
        if decay is not None and decay != configured.get("weight_decay"):
            groups = [g for o in trainer.optimizers for g in o.param_groups if "weight_decay" in g]
            for group in [g for g in groups if g["weight_decay"] > 0] or groups:
                group["weight_decay"] = decay


def _scale_learning_rate(trainer: Trainer, factor: float) -> None:
    """Multiply every rate that optimisers and schedulers hold."""
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            for key in ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr"):
                if key in group:
                    group[key] *= factor
    for config in trainer.lr_scheduler_configs:
        _scale_scheduler(config.scheduler, factor)


def _scale_scheduler(scheduler: Any, factor: float) -> None:
    """Multiply every rate that a scheduler holds: the whole schedule is scaled, its floor and ceiling included."""
    for inner in getattr(scheduler, "_schedulers", ()):  # SequentialLR, ChainedScheduler
        _scale_scheduler(inner, factor)
    for key in ("base_lrs", "max_lrs", "min_lrs", "_last_lr"):
        if hasattr(scheduler, key):
            setattr(scheduler, key, [rate * factor for rate in getattr(scheduler, key)])
    for key in ("eta_min", "default_min_lr"):
        if isinstance(getattr(scheduler, key, None), (int, float)):
            setattr(scheduler, key, getattr(scheduler, key) * factor)


def optimizer_settings(optimizers: list[Any]) -> dict[str, float]:
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

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Look at the flag."""
        if self.asked():
            raise Interrupted

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        """Look at the flag."""
        if self.asked():
            raise Interrupted


class Patience(EarlyStopping):
    """Early stopping under a name of its own: Lightning refuses two of the same name, and the user may bring one."""


class PauseAt(Callback):
    """Ends a call of ``fit`` after ``epoch`` epochs in all; schedulers still see the full budget.

    The limit is set when it is reached. ``trainer.should_stop`` is left alone: it tells whether somebody else stopped
    the training for good, and it would have to wait for ``min_epochs``.
    """

    def __init__(self) -> None:
        self.epoch: int | None = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop when the epoch is reached."""
        if self.epoch is not None and trainer.current_epoch + 1 >= self.epoch:
            trainer.fit_loop.max_epochs = trainer.current_epoch + 1
