"""What no checkpoint holds is not lost at a pause: such a training starts again, and ends where it would have ended."""

from __future__ import annotations

import pickle
from collections import deque
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelPruning, WeightAveraging
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MaxMetric, MeanMetric

from autoact.core.errors import AutoactError
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession


def loss_of(self: Any, batch: Any) -> torch.Tensor:
    return F.mse_loss(self(batch[0])[:, 0], batch[1])


class Average(Callback):
    """Holds an average and swaps it in for validation."""

    def __init__(self) -> None:
        self.held: dict[str, torch.Tensor] = {}

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        for name, value in module.named_parameters():
            self.held[name] = 0.9 * self.held.get(name, value.detach()) + 0.1 * value.detach()

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        for name, value in module.named_parameters():
            value.data, self.held[name] = self.held[name], value.data

    on_validation_end = on_validation_start


def counts(self: Any, batch: Any, batch_idx: int) -> Any:
    self.calls = getattr(self, "calls", 0) + 1
    return loss_of(self, batch) / self.calls


def remembers(self: Any, batch: Any, batch_idx: int) -> Any:
    self.queue.append(self.first(batch[0]).mean(0).detach())
    return loss_of(self, batch) + (self.first(batch[0]).mean(0) - torch.stack(list(self.queue)).mean(0)).pow(2).sum()


class Slotted:
    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0


def counts_in_slots(self: Any, batch: Any, batch_idx: int) -> Any:
    self.slots.calls += 1
    return loss_of(self, batch) / self.slots.calls


def draw_weights(self: Any) -> None:
    nn.init.orthogonal_(self.first.weight)


def unfreeze_once(self: Any) -> None:
    if self.current_epoch < 2:
        self.head.requires_grad_(self.current_epoch == 1)


def best_so_far(self: Any) -> None:
    self.best(self.trainer.callback_metrics["val_loss"])
    self.log("best", self.best.compute())


def listen(self: Any) -> None:
    self.head.register_forward_hook(lambda module, given, result: 0.5 * result)


def another_optimizer(self: Any) -> None:
    if self.current_epoch == 0:
        self.trainer.strategy.optimizers = [torch.optim.SGD(self.parameters(), lr=0.1)]


class Sam(torch.optim.Optimizer):
    """Steps with another optimiser, at the gradients of a point nearby; its state_dict does not know the other's."""

    def __init__(self, parameters: Any, **settings: Any) -> None:
        super().__init__(parameters, settings)
        self.base_optimizer = torch.optim.SGD(self.param_groups, **settings)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        parameters = [p for group in self.param_groups for p in group["params"]]
        with torch.enable_grad():
            loss = closure()
        moves = [torch.zeros_like(p) if p.grad is None else 0.05 * p.grad.sign() for p in parameters]
        torch._foreach_add_(parameters, moves)
        with torch.enable_grad():
            closure()
        torch._foreach_sub_(parameters, moves)
        self.base_optimizer.step()
        return loss


class WarmUp(LRScheduler):
    """Holds the schedule that comes after it."""

    def __init__(self, optimizer: Any, after: Any) -> None:
        self.after = after
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        return self.after.get_last_lr() if self.last_epoch > 3 else [0.5 * rate for rate in self.base_lrs]

    def step(self, epoch: Any = None) -> None:
        if self.last_epoch > 2:
            self.after.step()
        super().step()


def sharp(self: Any) -> Any:
    return Sam(self.parameters(), lr=0.02, momentum=0.9)


def warm_up(self: Any) -> Any:
    optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
    after = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    return [optimizer], [{"scheduler": WarmUp(optimizer, after), "interval": "step"}]


def halve(self: Any) -> None:
    for parameter in self.parameters():
        parameter.data.copy_(0.5 * parameter.data)


def fill(self: Any) -> None:
    self.head.weight.data.fill_(0.1)


