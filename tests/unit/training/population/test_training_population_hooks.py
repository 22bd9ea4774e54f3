"""Hooks around training run for each member as they run alone; what differs between members is never shared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.population.eligibility import why_not
from autoact.training.population.hooks import AFTER, BEFORE, has_hook


def with_hooks(net: type, **hooks: Any) -> type:
    """The tiny module with hooks of its own."""
    return type("Hooked", (net,), hooks)


def loss_of(self: Any, batch: Any) -> torch.Tensor:
    return F.mse_loss(self(batch[0])[:, 0], batch[1])


def anneal(self: Any) -> None:
    self.beta = 1.0 / (1 + self.current_epoch)


def step_with_beta(self: Any, batch: Any, batch_idx: int) -> Any:
    return loss_of(self, batch) * self.beta


def anneal_dropout(self: Any) -> None:
    self.dropout.p = 0.5 / (1 + self.current_epoch)


def halve_rate(self: Any) -> None:
    for group in self.optimizers().param_groups:
        group["lr"] *= 0.5


def halve_rate_of_trainer(self: Any) -> None:
    for group in self.trainer.optimizers[0].param_groups:
        group["lr"] *= 0.5


def clamp(self: Any) -> None:
    with torch.no_grad():
        self.first.weight.clamp_(-0.1, 0.1)


def draw(self: Any) -> None:
    with torch.no_grad():
        self.first.weight.add_(0.01 * torch.randn(4, 3))


def log_norm(self: Any) -> None:
    self.log("norm", self.first.weight.norm())


def stop_early(self: Any) -> None:
    if float(self.trainer.callback_metrics["train_loss"]) < 1.0:
        self.trainer.should_stop = True


def remember(self: Any) -> None:
    self.worst = max(getattr(self, "worst", 0.0), float(self.trainer.callback_metrics["val_loss"]))
    self.log("worst", self.worst)


def keeps_its_loss(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    self.last = loss.detach()
    return loss


def uses_the_last_loss(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    if batch_idx:
        loss = loss * self.last
    self.last = loss.detach()
    return loss


def collects(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    self.outputs.append({"loss": loss, "rows": len(batch[0])})
    return loss


def use_collected(self: Any) -> None:
    self.log("mean", torch.stack([one["loss"].detach() for one in self.outputs]).mean())
    self.outputs.clear()


def log_last(self: Any) -> None:
    self.log("last", self.last)


def collects_for_ever(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    self.outputs = [*getattr(self, "outputs", []), loss.detach()]
    return loss + 0 * torch.stack(self.outputs).mean()


HOOKS: dict[str, dict[str, Any]] = {
    "attribute": {"on_train_epoch_start": anneal, "training_step": step_with_beta},
    "attribute of a layer": {"on_train_epoch_start": anneal_dropout},
    "rate": {"on_train_epoch_end": halve_rate},
    "rate of the trainer": {"on_train_epoch_end": halve_rate_of_trainer},
    "weights": {"on_train_epoch_start": clamp},
    "weights at the start": {"on_fit_start": clamp},
    "random weights": {"on_train_epoch_start": draw},
    "logged": {"on_train_epoch_end": log_norm, "on_train_epoch_start": log_norm},
    "stops": {"on_train_epoch_end": stop_early},
    "own values": {"on_validation_epoch_end": remember},
    "kept": {"training_step": keeps_its_loss, "on_train_epoch_end": log_last},
    "kept for the next step": {"training_step": uses_the_last_loss, "on_train_epoch_end": log_last},
    "collected": {
        "training_step": collects,
        "on_train_epoch_end": use_collected,
        "setup": lambda self, stage: setattr(self, "outputs", []),
    },
    "collected for ever": {"training_step": collects_for_ever},
    "setup": {"setup": lambda self, stage: setattr(self, "beta", 0.3), "training_step": step_with_beta},
}


@pytest.mark.parametrize("hooks", HOOKS)
@pytest.mark.parametrize("seeds", [1, 2])
def test_members_train_as_alone(agree, tiny, net, hooks, seeds):
    session = agree(tiny(with_hooks(net, **HOOKS[hooks])), seeds=seeds)
    assert session.reason == ""
    assert len(session._members) == 4, "together"


def test_early_stopping_watches_what_a_hook_logs(agree, tiny, net):
    def make() -> list[Any]:
        return [EarlyStopping("norm", patience=1, mode="min", check_on_train_epoch_end=True)]

    session = agree(tiny(with_hooks(net, on_train_epoch_end=log_norm), make_callbacks=make, trainer={"max_epochs": 6}))
    assert session.reason == ""
    assert {record.epochs for record in session.records()} != {6}, "some stop earlier"


def stop_the_slow(self: Any) -> None:
    self.trainer.should_stop = self.trainer.optimizers[0].param_groups[0]["lr"] < 0.025


def test_what_all_have_kept_is_not_read_once_some_have_left(agree, tiny, net):
    task = tiny(with_hooks(net, training_step=collects_for_ever, on_train_epoch_end=stop_the_slow))
    with pytest.warns(UserWarning, match=r"one by one, not together: self\.outputs differs between candidates"):
        session = agree(task)
    assert [record.epochs for record in session.records()] == [1, 1, 3, 3]


class Noting:
    """Every hook around training notes its name."""

    NAMES = ("setup", *BEFORE, "on_train_epoch_end", *AFTER)

    @classmethod
    def of(cls, net: type) -> type:
        def note(name: str) -> Any:
            return lambda self, *given, **named: self.noted.append((name, *given, *named.values()))

        def start(self: Any) -> None:
            net.__init__(self)
            self.noted = []

        return type("Noted", (net,), {"__init__": start, **{name: note(name) for name in cls.NAMES}})


@pytest.mark.parametrize("pauses", [(None,), (1, None)])
def test_the_same_hooks_in_the_same_order(tiny, net, mixed, pauses):
    def make() -> list[Any]:
        return [EarlyStopping("val_loss", patience=1, min_delta=0.05)]

    task = tiny(Noting.of(net), make_callbacks=make, trainer={"max_epochs": 4})
    noted = []
    for kind in (LightningSession, PopulationSession):
        session = kind(task, SessionOptions())
        session.start(mixed())
        for to in pauses:
            session.advance(to)
        noted.append({number: module.noted for number, module in session.modules().items()})
    assert session.reason == ""
    assert len({len(names) for names in noted[1].values()}) > 1, "some stop earlier"
    assert noted[0] == noted[1]


def test_an_empty_hook_is_none(tiny, net):
    def on_train_batch_end(self: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Nothing yet."""

    module = with_hooks(net, on_train_batch_end=on_train_batch_end, on_before_backward=lambda self, loss: None)
    assert not has_hook(module(), "on_train_batch_end")
    assert why_not(tiny(module), SessionOptions()) == ""
    assert why_not(tiny(with_hooks(net, on_before_backward=lambda self, loss: 1 + self.x)), SessionOptions()) == (
        "Hooked has an on_before_backward of its own"
    )


