"""Modules of other people that train as populations: lightning-hydra-template's, and Lightning's own example."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.demos.transformer import Transformer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import BinaryAccuracy

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.training.lightning_session import SessionOptions
from autoact.training.population.eligibility import why_not


class Template(lightning.LightningModule):
    """As lightning-hydra-template has it: metrics as attributes, hooks that reset them, a setup that compiles."""

    def __init__(self, compiled: bool = False) -> None:
        super().__init__()
        net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
        self.save_hyperparameters(logger=False)
        self.net = net
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.train_acc, self.val_acc, self.val_acc_best = BinaryAccuracy(), BinaryAccuracy(), MaxMetric()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[:, 0]

    def on_train_start(self) -> None:
        self.val_loss.reset()
        self.val_acc.reset()
        self.val_acc_best.reset()

    def model_step(self, batch: Any) -> Any:
        x, y = batch
        logits, target = self.forward(x), (y > 0).to(x.dtype)
        return F.binary_cross_entropy_with_logits(logits, target), (logits > 0).int(), target.int()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss, preds, targets = self.model_step(batch)
        self.train_loss(loss)
        self.train_acc(preds, targets)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Lightning hook that is called when a training epoch ends."""
        pass

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loss, preds, targets = self.model_step(batch)
        self.val_loss(loss)
        self.val_acc(preds, targets)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("val/acc", self.val_acc, on_step=False, on_epoch=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.val_acc_best(self.val_acc.compute())
        self.log("val/acc_best", self.val_acc_best.compute(), sync_dist=True, prog_bar=True)

    def setup(self, stage: str) -> None:
        if self.hparams.compiled and stage == "fit":
            self.net = torch.compile(self.net)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.trainer.model.parameters(), lr=0.01)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/loss"}}


def at(site: str, *names: str, seeds: int = 1) -> list[tuple[int, Candidate]]:
    """A candidate for each activation."""
    return [(n, Candidate(Assignment({site: name}), {}, n % seeds)) for n, name in enumerate(names)]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_module_of_lightning_hydra_template(agree, tiny, seeds):
    task = tiny(Template, monitor="val/loss")
    session = agree(task, at("net.2", "relu", "tanh", "prelu", "gelu", seeds=seeds))
    assert session.reason == ""
    assert {"train/acc", "val/acc_best"} <= set(session.records()[0].metrics)


def test_one_that_compiles(tiny):
    reason = why_not(tiny(lambda: Template(compiled=True), monitor="val/loss"), SessionOptions())
    assert reason == "Template: setup makes or replaces layers"


class Language(lightning.LightningModule):
    """Lightning's own transformer example with a validation: its masks are cached on the module."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Transformer(vocab_size=11, ninp=8, nhead=2, nhid=8, nlayers=1)

    def forward(self, inputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.model(inputs, target)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return F.nll_loss(self(*batch), batch[1].view(-1))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.nll_loss(self(*batch), batch[1].view(-1)))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.model.parameters(), lr=0.1)


class Words(lightning.LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        words = torch.randint(11, (24, 6), generator=torch.Generator().manual_seed(0))
        self.rows = TensorDataset(words[:, :-1], words[:, 1:])

    def train_dataloader(self) -> Any:
        return DataLoader(self.rows, batch_size=8, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.rows, batch_size=8)


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_transformer_example_of_lightning(agree, tiny, part, seeds):
    words = torch.zeros(2, 5, dtype=torch.long)
    task = tiny(Language, make_datamodule=lambda seed: Words(), example_input=(words, words))
    site = f"model.transformer.{part}.layers.0.activation"
    session = agree(task, at(site, "relu", "tanh", "gelu", "prelu", seeds=seeds))
    assert session.reason == ""
    assert len(session._members) == 4
