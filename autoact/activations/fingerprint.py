"""Which activations are equal as functions, whatever they are called."""

from __future__ import annotations

import functools
import hashlib
import math

import torch

from autoact.activations import registry
from autoact.activations.spec import Activation
from autoact.core.assignment import Choice

_DIGITS = 9
"""Fewer than float64 holds: two ways to write one function differ in the last digits."""


_SHIFT = 1 / 16
"""By how much a learnable activation's weights are moved, times their position."""


def _grid() -> list[float]:
    """Points where functions are compared: dense near zero, kinks' usual places, large values.

    The step is irrational so that no rounding tie falls on a point.
    """
    near = [k * math.pi / 47 for k in range(-160, 161)]
    large = [sign * math.sqrt(2) * size for sign in (-1, 1) for size in (15, 30, 100, 1e3, 1e4)]
    return [*near, *large]


def _rounded(value: float) -> str:
    """``value`` to the digits that count: absolute below one, relative above; the sign of zero does not."""
    return f"{round(value, _DIGITS) + 0.0:.9f}" if abs(value) < 1 else f"{value:.{_DIGITS - 1}e}"


def _outputs(row: Activation, values: dict[str, float]) -> list[float]:
    """``row`` with ``values`` on the grid; a stochastic one in training, with a seed of its own."""
    x = torch.tensor(_grid(), dtype=torch.float64, device="cpu")
    if row.gated:  # the pieces walk over the grid at paces of their own, so that every order of them is met
        pieces = row.pieces(values)
        x = torch.stack([x[(torch.arange(len(x)) * (2 * k + 1) + 11 * k) % len(x)] for k in range(pieces)], -1)
    with torch.no_grad():
        if not row.stochastic:
            return row.function(x, **values).flatten().tolist()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return row.function(x, **values, training=True).tolist()


@functools.lru_cache(maxsize=4096)
def _fingerprint(row: Activation, params: tuple[tuple[str, float], ...]) -> str:
    values = row.values(dict(params))
    outputs = _outputs(row, values)
    if row.learnable:  # what it may become counts, not only where it starts
        outputs += _outputs(row, {name: value + _SHIFT * (k + 1) for k, (name, value) in enumerate(values.items())})
    kind = f"{len(row.parameters) if row.learnable else 0} {row.stochastic}"
    if row.gated:
        kind = f"gated {row.pieces(values)}"
    return hashlib.sha256(" ".join([kind, *map(_rounded, outputs)]).encode()).hexdigest()[:16]


def function_key(choice: str | Choice) -> str:
    """A short text that is equal for activations that are equal as functions.

    Learnable activations are equal where they start as equal functions, have equally many weights, and are equal
    again once these have moved. Stochastic ones are equal where they draw equally in training. Gated ones are equal to
    gated ones alone. Normalisations are equal where their names and parameters are.

    Raises:
        AutoactError: unknown choice.

    Example:
        >>> function_key("celu") == function_key("elu"), function_key("relu") == function_key("gelu")
        (True, False)
    """
    choice = registry.canonical(choice)
    row = registry.get(choice.name)
    return str(choice) if row.normalisation else _fingerprint(row, choice.params)
