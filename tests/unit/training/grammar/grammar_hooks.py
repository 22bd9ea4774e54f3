"""Hooks, and other things around a step, that people write, each as a LightningModule to be mixed with others."""

from __future__ import annotations

from typing import Any

import torch
from grammar_modules import Base
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor, nn
from torchmetrics import MeanMetric


class Saved(Base):
    def __init__(self, body: str, head: str, rate: float = 0.02) -> None:
        super().__init__(body, head)
        self.save_hyperparameters()
        self.example_input_array = torch.zeros(2, 3)

    def on_train_start(self) -> None:
        super().on_train_start()
        self.logger.log_hyperparams(self.hparams, {"val_loss": 0.0})


class SetupWeights(Base):
    """Weights are drawn, and a weight of the loss is set, when the data is known."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.positive = len(self.trainer.datamodule.x) / 20
        self.steps_expected = self.trainer.estimated_stepping_batches if stage == "fit" else 0

    def loss_of(self, batch: Any) -> Tensor:
        return super().loss_of(batch) * self.positive


class Redrawn(Base):
    def on_fit_start(self) -> None:
        super().on_fit_start()
        for part in self.modules():
            if type(part) is nn.Linear and part.weight.requires_grad:
                nn.init.orthogonal_(part.weight)


class Anneals(Base):
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.temperature = 1.0 / (1 + self.current_epoch)

    def loss_of(self, batch: Any) -> Tensor:
        return super().loss_of(batch) * getattr(self, "temperature", 1.0)


class Unfreezes(Base):
    """The body is frozen in the first epoch."""

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.head.requires_grad_(self.current_epoch > 0)


class LogsNorms(Base):
    def on_before_optimizer_step(self, optimizer: Any) -> None:
        grads = [p.grad.norm() for p in self.parameters() if p.grad is not None]
        self.log("grad_norm", torch.stack(grads).norm())


class Projects(Base):
    def on_after_backward(self) -> None:
        for p in self.parameters():
            if p.grad is not None:
                p.grad.nan_to_num_(0.0).clamp_(-0.05, 0.05)


class CountsBatches(Base):
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_end(outputs, batch, batch_idx)
        self.batches = getattr(self, "batches", 0) + 1
        self.log("batches", float(self.batches), on_step=False, on_epoch=True, reduce_fx="max")


class EpochNotes(Base):
    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("weight", self.head.out.weight.norm())
        self.log_dict({"rate": self.optimizers().param_groups[0]["lr"]})
        self.logger.experiment.add_scalar("weight", 1.0, self.current_epoch)


class Stops(Base):
    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        if float(self.trainer.callback_metrics["val_loss"]) < 1.0 and self.current_epoch:
            self.trainer.should_stop = True


class OwnCallbacks(Base):
    def configure_callbacks(self) -> Any:
        return [EarlyStopping("val_loss", patience=1, min_delta=0.3)]


class OwnClipping(Base):
    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any, gradient_clip_algorithm: Any) -> None:
        self.clip_gradients(optimizer, gradient_clip_val=0.05 * (1 + self.current_epoch))


class Clamps(Base):
    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        with torch.no_grad():
            self.head.out.weight.clamp_(-0.3, 0.3)


class Jitters(Base):
    """Batches are changed on their way, in training only."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if not self.trainer.training:
            return batch
        x, y = self.rows(batch)
        return x + 0.01 * torch.randn_like(x), y


class SavesMore(Base):
    def on_save_checkpoint(self, checkpoint: Any) -> None:
        checkpoint["seen"] = self.global_step


class ModeSwitch(Base):
    """A part stays in evaluation mode, whatever Lightning says."""

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        for part in self.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.Dropout)):
                part.eval()


class ListensLate(Base):
    """A hook on a layer, registered when training begins, changes what the layer returns."""

    def on_train_start(self) -> None:
        super().on_train_start()
        self.head.out.register_forward_hook(lambda module, given, result: 0.5 * result)


class ListensToGradients(Base):
    """Gradients of a weight are watched from the second epoch on."""

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 1:
            self.largest: list[float] = []
            self.head.out.weight.register_hook(lambda grad: self.largest.append(float(grad.abs().max())))

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        if hasattr(self, "largest"):
            self.log("largest", max(self.largest))


class ListensFromSetup(Base):
    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.sizes: list[float] = []
        self.head.out.weight.register_post_accumulate_grad_hook(lambda p: self.sizes.append(float(p.grad.norm())))

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("sizes", max(self.sizes))


