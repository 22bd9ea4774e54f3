"""The user's own Lightning code as a task: held still, sealed, run as it is."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

from autoact.core.errors import AutoactError, SealedError
from autoact.data.foreign_datamodule import SealedDatamodule
from autoact.sites.tracing.dry_run import tensors_in
from autoact.training.lightning_session import trainer_from
from autoact.training.quiet_lightning import quiet_lightning
from autoact.user_code.lightning_task import lightning_task

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


def sealed(data: lightning.LightningDataModule) -> SealedDatamodule:
    """The data's test rows, of a copy that is set up."""
    test = SealedDatamodule(data, tensors_in)
    test.datamodule.setup("fit")
    return test


def rows(loader: Any) -> list[float]:
    return [float(v) for x, _ in loader for v in x[:, 0]]


def test_the_split_is_drawn_once() -> None:
    held: Any = sealed(Data()).datamodule
    first = rows(held.val_dataloader())
    held.setup("fit")
    held.setup("validate")
    held.setup(None)
    assert rows(held.val_dataloader()) == first
    assert held.setups == 2  # for fitting and for testing, both before the first training


def test_the_users_object_stays_as_it_is() -> None:
    data = Data()
    sealed(data)
    assert data.setups == 0 and "setup" not in vars(data)


def test_the_test_part_is_sealed_until_it_is_opened() -> None:
    test = sealed(Data())
    advice = "only the final check opens it. Until then take rows from train_dataloader or val_dataloader"
    with pytest.raises(SealedError, match=advice):
        test.datamodule.test_dataloader()
    opened = test.open("final check")
    assert len(rows(opened.val_dataloader())) == test.size == 10
    assert [opening.reason for opening in test.openings] == ["final check"]
    with pytest.raises(SealedError):
        test.datamodule.test_dataloader()


def test_opening_does_not_disturb_the_training_rows() -> None:
    test = sealed(Data())
    held = test.datamodule
    before = rows(held.train_dataloader())
    opened = test.open("final check")
    assert rows(held.train_dataloader()) == before
    assert not set(rows(opened.val_dataloader())) & set(before)


class Fixed(Data):
    """Test rows that are given; its loader shuffles them, and some of its rows are drawn."""

    def __init__(self, values: Any, batch_size: int = 4) -> None:
        super().__init__()
        self.values, self.batch_size = values, batch_size

    def test_dataloader(self) -> Any:
        values = torch.as_tensor(self.values, dtype=torch.float32)[:, None] + torch.rand(1)
        return DataLoader(TensorDataset(values, values), self.batch_size, shuffle=True)


def test_test_rows_are_told_again_by_their_fingerprint() -> None:
    found, test = sealed(Fixed(range(10))).fingerprint, sealed(Fixed(range(10)))
    before = torch.get_rng_state()
    assert test.fingerprint == found
    assert torch.equal(torch.get_rng_state(), before), "what the user draws next is not changed by it"
    for other in ([*range(9), 99], range(11), range(9)):
        assert sealed(Fixed(other)).fingerprint != found


def test_a_fingerprint_of_rows_without_end_is_that_of_their_first_rows() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(lambda: torch.ones(1), None)

    def data(batch_size: int) -> SealedDatamodule:
        return sealed(loaders(test_dataloader=lambda self: DataLoader(Stream(), batch_size)))

    assert data(2).fingerprint == data(3).fingerprint
    assert data(2).size is None and repr(data(2)) == "SealedDatamodule(unknown rows, sealed)"


def test_a_module_becomes_a_task() -> None:
    task = lightning_task(Net, Data(), monitor="val_loss", mode="min")
    assert task.name == "Net" and not task.better(1.0, 0.5)
    assert tuple(task.example_input.shape) == (10, 1)
    assert tuple(task.make_input(3).shape) == (3, 1)
    assert tuple(task.make_input(25).shape) == (25, 1)
    assert task.test is not None


def test_an_example_of_one_row_becomes_two() -> None:
    class Single(Net):
        def __init__(self) -> None:
            super().__init__()
            self.example_input_array = torch.full((1, 1), 7.0)

    task = lightning_task(Single, Data(), monitor="val_loss", mode="min")
    assert task.example_input.tolist() == [[7.0], [7.0]] and tuple(task.make_input(3).shape) == (3, 1)


def test_without_test_rows_nothing_can_be_confirmed() -> None:
    task = lightning_task(Net, Untested(), monitor="val_loss", mode="min")
    assert task.test is None
    assert "no test_dataloader" in task.warning


