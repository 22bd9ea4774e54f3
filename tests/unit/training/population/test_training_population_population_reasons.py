"""What cannot train as a population says why, in one line that names the thing, and trains singly."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import nn
from torchmetrics.classification import BinaryAccuracy

from autoact.training.lightning_session import SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.population.eligibility import why_not

HERE = r"\(test_training_population_population_reasons\.py:\d+\)"


class Holder:
    calls = 0


def item(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = self.loss(batch)
    return loss * (1.0 + 0.0 * loss.item())


def branch(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = self.loss(batch)
    return loss * 2 if loss > 0 else loss


def appends(self: Any, batch: Any, batch_idx: int) -> Any:
    self.state["list"].append(1)
    return self.loss(batch)


def counts(self: Any, batch: Any, batch_idx: int) -> Any:
    self._calls = getattr(self, "_calls", 0) + 1
    return self.loss(batch) * self._calls


def counts_in_a_dict(self: Any, batch: Any, batch_idx: int) -> Any:
    self.state["calls"] += 1
    return self.loss(batch) * self.state["calls"]


def counts_in_an_object(self: Any, batch: Any, batch_idx: int) -> Any:
    self.holder.calls += 1
    return self.loss(batch) * self.holder.calls


def nothing(self: Any, batch: Any, batch_idx: int) -> Any:
    return None if batch_idx == 0 else self.loss(batch)


def uses_a_metric(self: Any, batch: Any, batch_idx: int) -> Any:
    return self.loss(batch) * (1 + self.metric(self(batch[0])[:, 0], (batch[1] > 0).int()))


def selects(self: Any, batch: Any, batch_idx: int) -> Any:
    out = self(batch[0])
    return self.loss(batch) + 0 * out[out > 0].sum()


def asks_the_optimizer(self: Any, batch: Any, batch_idx: int) -> Any:
    return self.loss(batch) * (1 + self.optimizers().param_groups[0]["lr"])


def own_gradients(self: Any, batch: Any, batch_idx: int) -> Any:
    x = batch[0].clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(self(x).sum(), x, create_graph=True)
    return self.loss(batch) + 0.1 * grad.square().sum()


def draws_a_share(self: Any, batch: Any, batch_idx: int) -> Any:
    return self.loss(batch) * (torch.distributions.Beta(0.4, 0.4).sample())


def fills(self: Any, batch: Any, batch_idx: int) -> Any:
    out = torch.zeros(len(batch[0]), 2)
    out[:, 0] = self(batch[0])[:, 0]
    return out.square().mean()


STEPS = {
    item: rf"calling \.item\(\) on a Tensor {HERE}",
    branch: rf"data-dependent control flow {HERE}",
    nothing: r"training_step returned NoneType without a loss",
    uses_a_metric: rf"a metric is used for more than self\.log {HERE}",
    selects: rf"dynamic shape {HERE}",
    asks_the_optimizer: rf"asks for the optimiser, whose param_groups are each candidate's own {HERE}",
    own_gradients: rf"inside the step by requires_grad_ \(torch\.func\.grad in its place can be batched\) {HERE}",
    draws_a_share: rf"an autograd.Function cannot be batched {HERE}",
    fills: rf"written into a tensor made in the step, which is one for all {HERE}",
}


def module_with(net: type, step: Any = None, second: Any = None, **attributes: Any) -> type:
    """The tiny module with another step, or another second layer."""

    class Mine(net):
        def __init__(self) -> None:
            super().__init__()
            self.state: dict[str, Any] = {"list": [], "calls": 1}
            self.holder = Holder()
            self.metric = BinaryAccuracy()
            if second is not None:
                self.second = second()

        def loss(self, batch: Any) -> torch.Tensor:
            return F.mse_loss(self(batch[0])[:, 0], batch[1])

    if step is not None:
        Mine.training_step = step
    for name, value in attributes.items():
        setattr(Mine, name, value)
    return Mine


@pytest.mark.filterwarnings("ignore:.*returned `None`")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_step_that_cannot_be_batched(agree, tiny, net, step):
    session = agree(tiny(module_with(net, step)))
    assert "\n" not in session.reason
    assert session.reason.startswith("Mine")
    assert session._members == {}
    assert re.search(STEPS[step], session.reason), session.reason


@pytest.mark.parametrize("step", [appends, counts, counts_in_a_dict, counts_in_an_object])
def test_what_a_step_keeps_is_everybodys_where_it_is_equal(agree, tiny, net, step):
    session = agree(tiny(module_with(net, step)), seeds=2)
    assert session.reason == ""
    for module in session.modules().values():  # 3 epochs of 2 batches
        counted = (len(module.state["list"]), getattr(module, "_calls", 0), module.state["calls"], module.holder.calls)
        assert counted == {appends: (6, 0, 1, 0), counts: (0, 6, 1, 0), counts_in_a_dict: (0, 0, 7, 0)}.get(
            step, (0, 0, 1, 6)
        )


class HookedWeight(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 4)
        self.weight.register_hook(lambda grad: grad * 2)


class HookedLayer(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 4)
        self.register_full_backward_hook(lambda module, before, after: (before[0] * 2,))


class WatchedActivation(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4), nn.ReLU())
        self[1].register_forward_hook(lambda module, before, after: 2 * after)


class Checkpointed(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from torch.utils.checkpoint import checkpoint

        return checkpoint(super().forward, x, use_reentrant=False)


LAYERS = {
    "gradient hook": (HookedWeight, r"second\.weight has a hook on its gradient"),
    "backward hook": (HookedLayer, r"second has a hook on its backward pass"),
    "hook on an activation": (WatchedActivation, r"second\.1 is an activation with a hook, which would see all"),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)), r"Batching rule|batching"),
    "checkpointed": (lambda: Checkpointed(4, 4), r"backward pass runs layers again, as torch.utils.checkpoint does"),
    "weights of a hook": (lambda: nn.utils.weight_norm(nn.Linear(4, 4)), r"holds a computed tensor, as torch.*_norm"),
    "recurrent": (lambda: nn.Sequential(nn.Unflatten(1, (1, 4)), First(), nn.Flatten()), r"aten::gru"),
    "cumulative batch norm": (lambda: nn.BatchNorm1d(4, momentum=None), r"\.item\(\)"),
    "scripted": (lambda: torch.jit.script(nn.Linear(4, 4)), r"cannot be batched"),
}


class First(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gru(x)[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_that_cannot_be_batched(tiny, net, layer):
    make, expected = LAYERS[layer]
    reason = why_not(tiny(module_with(net, second=make)), SessionOptions())
    assert re.search(expected, reason), reason


@pytest.mark.parametrize("times", [1, 2])
def test_an_optimiser_that_asks_for_the_loss_again(agree, tiny, net, times):
    class Sharp(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            for _ in range(times if closure else 0):
                closure()
            return super().step()

    session = agree(tiny(lambda: net(lambda module: Sharp(module.parameters(), lr=0.05))))
    assert session.reason == ("" if times == 1 else "Sharp.step asks for the loss 2 times, at other weights each time")


def test_lbfgs(agree, tiny, net):
    session = agree(tiny(lambda: net(lambda module: torch.optim.LBFGS(module.parameters(), lr=0.1, max_iter=2))))
    assert session.reason == "LBFGS.step asks for the loss 2 times, at other weights each time"


def test_several_loaders(tiny, rows, net):
    class Several(rows):
        def val_dataloader(self) -> Any:
            return [super().val_dataloader()] * 2

    assert why_not(tiny(make_datamodule=lambda seed: Several()), SessionOptions()) == (
        "Several.val_dataloader returns loaders in a list"
    )


@pytest.mark.parametrize(
    ("trainer", "reason"),
    [
        ({"max_steps": 5}, "trainer.max_steps=5"),
        ({"max_steps": -1, "strategy": "auto"}, ""),
        ({"barebones": True}, "trainer.barebones=True"),
        ({"val_check_interval": 0.5}, "trainer.val_check_interval=0.5"),
        ({"precision": "16-mixed"}, "trainer.precision=16-mixed"),
    ],
)
def test_trainer_arguments(tiny, trainer, reason):
    assert why_not(tiny(trainer=trainer), SessionOptions()) == reason


@pytest.mark.parametrize("population", [None, 4])
def test_a_hook_or_callback_runs_whatever_size_is_asked_for(tiny, net, mixed, population):
    calls: list[str] = []

    class Counter(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            calls.append("callback")

    hooked = module_with(net, on_train_batch_end=lambda self, *_: calls.append("hook"))
    for task in (tiny(hooked), tiny(net, make_callbacks=lambda: [Counter()])):
        session = PopulationSession(task, SessionOptions(population=population))
        session.start(mixed())
        session.advance()
    steps = 3 * 2 * 4  # epochs, batches, candidates
    assert calls == ["hook"] * steps + ["callback"] * steps
    assert session.reason == "the callback Counter watches a single training"