@pytest.mark.parametrize("seeds", [1, 2])
def test_layers_that_a_hook_sets_to_evaluation(agree, tiny, net, seeds):
    def evaluate(self: Any) -> None:
        self.dropout.train(self.current_epoch == 1)

    session = agree(tiny(lambda: with_hooks(net, on_train_epoch_start=evaluate)(dropout=0.5)), seeds=seeds)
    assert session.reason == ""


def test_modes_that_differ_between_candidates(agree, tiny, net):
    def evaluate(self: Any) -> None:
        self.dropout.train(self.current_epoch == 0 or self.optimizers().param_groups[0]["lr"] > 0.025)

    with pytest.warns(UserWarning, match=r"self\.dropout\.training differs between candidates after on_train_epoch"):
        agree(tiny(lambda: with_hooks(net, on_train_epoch_start=evaluate)(dropout=0.5)))


def drops_less(self: Any, batch: Any, batch_idx: int) -> Any:
    self.dropout.p = 0.5 / (1 + batch_idx)
    return loss_of(self, batch)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_step_that_says_what_is_dropped(agree, tiny, net, seeds):
    assert agree(tiny(with_hooks(net, training_step=drops_less)), seeds=seeds).reason == ""


def test_a_dropout_that_differs_between_candidates_of_a_seed(agree, tiny, net):
    def drop_by_rate(self: Any) -> None:
        self.dropout.p = 0.1 if self.optimizers().param_groups[0]["lr"] > 0.025 else 0.5

    with pytest.warns(UserWarning, match=r"p of nn\.Dropout differs between candidates"):
        agree(tiny(with_hooks(net, on_train_epoch_start=drop_by_rate)))


def by_epoch(self: Any) -> None:
    self.log(f"began/{self.current_epoch}", 1.0)


