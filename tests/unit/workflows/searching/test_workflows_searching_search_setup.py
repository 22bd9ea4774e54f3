"""What is said of a model's activations before a search."""

import torch
from torch import nn

from autoact.sites import find_sites
from autoact.space.build_space import build_space
from autoact.space.settings import SpaceSettings
from autoact.workflows.searching.search_setup import what_is_searched


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
