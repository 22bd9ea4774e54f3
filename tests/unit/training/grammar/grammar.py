"""A grammar of other people's Lightning code: modules, data and Trainers, put together from habits of their own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import lightning
import torch
from grammar_heads import BODIES, HEADS
from grammar_hooks import HOOKS
from grammar_modules import AVERAGES, STEPS, VALIDATIONS, AverageCallback, Base
from grammar_optimisers import OPTIMIZERS, SCHEDULES
from lightning.pytorch.callbacks import Callback, EarlyStopping, StochasticWeightAveraging
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset


class Rows(lightning.LightningDataModule):
    """Shuffled training rows; validation rows in batches of 8 and 4."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(28, 3, generator=draw)
        self.y = self.x[:, 0] * self.x[:, 1] + 0.1 * torch.randn(28, generator=draw)

    def loader(self, begin: int, end: int, **given: Any) -> Any:
        return DataLoader(TensorDataset(self.x[begin:end], self.y[begin:end]), batch_size=8, **given)

    def train_dataloader(self) -> Any:
        return self.loader(0, 16, shuffle=True)

    def val_dataloader(self) -> Any:
        return self.loader(16, 28)

    def test_dataloader(self) -> Any:
        return self.loader(20, 28)


class UnevenRows(Rows):
    def train_dataloader(self) -> Any:
        return self.loader(0, 14, shuffle=True)


class NamedRows(Rows):
    """Batches are mappings, with text in them."""

    def loader(self, begin: int, end: int, **given: Any) -> Any:
        rows = [{"x": self.x[i], "y": self.y[i], "id": f"row {i}"} for i in range(begin, end)]
        return DataLoader(rows, batch_size=8, **given)  # type: ignore[arg-type]


class AugmentedRows(Rows):
    """Rows are changed as they are read."""

    class Rows(Dataset):  # type: ignore[type-arg]
        def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
            self.x, self.y = x, y

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, index: int) -> Any:
            return self.x[index] * (1 + 0.01 * torch.randn(3)) + 0.01 * random.random(), self.y[index]

    def train_dataloader(self) -> Any:
        return DataLoader(self.Rows(self.x[:16], self.y[:16]), batch_size=8, shuffle=True)


class StreamedRows(Rows):
    class Rows(IterableDataset):  # type: ignore[type-arg]
        def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
            self.x, self.y = x, y

        def __iter__(self) -> Iterator[Any]:
            yield from zip(self.x, self.y, strict=True)

    def train_dataloader(self) -> Any:
        return DataLoader(self.Rows(self.x[:16], self.y[:16]), batch_size=8)


class ListedValidationRows(Rows):
    def val_dataloader(self) -> Any:
        return [self.loader(16, 24)]


class DictRows(Rows):
    """Two training loaders at once."""

    def train_dataloader(self) -> Any:
        return {"a": self.loader(0, 16, shuffle=True), "b": self.loader(0, 8)}


class TransferredRows(Rows):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return [batch[0] * 2, batch[1]]


DATA = (
    Rows, UnevenRows, NamedRows, AugmentedRows, StreamedRows, ListedValidationRows, DictRows, TransferredRows
)  # fmt: skip

TRAINERS: dict[str, Mapping[str, Any]] = {
    "": {},
    "clip norm": {"gradient_clip_val": 0.05},
    "clip value": {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    "accumulate": {"accumulate_grad_batches": 2},
    "accumulate 3": {"accumulate_grad_batches": 3},
    "every second": {"check_val_every_n_epoch": 2, "max_epochs": 4},
    "limits": {"limit_train_batches": 1, "limit_val_batches": 1},
    "share": {"limit_val_batches": 0.5, "num_sanity_val_steps": 1},
    "least": {"min_epochs": 2, "log_every_n_steps": 1},
    "steps": {"max_steps": 5, "max_epochs": -1},
    "often": {"val_check_interval": 1},
}
CALLBACKS: dict[str, Callable[[], Sequence[Callback]]] = {
    "": list,
    "early": lambda: [EarlyStopping("val_loss", patience=1, min_delta=0.1)],
    "early train": lambda: [EarlyStopping("train_loss", patience=1, check_on_train_epoch_end=True, strict=False)],
    "average": lambda: [AverageCallback()],
    "swa": lambda: [StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=1)],
}


@dataclass(frozen=True)
class Habits:
    """What one module is put together from; the first of everything is the plainest.

    Attributes:
        hooks: of ``HOOKS``, in the order of their classes.
    """

    body: str = "Plain"
    head: str = "Head"
    step: type[Base] = Base
    validation: type[Base] = Base
    average: type[Base] = Base
    optimizer: type[Base] = Base
    schedule: type[Base] = Base
    hooks: tuple[type[Base], ...] = ()
    data: type[Rows] = Rows
    trainer: str = ""
    callbacks: str = ""

    def __str__(self) -> str:
        """What differs from the plainest, in words."""
        said = [getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default]
        flat = [part for one in said for part in (one if isinstance(one, tuple) else (one,))]
        return "+".join(getattr(part, "__name__", str(part)).replace(" ", "_") for part in flat) or "plain"

    def make_module(self) -> Base:
        """A fresh module."""
        parts = (*self.hooks, self.schedule, self.optimizer, self.average, self.validation, self.step, Base)
        kind = type("Grown", tuple(dict.fromkeys(part for part in parts if part is not Base)) or (Base,), {})
        made: Base = kind(self.body, self.head)
        return made


CHOICES: dict[str, Sequence[Any]] = {
    "body": tuple(BODIES),
    "head": tuple(HEADS),
    "step": STEPS,
    "validation": VALIDATIONS,
    "average": AVERAGES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "hooks": tuple((hook,) for hook in HOOKS),
    "data": DATA,
    "trainer": tuple(TRAINERS),
    "callbacks": tuple(CALLBACKS),
}


def drawn(seed: int, habits: int) -> Habits:
    """A module with some habits, each of another kind; the same for the same seed."""
    draw = random.Random(seed)
    chosen = {kind: draw.choice(CHOICES[kind]) for kind in draw.sample(sorted(CHOICES), habits)}
    return Habits(**chosen)