class Signs(torch.optim.Optimizer):
    """Of somebody's own; all it knows is in its groups and its state."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in [p for p in group["params"] if p.grad is not None]:
                p.add_(p.grad.sign(), alpha=-group["lr"])
        return loss


def signs(self: Any) -> Any:
    optimizer = Signs(self.parameters(), 0.01)
    return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)]


KEPT: dict[str, dict[str, Any]] = {
    "counter": {"training_step": counts},
    "queue": {"training_step": remembers},
    "slots": {"training_step": counts_in_slots},
    "weights drawn at the start": {"on_fit_start": draw_weights},
    "weights unfrozen once": {"on_train_epoch_start": unfreeze_once},
    "metric of all epochs": {"on_validation_epoch_end": best_so_far},
    "hook registered at the start": {"on_train_start": listen},
    "another optimiser": {"on_train_epoch_start": another_optimizer},
    "an optimiser inside another": {"configure_optimizers": sharp},
    "a schedule inside another": {"configure_optimizers": warm_up},
    "weights written at the end": {"on_train_end": halve},
    "weights written through data": {"on_fit_start": fill},
    "callback": {},
    "averages": {},
    "max_steps": {},
    "loaders made anew": {},
}


TRAINERS = {"max_steps": {"max_steps": 7}, "loaders made anew": {"reload_dataloaders_every_n_epochs": 1}}
CALLBACKS: dict[str, Any] = {"callback": Average, "averages": WeightAveraging}


def metrics_logged_as_they_are(self: Any, batch: Any, batch_idx: int) -> None:
    loss = loss_of(self, batch)
    self.mean(loss)
    self.log("mean", self.mean, on_step=False, on_epoch=True)
    self.log("val_loss", loss)


def collects(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    self.outputs.append(loss.detach())
    return loss


def clear(self: Any) -> None:
    self.log("all", torch.stack(self.outputs).mean())
    self.outputs.clear()


def last_value(self: Any) -> None:
    if self.current_epoch:
        self.log("last", self.trainer.callback_metrics["first"])
    else:
        self.log("first", 3.0)


def one_cycle(self: Any) -> Any:
    optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.25, total_steps=self.trainer.estimated_stepping_batches)
    return [optimizer], [{"scheduler": cycle, "interval": "step"}]


SAVED: dict[str, dict[str, Any]] = {
    "plain": {},
    "an optimiser of their own": {"configure_optimizers": signs},
    "schedule": {"configure_optimizers": one_cycle},
    "metrics that are logged": {"validation_step": metrics_logged_as_they_are},
    "lists that are cleared": {"training_step": collects, "on_train_epoch_end": clear},
    "what was logged": {"on_train_epoch_end": last_value},
}


def trained(kind: Any, task: Any, given: Any, pauses: tuple[int, ...] = (), moving: bool = True) -> tuple[Any, bool]:
    """Records, and whether a pause went back to the start."""
    session, again = kind(task, SessionOptions()), False
    session.start(given)
    for pause in pauses:
        before = session.advance(pause)
        if moving:
            state = pickle.loads(pickle.dumps(session.checkpoint()))
            again = again or any(one.get("again") or (one.get("member") or {}).get("again") for one in state.values())
            session = kind(task, SessionOptions())
            session.resume(state)
            known = [(r.number, r.epochs, r.curve, r.reason) for r in session.records()]
            assert known == [(r.number, r.epochs, r.curve, r.reason) for r in before]
    session.advance()
    return [(r.number, r.status, r.quality, r.best_epoch, r.metrics, r.curve) for r in session.records()], again


@pytest.mark.filterwarnings("ignore:candidates train one by one")
@pytest.mark.parametrize("kind", [LightningSession, PopulationSession])
@pytest.mark.parametrize("what", [*KEPT, *SAVED])
def test_a_pause_changes_nothing(tiny, net, mixed, what, kind):
    def make() -> Any:
        module = type("Mine", (net,), {**KEPT, **SAVED}[what])()
        module.best, module.mean, module.outputs = MaxMetric(), MeanMetric(), []
        module.queue, module.slots = deque(maxlen=3), Slotted()
        return module

    trainer = {"max_epochs": 4, **TRAINERS.get(what, {})}
    task = tiny(make, make_callbacks=lambda: [CALLBACKS[what]()] if what in CALLBACKS else [], trainer=trainer)
    straight, _ = trained(kind, task, mixed())
    for pauses in ((1,), (1, 3)):
        found, again = trained(kind, task, mixed(), pauses)
        for one, other in zip(straight, found, strict=True):
            assert one[:4] == other[:4]
            assert other[4] == pytest.approx(one[4])
            assert [pytest.approx(a) for a in one[5]] == list(other[5])
        assert again == (what in KEPT), "only what would be lost is trained again"


def test_seconds_of_both_trainings_count(tiny, net, candidate):
    session = LightningSession(tiny(type("Mine", (net,), KEPT["counter"])), SessionOptions())
    session.start([(0, candidate())])
    session.advance(1)
    first = session.records()[0].seconds
    session.advance(1)
    assert session.records()[0].seconds == first, "there is nothing to train"
    session.advance()
    assert session.records()[0].seconds > first


def test_parameters_that_are_renamed_at_the_end_are_told(tiny, net, candidate):
    task = tiny(net, make_callbacks=lambda: [ModelPruning("l1_unstructured", amount=0.3)])
    session = LightningSession(task, SessionOptions())
    session.start([(0, candidate())])
    with pytest.raises(AutoactError, match=r"_mask.* than at the end .*make_pruning_permanent=False"):
        session.advance()


def test_pruning_that_is_not_made_permanent_is_searched(tiny, net, candidate):
    def callbacks() -> Any:
        return [ModelPruning("l1_unstructured", amount=0.3, make_pruning_permanent=False)]

    session = LightningSession(tiny(net, make_callbacks=callbacks), SessionOptions())
    session.start([(0, candidate())])
    assert session.advance()[0].complete
