"""How the weights around an activation are drawn: the rules of the catalogue's rows, in numbers.

Let z be standard normal, s the scale of an activation's inputs, and let the next layer see ``f(s z) - a``. Its weights
have the standard deviation ``gain / sqrt(fan_in)`` with ``gain = 1 / sqrt(E[(f(s z) - a)^2])``, so that signals keep
their size. From layer to layer a back-propagated gradient then changes its mean square by
``s^2 E[f'(s z)^2] / E[(f(s z) - a)^2]`` (Poole et al., Exponential Expressivity in Deep Neural Networks, 2016;
Schoenholz et al., Deep Information Propagation, 2017). The plain rule is ``s = 1, a = 0``; a critical row takes the
``a`` that makes this ratio 1.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from autoact.activations import registry
from autoact.activations.gain import expectation, gain
from autoact.activations.spec import Activation
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError

VERSION = 1
"""Of the rules: one more whenever a row of the catalogue, or what is done with its numbers, draws other weights."""


@dataclass(frozen=True)
class Moments:
    """What decides how signals and gradients pass an activation, for normal inputs of standard deviation ``scale``.

    Attributes:
        mean: ``E[f]``.
        square: ``E[f^2]``.
        slope: ``scale^2 E[f'^2]``, the mean square of a gradient behind it.
        stretch: ``E[x f f']``: half the change of ``square`` with the logarithm of the inputs' variance, doubled.
        drift: ``E[x f']``: the same of ``mean``.
    """

    mean: float
    square: float
    slope: float
    stretch: float
    drift: float

    def left(self, shift: float) -> float:
        """``E[(f - shift)^2]``."""
        return self.square - 2 * shift * self.mean + shift**2


def scale(choice: str | Choice) -> float:
    """The root mean square that the inputs of ``choice`` should have: 1 unless its row says otherwise.

    Raises:
        AutoactError: unknown choice, or the row's rule gives no positive number.

    Example:
        >>> scale("relu"), scale("sine(omega=20)")
        (1.0, 0.05)
    """
    choice = registry.canonical(choice)
    rule = registry.get(choice.name).initialisation.scale
    size = float(rule(**registry.parameters(choice))) if rule is not None else 1.0
    if not (math.isfinite(size) and size > 0):
        raise AutoactError(f"{choice}: the scale of its initialisation must be a positive number, got {size:g}")
    return size


def first_scale(choice: str | Choice, fan_in: int) -> float:
    """``scale`` for a layer that multiplies the model's own input, whose numbers have a root mean square near 1.

    Example:
        >>> first_scale("relu", 2), round(first_scale("sine(omega=30)", 2), 4)  # SIREN: U(-1/2, 1/2)
        (1.0, 0.4082)
    """
    choice = registry.canonical(choice)
    first = registry.get(choice.name).initialisation.first
    return max(scale(choice), 0.0 if first is None else first / math.sqrt(3 * fan_in))


def shift(choice: str | Choice) -> float:
    """What the bias of a consuming layer takes off the output of ``choice``: 0 unless its row is critical.

    Of the two numbers that keep gradients at their size, it is the one with which the size of a signal depends less on
    the layers before. A function whose jumps carry more than its slope has none; the mean is taken then.

    Example:
        >>> shift("relu"), round(shift("sigmoid"), 3), round(shift("tanh"), 3)
        (0.0, 0.462, 0.265)
    """
    choice = registry.canonical(choice)
    row = registry.get(choice.name)
    return _critical_shift(row, choice.params, scale(choice)) if row.initialisation.critical else 0.0


@functools.lru_cache(maxsize=4096)
def _critical_shift(row: Activation, params: tuple[tuple[str, float], ...], size: float) -> float:
    found = _moments(row, params, size)
    apart = math.sqrt(max(0.0, found.slope - found.square + found.mean**2))
    if not math.isfinite(apart):
        return 0.0
    options = (found.mean + apart, found.mean - apart)
    chosen = min(options, key=lambda a: (round(found.stretch - a * found.drift, 9), round(abs(a), 9)))
    return float(f"{chosen:.12g}")


def gain_after(choice: str | Choice, size: float, taken: float) -> float:
    """The gain of a weight that consumes ``f(x) - taken`` for inputs of root mean square ``size``.

    Raises:
        AutoactError: unknown choice, or a second moment that is zero or infinite.

    Example:
        >>> gain_after("relu", 1.0, 0.0) == gain("relu"), round(gain_after("sine(omega=30)", 0.4, 0.0) ** 2, 6)
        (True, 2.0)
    """
    choice = registry.canonical(choice)
    row = registry.get(choice.name)
    if (size == 1.0 and taken == 0.0) or row.gated or row.stated_gain is not None:
        return gain(choice)
    left = moments(choice, size).left(taken)
    return float(f"{1 / math.sqrt(left):.12g}") if math.isfinite(left) and left > 0 else gain(choice)


def moments(choice: str | Choice, size: float = 1.0) -> Moments:
    """The ``Moments`` of ``choice`` for normal inputs of standard deviation ``size``; of one that is not gated.

    Example:
        >>> found = moments("relu")
        >>> round(found.slope / found.square, 9)
        1.0
    """
    choice = registry.canonical(choice)
    return _moments(registry.get(choice.name), choice.params, size)


def rules_of(choices: Iterable[str | Choice]) -> dict[str, str]:
    """A name for the rule of each choice: where two are equal, the weights around it are drawn alike.

    Numbers count to four digits, so that other machines find the same names.

    Raises:
        AutoactError: unknown choice.

    Example:
        >>> found = rules_of(["relu", "sine(omega=20)", "sin(omega=20)"])
        >>> list(found), found["relu"] == found["sine(omega=20)"]
        (['relu', 'sine(omega=20)'], False)
    """
    every = dict.fromkeys(registry.canonical(choice) for choice in choices)
    return {str(choice): _named(choice) for choice in every}


def _named(choice: Choice) -> str:
    rule, size, taken = registry.get(choice.name).initialisation, scale(choice), shift(choice)
    try:
        factor = f"{gain_after(choice, size, taken):.4g}"
    except AutoactError:  # such as that of a function that is zero everywhere, which no search tries
        factor = "none"
    numbers = (VERSION, f"{size:.4g}", f"{taken:.4g}", factor, rule.critical, rule.first, rule.quiet_end)
    return hashlib.sha256(repr(numbers).encode()).hexdigest()[:8]


def other_rules(noted: Mapping[str, str]) -> tuple[str, ...]:
    """The choices around which weights are drawn otherwise today than ``noted``, by ``rules_of``, says.

    One that is unknown today is among them.

    Example:
        >>> other_rules({**rules_of(["relu"]), "tanh": "00000000", "gone": "00000000"})
        ('tanh', 'gone')
    """
    return tuple(text for text, name in noted.items() if _today(text) != name)


def _today(text: str) -> str | None:
    choice = Choice.parse(text)
    known = {*registry.names(), *(row.name for row in registry.normalisations())}
    return rules_of([choice])[text] if choice.name in known else None


@functools.lru_cache(maxsize=4096)
def _moments(row: Activation, params: tuple[tuple[str, float], ...], size: float) -> Moments:
    values = row.values(dict(params))

    def at(h: Callable[[Tensor, Tensor, Tensor], Tensor]) -> float:
        return expectation(lambda z: h(*_with_slope(lambda x: row.function(x, **values), size * z)))

    return Moments(
        mean=at(lambda x, f, slope: f),
        square=at(lambda x, f, slope: f * f),
        slope=size**2 * at(lambda x, f, slope: slope * slope),
        stretch=at(lambda x, f, slope: x * f * slope),
        drift=at(lambda x, f, slope: x * slope),
    )


def _with_slope(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x, f(x) and f'(x), elementwise."""
    with torch.enable_grad():
        given = x.detach().requires_grad_()
        y = f(given)
        (slope,) = torch.autograd.grad(y.sum(), given)
    return x, y.detach(), slope
