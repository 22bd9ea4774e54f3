"""What is missing among the loaders is known before anything trains."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import autoact
from autoact.core.errors import AutoactError
from autoact.data.foreign_datamodule import NO_SEALED_DATA, NO_TEST, SealedDatamodule
from autoact.sites.tracing.dry_run import tensors_in
from autoact.user_code.dataloaders import check_steps, check_validation, training_loader

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
ROWS = TensorDataset(torch.zeros(20, 1), torch.zeros(20, 1))


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([0.0])


def loader(rows: Any = ROWS, **options: Any) -> Any:
    return DataLoader(rows, batch_size=10, **options)


class Data(lightning.LightningDataModule):
    def train_dataloader(self) -> Any:
        return loader()

    val_dataloader = test_dataloader = train_dataloader


def sealed(data: lightning.LightningDataModule) -> SealedDatamodule:
    """The data's test rows, of a copy that is set up."""
    test = SealedDatamodule(data, tensors_in)
    test.datamodule.setup("fit")
    return test


def with_loaders(**methods: Any) -> Data:
    """The data with other loaders."""
    return type("Mine", (Data,), {name: lambda self, made=made: made() for name, made in methods.items()})()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: None, "Mine.test_dataloader returns None"),
        (list, "Mine.test_dataloader returns no loader"),
        (dict, "Mine.test_dataloader returns no loader"),
        (lambda: loader(None), "Mine.test_dataloader raises TypeError (the dataset of a loader is None)"),
        (lambda: loader(Subset(ROWS, [])), "Mine.test_dataloader returns a loader without batches"),
        (lambda: loader(Subset(ROWS, [1]), drop_last=True), "Mine.test_dataloader returns a loader without batches"),
        (lambda: 1 / 0, "Mine.test_dataloader raises ZeroDivisionError (division by zero)"),
        (
            lambda: [loader(), loader()],
            "Mine.test_dataloader returns 2 loaders and val_dataloader 1, so their values have other names",
        ),
        (
            lambda: CombinedLoader({"a": loader(), "b": loader()}, "min_size"),
            "Mine.test_dataloader and val_dataloader put loaders together in other ways",
        ),
    ],
)
def test_test_rows_that_cannot_be_used(made: Any, reason: str) -> None:
    told = sealed(with_loaders(test_dataloader=made)).why_unusable()
    assert told.startswith(reason) and NO_SEALED_DATA in told


@pytest.mark.parametrize(
    ("validated", "tested"),
    [
        (loader, loader),
        (loader, lambda: loader(Endless())),
        (loader, lambda: [ROWS]),
        (lambda: [loader(), loader()], loader),
        (lambda: {"a": loader(), "b": loader()}, lambda: [loader(), loader()]),
        (
            lambda: CombinedLoader({"a": loader(), "b": loader()}, "min_size"),
            lambda: CombinedLoader({"a": loader(), "b": loader()}, "max_size_cycle"),
        ),
        (lambda: CombinedLoader([loader(), loader()], "sequential"), lambda: [loader(), loader()]),
    ],
)
def test_test_rows_that_can(validated: Any, tested: Any) -> None:
    assert sealed(with_loaders(val_dataloader=validated, test_dataloader=tested)).why_unusable() == ""


def test_a_setup_for_testing_that_raises_leaves_the_rest_usable() -> None:
    class Elsewhere(Data):
        def setup(self, stage: str) -> None:
            if stage == "test":
                raise FileNotFoundError("test.csv")

    test = sealed(Elsewhere())
    assert test.why_unusable() == f"Elsewhere.setup('test') raises FileNotFoundError (test.csv): {NO_SEALED_DATA}"
    assert training_loader(test.datamodule, Elsewhere).batch_size == 10


@pytest.mark.parametrize("method", ["train_dataloader", "val_dataloader"])
@pytest.mark.parametrize(
    ("made", "given"),
    [(lambda: None, "None"), (list, "no loader"), (lambda: loader(Subset(ROWS, [])), "a loader without batches")],
)
def test_no_rows_to_train_on_or_to_choose_by(method: str, made: Any, given: str) -> None:
    held = sealed(with_loaders(**{method: made})).datamodule
    with pytest.raises(AutoactError, match=f"Mine.{method} returns {given}, so there are no rows to"):
        training_loader(held, type(held))
        check_validation(held)


@pytest.mark.parametrize("method", ["train_dataloader", "val_dataloader"])
def test_loaders_of_the_module_are_not_used_and_that_is_said(method: str) -> None:
    kind = type("Bare", (Data,), {method: getattr(lightning.LightningDataModule, method)})
    test = SealedDatamodule(kind(), tensors_in)
    with pytest.raises(AutoactError, match=f"Bare has no {method}.*none from the module. Define {method} in Bare"):
        training_loader(test.datamodule, kind)
        check_validation(test.datamodule)
    assert test.why_unusable() == ""  # the search is refused: there is nothing to say of its end


def test_data_from_datasets_keep_their_sealed_test_rows() -> None:
    data = lightning.LightningDataModule.from_datasets(ROWS, ROWS, Subset(ROWS, range(7)), batch_size=10)
    test = sealed(data)
    assert test.why_unusable() == "" and test.size == 7
    assert len(test.open("for the test").val_dataloader().dataset) == 7
    untested = lightning.LightningDataModule.from_datasets(ROWS, ROWS)
    assert sealed(untested).why_unusable() == NO_TEST


def test_a_search_without_validation_rows_is_refused_before_anything_trains(tmp_path: Any) -> None:
    class Net(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))

        def forward(self, x: Any) -> Any:
            return self.layers(x)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise AssertionError("it trains")

    kind = type("Bare", (Data,), {"val_dataloader": lightning.LightningDataModule.val_dataloader})
    with pytest.raises(AutoactError, match="Bare has no val_dataloader, so there are no rows to choose by"):
        autoact.search(Net, kind(), monitor="val_loss", mode="min", output=tmp_path, quiet=True, tracking="none")


@pytest.mark.parametrize(
    ("trainer", "first"),
    [
        ({"max_steps": 3}, 4),
        ({"max_steps": 4}, 0),
        ({"max_steps": -1}, 0),
        ({}, 0),
        ({"max_steps": 3, "limit_train_batches": 3}, 0),
        ({"max_steps": 1, "limit_train_batches": 0.5}, 2),
        ({"max_steps": 1, "accumulate_grad_batches": 2}, 2),
        ({"max_steps": 7, "check_val_every_n_epoch": 2}, 8),
        ({"max_steps": 3, "val_check_interval": 2}, 0),
    ],
)
def test_steps_that_end_before_the_first_validation(trainer: dict[str, Any], first: int) -> None:
    loader = DataLoader(TensorDataset(torch.zeros(40, 1)), batch_size=10)
    if not first:
        check_steps(loader, trainer)
        return
    with pytest.raises(AutoactError, match=rf"comes after {first} steps: set trainer\.max_steps={first} or more"):
        check_steps(loader, trainer)


@pytest.mark.parametrize(
    ("rest", "told"), [({}, ""), ({"shuffle": True}, ""), ({"shuffle": True, "drop_last": True}, "Mine")]
)
def test_validation_rows_that_are_drawn_anew_are_told(rest: Any, told: str) -> None:
    held = sealed(with_loaders(val_dataloader=lambda: [loader(), DataLoader(ROWS, batch_size=8, **rest)])).datamodule
    said = check_validation(held)
    assert said.startswith(f"{told}.val_dataloader draws other rows each time" if told else "") and bool(said) == bool(
        told
    )
