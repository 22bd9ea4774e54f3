"""Between gradients and the optimiser's step: hooks, metrics that are losses, what checkpoints hold of a module."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
import torchmetrics
from torch import Tensor

from autoact.core.trial import COMPLETE
from autoact.training.lightning_session import SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.population.eligibility import why_not


def hooked(net: type, **members: Any) -> type:
    return type("Hooked", (net,), members)


def scale(self: Any) -> None:
    for parameter in self.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(0.5 + float(self.first.weight.detach().abs().mean()))


def log_norm(self: Any, optimizer: Any) -> None:
    assert any(group["params"][0] is self.first.weight for group in optimizer.param_groups)
    norms = [p.grad.norm() for p in self.parameters() if p.grad is not None]
    self.log("norm", torch.stack(norms).norm(), on_step=False, on_epoch=True)


def noise(self: Any, optimizer: Any) -> None:
    self.first.weight.grad.add_(0.01 * torch.randn(4, 3))


def noise_for_all(self: Any, optimizer: Any) -> None:
    for parameter in self.parameters():
        if parameter.grad is not None:
            parameter.grad.add_(0.01 * torch.randn_like(parameter.grad))


def replace_gradient(self: Any) -> None:
    self.first.weight.grad = None


HOOKS: dict[str, dict[str, Any]] = {
    "scaled": {"on_after_backward": scale},
    "logged": {"on_before_optimizer_step": log_norm},
    "noise": {"on_before_optimizer_step": noise},
    "both": {"on_after_backward": scale, "on_before_optimizer_step": log_norm},
}


@pytest.mark.parametrize("hooks", HOOKS)
@pytest.mark.parametrize("trainer", [{}, {"gradient_clip_val": 0.05}, {"accumulate_grad_batches": 2}])
def test_hooks_see_and_change_their_members_gradients(agree, tiny, net, hooks, trainer):
    session = agree(tiny(hooked(net, **HOOKS[hooks]), trainer=trainer))
    if why := why_not(tiny(hooked(net), trainer=trainer), SessionOptions()):  # an argument that no population takes
        assert session.reason == why
    else:
        assert session.reason == ""
    assert [record.status for record in session.records()] == [COMPLETE] * 4
    if "log" in hooks:
        assert all("norm" in record.metrics for record in session.records())


def test_a_hook_that_drops_gradients_is_left_to_single_trainings(agree, tiny, net):
    with pytest.warns(UserWarning, match="one by one"):
        session = agree(tiny(hooked(net, on_after_backward=replace_gradient)))
    assert "on_after_backward puts other tensors in the place of gradients" in session.reason


def test_random_numbers_that_differ_in_number_belong_to_single_trainings(agree, tiny, net):
    with pytest.warns(UserWarning, match="one by one"):
        session = agree(tiny(hooked(net, on_before_optimizer_step=noise_for_all)))
    assert "on_before_optimizer_step draws more random numbers for one candidate than for another" in session.reason


class Asking(torchmetrics.MeanSquaredError):
    """A metric whose code asks what a value is."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        if preds.isfinite().all():
            super().update(preds, target)

    def to_prediction(self, out: Tensor) -> Tensor:
        return out[:, 0]


class WithMetric:
    kind: Any = torchmetrics.MeanSquaredError

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.error: Any = self.kind()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        assert isinstance(self.error, self.kind)
        loss = self.error(self.predicted(batch), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return {"loss": loss * 0.5}

    def predicted(self: Any, batch: Any) -> Tensor:
        return self(batch[0])[:, 0]

    def on_train_epoch_end(self: Any) -> None:
        self.log("whole", self.error.compute())
        self.error.reset()


def as_method(self: Any, batch: Any) -> Tensor:
    return self.error.to_prediction(self(batch[0]))


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize(
    "members",
    [{}, {"kind": Asking}, {"kind": Asking, "predicted": as_method}, {"kind": torchmetrics.MeanAbsoluteError}],
)
def test_a_metric_may_be_the_loss(agree, tiny, net, members, seeds):
    session = agree(tiny(type("Mine", (WithMetric, net), members)), seeds=seeds)
    assert session.reason == ""
    assert all({"whole", "train_loss"} <= set(record.curve[-1]) for record in session.records())


def reads_the_state(self: Any, batch: Any) -> Tensor:
    return self(batch[0])[:, 0] + 0 * self.error.sum_squared_error


def updates_by_another_method(self: Any, batch: Any) -> Tensor:
    self.error.note(self(batch[0])[:, 0], batch[1])
    return self(batch[0])[:, 0]


class Noting(torchmetrics.MeanSquaredError):
    def note(self, preds: Tensor, target: Tensor) -> None:
        self._update_count += 1


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (
            {"predicted": reads_the_state},
            r"training_step asks for self.error.sum_squared_error, which is each candidate's own",
        ),
        (
            {"kind": Noting, "predicted": updates_by_another_method},
            r"training_step updates self.error by a method of its own",
        ),
    ],
)
def test_what_is_each_candidates_own_is_not_shared(agree, tiny, net, members, why):
    kind = type("Mine", (WithMetric, net), members)
    session = agree(tiny(kind))
    assert session.reason.startswith("Mine: " + why)


class Remembering:
    """Counts its epochs, and keeps the number in checkpoints."""

    count = 0

    def on_train_epoch_end(self: Any) -> None:
        self.count += 1
        self.log("count", float(self.count))

    def on_save_checkpoint(self: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["mine"] = {"count": self.count}

    def on_load_checkpoint(self: Any, checkpoint: dict[str, Any]) -> None:
        self.count = checkpoint["mine"]["count"]


def test_what_a_module_saves_in_checkpoints_goes_on(agree, tiny, net, mixed):
    task = tiny(type("Mine", (Remembering, net), {}))
    assert agree(task).reason == ""
    first, second = PopulationSession(task, SessionOptions()), PopulationSession(task, SessionOptions())
    first.start(mixed())
    first.advance(1)
    torch.manual_seed(99)
    second.resume(pickle.loads(pickle.dumps(first.checkpoint())))
    second.advance()
    assert second.reason == ""
    assert [module.count for module in second.modules().values()] == [3] * 4
