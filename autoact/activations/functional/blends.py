"""Blends ``x + weight (f(x) - x)``: how much of an activation each channel takes is learnt (RealMLP).

With ``weight = 1`` a blend is its activation, with 0 the identity. ReLU's blend is ``prelu``.

Shape: ``x`` any, kept; ``weight`` broadcasts against ``x``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoact.activations.functional.pointwise import computed_in_float32


def _blended(x: Tensor, y: Tensor, weight: Tensor | float) -> Tensor:
    """Written so that a large input does not swallow the digits of a bounded activation."""
    return (1 - weight) * x + weight * y


@computed_in_float32
def blend_selu(x: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """``x + weight (selu(x) - x)`` (Holzmüller et al., 2024).

    Example:
        >>> blend_selu(torch.tensor([0.0, -1.0]), 0.0)
        tensor([ 0., -1.])
    """
    return _blended(x, F.selu(x), weight)


@computed_in_float32
def blend_mish(x: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """``x + weight (mish(x) - x)`` (Holzmüller et al., 2024).

    Example:
        >>> blend_mish(torch.tensor([0.0, -1.0]), 0.0)
        tensor([ 0., -1.])
    """
    return _blended(x, F.mish(x), weight)


@computed_in_float32
def blend_gelu(x: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """``x + weight (gelu(x) - x)`` (Holzmüller et al., 2024).

    Example:
        >>> blend_gelu(torch.tensor([0.0, -1.0]), 0.0)
        tensor([ 0., -1.])
    """
    return _blended(x, F.gelu(x), weight)


@computed_in_float32
def blend_silu(x: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """``x + weight (silu(x) - x)`` (Holzmüller et al., 2024).

    Example:
        >>> blend_silu(torch.tensor([0.0, -1.0]), 0.0)
        tensor([ 0., -1.])
    """
    return _blended(x, F.silu(x), weight)


@computed_in_float32
def blend_tanh(x: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """``x + weight (tanh(x) - x)`` (Holzmüller et al., 2024).

    Example:
        >>> blend_tanh(torch.tensor([0.0, -1.0]), 0.0)
        tensor([ 0., -1.])
    """
    return _blended(x, torch.tanh(x), weight)
