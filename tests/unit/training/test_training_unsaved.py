"""What no checkpoint holds is not lost at a pause: such a training starts again, and ends where it would have ended."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import nn
from torchmetrics import MaxMetric, MeanMetric

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


KEPT: dict[str, dict[str, Any]] = {
    "counter": {"training_step": counts},
    "weights drawn at the start": {"on_fit_start": draw_weights},
    "weights unfrozen once": {"on_train_epoch_start": unfreeze_once},
    "metric of all epochs": {"on_validation_epoch_end": best_so_far},
    "hook registered at the start": {"on_train_start": listen},
    "another optimiser": {"on_train_epoch_start": another_optimizer},
    "callback": {},
    "max_steps": {},
}


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
        return module

    trainer = {"max_epochs": 4, "max_steps": 7} if what == "max_steps" else {"max_epochs": 4}
    task = tiny(make, make_callbacks=lambda: [Average()] if what == "callback" else [], trainer=trainer)
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
