from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from autoact.activations import build, canonical, register, registry
from autoact.activations.functional.learnable import rational
from autoact.activations.functional.rational_fit import fit, rational_like
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError

X = torch.linspace(-3, 3, 1001, dtype=torch.float64)


def error(fitted: Choice | str, target: str) -> float:
    return (registry.function(fitted)(X) - registry.function(target)(X)).square().mean().sqrt().item()


@pytest.mark.parametrize(
    ("target", "largest"),
    [("leaky_relu", 6e-3), ("tanh", 2e-6), ("gelu", 4e-4), ("silu", 5e-6), ("elu", 2e-3), ("identity", 1e-9)],
)
def test_it_starts_as_the_function_that_it_replaces(target: str, largest: float) -> None:
    assert error(rational_like(target), target) < largest


def test_the_default_is_what_the_fit_finds() -> None:
    assert error("rational", "leaky_relu") == pytest.approx(error(rational_like("leaky_relu"), "leaky_relu"), rel=1e-3)
    assert error("rational", "leaky_relu") < error(rational_like("leaky_relu(negative_slope=0.1)"), "leaky_relu")


@pytest.mark.parametrize("function", [torch.tanh, torch.nn.functional.gelu, torch.nn.functional.elu])
def test_the_fit_is_at_a_minimum(function: Callable[[Tensor], Tensor]) -> None:
    theta = fit(function)

    def loss(coefficients: Sequence[float]) -> float:
        return (rational(X, *coefficients) - function(X)).square().mean().item()

    for k, value in enumerate(theta):
        for change in (-0.01, 0.01):
            moved = [*theta[:k], value + change * max(abs(value), 0.01), *theta[k + 1 :]]
            assert loss(moved) > loss(theta)


def test_it_is_plain_data_that_builds_the_same_again() -> None:
    start = rational_like("swish")
    assert canonical(str(start)) == start
    x = torch.linspace(-2, 2, 6)[:, None]
    torch.testing.assert_close(build(str(start), channels=1)(x), torch.nn.functional.silu(x), rtol=0, atol=1e-4)


def test_a_function_that_is_not_finite_is_refused() -> None:
    register("my_log", torch.log)
    with pytest.raises(AutoactError, match="not finite"):
        rational_like("my_log")