def logs_in_both(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    self.log("rows", float(len(batch[0])), on_step=False, on_epoch=True, reduce_fx="sum")
    self.log("both", loss.detach(), on_step=not self.training, on_epoch=True)
    self.log("val_loss", loss.detach(), on_step=False, on_epoch=True)
    return loss


@pytest.mark.parametrize("every", [1, 2])
def test_what_is_logged_last_counts_and_stays(agree, tiny, net, every):
    """Training's values of an epoch come after the validation's; one that is not logged again is the one before."""
    module = with_hooks(net, on_train_epoch_start=by_epoch, training_step=logs_in_both, validation_step=logs_in_both)
    session = agree(tiny(module, trainer={"max_epochs": 4, "check_val_every_n_epoch": every}))
    assert session.reason == ""
    assert session.records()[0].curve[-1]["rows"] == 16
    assert {"began/0", "began/3"} <= set(session.records()[0].curve[-1])


def freeze(self: Any) -> None:
    self.first.requires_grad_(self.current_epoch < 1)


def grow(self: Any, stage: str) -> None:
    self.more = nn.Linear(1, 1)


def draw_scale(self: Any) -> None:
    self.beta = float(self.first.weight.detach()[0, 0])


def needs_own(self: Any, batch: Any, batch_idx: int) -> Any:
    return loss_of(self, batch) * self.trainer.callback_metrics.get("val_loss", 1.0)


def listen(self: Any) -> None:
    self.head.register_forward_hook(lambda module, given, result: 0.5 * result)


def listen_to_gradients(self: Any) -> None:
    self.norms = []
    self.head.weight.register_hook(lambda grad: self.norms.append(float(grad.norm())))


def log_gradients(self: Any) -> None:
    self.log("largest", max(self.norms))


def listen_in_setup(self: Any, stage: str) -> None:
    listen_to_gradients(self)


def switch_layer(self: Any) -> None:
    if self.current_epoch:
        self.dropout = nn.Dropout(0.9)


def switch_while_validating(self: Any) -> None:
    self.dropout = nn.Dropout(0.9)


def restart(self: Any) -> None:
    if self.current_epoch == 1:
        self.trainer.strategy.setup_optimizers(self.trainer)


def another_optimizer(self: Any) -> None:
    if self.current_epoch == 1:
        self.trainer.optimizers = [torch.optim.SGD(self.parameters(), lr=0.1)]


def accumulate_later(self: Any) -> None:
    if self.current_epoch == 1:
        self.trainer.accumulate_grad_batches = 2


ALONE: dict[str, tuple[dict[str, Any], str]] = {
    "freezes": ({"on_train_epoch_start": freeze}, "on_train_epoch_start freezes, unfreezes or replaces weights"),
    "hooks on layers": ({"on_train_start": listen}, "on_train_start registers hooks on layers or weights"),
    "hooks on gradients": (
        {"on_train_epoch_start": listen_to_gradients, "on_train_epoch_end": log_gradients},
        "Hooked.head.weight has a hook on its gradient",
    ),
    "hooks on gradients from setup": (
        {"setup": listen_in_setup, "on_train_epoch_end": log_gradients},
        "Hooked.head.weight has a hook on its gradient",
    ),
    "another layer": ({"on_train_epoch_start": switch_layer}, "on_train_epoch_start replaces layers"),
    "another layer after validation": (
        {"on_validation_epoch_end": switch_while_validating},
        "validation replaces layers",
    ),
    "the optimisers anew": (
        {"on_train_epoch_start": restart},
        "a hook calls self.trainer.strategy.setup_optimizers, which all candidates share",
    ),
    "another optimiser": (
        {"on_train_epoch_start": another_optimizer},
        "a hook sets self.trainer.optimizers, which all candidates share",
    ),
    "another Trainer": (
        {"on_train_epoch_start": accumulate_later},
        "a hook sets self.trainer.accumulate_grad_batches, which all candidates share",
    ),
    "layers in setup": ({"setup": grow}, "Hooked: setup makes or replaces layers"),
    "differs": (
        {"on_train_epoch_start": draw_scale, "training_step": step_with_beta},
        "self.beta differs between candidates",
    ),
    "asks": ({"training_step": needs_own}, "asks for self.trainer.callback_metrics, which is each candidate's own"),
}


@pytest.mark.filterwarnings("ignore:candidates train one by one")
@pytest.mark.parametrize("case", ALONE)
def test_what_cannot_be_shared_trains_one_by_one(agree, tiny, net, case):
    hooks, reason = ALONE[case]
    session = agree(tiny(with_hooks(net, **hooks)))
    assert reason in session.reason