def loaders(**methods: Any) -> Any:
    """The data with other loaders."""
    return type("Other", (Data,), methods)()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: loaders(test_dataloader=lambda self: None), "Other.test_dataloader returns None: there is no sealed"),
        (lambda: loaders(test_dataloader=lambda self: self.missing), "test_dataloader raises AttributeError"),
        (
            lambda: loaders(test_dataloader=lambda self: [Data.test_dataloader(self), Data.val_dataloader(self)]),
            "returns 2 loaders and val_dataloader 1, so their values have other names: there is no sealed data",
        ),
    ],
)
def test_test_rows_that_cannot_be_used_are_known_before_anything_is_trained(data: Any, reason: str) -> None:
    task = lightning_task(Net, data(), monitor="val_loss", mode="min")
    assert task.test is None and reason in task.warning


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 4, "shuffle": True, "drop_last": True}, True),
        ({"batch_size": 5, "shuffle": True, "drop_last": True}, False),
        ({"batch_size": 4, "drop_last": True}, False),
        ({"batch_size": 4, "shuffle": True}, False),
        ({"sampler": WeightedRandomSampler([1.0] * 10, 10)}, True),
        ({"sampler": RandomSampler(range(10), num_samples=5)}, True),
        ({"batch_sampler": BatchSampler(SubsetRandomSampler(range(10)), 4, drop_last=True)}, True),
    ],
)
def test_a_test_loader_that_draws_its_rows_is_told(options: dict[str, Any], told: bool) -> None:
    data = loaders(test_dataloader=lambda self: DataLoader(self.parts[2], **options))
    task = lightning_task(Net, data, monitor="val_loss", mode="min")
    said = [note for note in task.facts["notes"] if "Other.test_dataloader draws other rows each time" in note]
    assert len(said) == told and task.test is not None


def test_one_test_loader_stands_in_each_place_of_several_validation_loaders() -> None:
    data = loaders(val_dataloader=lambda self: {"a": Data.val_dataloader(self), "b": Data.train_dataloader(self)})
    task = lightning_task(Net, data, monitor="val_loss/dataloader_idx_1", mode="min")
    assert task.warning == "" and task.test is not None
    opened = task.test.open("for the test")
    made = opened.val_dataloader()
    assert len(made) == 2 and rows(made[0]) == rows(made[1])


@pytest.mark.parametrize(
    ("monitor", "mode", "asked"),
    [("val_loss", "max", True), ("val_acc", "min", True), ("valid/MAE", "max", True), ("val_f1@10", "max", False),
     ("val_loss", "min", False), ("elbo", "max", False), ("accidents", "min", False), ("val_loss_acc", "max", False)],
)  # fmt: skip
def test_a_mode_that_is_unusual_for_the_name_is_asked_about(monitor: str, mode: str, asked: bool) -> None:
    notes = lightning_task(Net, Data(), monitor=monitor, mode=mode).facts["notes"]
    assert bool(notes) == asked and all(f"is mode={mode!r} meant?" in note for note in notes)


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


class Reversed(Net):
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return nn.functional.mse_loss(self(batch[1]), batch[0])


class ReversedData(Data):
    def train_dataloader(self) -> Any:
        return [(torch.ones(6, 3), torch.ones(6, 1))]


def test_what_the_training_step_hands_to_forward_is_found() -> None:
    task = lightning_task(Reversed, ReversedData(), monitor="val_loss", mode="min")
    assert task.make_input(4).shape == (4, 1)


class Judged(Net):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.training_step(batch, batch_idx))


class Freed(Data):
    """Makes its parts by stage, asks for the module, and frees them after each training, as Lightning describes."""

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        self.seen = self.trainer.lightning_module.net[0].in_features  # type: ignore[union-attr]

    def teardown(self, stage: str) -> None:
        del self.parts


def test_a_datamodule_that_frees_its_parts_is_kept_for_the_next_training() -> None:
    task = lightning_task(Net, Freed(), monitor="val_loss", mode="min")
    held = task.make_datamodule(0)
    for _ in range(2):
        with quiet_lightning():
            trainer_from({"max_epochs": 1, "limit_val_batches": 0}, torch.device("cpu"), []).fit(
                Judged(), datamodule=held
            )
    assert held.seen == 1 and len(held.train_dataloader()) == 4


def test_callbacks_that_only_show_are_left_out_and_told() -> None:
    task = lightning_task(
        Net,
        Data(),
        monitor="val_loss",
        mode="min",
        make_callbacks=lambda: [lightning.pytorch.callbacks.RichModelSummary(), lightning.Callback()],
    )
    assert [type(one) for one in task.make_callbacks()] == [lightning.Callback]
    assert any("left out" in note and "RichModelSummary" in note for note in task.facts["notes"])


class Odd(Net):
    def forward(self, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return a


def test_a_module_without_forward():
    class Bare(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(1, 1)

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.net(batch[0]).sum()

    with pytest.raises(AutoactError, match=r"^Bare has no forward, .*define Bare\.forward, which takes what"):
        lightning_task(Bare, Data(), monitor="val_loss", mode="min")


def test_a_module_that_cannot_be_called_says_what_to_do() -> None:
    with pytest.raises(
        AutoactError, match=r"Odd cannot be called on a batch.*define forward\(x\).*example_input_array"
    ):
        lightning_task(Odd, Data(), monitor="val_loss", mode="min")


class Compiled(Net):
    def __init__(self) -> None:
        super().__init__()
        self.net[1].compile(backend="eager")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when its compiler is imported
def test_a_compiled_part_is_refused_by_its_name() -> None:
    with pytest.raises(AutoactError, match=r"^net\.1 is compiled .* have Compiled built without torch\.compile"):
        lightning_task(Compiled, Data(), monitor="val_loss", mode="min")


def test_the_direction_is_checked() -> None:
    with pytest.raises(AutoactError, match=r"mode='maximum'.*Allowed: max, min"):
        lightning_task(Net, Data(), monitor="val_loss", mode="maximum")
