"""Normalisations in the search space: dimensions and alternatives of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.sites import find_sites
from autoact.space.build_space import build_space
from autoact.space.search_space import SearchSpace
from autoact.space.settings import SpaceSettings


def block(norm: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), norm(8), nn.ReLU())


def space_of(
    *kinds: type[nn.Module], normalisations: tuple[str, ...] = ("dynamic_tanh", "derf"), **given: Any
) -> SearchSpace:
    model = nn.Sequential(*map(block, kinds or (nn.LayerNorm, nn.LayerNorm)), nn.Linear(8, 1))
    sites = find_sites(model, torch.zeros(2, 8), normalisations=True)
    settings = {"candidates": ["relu", "tanh"], **given}
    return build_space(sites, SpaceSettings(normalisations=list(normalisations), **settings), {})


def test_each_kind_has_its_own_choices() -> None:
    space = space_of()
    assert {group: space.choices_of(group) for group in space.groups} == {
        "0.2": ["relu", "tanh"],
        "1.2": ["relu", "tanh"],
        "0.1": ["layer_norm", "dynamic_tanh", "derf"],
        "1.1": ["layer_norm", "dynamic_tanh", "derf"],
    }
    assert space.size() == 2 * 2 * 3 * 3 and space.learnable == ("dynamic_tanh", "derf")
    assert space.candidate_texts == ("relu", "tanh") and space.notes == ()


@pytest.mark.parametrize(
    ("granularity", "groups"),
    [
        ("model", {"activation": ("0.2", "1.2"), "normalisation": ("0.1", "1.1")}),
        ("block", {"0": ("0.2",), "1": ("1.2",), "0 normalisation": ("0.1",), "1 normalisation": ("1.1",)}),
    ],
)
def test_granularity_applies_to_each_kind(granularity: str, groups: dict[str, tuple[str, ...]]) -> None:
    assert space_of(granularity=granularity).groups == groups


def test_the_same_everywhere_is_tried_for_each_kind_by_itself() -> None:
    space = space_of()
    acts, norms = ("0.2", "1.2"), ("0.1", "1.1")
    assert [one.to_dict() for one in space.uniform()] == [
        {**dict.fromkeys(acts, "tanh"), **dict.fromkeys(norms, "layer_norm")},
        {**dict.fromkeys(acts, "relu"), **dict.fromkeys(norms, "dynamic_tanh")},
        {**dict.fromkeys(acts, "relu"), **dict.fromkeys(norms, "derf")},
    ]
    for one in space.uniform():
        assert space.is_uniform_alternative(one) and not space.is_baseline(one)
    both = Assignment({**dict.fromkeys(acts, "tanh"), **dict.fromkeys(norms, "derf")})
    half = Assignment({**space.baseline, "0.1": "derf"})
    assert not any(map(space.is_uniform_alternative, (both, half, space.baseline)))
    assert space.is_baseline(space.baseline) and all(map(space.allowed, (both, half)))


def test_the_same_everywhere_is_tried_in_turn_so_that_few_trials_hold_both_kinds() -> None:
    space = space_of(candidates=["relu", "tanh", "gelu", "silu"])
    changed = [next(str(c) for site, c in one.items() if c != space.baseline[site]) for one in space.uniform()]
    assert changed == ["tanh", "dynamic_tanh", "gelu", "derf", "silu"]


def test_the_identity_at_every_activation_is_not_tried_whatever_the_normalisations() -> None:
    space = space_of(candidates=["relu", "identity"])
    linear = Assignment({"0.2": "identity", "1.2": "identity", "0.1": "derf", "1.1": "derf"})
    assert not space.allowed(linear)
    assert space.allowed(Assignment({**linear, "0.2": "relu"}))


def test_normalisations_alone_can_be_searched() -> None:
    space = space_of(include=["*.1"])
    assert set(space.groups) == {"0.1", "1.1"} and space.candidates == ()
    assert [str(one["0.1"]) for one in space.uniform()] == ["dynamic_tanh", "derf"]


def test_a_range_of_alpha_is_searched() -> None:
    space = space_of(normalisations=("dynamic_tanh(alpha=0.2..2)",))
    assert "0.1.dynamic_tanh.alpha" in space.distributions()
    point = space.point({"0.2": "relu", "1.2": "relu", "0.1": "dynamic_tanh", "1.1": "layer_norm",
                         "0.1.dynamic_tanh.alpha": 1.234})  # fmt: skip
    assert str(point.assignment["0.1"]) == "dynamic_tanh(alpha=1.23)"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"normalisations": ("gelu",)}, "unknown choice of space.normalisations 'gelu': .*dynamic_tanh, derf"),
        ({"normalisations": ("layer_norm",)}, "layer_norm cannot be searched: it is what a model has already"),
        (
            {"candidates": ["relu", "dyt"]},
            r"dynamic_tanh stands at normalisations.*space\.normalisations=\[dynamic_tanh\]",
        ),
        (
            {"exclude": ["*.1"]},
            r"space\.normalisations=\[dynamic_tanh,derf\] has no effect: .* leaves no normalisation",
        ),
    ],
)
def test_mistakes_are_refused_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        space_of(**given)


def test_a_model_without_any_is_refused() -> None:
    with pytest.raises(
        AutoactError, match=r"has no effect on this model: it holds no nn\.LayerNorm and no nn\.RMSNorm"
    ):
        space_of(nn.BatchNorm1d)


def test_different_normalisations_have_no_common_dimension() -> None:
    with pytest.raises(AutoactError, match="of 'normalisation' hold different normalisations today"):
        space_of(nn.LayerNorm, nn.RMSNorm, granularity="model")


def test_without_the_setting_normalisations_are_left_alone() -> None:
    space = space_of(normalisations=())
    assert set(space.groups) == {"0.2", "1.2"} and "normalisation" not in str(space.describe())
