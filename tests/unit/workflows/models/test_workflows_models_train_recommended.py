"""A recommended configuration trains as its search trained it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.recommendation import Policy, Recommendation
from autoact.tasks.task import Task
from autoact.workflows.models.train_recommended import ROWS, TrainedModel, train_recommended


class Net(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.head = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.first(x)))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.mse_loss(self(batch[0])[:, 0], batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0])[:, 0], batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.01)


class Rows(lightning.LightningDataModule):
    def train_dataloader(self) -> Any:
        x = torch.linspace(-1, 1, 24).reshape(8, 3)
        return DataLoader(TensorDataset(x, x[:, 0]), batch_size=4)

    val_dataloader = train_dataloader


class Groups(Callback):
    """What the optimiser's groups hold at the first step."""

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.seen = [(g["lr"], g["weight_decay"], len(g["params"])) for g in trainer.optimizers[0].param_groups]


SITE = {"current": "relu", "shape": [2, 4], "channels": 4, "channel_dim": -1}


def task_of(*callbacks: Callback) -> Task:
    return Task(
        name="tiny",
        make_module=Net,
        make_datamodule=lambda seed: Rows(),
        monitor="val_loss",
        mode="min",
        quality_unit="loss",
        example_input=torch.zeros(2, 3),
        make_input=lambda size: torch.zeros(size, 3),
        trainer={"max_epochs": 2},
        make_callbacks=lambda: list(callbacks),
    )


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_weights_of_activations_train_at_the_rate_that_the_file_says(rows: str, rate: float) -> None:
    watch = Groups()
    policy = Policy(True, Assignment({"act": "prelu"}), {"learning_rate": 0.02, "weight_decay": 0.3}, 2, "better")
    made = Recommendation("tiny", "2026-01-01", "v", {}, {"quality": policy}, policy, {"act": SITE})
    made = Recommendation(**{**vars(made), "activation_rate": rate})
    trained = train_recommended(task_of(watch), made, None, device=torch.device("cpu"), rows=rows)
    assert trained.record.epochs == 2
    others = [(0.02, 0.3, 5)] if rate == 1.0 else [(0.02, 0.3, 4), (pytest.approx(0.002), 0.0, 1)]
    assert watch.seen == others


def recommended_with_dropout(module: Callable[[], Net], rows: str, dropout: float) -> tuple[float, TrainedModel]:
    """The dropout that was in force in the first step, and what was trained."""
    watch = Dropped()
    task = replace(task_of(watch), make_module=module)
    policy = Policy(True, Assignment({"act": "tanh"}), {"learning_rate": 0.02, "dropout": dropout}, 2, "better")
    made = Recommendation("tiny", "2026-01-01", "v", {}, {"quality": policy}, policy, {"act": SITE})
    trained = train_recommended(task, made, None, device=torch.device("cpu"), rows=rows)
    return watch.seen, trained


class Dropped(Callback):
    """What the head drops at the first step."""

    def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
        self.seen = module.head[0].p


class Dropping(Net):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 1))


@pytest.mark.parametrize("rows", ROWS)
def test_the_dropout_that_the_file_says_is_in_force(rows: str) -> None:
    seen, trained = recommended_with_dropout(Dropping, rows, 0.3)
    assert seen == 0.3
    assert trained.record.candidate.settings["dropout"] == 0.3


@pytest.mark.parametrize("rows", ROWS)
def test_a_dropout_that_the_network_cannot_have_is_refused(rows: str) -> None:
    with pytest.raises(AutoactError, match=r"^dropout=0\.3 cannot be set: Net has no nn\.Dropout layer, as the sea"):
        recommended_with_dropout(Net, rows, 0.3)


@pytest.mark.parametrize("rows", ROWS)
def test_an_ensemble_averages_trainings_under_seeds_of_their_own(rows: str) -> None:
    policy = Policy(True, Assignment({"act": "tanh"}), {"learning_rate": 0.02}, 2, "better")
    site = {"current": "relu", "shape": [2, 4], "channels": 4, "channel_dim": -1}
    made = Recommendation("tiny", "2026-01-01", "v", {}, {"quality": policy}, policy, {"act": site})
    cpu, x = torch.device("cpu"), torch.randn(5, 3)
    ensemble = train_recommended(task_of(), made, None, device=cpu, rows=rows, seed=7, ensemble=3)
    alone = [train_recommended(task_of(), made, None, device=cpu, rows=rows, seed=seed) for seed in (7, 8, 9)]
    assert [one.candidate.seed for one in ensemble.records] == [7, 8, 9]
    assert [one.quality for one in ensemble.records] == [one.record.quality for one in alone]
    outputs = torch.stack([one.module(x) for one in alone])
    assert torch.allclose(ensemble.module(x), outputs.mean(0), atol=1e-6)
    assert outputs.std(0).max() > 1e-3, "seeds differ"
