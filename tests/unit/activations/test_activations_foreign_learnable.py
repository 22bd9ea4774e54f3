"""Modules with weights of somebody else's are known by what they compute, wherever their weights are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autoact.activations.foreign_learnable import learnable_choice
from autoact.activations.modules import recognise
from autoact.sites import find_sites


class Swish(nn.Module):
    def __init__(self, beta: float | list[float] = 1.5) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(beta))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


class Unused(Swish):
    """Its weight takes no part."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.5 * x)


class InTraining(Swish):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + float(self.training)


class Scaled(Swish):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Norm(nn.Module):
    """Has a weight for each channel, as PReLU and the blends."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class Share(nn.Module):
    """As in RealMLP."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weights]))

    def forward(self, x: Tensor) -> Tensor:
        return x + (torch.nn.functional.mish(x) - x) * self.weight


def test_the_weights_are_read_as_they_are() -> None:
    module = Swish()
    assert str(recognise(module)) == "swish_beta(beta=1.5)"
    with torch.no_grad():
        module.beta.fill_(0.25)
    assert str(recognise(module)) == "swish_beta(beta=0.25)"
    assert module.beta.item() == 0.25 and module.training
    assert str(learnable_choice(Swish().to(torch.bfloat16))) == "swish_beta(beta=1.5)"


def test_a_weight_for_each_channel_is_said_where_all_are_equal() -> None:
    assert str(recognise(Share(0.3, 0.3, 0.3))) == "blend_mish(weight=0.3)"
    assert str(recognise(Share(0.3, 0.4, 0.5))) == "blend_mish"


@pytest.mark.parametrize("module", [Unused(), InTraining(), Scaled(), Norm(), Swish(1e6), nn.PReLU()])
def test_what_is_no_row_is_none(module: nn.Module) -> None:
    assert learnable_choice(module) is None


def test_such_a_module_is_a_site() -> None:
    model = nn.Sequential(nn.Linear(4, 4), Swish(), nn.Linear(4, 1))
    sites = find_sites(model, torch.zeros(2, 4))
    assert [(site.name, str(site.current)) for site in sites] == [("1", "swish_beta(beta=1.5)")]
    assert not sites.unreplaceable
