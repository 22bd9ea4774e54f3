from __future__ import annotations

import pytest
import torch

from autoact.activations import canonical, function_key, get
from autoact.activations.functional import learnable, pointwise, self_gated


def test_a_gate_that_is_shut_passes_neither_value_nor_gradient() -> None:
    for function in (self_gated.golu, self_gated.quick_gelu, self_gated.smish, self_gated.logish, self_gated.aptx):
        x = torch.tensor([-1e4, -300.0], requires_grad=True)
        (slope,) = torch.autograd.grad(function(x).sum(), x)
        assert slope.tolist() == [0.0, 0.0]


def test_the_names_that_others_use_are_known() -> None:
    names = {"nlrelu": "natural_log_relu", "gelu_10": "clipped_gelu", "sqrtsoftplus": "sqrt_softplus"}
    names |= {"PolyReLU": "poly_relu", "parametric_mish": "blend_mish", "QuickGELU": "quick_gelu"}
    for name, row in names.items():
        assert get(name).name == row


def test_aptx_is_a_swish_with_a_sharper_gate() -> None:
    x = torch.linspace(-5, 5, 101)
    torch.testing.assert_close(self_gated.aptx(x), learnable.swish_beta(x, 2.0))
    assert function_key("aptx(beta=0.5,gamma=0.5)") == function_key("silu")


def test_a_clipped_gelu_keeps_its_limits_in_order() -> None:
    assert str(canonical("gelu_10(max_val=6)")) == "clipped_gelu(max_val=6)"
    with pytest.raises(Exception, match="min_val=7 may not exceed max_val=6"):
        canonical("clipped_gelu(min_val=7,max_val=6)")


def test_the_root_of_softplus_has_a_slope_where_softplus_is_zero() -> None:
    x = torch.tensor([-200.0, -30.0], requires_grad=True)
    y = pointwise.sqrt_softplus(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(y, torch.exp(x / 2))
    torch.testing.assert_close(slope, torch.exp(x / 2) / 2)


def test_xielu_starts_with_both_factors_at_four_fifths() -> None:
    x = torch.tensor([-2.0, 3.0], dtype=torch.float64)
    want = torch.tensor([0.8 * (torch.expm1(x[0]) - x[0]) + x[0] / 2, 0.8 * 9 + 1.5], dtype=torch.float64)
    torch.testing.assert_close(learnable.xielu(x), want, rtol=1e-8, atol=1e-8)


def test_poly_relu_takes_each_power() -> None:
    x = torch.tensor([-1.0, 2.0])
    assert learnable.poly_relu(x, 1.0, 10.0, 100.0, 1000.0).tolist() == [1.0, 8421.0]
