"""Steps, validations and averages that other people write, each as a LightningModule to be mixed with others."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from grammar_heads import BODIES, HEADS
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics import MaxMetric, MeanMetric, MetricCollection
from torchmetrics.regression import MeanSquaredError


class Base(lightning.LightningModule):
    """What all have in common: ``net`` and ``head``, a step, a validation, an optimiser."""

    def __init__(self, body: str, head: str) -> None:
        super().__init__()
        self.net, self.head = BODIES[body](), HEADS[head]()

    def forward(self, x: Tensor) -> Any:
        return self.head(self.net(x))

    def rows(self, batch: Any) -> tuple[Tensor, Tensor]:
        if isinstance(batch, Mapping):
            batch = batch["a"] if "a" in batch else (batch["x"], batch["y"])
        return batch[0], batch[1]

    def loss_of(self, batch: Any) -> Tensor:
        x, y = self.rows(batch)
        return self.head.loss(self(x), y)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss_of(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        self.log("val_loss", self.loss_of(batch), batch_size=len(self.rows(batch)[0]), add_dataloader_idx=False)

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.02)

    def configure_optimizers(self) -> Any:
        return self.make_optimizer()


# Steps.


class ShortStep(Base):
    def training_step(self, batch: Any) -> Any:
        return self.loss_of(batch)


class DictStep(Base):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = self.rows(batch)
        out = self(x)
        loss = self.head.loss(out, y)
        self.log_dict({"train/loss": loss, "train/rows": float(len(x))}, on_step=True, on_epoch=True, prog_bar=True)
        return {"loss": loss, "out": out, "batch_idx": batch_idx}


class CollectingStep(Base):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.training_step_outputs: list[Tensor] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss_of(batch)
        self.training_step_outputs.append(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("training_epoch_mean", torch.stack(self.training_step_outputs).mean())
        self.training_step_outputs.clear()


class MixingStep(Base):
    """Mix-up: rows and a share drawn in the step."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = self.rows(batch)
        share = torch.distributions.Beta(0.4, 0.4).sample() if batch_idx else torch.rand(())
        other = torch.randperm(len(x))
        out = self(share * x + (1 - share) * x[other])
        loss = share * self.head.loss(out, y) + (1 - share) * self.head.loss(out, y[other])
        self.log("train_loss", loss, on_epoch=True)
        return loss


class PenaltyStep(Base):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        penalty = sum(p.abs().sum() for n, p in self.named_parameters() if p.requires_grad and "bias" not in n)
        return self.loss_of(batch) + 1e-3 * penalty


class BodyPenaltyStep(Base):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss_of(batch) + 1e-3 * self.head.out.weight.square().sum()


class GradientPenaltyStep(Base):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = self.rows(batch)
        x = x.detach().clone().requires_grad_(True)
        loss = self.head.loss(self(x), y)
        (grad,) = torch.autograd.grad(loss, x, create_graph=True)
        return loss + 0.1 * grad.square().sum()


class CountingStep(Base):
    """What the Trainer and the batch say of the time."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        done = self.global_step / max(1, self.trainer.max_epochs * self.trainer.num_training_batches)
        loss = self.loss_of(batch) * (1 + 0.1 * self.current_epoch + 0.1 * done)
        self.log("progress", done)
        return loss if batch_idx % 2 else 2 * loss


class RateStep(Base):
    """The learning rate is logged in the step."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.log("lr", self.optimizers().param_groups[0]["lr"], prog_bar=True)
        return self.loss_of(batch)


class SkippingStep(Base):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 1 and not hasattr(self, "skipped"):
            self.skipped = True
            return None
        return self.loss_of(batch)


class ConfidentStep(Base):
    """What the rate of the loss depends on is kept from step to step."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss_of(batch)
        self.running = 0.9 * getattr(self, "running", 1.0) + 0.1 * loss.detach()
        return loss / (1 + self.running)


class ItemStep(Base):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss_of(batch)
        assert torch.isfinite(loss)
        self.losses = [*getattr(self, "losses", []), loss.item()]
        return loss


class ManualStep(Base):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = self.loss_of(batch)
        self.manual_backward(loss)
        self.clip_gradients(optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        optimizer.step()
        self.log("train_loss", loss)


class TwoOptimizersStep(ManualStep):
    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.net.parameters(), lr=0.1), torch.optim.Adam(self.head.parameters(), lr=0.02)]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizers = self.optimizers()
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            self.toggle_optimizer(optimizer)
            loss = self.loss_of(batch)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.untoggle_optimizer(optimizer)


class MetricStep(Base):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.train_mean, self.best = MeanMetric(), MaxMetric()
        self.errors = MetricCollection({"mse": MeanSquaredError()}, prefix="train/")

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss_of(batch)
        self.train_mean(loss)
        self.errors(loss.reshape(1), torch.zeros(1))
        self.log("train/mean", self.train_mean, on_step=False, on_epoch=True)
        self.log_dict(self.errors, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.best(self.train_mean.compute())
        self.log("train/best", self.best.compute())


# Validations.


class ListedValidation(Base):
    """Outputs are collected and cleared, as since Lightning 2.0."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.validation_step_outputs: list[Tensor] = []

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        loss = self.loss_of(batch)
        self.validation_step_outputs.append(loss)
        return loss

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", torch.stack(self.validation_step_outputs).mean(), prog_bar=True)
        self.validation_step_outputs.clear()


