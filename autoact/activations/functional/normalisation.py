"""Normalisations of the last axis without scale and shift, and the functions of each number that stand for them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoact.activations.functional.pointwise import computed_in_float32


def layer_norm(x: Tensor) -> Tensor:
    """``(x - mean) / sqrt(variance + 1e-5)`` over the last axis (Ba et al., 2016).

    Shape: ``x`` any, kept.

    Example:
        >>> layer_norm(torch.tensor([1.0, 3.0])).round(decimals=3)
        tensor([-1.,  1.])
    """
    return F.layer_norm(x, x.shape[-1:])


def rms_norm(x: Tensor) -> Tensor:
    """``x / sqrt(mean(x^2) + eps)`` over the last axis (Zhang and Sennrich, 2019).

    Shape: ``x`` any, kept.

    Example:
        >>> rms_norm(torch.tensor([3.0, 3.0]))
        tensor([1., 1.])
    """
    return F.rms_norm(x, x.shape[-1:])


@computed_in_float32
def dynamic_tanh(x: Tensor, alpha: Tensor | float = 0.5) -> Tensor:
    """``tanh(alpha x)`` (Zhu et al., 2025).

    Shape: ``x`` any, kept; ``alpha`` broadcasts against ``x``.

    Example:
        >>> dynamic_tanh(torch.tensor([0.0, 2.0]))
        tensor([0.0000, 0.7616])
    """
    return torch.tanh(alpha * x)


@computed_in_float32
def derf(x: Tensor, alpha: Tensor | float = 0.5, s: Tensor | float = 0.0) -> Tensor:
    """``erf(alpha x + s)`` (Chen et al., 2025).

    Shape: ``x`` any, kept; ``alpha`` and ``s`` broadcast against ``x``.

    Example:
        >>> derf(torch.tensor([0.0, 2.0]))
        tensor([0.0000, 0.8427])
    """
    return torch.erf(alpha * x + s)
