"""The user's own Lightning code as a task: held still, sealed, run as it is."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from autoact.core.errors import AutoactError, SealedError
from autoact.faces.foreign import hold_still, lightning_task

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


class Data(lightning.LightningDataModule):
    """Draws another split at every set-up, as careless code does."""

    def __init__(self) -> None:
        super().__init__()
        self.setups = 0

    def setup(self, stage: str | None = None) -> None:
        self.setups += 1
        x = torch.arange(60.0)[:, None]
        self.parts = random_split(TensorDataset(x, x), [40, 10, 10])

    def train_dataloader(self) -> Any:
        return DataLoader(self.parts[0], batch_size=10)

    def val_dataloader(self) -> Any:
        return DataLoader(self.parts[1], batch_size=10)

    def test_dataloader(self) -> Any:
        return DataLoader(self.parts[2], batch_size=10)


class Untested(Data):
    """Has no test rows."""

    test_dataloader = lightning.LightningDataModule.test_dataloader


class Net(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-4)


def rows(loader: Any) -> list[float]:
    return [float(v) for x, _ in loader for v in x[:, 0]]


def test_the_split_is_drawn_once() -> None:
    held = hold_still(Data())
    held.setup("fit")
    first = rows(held.val_dataloader())
    held.setup("fit")
    held.setup("validate")
    held.setup(None)
    assert rows(held.val_dataloader()) == first
    assert held.setups == 2  # for fitting and for testing, both before the first training


def test_the_users_object_stays_as_it_is() -> None:
    data = Data()
    held = hold_still(data)
    held.setup("fit")
    assert data.setups == 0 and "setup" not in vars(data)


def test_the_test_part_is_sealed_until_it_is_opened() -> None:
    held = hold_still(Data())
    held.setup("fit")
    with pytest.raises(SealedError):
        held.test_dataloader()
    opened = held.open_test("final check")
    seen = rows(opened.val_dataloader())
    assert len(seen) == 10
    assert opened.openings == ["final check"]
    with pytest.raises(SealedError):
        held.test_dataloader()


def test_opening_does_not_disturb_the_training_rows() -> None:
    held = hold_still(Data())
    held.setup("fit")
    before = rows(held.train_dataloader())
    opened = held.open_test("final check")
    assert rows(held.train_dataloader()) == before
    assert not set(rows(opened.val_dataloader())) & set(before)


def test_a_module_becomes_a_task() -> None:
    task = lightning_task(Net, Data(), monitor="val_loss", mode="min")
    assert task.name == "Net" and not task.better(1.0, 0.5)
    assert tuple(task.example_input.shape) == (10, 1)
    assert tuple(task.make_input(3).shape) == (3, 1)
    assert tuple(task.make_input(25).shape) == (25, 1)
    assert task.open_test is not None


def test_without_test_rows_nothing_can_be_confirmed() -> None:
    task = lightning_task(Net, Untested(), monitor="val_loss", mode="min")
    assert task.open_test is None
    assert "no test_dataloader" in task.warning


def test_another_model_or_other_data_is_another_task() -> None:
    class Wider(Net):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1))

    same = lightning_task(Net, Data(), monitor="val_loss", mode="min").identity
    assert lightning_task(Net, Data(), monitor="val_loss", mode="min").identity == same
    assert lightning_task(Wider, Data(), monitor="val_loss", mode="min").identity != same


class Mapped(Net):
    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:  # type: ignore[override]
        return self.net(batch["x"])


class MappedData(Data):
    def train_dataloader(self) -> Any:
        return [{"x": torch.ones(6, 1), "y": torch.ones(6, 1)}]


class Two(Net):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.net(a + b)


class TwoData(Data):
    def train_dataloader(self) -> Any:
        return [(torch.ones(6, 1), torch.ones(6, 1), torch.zeros(6, 1))]


@pytest.mark.parametrize(("module", "data"), [(Mapped, MappedData), (Two, TwoData)])
def test_batches_of_other_forms_are_understood(module: Any, data: Any) -> None:
    task = lightning_task(module, data(), monitor="val_loss", mode="min")
    made = module()
    assert made(*task.make_input(4)).shape == (4, 1)


class Odd(Net):
    def forward(self, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return a


def test_a_module_that_cannot_be_called_says_what_to_do() -> None:
    with pytest.raises(
        AutoactError, match=r"Odd cannot be called on a batch.*define forward\(x\).*example_input_array"
    ):
        lightning_task(Odd, Data(), monitor="val_loss", mode="min")


def test_the_direction_is_checked() -> None:
    with pytest.raises(AutoactError, match=r"mode='maximum'.*Allowed: max, min"):
        lightning_task(Net, Data(), monitor="val_loss", mode="maximum")
