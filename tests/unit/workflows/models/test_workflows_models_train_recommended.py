"""A recommended configuration trains as its search trained it."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autoact.core.assignment import Assignment
from autoact.recommendation import Policy, Recommendation
from autoact.tasks.task import Task
from autoact.workflows.models.train_recommended import ROWS, train_recommended


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


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_weights_of_activations_train_at_the_rate_that_the_file_says(rows: str, rate: float) -> None:
    watch = Groups()
    task = Task(
        name="tiny",
        make_module=Net,
        make_datamodule=lambda seed: Rows(),
        monitor="val_loss",
        mode="min",
        quality_unit="loss",
        example_input=torch.zeros(2, 3),
        make_input=lambda size: torch.zeros(size, 3),
        trainer={"max_epochs": 2},
        make_callbacks=lambda: [watch],
    )
    policy = Policy(True, Assignment({"act": "prelu"}), {"learning_rate": 0.02, "weight_decay": 0.3}, 2, "better")
    site = {"current": "relu", "shape": [2, 4], "channels": 4, "channel_dim": -1}
    made = Recommendation("tiny", "2026-01-01", "v", {}, {"quality": policy}, policy, {"act": site})
    made = Recommendation(**{**vars(made), "activation_rate": rate})
    trained = train_recommended(task, made, None, device=torch.device("cpu"), rows=rows)
    assert trained.record.epochs == 2
    others = [(0.02, 0.3, 5)] if rate == 1.0 else [(0.02, 0.3, 4), (pytest.approx(0.002), 0.0, 1)]
    assert watch.seen == others
