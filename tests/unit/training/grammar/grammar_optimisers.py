"""Optimisers and schedules that other people write, each as a LightningModule to be mixed with others."""

from __future__ import annotations

from typing import Any

import torch
from grammar_modules import Base
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

# Optimisers.


class Sgd(Base):
    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)


class AdamW(Base):
    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.02, weight_decay=0.05, amsgrad=True)


class Groups(Base):
    """A smaller rate for the body, and no decay of what has one axis."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        body = [p for p in self.net.parameters() if p.requires_grad]
        decayed = [p for p in self.head.parameters() if p.ndim > 1]
        others = [p for p in self.head.parameters() if p.ndim <= 1]
        groups = [{"params": body, "lr": 0.01}, {"params": decayed}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=0.03, weight_decay=0.1)


class OnlyTrained(Base):
    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(filter(lambda p: p.requires_grad, self.parameters()), lr=0.01)


class HeadOnly(Base):
    """The body is frozen, by hand."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.net.requires_grad_(False)

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adagrad(self.head.parameters(), lr=0.1)


class Lbfgs(Base):
    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=2)


class Foreign(Base):
    """An optimiser of their own."""

    class Signs(torch.optim.Optimizer):
        def __init__(self, parameters: Any, lr: float) -> None:
            super().__init__(parameters, {"lr": lr, "weight_decay": 0.0})

        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                for p in [p for p in group["params"] if p.grad is not None]:
                    p.add_(p.grad.sign(), alpha=-group["lr"])
            return loss

    def make_optimizer(self) -> torch.optim.Optimizer:
        return self.Signs(self.parameters(), lr=0.01)


OPTIMIZERS = (Base, Sgd, AdamW, Groups, OnlyTrained, HeadOnly, Lbfgs, Foreign)


# Schedules.


class OneCycle(Base):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        total = self.trainer.estimated_stepping_batches
        cycle = OneCycleLR(optimizer, max_lr=0.05, total_steps=total, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class Steps(Base):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        return [optimizer], [StepLR(optimizer, step_size=1, gamma=0.5)]


class Plateau(Base):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        plateau = ReduceLROnPlateau(optimizer, factor=0.3, patience=0, threshold=0.5)
        return {"optimizer": optimizer, "lr_scheduler": plateau, "monitor": "val_loss"}


class Warmup(Base):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        warm = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 4))
        return [optimizer], [{"scheduler": warm, "interval": "step", "frequency": 2, "name": "warm-up"}]


class Sequence(Base):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        parts = [LinearLR(optimizer, 0.1, total_iters=1), CosineAnnealingLR(optimizer, T_max=self.trainer.max_epochs)]
        return {"optimizer": optimizer, "lr_scheduler": SequentialLR(optimizer, parts, milestones=[1])}


class TwoSchedules(Base):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        restarts = CosineAnnealingWarmRestarts(optimizer, T_0=3)
        return [optimizer], [
            {"scheduler": restarts, "interval": "step"},
            {"scheduler": StepLR(optimizer, 1, 0.7), "interval": "epoch", "frequency": 2},
        ]


class WarmupByHand(Base):
    """Writes the rate before each step."""

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * min(1.0, (self.global_step + 1) / 4)
        optimizer.step(closure=closure)


class WarmupByBatch(Base):
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        for group in self.optimizers().param_groups:
            group["lr"] = 0.02 * min(1.0, (self.global_step + 1) / 4)


class RateByEpoch(Base):
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        for group in self.optimizers().param_groups:
            group["lr"] *= 0.8


class OwnSchedulerStep(Base):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        return [optimizer], [StepLR(optimizer, step_size=1, gamma=0.5)]

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        scheduler.step(epoch=self.current_epoch)


SCHEDULES = (
    Base, OneCycle, Steps, Plateau, Warmup, Sequence, TwoSchedules, WarmupByHand, WarmupByBatch, RateByEpoch,
    OwnSchedulerStep,
)  # fmt: skip
