"""Which activation of the catalogue a function or a module of somebody else's computes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.modules import recognise
from autoact.core.assignment import Choice
from autoact.sites.tracing.tensor_tags import name_of

_PARAMETERS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "relu": (nn.ReLU, ()),
    "relu6": (nn.ReLU6, ()),
    "leaky_relu": (nn.LeakyReLU, ("negative_slope",)),
    "elu": (nn.ELU, ("alpha",)),
    "selu": (nn.SELU, ()),
    "celu": (nn.CELU, ("alpha",)),
    "gelu": (nn.GELU, ("approximate",)),
    "silu": (nn.SiLU, ()),
    "mish": (nn.Mish, ()),
    "tanh": (nn.Tanh, ()),
    "sigmoid": (nn.Sigmoid, ()),
    "special_expit": (nn.Sigmoid, ()),
    "hardtanh": (nn.Hardtanh, ("min_val", "max_val")),
    "hardsigmoid": (nn.Hardsigmoid, ()),
    "hardswish": (nn.Hardswish, ()),
    "softplus": (nn.Softplus, ("beta", "threshold")),
    "softsign": (nn.Softsign, ()),
    "logsigmoid": (nn.LogSigmoid, ()),
    "log_sigmoid": (nn.LogSigmoid, ()),
    "tanhshrink": (nn.Tanhshrink, ()),
    "softshrink": (nn.Softshrink, ("lambd",)),
    "hardshrink": (nn.Hardshrink, ("lambd",)),
    "threshold": (nn.Threshold, ("threshold", "value")),
    "_threshold": (nn.Threshold, ("threshold", "value")),  # the name that F.threshold has
}
"""The module of torch that computes what a function computes, and the function's further arguments in their order."""

NOT_REWRITABLE = {
    "glu": "it is gated: it halves its input",
    "prelu": "its weights belong to the module",
    "rrelu": "it draws random numbers as its arguments tell",
}
"""Activation functions of torch whose calls stay calls, and why."""

FUNCTIONS = frozenset(_PARAMETERS) | frozenset(NOT_REWRITABLE)
"""Names of torch functions that are activations."""

_TOLERANCE = 1e-6
_ZERO = 1e-12


def choice_of_call(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> Choice | None:
    """The choice that computes what a call of a torch function computes; None where the catalogue has none.

    Example:
        >>> x = torch.zeros(2)
        >>> str(choice_of_call(torch.nn.functional.leaky_relu, (x, 0.2), {}))
        'leaky_relu(negative_slope=0.2)'
        >>> choice_of_call(torch.prelu, (x, torch.ones(1)), {}) is None
        True
    """
    kind, names = _PARAMETERS.get(name_of(function), (nn.Identity, ()))
    values = {**dict(zip(names, args[1:], strict=False)), **{name: kwargs[name] for name in names if name in kwargs}}
    if kind is nn.Identity or any(isinstance(value, Tensor) for value in values.values()) or "out" in kwargs:
        return None
    return recognise(kind(**values))


def choice_of_function(function: Callable[[Tensor], Tensor]) -> Choice | None:
    """The choice that computes what ``function`` computes: by its name where it is torch's, else by its values.

    Example:
        >>> str(choice_of_function(torch.nn.functional.gelu)), str(choice_of_function(lambda x: x * torch.sigmoid(x)))
        ('gelu', 'silu')
    """
    plain, args, kwargs = function, (), {}
    if isinstance(function, functools.partial):
        plain, args, kwargs = function.func, function.args, function.keywords
    package = str(getattr(plain, "__module__", None) or "torch")
    if not isinstance(plain, nn.Module) and package.split(".")[0] == "torch" and not args:
        found = choice_of_call(plain, (), kwargs)
        if found is not None:
            return found
    return equal_choice(function)


def equal_choice(function: Callable[[Tensor], Tensor]) -> Choice | None:
    """The pointwise choice, with the catalogue's default parameters, that has the values of ``function`` everywhere.

    Values are compared in float64 where ``function`` keeps it, to 1e-6 of their size: GELU and its approximations stay
    apart. None for what no row equals, or what fails on a plain vector.

    Example:
        >>> str(equal_choice(lambda x: torch.clamp(x, min=0)))
        'relu'
        >>> equal_choice(torch.cos) is None
        True
    """
    with torch.no_grad():
        x, y = _points(), _values(function)
        if y is None:
            return None
        for row in registry.all():
            if row.gated or row.learnable or row.stochastic:
                continue
            wanted = row.function(x, **row.values({}))
            if torch.allclose(y.double(), wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
                return registry.canonical(row.name)
    return None


def written_out(function: Callable[[Tensor], Tensor]) -> Choice | None:
    """As ``equal_choice``, for a function put together of several calls of a run, and with the parameters that it has.

    Where the activation is exactly zero the function has to be, too: ``x.clamp(min=1e-8)`` guards a logarithm. What is
    linear is none.

    Example:
        >>> str(written_out(lambda x: torch.where(x > 0, x, 0.2 * x))), str(written_out(lambda x: x.clamp(-2, 2)))
        ('leaky_relu(negative_slope=0.2)', 'hard_tanh(max_val=2, min_val=-2)')
        >>> written_out(lambda x: x.clamp(min=1e-8)) is None
        True
    """
    with torch.no_grad():
        x, y = _points(), _values(function)
        if y is None:
            return None
        found = equal_choice(lambda _: y.clone())
        for choice in [found] if found is not None else _fitted(y.double()):
            wanted = registry.get(choice.name).function(x, **registry.parameters(choice))
            exact = bool((y[wanted == 0].abs() < _ZERO).all())
            if exact and torch.allclose(y.double(), wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
                return None if choice.name == "identity" else choice
    return None


def _points() -> Tensor:
    """Where functions are compared. An irrational step: no point lies on a kink but zero."""
    return torch.cat([torch.arange(-200, 201, dtype=torch.float64) * (torch.pi / 64), torch.tensor([-60.0, 60.0])])


def _values(function: Callable[[Tensor], Tensor]) -> Tensor | None:
    """What a function is at these points; None where it is not pointwise, or made for another shape."""
    x = _points()
    try:
        y = function(x)
    except Exception:  # not made for a vector of numbers
        return None
    return y if isinstance(y, Tensor) and y.shape == (len(x),) and y.is_floating_point() else None


def _fitted(y: Tensor) -> list[Choice]:
    """The activations with parameters that may have the values ``y`` at the places that ``written_out`` asks for."""
    low, high = float(f"{y[-2].item():.6g}"), float(f"{y[-1].item():.6g}")
    kinds: list[nn.Module] = [nn.LeakyReLU(low / -60)] if high == 60 and low < 0 else []
    if low < high:
        kinds += [nn.Hardtanh(low, high)]
    if low < 0:
        kinds += [nn.ELU(-low), nn.CELU(-low)]
    return [choice for choice in map(recognise, kinds) if choice is not None]


def equal_module(module: nn.Module) -> Choice | None:
    """As ``equal_choice``, for a module without weights and buffers that acts alike in training and evaluation."""
    if any(True for _ in module.parameters()) or any(True for _ in module.buffers()):
        return None
    choices = []
    for training in (True, False):
        module.train(training)
        choices.append(equal_choice(module))
    return choices[0] if choices[0] == choices[1] else None
