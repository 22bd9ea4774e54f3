from __future__ import annotations

import math

import pytest
import torch

from autoact.activations import register
from autoact.activations.gain import gain, second_moment
from autoact.core.errors import AutoactError


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("identity", 1.0),
        ("relu", math.sqrt(2)),
        ("step", math.sqrt(2)),
        ("leaky_relu(negative_slope=0.2)", math.sqrt(2 / (1 + 0.2**2))),
        ("prelu(weight=0.5)", math.sqrt(2 / 1.25)),
        ("selu", 1.0),
        ("squared_relu", math.sqrt(2 / 3)),
        ("gaussian", 5**0.25),
        ("sine", math.sqrt(2 / (1 - math.exp(-2)))),
        ("sine(omega=100)", math.sqrt(2 / (1 - math.exp(-2 * 100**2)))),
        ("tanh", 1.5925374),
        ("gelu", 1.5335304),
    ],
)
def test_known_constants(choice: str, value: float) -> None:
    assert gain(choice) == pytest.approx(value, rel=1e-7)


def test_the_identitys_is_exactly_one() -> None:
    assert gain("identity") == 1.0


@pytest.mark.parametrize("at", [0.1234567, -1 / 3, 2.718281828])
def test_a_jump_anywhere_is_found(at: float) -> None:
    tail = 0.5 * math.erfc(at / math.sqrt(2))
    assert second_moment(lambda z: (z > at).double()) == pytest.approx(tail, abs=1e-11)


def test_a_narrow_bump_beside_the_panels_ends() -> None:
    want = math.sqrt(math.pi / 2) * 0.01 * math.exp(-0.5) / math.sqrt(2 * math.pi)
    assert second_moment(lambda z: torch.exp(-(((z - 1) / 0.01) ** 2))) == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("function", [lambda x: 0 * x, lambda x: torch.exp(x.square()), lambda x: x.log()])
def test_no_gain(function: object) -> None:
    register("odd_one", function, replace=True)  # type: ignore[arg-type]
    with pytest.raises(AutoactError, match=r"odd_one has no gain .* register it with gain="):
        gain("odd_one")
