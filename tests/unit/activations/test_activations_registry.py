from __future__ import annotations

import numpy as np
import pytest
import torch

import autoact.activations as activations
from autoact.activations import registry
from autoact.activations.gain import gain
from autoact.activations.spec import Activation, Parameter
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError


@pytest.mark.parametrize(
    ("given", "name"),
    [("swish", "silu"), ("SiLU", "silu"), ("LeakyReLU", "leaky_relu"), ("hard-swish", "hardswish"), (" GELU ", "gelu")],
)
def test_aliases_and_case(given: str, name: str) -> None:
    assert registry.get(given).name == name


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(AutoactError, match=r"unknown activation 'geluu': did you mean gelu"):
        registry.get("geluu")


def test_names_leave_out_what_no_search_may_try() -> None:
    everything, searchable = registry.names(), registry.names(searchable_only=True)
    assert set(everything) - set(searchable) == {"step"}
    assert [row.name for row in registry.all()] == everything
    assert registry.get("step").reason_not_searchable


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("swish", "silu"),
        ("leaky_relu(negative_slope=0.01)", "leaky_relu"),
        ("LeakyReLU( negative_slope = 0.2 )", "leaky_relu(negative_slope=0.2)"),
        (Choice("hardtanh", (("max_val", 2), ("min_val", -1))), "hard_tanh(max_val=2)"),
        (Choice("hardtanh", (("min_val", -2.0), ("max_val", 2.0))), "hard_tanh(max_val=2, min_val=-2)"),
    ],
)
def test_canonical_choices(given: str | Choice, text: str) -> None:
    found = registry.canonical(given)
    assert str(found) == text
    assert registry.canonical(found) == found
    assert all(isinstance(value, float) for _, value in found.params)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "leaky_relu(negative_slop=0.2)",
            "unknown parameter of leaky_relu 'negative_slop': did you mean negative_slope",
        ),
        ("relu(alpha=1)", "unknown parameter of relu 'alpha'"),
        ("celu(alpha=-1)", r"celu: alpha=-1 is not allowed, choose 0.001 .. 100"),
        ("elu(alpha=nan)", "alpha=nan is not allowed"),
        ("hard_tanh(min_val=2)", "hard_tanh: min_val=2 may not exceed max_val=1"),
        ("rrelu(lower=0.5)", "lower=0.5 may not exceed upper"),
        ("relu(", "cannot read"),
    ],
)
def test_wrong_choices(given: str, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        registry.canonical(given)


def test_register_a_lambda_with_a_parameter() -> None:
    row = activations.register("my_cube", lambda x, scale=2: scale * x**3, aliases=("cube",))
    assert row.parameters == (Parameter("scale", 2.0),)
    assert activations.build("cube(scale=3)")(torch.tensor([2.0])).item() == 24.0
    assert registry.names()[-1] == "my_cube"
    assert gain("my_cube") == pytest.approx((4 * 15) ** -0.5)


def test_register_a_learnable_one() -> None:
    activations.register("my_scale", lambda x, a=0.5: a * x, family="learnable")
    module = activations.build("my_scale(a=0.25)", channels=2)
    assert sum(weight.numel() for weight in module.parameters()) == 2
    assert module(torch.ones(1, 2)).tolist() == [[0.25, 0.25]]


def test_a_stated_gain_is_used() -> None:
    activations.register("my_half", lambda x: x / 2, gain=7.0)
    assert gain("my_half") == 7.0


@pytest.mark.parametrize("name", ["relu", "ReLU", "swish"])
def test_a_name_that_is_taken_is_refused_even_with_replace(name: str) -> None:
    for replace in (False, True):
        with pytest.raises(AutoactError, match=r"is taken by '(relu|silu)': choose another .it is autoact's own"):
            activations.register(name, torch.relu, replace=replace)


def test_a_taken_alias_is_refused_and_nothing_changes() -> None:
    before = registry.names()
    with pytest.raises(AutoactError, match="'swish' is taken by 'silu'"):
        activations.register("fresh", torch.relu, aliases=("other", "swish"))
    assert registry.names() == before
    with pytest.raises(AutoactError, match="unknown activation 'other'"):
        registry.get("other")


def test_replace_puts_a_new_function_and_gain_in_place() -> None:
    activations.register("mine", lambda x: x, aliases=("old_alias",))
    first = gain("mine"), activations.function_key("mine")
    with pytest.raises(AutoactError, match="replace=True"):
        activations.register("mine", lambda x: 2 * x)
    activations.register("mine", lambda x: 2 * x, replace=True)
    assert (gain("mine"), first[0]) == (0.5, 1.0)
    assert activations.function_key("mine") != first[1]
    with pytest.raises(AutoactError, match="unknown activation 'old_alias'"):
        registry.get("old_alias")


@pytest.mark.parametrize(
    ("name", "function", "fields", "message"),
    [
        ("soft", lambda x: torch.softmax(x, -1), {}, "mixes its inputs"),
        ("doubled", lambda x: x.mul_(2), {}, "writes into its input: it must return a new tensor"),
        ("of_numpy", lambda x: torch.from_numpy(np.tanh(x.numpy())), {}, "passes no gradient on"),
        ("cut_off", lambda x: x.detach().tanh(), {}, "passes no gradient on"),
        ("shape", lambda x: x.sum(), {}, r"must keep shape and type: \(2, 4\) torch.float32 became \(\) torch.float32"),
        ("kind", lambda x: x.double(), {}, "became .* torch.float64"),
        ("number", lambda x: 1.0, {}, "became float"),
        ("broken", lambda x: x.no_such(), {}, "fails on a 2 x 4 tensor"),
        ("no name", torch.relu, {}, "use letters, digits and _"),
        ("text", "relu", {}, "needs a function"),
        ("needs", lambda x, a: x * a, {}, "argument 'a' of the activation needs a number"),
        ("after", lambda x, flag=True, a=1.0: x * a, {}, "argument 'a' of the activation must come right after x"),
        ("typo", torch.tanh, {"formular": "x", "parameters": ()}, "unknown field of an activation 'formular'"),
        ("negative", torch.tanh, {"gain": -1.0, "parameters": ()}, "must be a positive number"),
        ("noisy", lambda x: x, {"stochastic": True}, "unexpected keyword argument 'training'"),
    ],
)
def test_what_cannot_be_registered(name: str, function: object, fields: dict, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        activations.register(name, function, **fields)  # type: ignore[arg-type]


def test_arguments_that_are_no_numbers_keep_their_defaults() -> None:
    row = activations.register("like_elu", torch.nn.functional.elu)
    assert row.parameter_names == ("alpha",)


def test_functions_without_a_signature_can_be_registered() -> None:
    assert activations.register("built_in", torch.erf).parameters == ()


def test_a_whole_row_takes_no_further_fields() -> None:
    row = Activation("whole", torch.tanh)
    with pytest.raises(AutoactError, match="is a whole row"):
        activations.register(row, formula="x")
    assert activations.register(row) is registry.get("whole")


def test_unregister_frees_the_name_and_its_aliases() -> None:
    activations.register("short_lived", torch.tanh, parameters=(), aliases=("brief",))
    activations.unregister("brief")
    assert "short_lived" not in registry.names()
    for name in ("short_lived", "brief"):
        with pytest.raises(AutoactError, match="unknown activation"):
            registry.get(name)
    activations.register("brief", torch.tanh)