class MetricValidation(Base):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.mean, self.worst = MeanMetric(), MaxMetric()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        self.mean.update(self.loss_of(batch), len(self.rows(batch)[0]))

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", self.mean.compute())
        self.log("val_worst", self.worst(self.mean.compute()))
        self.mean.reset()


class GuessedRowsValidation(Base):
    """Lightning finds out how many rows a batch has; a name with signs, and one by step."""

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        loss = self.loss_of(batch)
        self.log_dict({"val_loss": loss, "val/rmse@1": loss.sqrt()}, on_step=True, on_epoch=True, sync_dist=True,
                      add_dataloader_idx=False)  # fmt: skip
        return {"loss": loss}


class BestSoFarValidation(Base):
    def on_validation_epoch_end(self) -> None:
        now = self.trainer.callback_metrics["val_loss"]
        self.lowest = min(getattr(self, "lowest", now), now)
        self.log("val_lowest", self.lowest)


class NoGuardValidation(Base):
    def on_validation_start(self) -> None:
        self.seen = 0

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        self.seen += len(self.rows(batch)[0])
        noise = 0.01 * torch.randn(())
        self.log("val_loss", self.loss_of(batch) + noise * 0, reduce_fx="max", add_dataloader_idx=False)

    def on_validation_end(self) -> None:
        assert self.seen or self.trainer.sanity_checking


# Averages.


class HookAverage(Base):
    """An exponential average, moved after every batch, validates."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.ema = copy.deepcopy(self.net).requires_grad_(False)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_end(outputs, batch, batch_idx)
        with torch.no_grad():
            for mine, theirs in zip(self.ema.parameters(), self.net.parameters(), strict=True):
                mine.lerp_(theirs, 0.5)

    def forward(self, x: Tensor) -> Any:
        return self.head((self.net if self.training else self.ema)(x))


class SwaAverage(Base):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.averaged = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.5))

    def on_before_zero_grad(self, optimizer: Any) -> None:
        self.averaged.update_parameters(self.net)

    def forward(self, x: Tensor) -> Any:
        return self.head((self.net if self.training else self.averaged)(x))


class EpochAverage(Base):
    """A copy moves once per epoch, and teaches."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.teacher = copy.deepcopy(self.net)
        for parameter in self.teacher.parameters():
            parameter.requires_grad = False

    def loss_of(self, batch: Any) -> Tensor:
        x, _ = self.rows(batch)
        return super().loss_of(batch) + 0.1 * (self.net(x) - self.teacher(x).detach()).square().mean()

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                held = self.teacher.state_dict()[name]
                held.copy_(0.5 * held + 0.5 * value)


class AverageCallback(Callback):
    """Averages weights, and swaps them in for validation."""

    def __init__(self) -> None:
        self.held: dict[str, Tensor] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        for name, value in pl_module.named_parameters():
            before = self.held.get(name, value.detach())
            self.held[name] = 0.5 * before + 0.5 * value.detach()

    def _swap(self, pl_module: Any) -> None:
        for name, value in pl_module.named_parameters():
            if name in self.held:
                now = value.detach().clone()
                value.data.copy_(self.held[name])
                self.held[name] = now

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._swap(pl_module)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._swap(pl_module)


STEPS = (
    Base, ShortStep, DictStep, CollectingStep, MixingStep, PenaltyStep, BodyPenaltyStep, GradientPenaltyStep,
    CountingStep, RateStep, SkippingStep, ConfidentStep, ItemStep, ManualStep, TwoOptimizersStep, MetricStep,
)  # fmt: skip
VALIDATIONS = (Base, ListedValidation, MetricValidation, GuessedRowsValidation, BestSoFarValidation, NoGuardValidation)
AVERAGES = (Base, HookAverage, SwaAverage, EpochAverage)
