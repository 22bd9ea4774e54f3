"""Activations of the form ``x gate(x)`` that torch does not have, as pure functions.

Shape: each takes any, and keeps it. Values and gradients are finite as in ``pointwise``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoact.activations.functional.pointwise import computed_in_float32


@computed_in_float32
def quick_gelu(x: Tensor) -> Tensor:
    """``x sigmoid(1.702 x)``, GELU by a sigmoid (Hendrycks and Gimpel, 2016); CLIP's activation.

    Example:
        >>> quick_gelu(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8458])
    """
    return x * torch.sigmoid(1.702 * x)


@computed_in_float32
def clipped_gelu(x: Tensor, min_val: float = -10.0, max_val: float = 10.0) -> Tensor:
    """GELU within ``min_val .. max_val``, for quantised networks (Wu et al., 2020).

    Example:
        >>> clipped_gelu(torch.tensor([0.0, 20.0]))
        tensor([ 0., 10.])
    """
    return F.gelu(x).clamp(min_val, max_val)


@computed_in_float32
def golu(x: Tensor) -> Tensor:
    """``x exp(-exp(-x))``, gated by Gompertz' curve (Das et al., Gompertz Linear Units, 2025).

    Example:
        >>> golu(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.6922])
    """
    # exp(-exp(10)) is 0 in float64: nothing is lost by the clamp.
    return x * torch.exp(-torch.exp(-x.clamp(min=-10)))


@computed_in_float32
def smish(x: Tensor) -> Tensor:
    """``x tanh(log(1 + sigmoid(x)))`` (Wang et al., 2022).

    Example:
        >>> smish(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.4996])
    """
    return x * torch.tanh(torch.log1p(torch.sigmoid(x)))


@computed_in_float32
def logish(x: Tensor) -> Tensor:
    """``x log(1 + sigmoid(x))`` (Zhu et al., 2021).

    Example:
        >>> logish(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.5487])
    """
    return x * torch.log1p(torch.sigmoid(x))


@computed_in_float32
def aptx(x: Tensor, alpha: float = 1.0, beta: float = 1.0, gamma: float = 0.5) -> Tensor:
    """``(alpha + tanh(beta x)) gamma x``, alpha plus tanh times (Kumar, 2022).

    Example:
        >>> aptx(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8808])
    """
    return (alpha + torch.tanh(beta * x)) * (gamma * x)
