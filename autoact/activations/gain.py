"""The scale that keeps a signal's size through an activation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from autoact.activations import registry
from autoact.activations.spec import Activation
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError

_EDGE = 14.0
"""The normal density beyond is below 1e-43."""
_NODES = 16
_ROUNDS = 60
_TOLERANCE = 1e-13
"""Largest error of one panel, as a share of the second moment."""
_MOST_PANELS = 50_000
"""A function that stays rough at this count is taken as it is seen then."""


@functools.cache
def _rule() -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on -1 .. 1 (Golub and Welsch, 1969)."""
    k = torch.arange(1, _NODES, dtype=torch.float64, device="cpu")
    off = k / torch.sqrt(4 * k.square() - 1)
    nodes, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return nodes, 2 * vectors[0].square()


def _integral(h: Callable[[Tensor], Tensor], left: Tensor, right: Tensor) -> Tensor:
    """The integral of h(z) under the normal density over each panel ``left[i] .. right[i]``."""
    nodes, weights = _rule()
    half = (right - left) / 2
    z = ((left + right) / 2)[:, None] + half[:, None] * nodes
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return (h(z) * density * weights).sum(dim=1) * half


def second_moment(f: Callable[[Tensor], Tensor]) -> float:
    """``E[f(z)^2]`` for a standard normal z, in float64.

    Example:
        >>> round(second_moment(torch.relu), 9)
        0.5
    """
    return expectation(lambda z: f(z).square())


def expectation(h: Callable[[Tensor], Tensor]) -> float:
    """``E[h(z)]`` for a standard normal z, in float64; infinite or NaN where the tails say so.

    Panels are halved where halving changes their integral, so kinks and jumps anywhere are found.

    Example:
        >>> round(expectation(torch.relu) * math.sqrt(2 * math.pi), 9)
        1.0
    """
    edges = torch.linspace(-_EDGE, _EDGE, 257, dtype=torch.float64, device="cpu")
    left, right = edges[:-1], edges[1:]
    total = 0.0
    with torch.no_grad():
        whole = _integral(h, left, right)
        scale = float(whole.abs().sum())
        if not float((whole[0] + whole[-1]).abs()) <= 1e-9 * scale:  # the tails still grow there, or are no numbers
            return math.nan if math.isnan(scale) else math.inf if scale > 0 else scale
        for _ in range(_ROUNDS):
            middle = (left + right) / 2
            first, second = _integral(h, left, middle), _integral(h, middle, right)
            rough = ((first + second - whole).abs() > _TOLERANCE * scale) & (middle > left) & (middle < right)
            total += float((first + second)[~rough].sum())
            left, right = torch.cat([left[rough], middle[rough]]), torch.cat([middle[rough], right[rough]])
            whole = torch.cat([first[rough], second[rough]])
            if not 0 < len(whole) <= _MOST_PANELS:
                break
    return total + float(whole.sum())


@functools.lru_cache(maxsize=4096)
def _gain(row: Activation, params: tuple[tuple[str, float], ...]) -> float:
    if row.stated_gain is not None:
        return row.stated_gain
    values = row.values(dict(params))
    function = row.moment_of or row.function
    moment = second_moment(lambda z: function(z, **values))
    if not (math.isfinite(moment) and moment > 0):
        raise AutoactError(
            f"{Choice(row.name, params)} has no gain (E[f(z)^2] is {moment:g}): register it with gain=..."
        )
    return float(f"{1 / math.sqrt(moment):.12g}")  # digits beyond are the quadrature's: 1 for the identity


def gain(choice: str | Choice) -> float:
    """``1 / sqrt(E[f(z)^2])`` for a standard normal z: the scale for the weights that consume the output.

    With it the pre-activations keep a root mean square of 1 through any depth (He et al., 2015, for ReLU).
    A learnable activation counts at its starting values, a stochastic one in eval mode. Of a gated one it is
    ``1 / sqrt(E[f(z1, z2)^2])`` for independent inputs: that of its gate alone, since the value has a second moment of
    1. Accurate to 1e-6, cached.

    Raises:
        AutoactError: unknown choice, or a second moment that is zero or infinite.

    Example:
        >>> round(gain("relu"), 6), gain("identity")
        (1.414214, 1.0)
        >>> gain("swiglu") == gain("silu"), round(gain("maxout"), 6)
        (True, 1.0)
    """
    choice = registry.canonical(choice)
    return _gain(registry.get(choice.name), choice.params)
