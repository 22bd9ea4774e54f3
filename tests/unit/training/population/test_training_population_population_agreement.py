"""Whatever a module does in its step that can be batched, it trains in a population as it does alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate


def loss_of(self: Any, batch: Any) -> torch.Tensor:
    return F.mse_loss(self(batch[0])[:, 0], batch[1])


def logs_numbers(self: Any, batch: Any, batch_idx: int) -> Any:
    self.log("k", 3)
    self.log("rows", len(batch[0]), on_epoch=True, on_step=False, reduce_fx="max")
    self.log("index", float(batch_idx), on_epoch=True)
    return {"loss": loss_of(self, batch), "text": "beside it"}


def logs_a_metrics_value(self: Any, batch: Any, batch_idx: int) -> Any:
    value = self.accuracy(self(batch[0])[:, 0], (batch[1] > 0).int())
    self.log("value", value, on_step=False, on_epoch=True)
    return loss_of(self, batch)


def logs_what_a_collection_gives(self: Any, batch: Any, batch_idx: int) -> Any:
    self.log_dict(self.collection(self(batch[0])[:, 0], (batch[1] > 0).int()), on_epoch=True)
    return loss_of(self, batch)


def logs_a_collection(self: Any, batch: Any, batch_idx: int) -> Any:
    self.collection.update(self(batch[0])[:, 0], (batch[1] > 0).int())
    self.log_dict(self.collection, on_step=False, on_epoch=True)
    return loss_of(self, batch)


def updates_by_name(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    self.mean.update(loss.detach(), weight=len(batch[0]))
    self.log("mean", self.mean, on_step=False, on_epoch=True)
    return loss


def assigns_a_buffer(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    self.average = 0.9 * self.average + 0.1 * loss.detach()
    return loss * (1 + self.average)


def changes_a_buffer(self: Any, batch: Any, batch_idx: int) -> Any:
    self.count += 1
    return loss_of(self, batch) * (1 + self.count)


def skips_a_layer(self: Any, batch: Any, batch_idx: int) -> Any:
    if batch_idx % 2:
        return self.head(self.act1(self.first(batch[0]))).square().mean()
    return loss_of(self, batch)


def begins_late(self: Any, batch: Any, batch_idx: int) -> Any:
    if self.current_epoch == 0:
        return self.head(self.act1(self.first(batch[0]))).square().mean()
    return loss_of(self, batch) * (1 + self.global_step)


def mixes_rows_up(self: Any, batch: Any, batch_idx: int) -> Any:
    share, order = torch.rand(()) * np.random.beta(1, 1), torch.randperm(len(batch[0]))
    x, y = [share * part + (1 - share) * part[order] for part in batch]
    return loss_of(self, (x, y))


STEPS = [
    logs_numbers,
    logs_a_metrics_value,
    logs_what_a_collection_gives,
    logs_a_collection,
    updates_by_name,
    assigns_a_buffer,
    changes_a_buffer,
    skips_a_layer,
    begins_late,
    mixes_rows_up,
]


def module_with(net: type, **attributes: Any) -> type:
    """The tiny module with metrics, buffers, and attributes of its class."""

    class Mine(net):
        def __init__(self) -> None:
            super().__init__()
            self.accuracy, self.mean = BinaryAccuracy(), MeanMetric()
            self.collection = MetricCollection([BinaryAccuracy(), BinaryAUROC()], prefix="train_")
            self.register_buffer("average", torch.tensor(0.0))
            self.register_buffer("count", torch.tensor(0))
            self.register_buffer("waves", torch.ones(2, dtype=torch.complex128), persistent=False)
            if hasattr(self, "make_second"):
                self.second = self.make_second()

    for name, value in attributes.items():
        setattr(Mine, name, value)
    return Mine


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("trainer", [{}, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.05}], ids=["", "clip"])
def test_a_step(agree, tiny, net, step, trainer):
    session = agree(tiny(module_with(net, training_step=step), trainer=trainer))
    assert session.reason == ""
    assert len(session._populations) == 1


LAYERS = {
    "layer norm": lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)),
    "rms norm": lambda: nn.Sequential(nn.Linear(4, 4), nn.RMSNorm(4)),
    "frozen batch norm": lambda: nn.BatchNorm1d(4).eval(),
    "batch norm without statistics": lambda: nn.BatchNorm1d(4, track_running_stats=False),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
    "convolution": lambda: nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Conv1d(2, 2, 3, padding=1), nn.Flatten()),
    "attention": lambda: nn.Sequential(nn.Unflatten(1, (2, 2)), Attention(), nn.Flatten()),
    "alpha dropout": lambda: nn.AlphaDropout(0.3),
}


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(2, 1, batch_first=True, dropout=0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


@pytest.mark.filterwarnings("ignore:Found 1 module.s. in eval mode")
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of torch: members one by one in that layer
@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer(agree, tiny, net, layer):
    session = agree(tiny(module_with(net, make_second=staticmethod(LAYERS[layer]))))
    assert session.reason == ""


def test_only_what_the_optimiser_steps_is_clipped(agree, tiny, net):
    make = lambda: net(lambda module: torch.optim.SGD(module.head.parameters(), lr=0.1))  # noqa: E731
    agree(tiny(make, trainer={"gradient_clip_val": 0.01}))


def test_candidates_may_name_different_sites(agree, tiny):
    chosen = [
        {"act1": "prelu"},
        {"act2": "tanh"},
        {},
        {"act2": "gelu", "act1": "tanh"},
        {"act1": "tanh", "act2": "elu"},
    ]
    session = agree(tiny(), [(n, Candidate(Assignment(one))) for n, one in enumerate(chosen)])
    assert [[m.number for m in p.all] for p in session._populations] == [[0], [1], [2], [3, 4]]


def test_a_stochastic_activation_trains_alone(agree, tiny):
    # How many numbers rrelu draws depends on its inputs.
    pairs = [("rrelu", "relu"), ("rrelu", "tanh"), ("tanh", "relu"), ("relu", "relu")]
    given = [(n, Candidate(Assignment({"act1": a, "act2": b}))) for n, (a, b) in enumerate(pairs)]
    session = agree(tiny(), given)
    assert [[m.number for m in p.all] for p in session._populations] == [[0], [1], [2, 3]]


def test_hooks_of_the_validation_log_for_their_member(agree, tiny, net):
    def begin(self: Any) -> None:
        self.losses: list[Any] = []

    def validate(self: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(loss_of(self, batch))
        self.log("by_step", loss_of(self, batch), on_step=True, on_epoch=True)

    def end(self: Any) -> None:
        self.log("val_loss", torch.stack(self.losses).mean())
        if self.current_epoch == 1 and self.head.bias.item() > 0.2:
            self.trainer.should_stop = True

    hooks = {"on_validation_epoch_start": begin, "validation_step": validate, "on_validation_epoch_end": end}
    session = agree(tiny(module_with(net, **hooks)))
    assert session.reason == ""


@pytest.mark.parametrize("seeds", [1, 2])
def test_double_precision_of_the_trainer(agree, tiny, seeds):
    session = agree(tiny(trainer={"precision": "64-true"}), seeds=seeds)
    assert session.reason == ""
    assert {p.dtype for module in session.modules().values() for p in module.parameters()} == {torch.float64}