class SwitchesLoss(Base):
    """Another criterion after the first epoch."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.criterion: nn.Module = nn.MSELoss()

    def loss_of(self, batch: Any) -> Tensor:
        x, y = self.rows(batch)
        return super().loss_of(batch) + self.criterion(self.head.out(self.net(x))[:, 0], y)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 1:
            self.criterion = nn.L1Loss()


class SwitchesForward(Base):
    def forward_small(self, x: Tensor) -> Any:
        return self.head(0.5 * self.net(x))

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.forward = self.forward_small if self.current_epoch else self.forward


class ResetsOptimizer(Base):
    """The optimiser forgets at the second epoch."""

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 1:
            self.trainer.optimizers[0].state.clear()


class NewOptimizer(Base):
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 1:
            self.trainer.strategy.setup_optimizers(self.trainer)


class AnotherOptimizer(Base):
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 1:
            self.trainer.optimizers = [torch.optim.SGD(self.parameters(), lr=0.01)]


class AddsGroup(Base):
    """The head joins the optimiser at the second epoch."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.net.parameters(), lr=0.02)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 1:
            self.optimizers().add_param_group({"params": self.head.parameters(), "lr": 0.01})


class StepsScheduler(Base):
    """The schedule is stepped by hand."""

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        schedulers = self.lr_schedulers()
        if schedulers is not None and not isinstance(schedulers, list) and not hasattr(schedulers, "best"):
            schedulers.step()


class EvaluatesItself(Base):
    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.eval()
        with torch.no_grad():
            losses = [self.loss_of(batch) for batch in self.trainer.datamodule.loader(0, 16)]
        self.train()
        self.log("train_eval", torch.stack(losses).mean())


class PostHookAverage(Base):
    """An average that moves with every step of the optimiser, and is logged."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        optimizer = super().make_optimizer()
        self.slow = {n: p.detach().clone() for n, p in self.head.named_parameters()}

        def move(*_: Any) -> None:
            for n, p in self.head.named_parameters():
                self.slow[n].lerp_(p.detach(), 0.5)

        optimizer.register_step_post_hook(move)
        return optimizer

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("slow", torch.stack([value.norm() for value in self.slow.values()]).norm())


class Reloads(Base):
    """Weights go back to where they began, half of them."""

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.begun = {k: v.detach().clone() for k, v in self.head.state_dict().items()}

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.head.load_state_dict({k: 0.5 * v + 0.5 * self.begun[k] for k, v in self.head.state_dict().items()})


class ReplacesData(Base):
    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        for p in self.head.parameters():
            p.data = p.data.clamp(-0.5, 0.5)


class NamesByEpoch(Base):
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.log(f"began/{self.current_epoch}", float(self.global_step))


class LogsInForward(Base):
    def forward(self, x: Tensor) -> Any:
        out = super().forward(x)
        self.log("rows_seen", float(len(x)), on_step=False, on_epoch=True, reduce_fx="sum")
        return out


class ClampsInStep(Base):
    def loss_of(self, batch: Any) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.head.out.weight.clamp_(-0.4, 0.4)
        return super().loss_of(batch)


class TeacherEvaluated(Base):
    """A part runs in evaluation mode inside the step."""

    def loss_of(self, batch: Any) -> Tensor:
        x, _ = self.rows(batch)
        was = self.net.training
        self.net.eval()
        with torch.no_grad():
            target = self.net(x)
        self.net.train(was)
        return super().loss_of(batch) + 0.1 * (self.net(x) - target).square().mean()


class PlainMetrics(Base):
    """Metrics in a plain dict, which Lightning does not see."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.plain = {"rows": MeanMetric()}

    def loss_of(self, batch: Any) -> Tensor:
        loss = super().loss_of(batch)
        self.plain["rows"].update(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("plain", self.plain["rows"].compute())
        self.plain["rows"].reset()


class OneMetricForBoth(Base):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.both = MeanMetric()

    def loss_of(self, batch: Any) -> Tensor:
        loss = super().loss_of(batch)
        self.both(loss.detach())
        self.log("both", self.both, on_step=False, on_epoch=True)
        return loss


class LearnedWeight(Base):
    """A weight of the loss that is learned."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def loss_of(self, batch: Any) -> Tensor:
        return super().loss_of(batch) * torch.exp(-self.log_sigma) + self.log_sigma


class SameName(Base):
    """Training logs the value that decides, too."""

    def loss_of(self, batch: Any) -> Tensor:
        loss = super().loss_of(batch)
        if self.training:
            self.log("val_loss", loss.detach())
        return loss


HOOKS = tuple(
    kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, Base) and kind is not Base
)
