"""Gated rows in the registry: names, pieces, whole parameters, a user's own, and what is refused."""

import math

import pytest
import torch
from torch import Tensor

from autoact.activations import registry
from autoact.activations.fingerprint import function_key
from autoact.activations.gain import gain
from autoact.activations.modules import ActivationModule, GatedActivation, build, recognise
from autoact.activations.spec import Activation, Parameter
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError


def tanh_gated(x: Tensor) -> Tensor:
    value, gate = x.chunk(2, -1)
    return value * torch.tanh(gate)


def test_a_gated_row_says_so() -> None:
    row = registry.get("SwiGLU")
    assert (row.name, row.family, row.gated, row.searchable) == ("swiglu", "gated", True, True)
    assert not registry.get("relu").gated
    assert "swiglu" in registry.names(searchable_only=True)


def test_the_text_form_is_canonical() -> None:
    assert str(registry.canonical("Maxout(pieces=2)")) == "maxout"
    assert registry.canonical("maxout(pieces=4)") == Choice("maxout", (("pieces", 4.0),))
    assert str(registry.canonical("maxout(pieces=4)")) == "maxout(pieces=4)"


@pytest.mark.parametrize(("choice", "count"), [("relu", 1), ("prelu", 1), ("glu", 2), ("maxout(pieces=5)", 5)])
def test_pieces(choice: str, count: int) -> None:
    assert registry.pieces(choice) == count


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("maxout(pieces=2.5)", "pieces=2.5 must be a whole number, 2 .. 8"),
        ("maxout(pieces=1)", "pieces=1 is not allowed, choose 2 .. 8"),
        ("swiglu(beta=1)", "unknown parameter of swiglu 'beta'"),
        ("swigluu", "did you mean swiglu"),
    ],
)
def test_mistakes(choice: str, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        registry.canonical(choice)


def test_an_input_that_does_not_divide_is_refused() -> None:
    with pytest.raises(AutoactError, match=r"makes 1 channel of 2: the last axis of \(4, 3\)"):
        build("swiglu")(torch.zeros(4, 3))
    with pytest.raises(AutoactError, match="does not divide"):
        build("swiglu")(torch.tensor(1.0))


def test_a_pointwise_choice_is_no_gated_module() -> None:
    with pytest.raises(AutoactError, match="relu is not gated"):
        GatedActivation("relu")
    assert type(build("relu")) is ActivationModule


def test_a_users_own_gated_activation() -> None:
    row = registry.register("tanh_glu", tanh_gated, family="gated", moment_of=torch.tanh)
    assert row.gated and registry.pieces("tanh_glu") == 2
    assert gain("tanh_glu") == gain("tanh")
    module = build("tanh_glu")
    assert recognise(module) == Choice("tanh_glu")
    assert torch.equal(module(torch.ones(2, 6)), torch.full((2, 3), math.tanh(1.0)))
    again = registry.register("tanh_glu_again", tanh_gated, family="gated", gain=2.0)
    assert gain("tanh_glu_again") == 2.0
    assert function_key(again.name) == function_key(row.name) != function_key("swiglu")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (torch.tanh, r"must make 1 channel of 2: \(2, 6\) torch.float32 became \(2, 6\)"),
        (lambda x: x[..., ::2] * x[..., 1::2], "mixes its channels"),
        (lambda x: x.chunk(2, -1)[0].softmax(-1) * x.chunk(2, -1)[1], "mixes its channels"),
        (lambda x: x.reshape(-1, 7), "fails on a 2 x 6 tensor"),
    ],
)
def test_a_function_that_is_not_gated_is_refused(function: object, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        registry.register("mine", function, family="gated", gain=1.0)  # type: ignore[arg-type]
    assert "mine" not in registry.names()


def test_a_gated_row_needs_a_gain() -> None:
    with pytest.raises(AutoactError, match="a gated one needs gain=<number>"):
        registry.register("mine", tanh_gated, family="gated")
    with pytest.raises(AutoactError, match="cannot be stochastic"):
        registry.register("mine", tanh_gated, family="gated", gain=1.0, stochastic=True)


def test_a_whole_parameter_has_a_whole_default() -> None:
    with pytest.raises(AutoactError, match=r"default n=1\.5 is not whole"):
        Activation("mine", torch.relu, parameters=(Parameter("n", 1.5, whole=True),))
