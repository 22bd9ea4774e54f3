"""Arguments of the Trainer: what Lightning does not take, and what no search can go on with, is one line."""

import pytest

from autoact.core.errors import AutoactError
from autoact.training.trainer_arguments import check_trainer


def test_trainer_arguments_are_checked():
    check_trainer({"max_epochs": 3})
    with pytest.raises(
        AutoactError, match=r"unknown argument of lightning\.Trainer 'max_epoch': did you mean max_epochs"
    ):
        check_trainer({"max_epoch": 3})
    with pytest.raises(AutoactError, match="name callbacks by reference"):
        check_trainer({"callbacks": []})


@pytest.mark.parametrize(
    "arguments",
    [{"devices": 2}, {"devices": [0, 1]}, {"devices": "2"}, {"devices": -1}, {"strategy": "ddp"}, {"num_nodes": 2}],
)
def test_several_devices_are_refused_before_lightning_starts_the_command_again(arguments):
    with pytest.raises(AutoactError, match=r"every candidate trains on one device; hardware\.device names it"):
        check_trainer(arguments)


@pytest.mark.parametrize("arguments", [{"devices": 1}, {"devices": "auto"}, {"strategy": "auto"}, {"num_nodes": 1}])
def test_one_device_may_be_named(arguments):
    check_trainer(arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fast_dev_run": True}, "trainer.fast_dev_run: one batch of one epoch is trained"),
        ({"fast_dev_run": 3}, "trainer.fast_dev_run: one batch"),
        ({"barebones": True}, "trainer.barebones: nothing is logged"),
        ({"limit_train_batches": 0}, "trainer.limit_train_batches=0 leaves no rows"),
        ({"limit_val_batches": 0.0}, "trainer.limit_val_batches=0.0 leaves no rows"),
        ({"limit_val_batches": float("nan")}, "trainer.limit_val_batches=nan leaves no rows"),
        ({"check_val_every_n_epoch": 0}, "must be a whole number, 1 or more"),
        ({"accumulate_grad_batches": 0}, "must be a whole number, 1 or more"),
        ({"accumulate_grad_batches": "2"}, "must be a whole number, 1 or more"),
        ({"check_val_every_n_epoch": 5, "max_epochs": 2}, "is more than trainer.max_epochs=2"),
        ({"check_val_every_n_epoch": 60}, "is more than trainer.max_epochs=50"),
        ({"max_epochs": True}, "must be a whole number of epochs"),
        ({"max_epochs": 0}, "must be a whole number of epochs"),
        ({"max_epochs": "3"}, "must be a whole number of epochs"),
    ],
)
def test_what_leaves_nothing_to_compare_is_refused(arguments, said):
    with pytest.raises(AutoactError) as caught:
        check_trainer(arguments)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments", [{"fast_dev_run": False}, {"limit_train_batches": 2}, {"check_val_every_n_epoch": 2, "max_epochs": 4},
                  {"max_epochs": -1, "check_val_every_n_epoch": 9}, {"max_epochs": None}]
)  # fmt: skip
def test_what_leaves_something_is_taken(arguments):
    check_trainer(arguments)
