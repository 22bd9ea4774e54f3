"""Batches: an order by seed and epoch, with Lightning and without, resumed or not."""

from __future__ import annotations

import gc
import logging
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch import nn

from autoact.core.errors import AutoactError, SealedError
from autoact.data import datamodule
from autoact.data.datamodule import TensorBatches, TensorDataModule, epoch_order
from autoact.data.part import Part
from autoact.data.prepare import prepare
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import DataSettings

# Lightning 2.6 asks torch 2.13 in a way that torch will drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")


@pytest.fixture(scope="module")
def prepared() -> PreparedData:
    return prepare(DataSettings(source="sklearn", name="wine"), "classification")


class Recorder(lightning.LightningModule):
    """Notes the first input of every row that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(13, 3)
        self.seen: dict[int, list[torch.Tensor]] = {}

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        x, y = batch
        self.seen.setdefault(self.current_epoch, []).append(x)
        return nn.functional.cross_entropy(self.layer(x), y)

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        self.validated = len(batch[0])

    def test_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        self.tested = len(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def _trainer(folder: Path, epochs: int) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    return lightning.Trainer(max_epochs=epochs, default_root_dir=folder, enable_checkpointing=False, **quiet)


def test_lightning_sees_the_order_of_seed_and_epoch(prepared: PreparedData, tmp_path: Path) -> None:
    model, data = Recorder(), TensorDataModule(prepared, batch_size=32, seed=5)
    _trainer(tmp_path, 3).fit(model, data)
    for epoch in range(3):
        expected = prepared.train.x[epoch_order(len(prepared.train), 5, epoch)]
        assert torch.equal(torch.cat(model.seen[epoch]), expected)
    assert model.validated == len(prepared.validation)


def test_a_resumed_run_sees_the_same_batches(prepared: PreparedData, tmp_path: Path) -> None:
    first = Recorder()
    trainer = _trainer(tmp_path, 2)
    trainer.fit(first, TensorDataModule(prepared, batch_size=32, seed=5))
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed = Recorder()
    _trainer(tmp_path, 4).fit(
        resumed, TensorDataModule(prepared, batch_size=32, seed=5), ckpt_path=tmp_path / "half.ckpt"
    )
    assert sorted(resumed.seen) == [2, 3]
    for epoch, batches in resumed.seen.items():
        assert torch.equal(torch.cat(batches), prepared.train.x[epoch_order(len(prepared.train), 5, epoch)])


def test_testing_is_refused_until_the_part_was_opened(tmp_path: Path) -> None:
    fresh = prepare(DataSettings(source="sklearn", name="wine"), "classification")
    data, model = TensorDataModule(fresh), Recorder()
    with pytest.raises(SealedError):
        _trainer(tmp_path, 1).test(model, data, verbose=False)
    fresh.test.open("final check")
    _trainer(tmp_path, 1).test(model, data, verbose=False)
    assert model.tested == fresh.test.size


def _numbers(rows: int) -> Part:
    return Part(torch.arange(float(rows))[:, None], torch.arange(rows), np.arange(rows))


def test_a_bare_loop_moves_on_to_the_next_epoch() -> None:
    batches = TensorBatches(_numbers(20), 8, seed=1)
    first, second = ([y for _, y in batches] for _ in range(2))
    assert [len(y) for y in first] == [8, 8, 4] and len(batches) == 3
    assert torch.equal(torch.cat(first), epoch_order(20, 1, 0))
    assert torch.equal(torch.cat(second), epoch_order(20, 1, 1))
    batches.order.set_epoch(0)
    assert torch.equal(torch.cat([y for _, y in batches]), torch.cat(first))


def test_every_row_comes_once_and_with_its_target() -> None:
    x, y = (torch.cat(part) for part in zip(*TensorBatches(_numbers(50), 8, seed=3), strict=True))
    assert torch.equal(x[:, 0].long(), y) and sorted(y.tolist()) == list(range(50))


def test_a_single_last_row_is_left_out_of_training_only() -> None:
    shuffled, in_order = TensorBatches(_numbers(17), 8, seed=0), TensorBatches(_numbers(17), 8)
    assert [len(y) for _, y in shuffled] == [8, 8] and len(shuffled) == 2
    assert [len(y) for _, y in in_order] == [8, 8, 1] and len(in_order) == 3
    assert [len(y) for _, y in TensorBatches(_numbers(1), 8, seed=0)] == [1]


def test_orders_differ_between_seeds_and_epochs_and_not_otherwise() -> None:
    orders = {tuple(epoch_order(40, seed, epoch).tolist()) for seed in range(6) for epoch in range(6)}
    assert len(orders) == 36
    state = torch.random.get_rng_state()
    epoch_order(40, 0, 0)
    assert torch.equal(state, torch.random.get_rng_state())


def test_bad_settings(prepared: PreparedData) -> None:
    with pytest.raises(AutoactError, match="batch_size=0"):
        TensorDataModule(prepared, batch_size=0)
    with pytest.raises(AutoactError, match="seed=-1"):
        TensorDataModule(prepared, seed=-1)


def _part(rows: int = 6) -> Part:
    return Part(torch.arange(float(rows))[:, None], torch.arange(rows), np.arange(rows))


def test_a_part_that_fits_is_copied_to_the_device_once(monkeypatch):
    monkeypatch.setattr(datamodule, "free_memory", lambda device: 4 * (6 * 4 + 6 * 8))
    part, meta, resident = _part(), torch.device("meta"), datamodule.Resident(share=0.25)
    copied = resident.part(part, meta)
    assert copied is not None
    assert (copied.x.device, copied.y.device) == (meta, meta)
    assert resident.part(part, meta) is copied
    assert resident.part(_part(7), meta) is None, "larger than the share"
    assert resident.part(copied, meta) is None, "there already"


def test_nothing_is_copied_where_training_is_on_the_cpu():
    assert datamodule.Resident().part(_part(), torch.device("cpu")) is None
    assert datamodule.free_memory(torch.device("cpu")) == 0


def test_a_copy_goes_with_its_part(monkeypatch):
    monkeypatch.setattr(datamodule, "free_memory", lambda device: 1 << 30)
    part, resident = _part(), datamodule.Resident()
    copy = weakref.ref(resident.part(part, torch.device("meta")))
    assert copy() is not None
    del part
    gc.collect()
    assert copy() is None


def test_batches_are_cut_on_the_device_in_the_same_order(monkeypatch):
    monkeypatch.setattr(datamodule, "free_memory", lambda device: 1 << 30)
    meta = torch.device("meta")
    prepared: Any = SimpleNamespace(train=_part(), validation=_part())
    module = TensorDataModule(prepared, batch_size=4, seed=3)
    module.place(meta)
    assert [tuple(x.shape) for x, _ in module.train_dataloader()] == [(4, 1), (2, 1)]
    assert {tensor.device for batch in module.train_dataloader() for tensor in batch} == {meta}
    assert {tensor.device for batch in module.val_dataloader() for tensor in batch} == {meta}
    assert [rows.device for rows in module.train_dataloader().order] == [meta, meta]
    plain = TensorDataModule(prepared, batch_size=4, seed=3)
    plain.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=meta))  # type: ignore[assignment]
    assert {tensor.device for batch in plain.train_dataloader() for tensor in batch} == {meta}
