"""A network that nobody here wrote, in a LightningModule with data to train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

ROWS, BATCH = 12, 4


@dataclass(frozen=True)
class Subject:
    """What is searched.

    Attributes:
        make_module: returns a fresh LightningModule.
        datamodule: its data.
        monitor: the validation loss that it logs.
        callbacks: returns fresh callbacks for one training.
    """

    make_module: Callable[[], Any]
    datamodule: Any
    monitor: str = "val_loss"
    callbacks: Callable[[], Sequence[Any]] = tuple


class Loaders(lightning.LightningDataModule):
    """The same kind of loader for training, validation and test rows."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self.make = make

    def train_dataloader(self) -> Any:
        return self.make()

    val_dataloader = test_dataloader = train_dataloader


def rows_of(*tensors: Tensor) -> Loaders:
    """Rows in batches."""
    dataset: Dataset[Any] = TensorDataset(*tensors)
    return Loaders(lambda: DataLoader(dataset, batch_size=BATCH))


def first_tensor(out: Any) -> Tensor:
    """What a network returned, or the first tensor in it, as floating-point numbers."""
    if isinstance(out, Tensor):
        return out if out.is_floating_point() else out.float()
    return first_tensor(next(iter(out.values() if isinstance(out, Mapping) else out)))


class Regression(lightning.LightningModule):
    """A network as it is, and the squared error of the mean of its first output; batches are ``(x, y)``."""

    def __init__(self, net: nn.Module, key: str | None = None) -> None:
        super().__init__()
        self.net, self.key = net, key

    def forward(self, x: Any) -> Tensor:
        return first_tensor(self.net(x) if self.key is None else self.net(**{self.key: x}, return_dict=False))

    def loss(self, batch: Any) -> Tensor:
        """Of a batch."""
        x, y = batch
        return ((self(x).flatten(1).mean(1) - y) ** 2).mean()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def drawn(*shape: int) -> Tensor:
    """Normal numbers, the same ones each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def of_images(make: Callable[[], nn.Module], size: int = 64, channels: int = 3) -> Subject:
    """A network that takes images."""
    return Subject(lambda: Regression(make()), rows_of(drawn(ROWS, channels, size, size), drawn(ROWS)))
