"""Modules of ``pytorch_lightning`` are trained by ``lightning``'s Trainer, as their own code says."""

from __future__ import annotations

import copy
from typing import Any

import cloudpickle
import lightning
import pytest
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden

from autoact.faces.adopted import adopted

other = pytest.importorskip("pytorch_lightning")
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*training batches.*")


def made() -> Any:
    class Old(other.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.epochs_seen = torch.nn.Linear(2, 1), 0

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            loss = self.layer(batch[0]).square().mean()
            self.log("train_loss", loss, on_epoch=True)
            return loss

        def on_train_epoch_end(self) -> None:
            super().on_train_epoch_end()
            self.epochs_seen += 1

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Old()


def test_only_the_users_own_hooks_are_overridden() -> None:
    module = adopted(made(), lightning.LightningModule)
    hooks = [name for name in dir(lightning.LightningModule) if name.startswith(("on_", "configure_", "training_step"))]
    hooks = [name for name in hooks if callable(getattr(lightning.LightningModule, name))]
    mine = [name for name in hooks if is_overridden(name, module, lightning.LightningModule)]
    assert sorted(mine) == ["configure_optimizers", "on_train_epoch_end", "training_step"]


def test_it_trains_and_travels() -> None:
    module = adopted(made(), lightning.LightningModule)
    rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 2)), batch_size=4)
    for one in (module, copy.deepcopy(module), cloudpickle.loads(cloudpickle.dumps(module))):
        trainer = lightning.Trainer(
            max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu"
        )
        before = one.layer.weight.detach().clone()
        trainer.fit(one, rows)
        assert one.epochs_seen == 2 and "train_loss" in trainer.callback_metrics
        assert not torch.equal(one.layer.weight, before)


def test_others_stay_as_they_are() -> None:
    plain, mine = torch.nn.Linear(1, 1), lightning.LightningModule()
    assert adopted(plain, lightning.LightningModule) is plain and type(plain) is torch.nn.Linear
    assert adopted(mine, lightning.LightningModule) is mine and type(mine) is lightning.LightningModule
    assert type(adopted(made(), lightning.LightningDataModule)).__mro__[1] is not lightning.LightningDataModule


def test_modules_of_one_class_stay_of_one_class() -> None:
    one = made()
    two = copy.deepcopy(one)
    assert type(adopted(one, lightning.LightningModule)) is type(adopted(two, lightning.LightningModule))
