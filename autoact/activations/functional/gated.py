"""Gated forms and maxout as pure functions: each output channel is made of several input channels.

The last axis holds the pieces one after the other: the first half is the value, the second the gate, as in
``torch.nn.functional.glu``. Each function takes ``[..., pieces * channels]`` and returns ``[..., channels]``.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


def glu(x: Tensor) -> Tensor:
    """``a * sigmoid(b)`` for x = [a, b] (Dauphin et al., 2017).

    Example:
        >>> glu(torch.tensor([3.0, 0.0]))
        tensor([1.5000])
    """
    return F.glu(x, -1)


def bilinear(x: Tensor) -> Tensor:
    """``a * b`` for x = [a, b] (Mnih and Hinton, 2007; as a layer: Shazeer, 2020).

    Example:
        >>> bilinear(torch.tensor([3.0, -2.0]))
        tensor([-6.])
    """
    value, gate = x.chunk(2, -1)
    return value * gate


def reglu(x: Tensor) -> Tensor:
    """``a * relu(b)`` for x = [a, b] (Shazeer, 2020).

    Example:
        >>> reglu(torch.tensor([3.0, 2.0])), reglu(torch.tensor([3.0, -2.0]))
        (tensor([6.]), tensor([0.]))
    """
    value, gate = x.chunk(2, -1)
    return value * F.relu(gate)


def geglu(x: Tensor) -> Tensor:
    """``a * gelu(b)`` for x = [a, b] (Shazeer, 2020).

    Example:
        >>> geglu(torch.tensor([3.0, 0.0]))
        tensor([0.])
    """
    value, gate = x.chunk(2, -1)
    return value * F.gelu(gate)


def swiglu(x: Tensor) -> Tensor:
    """``a * silu(b)`` for x = [a, b] (Shazeer, 2020).

    Example:
        >>> swiglu(torch.tensor([3.0, 0.0]))
        tensor([0.])
    """
    value, gate = x.chunk(2, -1)
    return value * F.silu(gate)


def maxout(x: Tensor, pieces: float = 2) -> Tensor:
    """The largest of ``pieces`` linear maps (Goodfellow et al., 2013).

    Example:
        >>> maxout(torch.tensor([1.0, 5.0, 2.0, 3.0]))
        tensor([2., 5.])
    """
    return functools.reduce(torch.maximum, x.chunk(int(pieces), -1))


def maxout_alike(z: Tensor, pieces: float = 2) -> Tensor:
    """A function of one number with the second moment of maxout, from the density of the largest of ``pieces``.

    The largest of k standard normal numbers has density ``k phi(z) Phi(z)^(k-1)`` (David and Nagaraja, Order
    Statistics, 2003), so ``E[max^2] = E[g(z)^2]`` with ``g(z) = z sqrt(k Phi(z)^(k-1))``.

    Shape: any, kept.

    Example:
        >>> maxout_alike(torch.tensor([0.0, 20.0]))
        tensor([ 0.0000, 28.2843])
    """
    return z * torch.sqrt(pieces * torch.special.ndtr(z) ** (pieces - 1))
