"""What validation does not log is missed before anything is searched."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback

from autoact.core.errors import AutoactError
from autoact.training.preflight.sanity_check import rehearse

CPU = torch.device("cpu")


def test_the_monitored_value_is_looked_for_and_nothing_is_drawn(tiny):
    before = torch.random.get_rng_state()
    rehearse(tiny(), CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(
        AutoactError,
        match=r"monitor=val_los was not logged by validation: did you mean val_loss\? Logged: val_loss.*; by training: "
        "train_loss",
    ):
        rehearse(tiny(monitor="val_los"), CPU)


def test_it_is_short_whatever_the_trainer_is_told(tiny, net):
    steps = []

    class Counts(net):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            steps.append(batch_idx)
            return super().training_step(batch, batch_idx)

    trainer = {"max_epochs": 40, "min_epochs": 30, "check_val_every_n_epoch": 5, "limit_val_batches": 0.5}
    with pytest.raises(AutoactError, match="monitor=nothing"):
        rehearse(tiny(Counts, monitor="nothing", trainer=trainer), CPU)
    assert steps == [0]


def test_code_that_one_batch_is_too_few_for_is_left_to_the_first_trial(tiny, net):
    class Needs(net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            raise ValueError("only one class in this batch")

    rehearse(tiny(Needs, monitor="nothing"), CPU)


def test_a_value_that_a_callback_may_log_is_left_to_the_first_trial(tiny):
    rehearse(tiny(monitor="by_a_callback", make_callbacks=lambda: [Callback()]), CPU)


def test_a_logger_takes_what_a_module_writes_to_its_experiment(tiny, net):
    class Writes(net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.logger.experiment.add_histogram("weights", self.head.weight, self.global_step)
            super().validation_step(batch, batch_idx)

    with pytest.raises(AutoactError, match="monitor=nothing"):
        rehearse(tiny(Writes, monitor="nothing"), CPU)


def test_with_several_loaders_the_names_that_lightning_gives_are_proposed(tiny, net, rows):
    class Either(net):
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
            super().validation_step(batch, batch_idx)

    class Two(rows):
        def val_dataloader(self) -> Any:
            return [super(Two, self).val_dataloader(), super(Two, self).val_dataloader()]

    with pytest.raises(
        AutoactError,
        match=r"monitor=val_loss was not logged by validation: did you mean val_loss/dataloader_idx_0 or "
        r"val_loss/dataloader_idx_1\? Logged: ",
    ):
        rehearse(tiny(Either, make_datamodule=lambda seed: Two()), CPU)
    rehearse(tiny(Either, make_datamodule=lambda seed: Two(), monitor="val_loss/dataloader_idx_1"), CPU)


@pytest.mark.parametrize("name", ["val/ndcg@10", "valid acc %", "val loss", "a.b/c-d"])
def test_names_of_any_letters_are_found(tiny, net, name):
    class Odd(net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log(name, torch.tensor(1.0))

    rehearse(tiny(Odd, monitor=name), CPU)
    with pytest.raises(AutoactError, match=r"was not logged by validation\. Logged: "):
        rehearse(tiny(Odd, monitor="zzzzzzzzz"), CPU)


def test_values_of_training_alone_are_not_proposed(tiny, net):
    class Returns(net):
        def validation_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
            return {"val_loss": torch.zeros(())}

    with pytest.raises(AutoactError, match=r"not logged by validation\. Logged: nothing; by training: train_loss"):
        rehearse(tiny(Returns), CPU)


def test_a_module_without_validation_step_is_told_what_is_missing(tiny, net):
    class Trains(net):
        validation_step = LightningModule.validation_step

    with pytest.raises(AutoactError, match=r"Trains has no validation_step, so nothing logs monitor=val_loss: define"):
        rehearse(tiny(Trains), CPU)
