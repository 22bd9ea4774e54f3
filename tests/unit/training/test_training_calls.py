"""A module that calls its activations: candidates of all assignments train together, as each does alone."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.sites import find_sites
from autoact.training.lightning_session import LightningSession, SessionOptions, build_module
from autoact.training.population import PopulationSession
from autoact.training.population.size_probe import seconds_per_step


class Calls(lightning.LightningModule):
    """No activation module anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x))
        return self.head(torch.tanh(self.second(x)))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return F.mse_loss(self(batch[0])[:, 0], batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0])[:, 0], batch[1]), batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.02)


SITES = ("forward_relu_1", "forward_tanh_1")
TRIED = [("relu", "tanh"), ("gelu", "tanh"), ("relu", "silu"), ("sine", "sine"), ("prelu", "tanh")]
CANDIDATES = [(n, Candidate(Assignment(dict(zip(SITES, pair, strict=True))))) for n, pair in enumerate(TRIED)]


@pytest.fixture
def task(tiny: Any) -> Any:
    return tiny(Calls)


def test_the_baselines_calls_become_modules_where_candidates_are_stacked(task):
    assert find_sites(Calls(), task.example_input).names == SITES
    stacked = build_module(task, CANDIDATES[0][1], rescale=False)
    assert [str(stacked.get_submodule(site).choice) for site in SITES] == ["relu", "tanh"]
    alone = build_module(task, CANDIDATES[0][1], rescale=False, as_modules=False)
    assert not hasattr(alone, SITES[0]) and type(alone) is Calls
    torch.manual_seed(0)
    x = torch.randn(5, 3)
    alone.load_state_dict(stacked.state_dict())
    assert torch.equal(alone(x), stacked(x))


def test_mixed_assignments_train_together_as_each_alone(task):
    singles, together = LightningSession(task), PopulationSession(task)
    for session in (singles, together):
        session.start(CANDIDATES)
    expected, found = singles.advance(), together.advance()
    assert together.reason == "" and all(record.complete for record in found)
    for one, other in zip(expected, found, strict=True):
        assert other.quality == pytest.approx(one.quality, rel=1e-4)


def test_a_step_of_the_baseline_can_be_timed(task):
    taken = seconds_per_step(
        task, SessionOptions(torch.device("cpu")), 1, 1, 2, assignments=[CANDIDATES[0][1].assignment]
    )
    assert len(taken) == 2 and min(taken) > 0
