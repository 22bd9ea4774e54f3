"""What is said of a model's activations before a search."""

import pytest
import torch
from torch import nn

from autoact.core.errors import AutoactError
from autoact.sites import find_sites
from autoact.space.build_space import build_space
from autoact.space.settings import SpaceSettings
from autoact.study.settings import SearchSettings
from autoact.tasks.metrics import METRICS
from autoact.tasks.task import Task
from autoact.workflows.searching.search_setup import averageable, untried_note, what_is_searched


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.cos(self.b(torch.relu(self.a(x)))))


def test_what_the_model_itself_holds_has_a_name() -> None:
    sites = find_sites(Net(), torch.randn(2, 4))
    lines = what_is_searched(
        sites, build_space(sites, SpaceSettings(candidates=["relu", "tanh"]), {"learning_rate": 0.1})
    )
    assert lines[0] == "searched: forward_relu_1"
    assert lines[1].startswith(
        "not searched: the model itself: calls cos() at test_workflows_searching_search_setup.py:"
    )


def test_what_few_trials_leave_out_is_told_with_a_number_that_tries_all() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1))
    sites = find_sites(model, torch.randn(2, 4), normalisations=True)
    settings = SpaceSettings(candidates=["relu", "tanh", "gelu"], normalisations=["derf", "dynamic_tanh"])
    space = build_space(sites, settings, {"learning_rate": 0.1})
    assert untried_note(space, SearchSettings(trials=4)) == (
        "search.trials=4 ends before these were tried everywhere: gelu, dynamic_tanh; "
        "search.trials=6 tries all that are on offer"
    )
    assert untried_note(space, SearchSettings(trials=6)) == ""
    assert untried_note(space, SearchSettings()) == "" == untried_note(space, SearchSettings(minutes=1.0))


def test_only_predictions_that_are_known_can_be_averaged() -> None:
    logged = Task("own", None, None, "val_auc", "max", "auc", None, None)  # type: ignore[arg-type]
    with pytest.raises(AutoactError, match=r"confirm\.ensemble=5 averages predictions, and val_auc is logged by"):
        averageable(logged, 5)
    known = Task("own", None, None, "val_mse", "min", "MSE", None, None, METRICS["mse"])  # type: ignore[arg-type]
    assert averageable(known, 5).keep_predictions and not known.keep_predictions
    fitted = Task("own", None, None, "val_f1", "max", "F1", None, None, METRICS["f1"].at("validation"))  # type: ignore[arg-type]
    with pytest.raises(AutoactError, match=r"confirm\.ensemble=5 .* fits each training's own threshold: give a number"):
        averageable(fitted, 5)
