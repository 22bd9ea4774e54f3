"""Pointwise activations whose parameters are tensors: one value per member of a population, in one call.

torch's own functions take one number for all of ``x``. These take, for each parameter, a number or a tensor that
broadcasts against ``x``: ``[members, 1, ..., 1]`` against ``[members, ...]``. Values and gradients are those of the
catalogue's function at each member's number.

Shape: each takes any, and keeps it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoact.activations.functional.pointwise import computed_in_float32


@computed_in_float32
def leaky_relu(x: Tensor, negative_slope: Tensor) -> Tensor:
    """``x`` where x > 0, ``negative_slope * x`` below, a slope per member.

    Example:
        >>> leaky_relu(-torch.ones(2, 1), torch.tensor([[0.5], [2.0]])).flatten().tolist()
        [-0.5, -2.0]
    """
    return torch.where(x > 0, x, negative_slope * x)


@computed_in_float32
def elu(x: Tensor, alpha: Tensor) -> Tensor:
    """``x`` where x > 0, ``alpha (exp(x) - 1)`` below.

    Example:
        >>> elu(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.5], [2.0]])).flatten().tolist()
        [1.0, 0.0]
    """
    return torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0)))


@computed_in_float32
def softplus(x: Tensor, beta: Tensor | float = 1.0, threshold: Tensor | float = 20.0) -> Tensor:
    """``log(1 + exp(beta x)) / beta``, and ``x`` where ``beta x`` exceeds the threshold.

    Example:
        >>> softplus(torch.zeros(2, 1), torch.tensor([[1.0], [2.0]])).flatten()
        tensor([0.6931, 0.3466])
    """
    z = beta * x
    if not isinstance(threshold, Tensor):
        return F.softplus(z, 1.0, threshold) / beta
    return torch.where(z > threshold, x, -F.logsigmoid(-z) / beta)


@computed_in_float32
def threshold(x: Tensor, threshold: Tensor | float = 1.0, value: Tensor | float = 0.0) -> Tensor:
    """``x`` where it exceeds the threshold, else the value.

    Example:
        >>> threshold(torch.ones(2, 1), torch.tensor([[0.5], [2.0]])).flatten().tolist()
        [1.0, 0.0]
    """
    return torch.where(x <= threshold, value, x)


@computed_in_float32
def softshrink(x: Tensor, lambd: Tensor) -> Tensor:
    """``sign(x) max(0, |x| - lambd)``.

    Example:
        >>> softshrink(torch.ones(2, 1), torch.tensor([[0.5], [2.0]])).flatten().tolist()
        [0.5, 0.0]
    """
    return x - x.clamp(-lambd, lambd)


@computed_in_float32
def hardshrink(x: Tensor, lambd: Tensor) -> Tensor:
    """``x`` where ``|x| > lambd``, else 0.

    Example:
        >>> hardshrink(torch.ones(2, 1), torch.tensor([[0.5], [2.0]])).flatten().tolist()
        [1.0, 0.0]
    """
    return torch.where(x.abs() <= lambd, 0.0, x)


@computed_in_float32
def sine(x: Tensor, omega: Tensor) -> Tensor:
    """``sin(omega x)``.

    Example:
        >>> sine(torch.ones(2, 1), torch.tensor([[0.0], [1.0]])).flatten()
        tensor([0.0000, 0.8415])
    """
    return torch.sin(omega * x)
