"""Pointwise activations that torch does not have, as pure functions ``f(x, *parameters)``.

Shape: each takes any, and keeps it.

Values and gradients are finite for inputs within -1e4 .. 1e4 wherever the true value fits the type: no branch that
``torch.where`` discards may overflow (its gradient would be 0 * inf = NaN), and half types are computed in float32.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from autoact.activations.spec import Function

HALF = (torch.float16, torch.bfloat16)


def computed_in_float32(function: Function) -> Function:
    """Let ``function`` compute float16 and bfloat16 inputs in float32 and return their type.

    A product of two inputs of 1e4 overflows float16 although a root or a quotient of it fits.
    """

    @functools.wraps(function)
    def wide(x: Tensor, *parameters: Tensor | float, **named: Tensor | float) -> Tensor:
        if x.dtype not in HALF:
            return function(x, *parameters, **named)
        return function(x.float(), *parameters, **named).to(x.dtype)

    return wide


def identity(x: Tensor) -> Tensor:
    """``x`` itself.

    Shape: any, returned unchanged.

    Example:
        >>> identity(torch.tensor([1.0]))
        tensor([1.])
    """
    return x


def step(x: Tensor) -> Tensor:
    """1 where x > 0, else 0 (Heaviside; McCulloch and Pitts, 1943). Has no gradient.

    Example:
        >>> step(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 0., 1.])
    """
    return (x > 0).to(x.dtype)


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh approximation (Hendrycks and Gimpel, 2016).

    Example:
        >>> gelu_tanh(torch.tensor([0.0]))
        tensor([0.])
    """
    return F.gelu(x, approximate="tanh")


def squared_relu(x: Tensor) -> Tensor:
    """``relu(x)^2`` (So et al., Primer, 2021).

    Example:
        >>> squared_relu(torch.tensor([-1.0, 3.0]))
        tensor([0., 9.])
    """
    return F.relu(x).square()


@computed_in_float32
def star_relu(x: Tensor, scale: float = 0.8944, bias: float = -0.4472) -> Tensor:
    """``scale * relu(x)^2 + bias`` (Yu et al., MetaFormer Baselines for Vision, 2022).

    The defaults give zero mean and unit variance for standard normal inputs.

    Example:
        >>> star_relu(torch.tensor([-1.0, 1.0]))
        tensor([-0.4472,  0.4472])
    """
    return scale * F.relu(x).square() + bias


@computed_in_float32
def _scaled_sine(x: Tensor, omega: float) -> Tensor:
    """``sin(omega x)``; the product may leave float16's range."""
    return torch.sin(omega * x)


def sine(x: Tensor, omega: float = 1.0) -> Tensor:
    """``sin(omega x)`` (Sitzmann et al., SIREN, 2020).

    With ``omega = 1`` it turns back where a standard normal input rarely comes: near zero it is like tanh, and it fits
    no high frequencies. SIREN takes ``omega = 30`` for those, with an initialisation of its own, which
    ``initialise_`` and ``rescale_`` follow.

    Example:
        >>> sine(torch.tensor([0.0]))
        tensor([0.])
    """
    return torch.sin(x) if omega == 1.0 else _scaled_sine(x, omega)


@computed_in_float32
def snake(x: Tensor, a: float = 1.0) -> Tensor:
    """``x + sin(a x)^2 / a`` (Ziyin et al., NeurIPS 2020).

    Example:
        >>> snake(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.7081])
    """
    return x + torch.sin(a * x).square() / a


@computed_in_float32
def gaussian(x: Tensor) -> Tensor:
    """``exp(-x^2)`` (Broomhead and Lowe, 1988).

    Example:
        >>> gaussian(torch.tensor([0.0, 1e4]))
        tensor([1., 0.])
    """
    return torch.exp(-x.square())


@computed_in_float32
def isru(x: Tensor, alpha: float = 1.0) -> Tensor:
    """``x / sqrt(1 + alpha x^2)`` (Carlile et al., 2017).

    Example:
        >>> isru(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7071])
    """
    return x * torch.rsqrt(1 + alpha * x.square())


@computed_in_float32
def isrlu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """``x`` where x >= 0, ``x / sqrt(1 + alpha x^2)`` below (Carlile et al., 2017).

    Example:
        >>> isrlu(torch.tensor([-1.0, 2.0]))
        tensor([-0.7071,  2.0000])
    """
    return torch.where(x >= 0, x, x * torch.rsqrt(1 + alpha * x.square()))


@computed_in_float32
def bent_identity(x: Tensor) -> Tensor:
    """``(sqrt(x^2 + 1) - 1) / 2 + x``, written without the cancellation near zero.

    Example:
        >>> bent_identity(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.2071])
    """
    square = x.square()
    return x + 0.5 * square / (torch.sqrt(square + 1) + 1)


@computed_in_float32
def elish(x: Tensor) -> Tensor:
    """``x sigmoid(x)`` where x >= 0, ``(exp(x) - 1) sigmoid(x)`` below (Basirat and Roth, 2018).

    Example:
        >>> elish(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7311])
    """
    return torch.where(x >= 0, x, torch.expm1(x.clamp(max=0))) * torch.sigmoid(x)


@computed_in_float32
def telu(x: Tensor) -> Tensor:
    """``x tanh(exp(x))`` (Fernandez and Mali, 2024).

    Example:
        >>> telu(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.9913])
    """
    # tanh(exp(5)) is 1 in float64 and its derivative is below 1e-120: nothing is lost by the clamp.
    return x * torch.tanh(torch.exp(x.clamp(max=5)))


@computed_in_float32
def serf(x: Tensor) -> Tensor:
    """``x erf(softplus(x))`` (Nag et al., 2021).

    Example:
        >>> serf(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.9367])
    """
    return x * torch.erf(F.softplus(x))


@computed_in_float32
def laplace(x: Tensor, mu: float = 0.707107, sigma: float = 0.282095) -> Tensor:
    """``(1 + erf((x - mu) / (sigma sqrt(2)))) / 2``: the attention function of Mega (Ma et al., 2022).

    With the defaults it is near ``relu(x)^2`` at x = sqrt(1/2), in value and in slope, but bounded.

    Example:
        >>> laplace(torch.tensor([0.707107]))
        tensor([0.5000])
    """
    return 0.5 * (1 + torch.erf((x - mu) / (sigma * 2**0.5)))


@computed_in_float32
def natural_log_relu(x: Tensor, beta: float = 1.0) -> Tensor:
    """``log(1 + beta relu(x))`` (Liu et al., 2019).

    Example:
        >>> natural_log_relu(torch.tensor([-1.0, 1.0]))
        tensor([0.0000, 0.6931])
    """
    return torch.log1p(beta * F.relu(x))


@computed_in_float32
def sqrt_softplus(x: Tensor) -> Tensor:
    """``sqrt(log(1 + exp(x)))``; scores experts in DeepSeek's fourth generation of models.

    Example:
        >>> sqrt_softplus(torch.tensor([0.0, 1.0]))
        tensor([0.8326, 1.1460])
    """
    # Below -30 it is exp(x / 2) to every digit; softplus itself becomes 0 there, where a root has no slope.
    return torch.where(x > -30, torch.sqrt(F.softplus(x.clamp(min=-30))), torch.exp(x.clamp(max=-30) / 2))
