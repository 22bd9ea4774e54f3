"""Modules of ``pytorch_lightning`` are trained by ``lightning``'s Trainer, as their own code says."""

from __future__ import annotations

import copy
from typing import Any

import cloudpickle
import lightning
import pytest
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden

import autoact
from autoact.integrations.lightning.callback import load_from_checkpoint
from autoact.user_code.lightning_task import lightning_task
from autoact.user_code.pytorch_lightning import adopted, is_of

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


class Rows(other.LightningDataModule):
    def setup(self, stage: str) -> None:
        self.rows = torch.utils.data.TensorDataset(torch.ones(8, 2), torch.ones(8, 1))

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(self.rows, batch_size=4)

    val_dataloader = test_dataloader = train_dataloader


class Validated(other.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))

    def forward(self, x: Any) -> Any:
        return self.layer(x)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self(batch[0]).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self(batch[0]).square().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Watches(other.Callback):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.seen.append(type(pl_module).__name__)


def test_callbacks_of_the_package_become_those_of_lightning() -> None:
    stop = adopted(other.callbacks.EarlyStopping("val_loss", patience=7, mode="max"), lightning.Callback)
    assert type(stop) is lightning.pytorch.callbacks.EarlyStopping and (stop.patience, stop.mode) == (7, "max")
    mine = adopted(Watches(), lightning.Callback)
    assert isinstance(mine, lightning.Callback) and type(mine).__name__ == "Watches"
    trainer = lightning.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
        callbacks=[stop, mine],
    )  # fmt: skip
    data = adopted(Rows(), lightning.LightningDataModule)
    data.setup("fit")
    trainer.fit(adopted(Validated(), lightning.LightningModule), data.train_dataloader(), data.val_dataloader())
    assert mine.seen == ["Validated"]


def test_a_whole_search_takes_them(tmp_path: Any) -> None:
    data = Rows()
    result = autoact.search(
        Validated, data, monitor="val_loss", mode="min", trials=2, candidates=["relu", "tanh"], objectives=["quality"],
        callbacks=lambda: [other.callbacks.EarlyStopping("val_loss"), Watches()], trainer={"max_epochs": 1},
        output=tmp_path, engine="inline", tracking="none", quiet=True, confirm=autoact.ConfirmSettings(seeds=2),
    )  # fmt: skip
    assert [record.status for record in result.records] == ["complete"] * 2
    assert type(data) is Rows  # the user's object stays as it is


def test_early_stopping_of_the_package_lets_candidates_train_together() -> None:
    task = lightning_task(
        Validated, Rows(), monitor="val_loss", mode="min",
        make_callbacks=lambda: [other.callbacks.EarlyStopping("val_loss")],
    )  # fmt: skip
    assert [type(one) for one in task.make_callbacks()] == [lightning.pytorch.callbacks.EarlyStopping]


def test_a_checkpoint_of_the_package_loads(tmp_path: Any) -> None:
    module = Validated()
    trainer = other.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    loaded = load_from_checkpoint(Validated, tmp_path / "one.ckpt")
    assert type(loaded) is Validated and torch.equal(loaded.layer[0].weight, module.layer[0].weight)
    assert not is_of(torch.nn.Linear, lightning.LightningModule)
