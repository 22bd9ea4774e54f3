"""Normalisations as sites: found where they are asked for, told where they cannot be one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import autoact
from autoact.activations.normalisation import NormalisationModule
from autoact.core.errors import AutoactError
from autoact.sites import apply, find_sites

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 8), nn.RMSNorm(8), nn.Tanh(), nn.Linear(8, 1)
    )


@pytest.mark.parametrize("example", [X, None])
def test_they_are_sites_only_where_they_are_asked_for(example: Any) -> None:
    plain, found = find_sites(mlp(), example), find_sites(mlp(), example, normalisations=True)
    assert plain.names == ("2", "5")
    assert found.names == ("2", "5", "1", "4")
    assert [str(found[name].current) for name in ("1", "4")] == ["layer_norm", "rms_norm"]
    assert list(found)[:2] == list(plain) and found.unreplaceable == plain.unreplaceable
    assert [site.order for site in found] == [0, 1, 2, 3]


def test_what_an_activation_does_is_no_other_with_them() -> None:
    model = nn.Sequential(
        nn.Linear(8, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 8), nn.Sigmoid(), nn.LayerNorm(8)
    )
    plain, found = find_sites(model, X), find_sites(model, X, normalisations=True)
    assert list(found)[: len(plain)] == list(plain)
    assert plain["2"].gateable and found["2"].gateable
    assert found["5"].is_output and not found["1"].kept


def test_what_was_put_in_is_found_again_and_is_no_activation() -> None:
    model = apply(mlp(), {"*": "derf"}, example_input=X)
    plain, found = find_sites(model, X), find_sites(model, X, normalisations=True)
    assert plain.names == ("2", "5") and plain.unreplaceable == ()
    assert plain["2"] == find_sites(mlp(), X)["2"]
    assert {str(found[name].current) for name in ("1", "4")} == {"derf"}
    other = apply(model, {"1": "dynamic_tanh"}, example_input=X)
    assert [str(other[k].choice) for k in (1, 4)] == ["dynamic_tanh", "derf"]
    assert set(other[1].state_dict()) == {"weight", "bias", "alpha", "autoact:dynamic_tanh"}


class Own(nn.LayerNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class ChannelsFirst(nn.LayerNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.transpose(1, -1)).transpose(1, -1)


class LlamaRMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class Calls(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(F.layer_norm(x, (8,)))


def test_a_class_of_ones_own_is_a_site_where_its_values_are_those_of_torch() -> None:
    model = nn.Sequential(nn.Linear(8, 8), Own(8), nn.ReLU(), nn.Linear(8, 8))
    assert "1" in find_sites(model, X, normalisations=True)
    assert isinstance(apply(model, {"1": "dynamic_tanh"}, example_input=X)[1], NormalisationModule)


@pytest.mark.parametrize(
    ("part", "shape", "reason"),
    [
        (ChannelsFirst(4), (2, 4, 8), "ChannelsFirst has a forward of its own"),
        (LlamaRMSNorm(), (2, 8), "LlamaRMSNorm has a forward of its own"),
        (Calls(), (2, 8), r"Calls calls layer_norm\(\): make it a module"),
    ],
)
def test_what_cannot_be_one_is_told(part: nn.Module, shape: tuple[int, ...], reason: str) -> None:
    model = nn.Sequential(part, nn.ReLU(), nn.Linear(8, 8))
    sites = find_sites(model, torch.randn(shape), normalisations=True)
    (told,) = sites.unreplaceable
    assert (told.name, told.kind) == ("0", "normalisation")
    with pytest.raises(AutoactError, match=reason):
        sites["0"]
    assert not find_sites(model, torch.randn(shape)).unreplaceable


class NoLayerNormBlock(nn.Sequential):
    """Has the word in its name, and is none."""


def test_what_holds_other_modules_is_no_normalisation() -> None:
    model = nn.Sequential(NoLayerNormBlock(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 8))
    assert not find_sites(model, X, normalisations=True).unreplaceable


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ({"2": "derf"}, "derf cannot stand at 2: the activation relu does, and derf stands at normalisations alone"),
        (
            {"1": "tanh", "4": "derf"},
            "tanh cannot stand at 1: the normalisation layer_norm does, and only dynamic_tanh",
        ),
        ({"1": "rms_norm"}, "rms_norm cannot be put at 1: it is what a model has already"),
    ],
)
def test_each_kind_stays_with_its_own(assignment: dict[str, str], message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        apply(mlp(), assignment, example_input=X)


def test_globs_reach_their_own_kind() -> None:
    model = apply(mlp(), {"*": "derf", "[25]": "gelu"}, example_input=X)
    assert [str(model[k].choice) for k in (1, 2, 4, 5)] == ["derf", "gelu", "derf", "gelu"]


def test_a_gated_activation_resizes_it_too() -> None:
    model = nn.Sequential(nn.Linear(8, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 8))
    before = [str(model[1]), {name: tuple(weight.shape) for name, weight in model.named_parameters()}]
    once = apply(model, {"1": "derf", "2": "swiglu"}, example_input=X)
    twice = apply(apply(model, {"1": "derf"}, example_input=X), {"2": "swiglu"}, example_input=X)
    for changed in (once, twice):
        width = changed[0].out_features
        assert changed[1].weight.shape == changed[1].bias.shape == (width,) and changed[1].alpha.shape == (1,)
        assert changed(X).shape == (3, 8)
    assert before == [str(model[1]), {name: tuple(weight.shape) for name, weight in model.named_parameters()}]


def test_a_normalisation_that_is_not_called_is_told() -> None:
    model = mlp()
    model.spare = nn.Module()
    model.spare.norm = nn.LayerNorm(3)
    model.forward = lambda x: nn.Sequential.forward(nn.Sequential(*list(model)[:7]), x)  # type: ignore[method-assign]
    sites = find_sites(model, X, normalisations=True)
    assert [(i.name, i.kind) for i in sites.unreplaceable] == [("spare.norm", "unused")]


class Teacher(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2))
        self.ema = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


def test_copies_of_a_part_get_the_same() -> None:
    sites = find_sites(Teacher(), X, normalisations=True)
    assert {site.name: site.twin_of for site in sites if site.twin_of} == {"ema.2": "net.2", "ema.1": "net.1"}
    changed = autoact.apply(Teacher(), {"net.1": "derf", "ema.1": "derf"}, example_input=X)
    assert [name for name, _ in changed.net.named_parameters()] == [name for name, _ in changed.ema.named_parameters()]
    assert not any(weight.requires_grad for weight in changed.ema.parameters())
