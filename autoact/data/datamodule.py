"""Batches of prepared data for Lightning, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Protocol

import lightning
import numpy as np
import torch

from autoact.core.errors import AutoactError
from autoact.data.part import Part

Batch = tuple[torch.Tensor, torch.Tensor]
_EVALUATION_ROWS = 4096


def epoch_order(rows: int, seed: int, epoch: int) -> torch.Tensor:
    """The order of the training rows in one epoch.

    A resumed run sees what it would have seen, and so does every member of a population.

    **Shape**: ``[rows]``, int64.

    Example:
        >>> bool((epoch_order(100, seed=0, epoch=3) == epoch_order(100, seed=0, epoch=3)).all())
        True
        >>> bool((epoch_order(100, seed=0, epoch=3) == epoch_order(100, seed=0, epoch=4)).all())
        False
    """
    state = np.random.SeedSequence([seed, epoch]).generate_state(1, dtype=np.uint64)
    generator = torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
    return torch.randperm(rows, generator=generator)


class BatchOrder:
    """Which rows make up which batch; Lightning tells it the epoch through ``set_epoch``.

    A last batch of a single row is left out: batch norm cannot train on one row. It is another row each epoch.

    Args:
        seed: of the shuffling; None keeps the rows in order.
        device: where shuffled row numbers are handed out; they are drawn on the CPU, the same for every device.
    """

    def __init__(self, rows: int, batch_size: int, seed: int | None, device: torch.device | None = None) -> None:
        self.device = device
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Fix the epoch that the next pass belongs to."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Row numbers of each batch; the next pass is the next epoch unless ``set_epoch`` says otherwise."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        if self.seed is None:
            return iter(torch.arange(self.rows).split(self.batch_size))
        order = epoch_order(self.rows, self.seed, epoch)
        order = order if self.device is None else order.to(self.device)
        return iter(order.split(self.batch_size)[: len(self)])

    def __len__(self) -> int:
        whole, rest = divmod(self.rows, self.batch_size)
        alone = self.seed is not None and rest == 1 and whole > 0
        return whole + (1 if rest and not alone else 0)


class TensorBatches:
    """Batches cut from tensors by index: no worker processes, no row-by-row collation.

    It is not a ``torch.utils.data.DataLoader``, which adds work per batch and, without workers, a warning of
    Lightning's. Lightning takes any iterable with a length and calls ``sampler.set_epoch`` before each epoch;
    ``order`` is the same object.

    Example:
        >>> part = Part(torch.arange(5.0)[:, None], torch.arange(5), np.arange(5))
        >>> [y.tolist() for _, y in TensorBatches(part, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, part: Part, batch_size: int, seed: int | None = None, device: torch.device | None = None
    ) -> None:
        """Cut ``part``, which lies on ``device``, into batches; shuffled where a ``seed`` is given."""
        self.part = part
        self.batch_size = batch_size
        self.order = BatchOrder(len(part), batch_size, seed, device)
        if seed is not None:
            # By these names Lightning finds whom to tell the epoch; a loader without them counts as not shuffled.
            self.sampler = self.order
            self.batch_sampler = None

    def __iter__(self) -> Iterator[Batch]:
        shuffled = self.order.seed is not None
        for rows in self.order:
            if shuffled:
                yield self.part.x[rows], self.part.y[rows]
            else:
                span = slice(int(rows[0]), int(rows[-1]) + 1)
                yield self.part.x[span], self.part.y[span]

    def __len__(self) -> int:
        return len(self.order)


class Resident:
    """Parts that were copied to a GPU once, for batches that are cut there: no copy per batch.

    Copies are shared by all that hold the same part, and go when the last of its datamodules goes.
    """

    def __init__(self, share: float = 0.25) -> None:
        """Take no more than this share of the device's free memory for one part."""
        self.share = share
        self._copies: weakref.WeakKeyDictionary[Part, Part] = weakref.WeakKeyDictionary()

    def part(self, part: Part, device: torch.device) -> Part | None:
        """The part on ``device``; None where it does not fit into the share, or where the device is the part's own."""
        if part.x.device == device or part.y.device == device:
            return None
        copied = self._copies.get(part)
        if copied is not None and copied.x.device == device:
            return copied
        size = sum(tensor.numel() * tensor.element_size() for tensor in (part.x, part.y))
        if size > self.share * free_memory(device):
            return None
        copied = Part(part.x.to(device), part.y.to(device), part.rows, part.series)
        self._copies[part] = copied
        return copied


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU; 0 on other devices, whose batches are not worth a copy.

    Example:
        >>> free_memory(torch.device("cpu"))
        0
    """
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


_RESIDENT = Resident()


class _Sealed(Protocol):
    @property
    def part(self) -> Part: ...


class Parts(Protocol):
    """Training, validation and test rows: ``PreparedData``, or what an opened test set hands out."""

    @property
    def train(self) -> Part:
        """Rows to learn from."""

    @property
    def validation(self) -> Part:
        """Rows to choose by."""

    @property
    def test(self) -> _Sealed:
        """Rows for the final check."""


class TensorDataModule(lightning.LightningDataModule):
    """Prepared data for a Lightning trainer; batches are ``(x, y)``.

    Args:
        prepared: what ``prepare`` gave.
        seed: of the order of the training rows, 0 or more.

    Raises:
        AutoactError: a batch size below 1 or a seed below 0.

    Example:
        >>> from autoact.data.prepare import prepare
        >>> from autoact.data.settings import DataSettings
        >>> module = TensorDataModule(prepare(DataSettings(source="sklearn", name="wine"), "classification"), 32)
        >>> x, y = next(iter(module.train_dataloader()))
        >>> tuple(x.shape), y.dtype
        ((32, 13), torch.int64)
    """

    def __init__(self, prepared: Parts, batch_size: int = 128, seed: int = 0) -> None:
        super().__init__()
        if batch_size < 1:
            raise AutoactError(f"batch_size={batch_size} must be 1 or more")
        if seed < 0:
            raise AutoactError(f"seed={seed} must be 0 or more")
        self.prepared = prepared
        self.batch_size = batch_size
        self.seed = seed
        self._device: torch.device | None = None

    def train_dataloader(self) -> TensorBatches:
        """Shuffled training rows."""
        return self._batches(self.prepared.train, self.batch_size, self.seed)

    def val_dataloader(self) -> TensorBatches:
        """Validation rows in large batches, in order."""
        return self._batches(self.prepared.validation, max(self.batch_size, _EVALUATION_ROWS))

    def place(self, device: torch.device) -> None:
        """Where a training will want its batches; known from the Trainer without this."""
        self._device = device

    def _batches(self, part: Part, batch_size: int, seed: int | None = None) -> TensorBatches:
        """Batches of a part, cut on the device of the training where the part fits there."""
        device = self._device
        if device is None and self.trainer is not None:
            device = self.trainer.strategy.root_device
        resident = None if device is None else _RESIDENT.part(part, device)
        if resident is None:
            return TensorBatches(part, batch_size, seed)
        return TensorBatches(resident, batch_size, seed, device)

    def test_dataloader(self) -> TensorBatches:
        """Test rows in large batches, in order.

        Raises:
            SealedError: the test part was not opened by ``prepared.test.open(reason)``.
        """
        return TensorBatches(self.prepared.test.part, max(self.batch_size, _EVALUATION_ROWS))
