"""Whoever makes an optimiser does it as ``fit`` does: after ``setup``, under a Trainer that knows its data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED, Role
from autoact.training.lightning_session import LightningSession, SessionOptions, attached, trainer_from
from autoact.training.population import PopulationSession
from autoact.training.population.eligibility import why_not
from autoact.training.population.size_probe import seconds_per_step
from autoact.training.quiet_lightning import quiet_lightning

CPU = torch.device("cpu")
BATCHES, EPOCHS, EVERY = 2, 3, 2


def one_cycle(made: Any, net: Any) -> Any:
    return lr_scheduler.OneCycleLR(made, max_lr=0.02, total_steps=net.trainer.estimated_stepping_batches)


def cosine(made: Any, net: Any) -> Any:
    return lr_scheduler.CosineAnnealingLR(
        made, T_max=len(net.trainer.datamodule.train_dataloader()) * net.trainer.max_epochs
    )


def warm_up_and_fall(made: Any, net: Any) -> Any:
    total = int(net.trainer.estimated_stepping_batches)
    parts = [lr_scheduler.LinearLR(made, 0.1, total_iters=1), lr_scheduler.PolynomialLR(made, total_iters=total - 1)]
    return lr_scheduler.SequentialLR(made, parts, milestones=[1])


def counted_in_setup(made: Any, net: Any) -> Any:
    return lr_scheduler.LambdaLR(made, lambda step: 1 - step / (2 * net.total))


SCHEDULES = (one_cycle, cosine, warm_up_and_fall, counted_in_setup)


@pytest.fixture(params=SCHEDULES, ids=lambda schedule: schedule.__name__)
def planned(request, net):
    """A module whose schedule asks its Trainer how long it will last, or has asked in ``setup``."""

    class Planned(net):
        def setup(self, stage: str) -> None:
            self.total = float(self.trainer.estimated_stepping_batches)

        def configure_optimizers(self) -> Any:
            made = torch.optim.SGD(self.parameters(), lr=0.02)
            return {"optimizer": made, "lr_scheduler": {"scheduler": request.param(made, self), "interval": "step"}}

    return Planned


def test_a_trainer_knows_its_data_as_in_fit(tiny, net, rows):
    module, data = net(), rows()
    given = {"max_epochs": EPOCHS, "accumulate_grad_batches": EVERY}
    with quiet_lightning(), attached(trainer_from(given, CPU, []), module, data) as trainer:
        assert trainer.estimated_stepping_batches == BATCHES // EVERY * EPOCHS
        assert module.trainer.datamodule is data and trainer.training and trainer.state.fn == "fit"


def test_short_tries_of_a_population(tiny, planned):
    assert why_not(tiny(planned), SessionOptions()) == ""
    assert len(seconds_per_step(tiny(planned), SessionOptions(), 2, None, steps=1)) > 0


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_population_trains_as_each_alone(agree, tiny, planned, seeds):
    session = agree(tiny(planned), seeds=seeds)
    assert [record.status for record in session.records()] == [COMPLETE] * 4


@pytest.mark.parametrize("kind", [LightningSession, PopulationSession])
def test_a_training_that_goes_on_elsewhere_follows_the_same_schedule(tiny, planned, mixed, kind):
    def session() -> Any:
        return kind(tiny(planned), SessionOptions())

    whole, first, second = session(), session(), session()
    for one in (whole, first):
        one.start(mixed())
    whole.advance()
    first.advance(1)
    second.resume(first.checkpoint())
    second.advance()
    expected = {record.number: record.curve for record in whole.records()}
    for record in second.records():
        assert len(record.curve) == EPOCHS
        for mine, other in zip(record.curve, expected[record.number], strict=True):
            assert mine == pytest.approx(other, rel=1e-5)


def test_the_site_at_fault_is_found_where_a_step_needs_what_setup_made(train, tiny, net, candidate):
    class Strict(net):
        def setup(self, stage: str) -> None:
            self.least = 0 * float(self.trainer.estimated_stepping_batches)

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            hidden = self.act2(self.second(self.act1(self.first(batch[0]))))
            if hidden.min() < self.least:
                raise ValueError("below zero")
            return super().training_step(batch, batch_idx)

    record = train(tiny(Strict), candidate("gelu", "tanh")).record()
    assert record.status == FAILED and "ValueError: below zero" in record.reason
    assert record.reason.endswith("already with act2=tanh alone")


def test_a_step_that_needs_what_hooks_made_is_tried_after_them(tiny, net):
    class Scaled(net):
        def on_fit_start(self) -> None:
            self.scale = 2.0

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.scale * super().training_step(batch, batch_idx)

    assert why_not(tiny(Scaled), SessionOptions()) == ""
    assert len(seconds_per_step(tiny(Scaled), SessionOptions(), 2, None, steps=1)) > 0


def test_a_last_batch_of_one_row_before_a_batch_norm_is_one_line(tiny, net, rows, train, candidate):
    class Normed(net):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))

    class Lone(rows):
        def train_dataloader(self):
            return DataLoader(TensorDataset(self.x[:16], self.y[:16]), batch_size=5)

    task = tiny(Normed, make_datamodule=lambda seed: Lone())
    with pytest.raises(AutoactError, match=r"a training batch holds one row.*\(conftest.py:\d+\).*drop_last=True"):
        train(task, replace(candidate(), role=Role.CONFIGURED))
    assert train(replace(task, make_datamodule=lambda seed: rows()), candidate()).finished
