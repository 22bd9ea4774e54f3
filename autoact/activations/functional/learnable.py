"""Learnable activations as pure functions ``f(x, *theta)``.

Every ``theta`` is a tensor that broadcasts against ``x`` (one value, or one per channel), or a plain number.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoact.activations.functional.pointwise import computed_in_float32

_SMALLEST_FREQUENCY = 1e-6
"""Below it snake's division is by this instead: the function is the identity to within x^2 * 1e-6."""

RATIONAL_COEFFICIENTS = ("a0", "a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "b4")
"""Of the numerator, then of the denominator, lowest power first."""


def prelu(x: Tensor, weight: Tensor | float = 0.25) -> Tensor:
    """``x`` where x > 0, ``weight * x`` below (He et al., 2015).

    Shape: ``x`` any, kept; ``weight`` broadcasts against ``x``.

    Example:
        >>> prelu(torch.tensor([-4.0, 4.0]))
        tensor([-1.,  4.])
    """
    if not isinstance(weight, Tensor):
        return F.leaky_relu(x, weight)
    weight, count = weight.to(x.dtype), weight.numel()
    # torch's own kernel wants the channels at axis 1; it is faster than a comparison and a product.
    if count == 1:
        return F.prelu(x, weight.reshape(1))
    if weight.dim() == 1 and x.shape[-1] == count:
        return F.prelu(x.reshape(-1, count), weight).reshape(x.shape)
    if weight.dim() == x.dim() - 1 and weight.shape[0] == x.shape[1] == count:
        return F.prelu(x, weight.reshape(count))
    return torch.where(x > 0, x, weight * x)


@computed_in_float32
def swish_beta(x: Tensor, beta: Tensor | float = 1.0) -> Tensor:
    """``x sigmoid(beta x)`` (Ramachandran et al., 2017).

    Shape: ``x`` any, kept; ``beta`` broadcasts against ``x``.

    Example:
        >>> swish_beta(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7311])
    """
    return x * torch.sigmoid(beta * x)


@computed_in_float32
def snake_learnable(x: Tensor, a: Tensor | float = 0.5) -> Tensor:
    """``x + sin(a x)^2 / a`` with a frequency that is learnt (Ziyin et al., NeurIPS 2020).

    Shape: ``x`` any, kept; ``a`` broadcasts against ``x``.

    Example:
        >>> snake_learnable(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.4597])
    """
    a = torch.as_tensor(a, dtype=x.dtype, device=x.device)
    # A frequency may pass through zero while it is learnt, where the function tends to the identity.
    tiny = torch.where(a < 0, -_SMALLEST_FREQUENCY, _SMALLEST_FREQUENCY).to(a.dtype)
    divisor = torch.where(a.abs() < _SMALLEST_FREQUENCY, tiny, a)
    return x + torch.sin(a * x).square() / divisor


@computed_in_float32
def acon_c(x: Tensor, p1: Tensor | float = 1.0, p2: Tensor | float = 0.0, beta: Tensor | float = 1.0) -> Tensor:
    """``(p1 - p2) x sigmoid(beta (p1 - p2) x) + p2 x`` (Ma et al., Activate or Not, CVPR 2021).

    The paper draws p1 and p2 from a normal distribution; the defaults here start as SiLU.

    Shape: ``x`` any, kept; ``p1``, ``p2`` and ``beta`` broadcast against ``x``.

    Example:
        >>> acon_c(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7311])
    """
    difference = (p1 - p2) * x
    return difference * torch.sigmoid(beta * difference) + p2 * x


@computed_in_float32
def srelu(
    x: Tensor,
    left: Tensor | float = 0.0,
    left_slope: Tensor | float = 0.2,
    right: Tensor | float = 1.0,
    right_slope: Tensor | float = 1.0,
) -> Tensor:
    """The identity between ``left`` and ``right``, straight lines of other slopes outside (Jin et al., AAAI 2016).

    Shape: ``x`` any, kept; the others broadcast against ``x``.

    Example:
        >>> srelu(torch.tensor([-1.0, 0.5, 2.0]), right_slope=0.5)
        tensor([-0.2000,  0.5000,  1.5000])
    """
    below = left + left_slope * (x - left)
    above = right + right_slope * (x - right)
    return torch.where(x >= right, above, torch.where(x <= left, below, x))


@computed_in_float32
def rational(x: Tensor, *coefficients: Tensor | float, **named: Tensor | float) -> Tensor:
    """``P(x) / (1 + |Q(x)|)``, P of degree 5, Q of degree 4 without constant (Molina et al., Pade Units, ICLR 2020).

    This is the paper's safe form: the denominator is never below 1. Coefficients are a0 .. a5 of P, then b1 .. b4 of Q,
    lowest power first, or the same by name.

    Shape: ``x`` any, kept; the coefficients broadcast against ``x``.

    Example:
        >>> rational(torch.tensor([2.0]), 0, 1, 0, 0, 0, 0, 0, 1, 0, 0)
        tensor([0.4000])
    """
    a0, a1, a2, a3, a4, a5, b1, b2, b3, b4 = coefficients or (named[name] for name in RATIONAL_COEFFICIENTS)
    numerator = a0 + x * (a1 + x * (a2 + x * (a3 + x * (a4 + x * a5))))
    denominator = 1 + (x * (b1 + x * (b2 + x * (b3 + x * b4)))).abs()
    return numerator / denominator


@computed_in_float32
def erfact(x: Tensor, alpha: Tensor | float = 0.75, beta: Tensor | float = 0.75) -> Tensor:
    """``x erf(alpha exp(beta x))`` (Biswas et al., ErfAct and Pserf, AAAI 2022).

    Shape: ``x`` any, kept; ``alpha`` and ``beta`` broadcast against ``x``.

    Example:
        >>> erfact(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.9753])
    """
    # exp(20) is 5e8: the error function has reached its limit for every alpha above 1e-8.
    return x * torch.erf(alpha * torch.exp((beta * x).clamp(max=20)))


@computed_in_float32
def coslu(x: Tensor, alpha: Tensor | float = 1.0, beta: Tensor | float = 1.0) -> Tensor:
    """``(x + alpha cos(beta x)) sigmoid(x)`` (Pishchik, Trainable Activations for Image Classification, 2023).

    Shape: ``x`` any, kept; ``alpha`` and ``beta`` broadcast against ``x``.

    Example:
        >>> coslu(torch.tensor([0.0, 1.0]))
        tensor([0.5000, 1.1261])
    """
    return (x + alpha * torch.cos(beta * x)) * torch.sigmoid(x)


@computed_in_float32
def poly_relu(
    x: Tensor,
    a0: Tensor | float = 0.0,
    a1: Tensor | float = 1 / 3,
    a2: Tensor | float = 1 / 3,
    a3: Tensor | float = 1 / 3,
) -> Tensor:
    """``a0 + a1 r + a2 r^2 + a3 r^3`` with ``r = relu(x)``: PolyReLU (Zhuo et al., Polynomial Composition, 2024).

    Their PolyNorm is not here: it divides each power by its root mean square over the channels, so that an output
    depends on the inputs of others.

    Shape: ``x`` any, kept; the coefficients broadcast against ``x``.

    Example:
        >>> poly_relu(torch.tensor([-1.0, 1.0, 2.0]))
        tensor([0.0000, 1.0000, 4.6667])
    """
    r = F.relu(x)
    return a0 + r * (a1 + r * (a2 + r * a3))


@computed_in_float32
def xielu(x: Tensor, alpha_p: Tensor | float = 0.20338232, alpha_n: Tensor | float = -1.0502256) -> Tensor:
    """An integral of ELU, xIELU (Huang and Schlag, Deriving Activation Functions Using Integration, 2024).

    ``softplus(alpha_p) x^2 + x / 2`` where x > 0, ``(1/2 + softplus(alpha_n)) (exp(x) - 1 - x) + x / 2`` below. The
    defaults are those of the paper: both factors start at 0.8.

    Shape: ``x`` any, kept; ``alpha_p`` and ``alpha_n`` broadcast against ``x``.

    Example:
        >>> xielu(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.2057,  0.0000,  1.3000])
    """
    alpha_p, alpha_n = (torch.as_tensor(a, dtype=x.dtype, device=x.device) for a in (alpha_p, alpha_n))
    right, left = F.softplus(alpha_p), 0.5 + F.softplus(alpha_n)
    negative = x.clamp(max=0)
    return torch.where(x > 0, right * x.square(), left * (torch.expm1(negative) - negative)) + 0.5 * x
