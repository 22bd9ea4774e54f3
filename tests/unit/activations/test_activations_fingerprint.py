from __future__ import annotations

import collections

import pytest
import torch

from autoact.activations import function_key, names, register


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("silu", "swish"),
        ("celu(alpha=1)", "elu"),
        ("relu", "threshold(threshold=0)"),
        ("relu", "leaky_relu(negative_slope=0)"),
        ("relu6", "hard_tanh(min_val=0, max_val=6)"),
        ("identity", "leaky_relu(negative_slope=1)"),
        ("softshrink(lambd=0)", "identity"),
        ("star_relu(scale=1, bias=0)", "squared_relu"),
    ],
)
def test_equal_functions(one: str, other: str) -> None:
    assert function_key(one) == function_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("relu", "relu6"),
        ("gelu", "gelu_tanh"),
        ("silu", "swish_beta"),  # the one stays what it is, the other learns
        ("swish_beta", "acon_c"),  # one weight and three
        ("leaky_relu(negative_slope=0.25)", "prelu"),
        ("rrelu(lower=0.2, upper=0.2)", "leaky_relu(negative_slope=0.2)"),
        ("rrelu(lower=0.1, upper=0.3)", "rrelu(lower=0.15, upper=0.25)"),
        ("elu", "elu(alpha=1.01)"),
    ],
)
def test_other_functions(one: str, other: str) -> None:
    assert function_key(one) != function_key(other)


def test_only_elu_and_celu_coincide_in_the_catalogue() -> None:
    by_print = collections.defaultdict(list)
    for name in names():
        by_print[function_key(name)].append(name)
    assert [group for group in by_print.values() if len(group) > 1] == [["elu", "celu"]]


def test_another_way_to_write_a_function_is_the_same() -> None:
    register("long_silu", lambda x: x / (1 + torch.exp(-x)))
    register("long_tanh", lambda x: 2 * torch.sigmoid(2 * x) - 1)
    assert function_key("long_silu") == function_key("silu")
    assert function_key("long_tanh") == function_key("tanh")


def test_learnable_ones_are_compared_where_they_may_go() -> None:
    register("same_prelu", lambda x, w=0.25: torch.where(x > 0, x, w * x), family="learnable")
    register("like_prelu_at_first", lambda x, w=0.25: torch.where(x > 0, x + (w - 0.25), w * x), family="learnable")
    assert function_key("same_prelu") == function_key("prelu")
    assert function_key("like_prelu_at_first") != function_key("prelu")


def test_the_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    want = torch.rand(1)
    torch.manual_seed(5)
    function_key("rrelu(lower=0.11)")
    assert torch.equal(torch.rand(1), want)
