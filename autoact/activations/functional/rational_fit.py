"""Rational activations that start as another function: their coefficients, fitted by least squares."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from autoact.activations import registry
from autoact.activations.functional.learnable import RATIONAL_COEFFICIENTS, rational
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError

_RANGE = 3.0
"""Fitted on -3 .. 3, as in the paper: beyond it a rational function follows its own way."""
_POINTS = 601
_ROUNDS = 200
_SETTLED = 1e-6
"""A step that lessens the squared error by a smaller share is the last."""
_NOISE = 1e-7
"""Coefficients below it are rounding errors: they change no output by more than 3e-5."""


def _jacobian(x: Tensor, theta: Tensor) -> Tensor:
    """Derivatives of the rational function by its ten coefficients: a row per point."""
    powers = torch.stack([x**k for k in range(6)], dim=1)
    p = powers @ theta[:6]
    inner = powers[:, 1:5] @ theta[6:]
    q = (1 + inner.abs())[:, None]
    return torch.cat([powers / q, -powers[:, 1:5] * (p * inner.sign())[:, None] / q.square()], dim=1)


def fit(f: Callable[[Tensor], Tensor]) -> tuple[float, ...]:
    """Coefficients of the rational function nearest to ``f`` on -3 .. 3 (least squares, Levenberg-Marquardt).

    Args:
        f: pointwise function.

    Returns:
        a0 .. a5, then b1 .. b4, to 6 digits.

    Raises:
        AutoactError: ``f`` is not finite there.

    Example:
        >>> coefficients = fit(torch.tanh)
        >>> bool((rational(torch.tensor(1.0), *coefficients) - torch.tensor(1.0).tanh()).abs() < 1e-2)
        True
    """
    x = torch.linspace(-_RANGE, _RANGE, _POINTS, dtype=torch.float64, device="cpu")
    with torch.no_grad():
        y = f(x)
        if not bool(y.isfinite().all()):
            raise AutoactError("a rational activation cannot start as a function that is not finite on -3 .. 3")
        # Multiplied out, P - f Q = f is linear in the coefficients: where the rounds begin. Odd powers in Q begin at
        # zero, so that Q is positive and its absolute value does nothing.
        columns = [x**k for k in range(6)] + [-y * x**k for k in (2, 4)]
        start = torch.linalg.lstsq(torch.stack(columns, dim=1), y[:, None], driver="gelsd").solution[:, 0]
        theta = torch.cat([start[:6], torch.zeros(4, dtype=torch.float64, device="cpu")])
        theta[7], theta[9] = start[6].abs(), start[7].abs()
        theta = _refined(x, y, theta)
    return tuple(float(f"{value:.6g}") if abs(value) > _NOISE else 0.0 for value in theta.tolist())


def _refined(x: Tensor, y: Tensor, theta: Tensor) -> Tensor:
    """``theta`` after Levenberg-Marquardt steps: each is taken where it lessens the error."""
    damping = 1e-3
    error = (rational(x, *theta) - y).square().sum()
    for _ in range(_ROUNDS):
        jacobian = _jacobian(x, theta)
        normal = jacobian.T @ jacobian
        slope = jacobian.T @ (rational(x, *theta) - y)
        step = torch.linalg.solve(normal + damping * torch.diag(normal.diagonal() + 1e-12), slope)
        trial_error = (rational(x, *(theta - step)) - y).square().sum()
        if trial_error < error:
            settled = error - trial_error < _SETTLED * error
            theta, error, damping = theta - step, trial_error, max(damping / 3, 1e-12)
            if settled:
                break
        elif damping > 1e10:  # no step lessens the error
            break
        else:
            damping *= 5
    return theta


@functools.lru_cache(maxsize=256)
def _like(choice: Choice) -> Choice:
    """``rational_like`` of a canonical choice."""
    coefficients = fit(registry.function(choice))
    return registry.canonical(Choice("rational", tuple(zip(RATIONAL_COEFFICIENTS, coefficients, strict=True))))


def rational_like(choice: str | Choice) -> Choice:
    """The rational activation that starts as ``choice``, such as the function that it replaces.

    Args:
        choice: a catalogue name, with parameters where wanted.

    Raises:
        AutoactError: unknown choice.

    Example:
        >>> start = rational_like("tanh")
        >>> start.name, round(float(registry.function(start)(torch.tensor(1.0))), 2)
        ('rational', 0.76)
    """
    return _like(registry.canonical(choice))
