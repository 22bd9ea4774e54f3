"""Modules in the place of normalisations, and rows of one's own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from autoact.activations import build, function_key, get, names, register, unregister
from autoact.activations.normalisation import NormalisationModule, recognise_normalisation
from autoact.activations.registry import any_normalisation, normalisations
from autoact.core.errors import AutoactError


@pytest.fixture
def own() -> Iterator[str]:
    row = register("arc_norm", lambda x, alpha=0.5: torch.atan(alpha * x), family="normalisation")
    yield row.name
    unregister(row.name)


def test_a_row_of_ones_own_stands_for_normalisations(own: str) -> None:
    assert own in [row.name for row in normalisations()] and own not in names()
    module = NormalisationModule(own, nn.LayerNorm(4))
    x = torch.randn(3, 4)
    torch.testing.assert_close(module(x), torch.atan(0.5 * x))
    assert any_normalisation(["relu", own]) and not any_normalisation(["relu"])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (torch.atan, "needs parameters to learn"),
        (lambda x, a=1.0: x * a / x.square().sum(), "mixes its inputs"),
    ],
)
def test_what_cannot_stand_for_one_is_refused(function: object, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        register("refused", function, family="normalisation")  # type: ignore[arg-type]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_compute_the_same(copied: object) -> None:
    module = NormalisationModule("derf(alpha=0.7, s=0.2)", nn.LayerNorm(4))
    other = copied(module)  # type: ignore[operator]
    x = torch.randn(3, 4)
    assert torch.equal(module(x), other(x)) and other.weight is not module.weight
    assert other.choice == module.choice and repr(other) == "NormalisationModule(derf(alpha=0.7, s=0.2), (4,))"


def test_weight_and_dtype_are_those_of_what_stood_there() -> None:
    norm = nn.LayerNorm(4, dtype=torch.bfloat16).requires_grad_(False)
    module = NormalisationModule("dyt", norm)
    assert module.weight is norm.weight and not module.weight.requires_grad
    assert module.alpha.dtype == torch.bfloat16 and module.alpha.requires_grad
    assert module(torch.ones(2, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert [tuple(weight.shape) for weight in module.weights()] == [(1,)]


@pytest.mark.parametrize("choice", ["relu", "layer_norm", "prelu"])
def test_only_such_rows_make_a_module(choice: str) -> None:
    with pytest.raises(AutoactError, match="choose dynamic_tanh or derf"):
        NormalisationModule(choice, nn.LayerNorm(4))


def test_no_activation_equals_one_as_a_function() -> None:
    keys = {function_key(row.name) for row in normalisations()}
    assert len(keys) == len(normalisations()) and keys.isdisjoint(map(function_key, names()))
    assert function_key("derf(alpha=0.5)") == function_key("derf") != function_key("derf(alpha=0.6)")


def test_recognition() -> None:
    kinds = [nn.LayerNorm(4), nn.RMSNorm(4), nn.LayerNorm((2, 3)), NormalisationModule("derf", nn.RMSNorm(4))]
    assert [str(recognise_normalisation(kind)) for kind in kinds] == ["layer_norm", "rms_norm", "layer_norm", "derf"]
    for other in (nn.BatchNorm1d(4), nn.GroupNorm(1, 4), nn.Linear(4, 4), build("tanh")):
        assert recognise_normalisation(other) is None
    overridden = nn.LayerNorm(4)
    overridden.forward = lambda x: 2 * x  # type: ignore[method-assign]
    assert recognise_normalisation(overridden) is None


def test_facts_of_the_rows() -> None:
    for name in ("dynamic_tanh", "derf"):
        row = get(name)
        x = torch.linspace(-60, 60, 4001, dtype=torch.float64)
        y = row.function(x, **row.values())
        assert row.learnable and row.searchable and row.bounded and row.reference.endswith("2025")
        assert (float(y[0]), float(y[-1])) == pytest.approx(row.saturation)
        assert bool((y.diff() >= 0).all()) and torch.allclose(y, -y.flip(0))
