"""A tiny regression task: 16 training rows, 12 validation rows in two batches, two activations, plain SGD."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession


class Net(lightning.LightningModule):
    """Logs ``val_loss`` itself; ``optimiser`` builds what ``configure_optimizers`` returns."""

    def __init__(self, optimiser: Callable[[Any], Any] | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.act1 = nn.Linear(3, 4), nn.ReLU()
        self.second, self.act2 = nn.Linear(4, 4), nn.ReLU()
        self.head, self.dropout = nn.Linear(4, 1), nn.Dropout(dropout)
        self.optimiser = optimiser or (lambda net: torch.optim.Adam(net.parameters(), lr=0.02))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act2(self.second(self.dropout(self.act1(self.first(x))))))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = F.mse_loss(self(batch[0])[:, 0], batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0])[:, 0], batch[1]), batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        return self.optimiser(self)


class Rows(lightning.LightningDataModule):
    """Shuffled training rows; validation rows in batches of 8 and 4."""

    def __init__(self, part: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(part)
        self.x = torch.randn(28, 3, generator=draw)
        self.y = self.x[:, 0] * self.x[:, 1] + 0.1 * torch.randn(28, generator=draw)

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.x[:16], self.y[:16]), batch_size=8, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.x[16:], self.y[16:]), batch_size=8)


def task_of(make_module: Callable[[], Any] = Net, **changes: Any) -> Task:
    """The tiny task, with some attributes changed; trainer arguments are added to three epochs."""
    trainer = {"max_epochs": 3, **changes.pop("trainer", {})}
    task = {
        "name": "tiny",
        "make_module": make_module,
        "make_datamodule": lambda seed: Rows(),
        "monitor": "val_loss",
        "mode": "min",
        "quality_unit": "loss",
        "example_input": torch.zeros(2, 3),
        "make_input": lambda size: torch.zeros(size, 3),
        "trainer": trainer,
    }
    return Task(**{**task, **changes})


def candidate_of(act1: str = "relu", act2: str = "relu", *, seed: int = 0, **settings: float) -> Candidate:
    """A candidate of the tiny task."""
    return Candidate(Assignment({"act1": act1, "act2": act2}), settings, seed)


def _train(task: Any, candidate: Any, **options: Any) -> Any:
    """The run of one candidate, trained to the end."""
    session = LightningSession(task, SessionOptions(**options))
    session.start([(0, candidate)])
    session.advance()
    return session.runs[0]


def _scripted(net: type, values: list[float], name: str = "val_loss") -> type:
    """A module that logs the given validation values, one per epoch, and trains as ever."""

    class Scripted(net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log(name, torch.tensor(values[self.current_epoch]))

    return Scripted


@pytest.fixture
def train() -> Callable[..., Any]:
    return _train


@pytest.fixture
def scripted() -> Callable[..., type]:
    return _scripted


@pytest.fixture
def tiny() -> Callable[..., Task]:
    return task_of


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    return candidate_of


@pytest.fixture
def net() -> type[Net]:
    return Net


@pytest.fixture
def rows() -> type[Rows]:
    return Rows


CLOSE = 1e-9
MIXED = [("relu", "tanh"), ("tanh", "prelu"), ("gelu", "relu"), ("relu", "swish_beta")]


def _candidates(seeds: int = 1) -> list[tuple[int, Candidate]]:
    """Mixed assignments with learning rates of their own."""
    return [(n, candidate_of(*pair, seed=n % seeds, learning_rate=0.01 * (n + 1))) for n, pair in enumerate(MIXED)]


def _agree(task: Task, given: Any = None, *, seeds: int = 1, **options: Any) -> PopulationSession:
    """Train one by one and as a population; everything that is known has to agree."""
    given = given or _candidates(seeds)
    alone = LightningSession(task, SessionOptions(**options))
    together = PopulationSession(task, SessionOptions(**options))
    for session in (alone, together):
        session.start(given)
        session.advance()
    for one, other in zip(alone.records(), together.records(), strict=True):
        assert (one.number, one.status, one.reason) == (other.number, other.status, other.reason)
        assert (one.epochs, one.best_epoch) == (other.epochs, other.best_epoch)
        assert other.metrics == pytest.approx(one.metrics, rel=CLOSE, abs=CLOSE)
        for a, b in zip(one.curve, other.curve, strict=True):
            assert b == pytest.approx(a, rel=CLOSE, abs=CLOSE)
    for number, module in alone.modules().items():
        if alone.runs[number].finished:
            mine = together.modules()[number].state_dict()
            for name, value in module.state_dict().items():
                torch.testing.assert_close(mine[name], value, rtol=CLOSE, atol=CLOSE, msg=f"{number} {name}")
    return together


@pytest.fixture
def agree() -> Iterator[Callable[..., PopulationSession]]:
    """Compares both ways of training, in float64."""
    torch.set_default_dtype(torch.float64)
    yield _agree
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def mixed() -> Callable[..., list[tuple[int, Candidate]]]:
    return _candidates
