"""Which activations there are: the catalogue's rows, the user's own, and those that installed packages bring."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from autoact.activations.catalogue import NORMALISATIONS, ROWS
from autoact.activations.spec import Activation, Function, Parameter
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError, unknown
from autoact.core.registry import Registry


def get(name: str) -> Activation:
    """The row called ``name``, whatever its case, or with that alias.

    Raises:
        AutoactError: there is none; the message has the nearest names.

    Example:
        >>> get("LeakyReLU").name
        'leaky_relu'
    """
    return ACTIVATIONS.find(name)


def names(*, searchable_only: bool = False) -> list[str]:
    """The canonical names, in the catalogue's order.

    Example:
        >>> "step" in names(), "step" in names(searchable_only=True)
        (True, False)
    """
    return [row.name for row in all() if row.searchable or not searchable_only]


def all() -> list[Activation]:
    """Every activation's row, in the catalogue's order, then those registered later; normalisations are apart.

    Example:
        >>> len(all()) >= 40
        True
    """
    return [row for row in ACTIVATIONS.values() if not row.normalisation]


def normalisations() -> list[Activation]:
    """The rows that stand at normalisations: those that models have, and what a search may put in their place.

    Example:
        >>> [row.name for row in normalisations()][:4]
        ['layer_norm', 'rms_norm', 'dynamic_tanh', 'derf']
    """
    return [row for row in ACTIVATIONS.values() if row.normalisation]


def any_normalisation(choices: Iterable[str | Choice]) -> bool:
    """Whether one of these choices stands at a normalisation.

    Raises:
        AutoactError: an unknown name.

    Example:
        >>> any_normalisation(["relu", "layer_norm"]), any_normalisation(["relu"])
        (True, False)
    """
    return any(get(Choice.parse(choice).name).normalisation for choice in choices)


def _parameters_of(function: Function) -> tuple[Parameter, ...]:
    """The parameters that ``function``'s signature shows after x: arguments that have a number as default.

    Arguments with another default (``inplace=False``) keep it.

    Raises:
        AutoactError: an argument without a default, or a number that is not among the first arguments.
    """
    try:
        _, *rest = inspect.signature(function).parameters.values()
    except ValueError:  # a built-in function without a signature: a function of x alone
        return ()
    found: list[Parameter] = []
    for place, argument in enumerate(rest):
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        if argument.default is argument.empty:
            raise AutoactError(f"argument {argument.name!r} of the activation needs a number as its default")
        if isinstance(argument.default, (int, float)) and not isinstance(argument.default, bool):
            if place != len(found) or argument.kind is argument.KEYWORD_ONLY:
                raise AutoactError(
                    f"argument {argument.name!r} of the activation must come right after x and be positional"
                )
            found.append(Parameter(argument.name, float(argument.default)))
    return tuple(found)


def _check(row: Activation) -> None:
    """Try ``row`` on a few numbers: it must keep shape and type, and treat each number alone.

    Raises:
        AutoactError: it does not.
    """
    if row.gated:
        _check_gated(row)
        return
    x = torch.linspace(-2.0, 2.0, 8, dtype=torch.float32, device="cpu").reshape(2, 4)
    given = x.clone()
    try:
        if row.stochastic:
            row.function(x.clone(), **row.values(), training=True)
        y = row.function(given, **row.values())
    except Exception as error:
        raise AutoactError(f"activation {row.name!r} fails on a 2 x 4 tensor: {error}") from error
    if not isinstance(y, Tensor) or y.shape != x.shape or y.dtype != x.dtype:
        got = f"{tuple(y.shape)} {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise AutoactError(f"activation {row.name!r} must keep shape and type: (2, 4) torch.float32 became {got}")
    if not torch.equal(given, x):
        raise AutoactError(f"activation {row.name!r} writes into its input: it must return a new tensor")
    if row.searchable:
        _check_gradient(row, x)
    if row.stochastic:
        if row.normalisation:
            raise AutoactError(f"activation {row.name!r}: what stands for a normalisation cannot be stochastic")
        return
    alone = torch.stack([row.function(number.reshape(1), **row.values()) for number in x.flatten()]).reshape(x.shape)
    if not torch.allclose(alone, y, rtol=1e-5, atol=1e-6, equal_nan=True):
        raise AutoactError(f"activation {row.name!r} mixes its inputs: each output may depend on its own input alone")


def _check_gradient(row: Activation, x: Tensor) -> None:
    """Refuse a function that autograd cannot follow: nothing below it would train."""
    try:
        with torch.enable_grad():
            followed = row.function(x.clone().requires_grad_() * 1.0, **row.values()).requires_grad
    except Exception:  # NumPy takes no tensor with a gradient
        followed = False
    if not followed:
        raise AutoactError(
            f"activation {row.name!r} passes no gradient on, so that layers before it would not train: write it with "
            "torch's own functions"
        )


def _check_gated(row: Activation) -> None:
    """Try a gated ``row``: an output channel must depend on its own pieces alone, which lie one block apart.

    Raises:
        AutoactError: it does not, or it learns or draws.
    """
    if row.stochastic:
        raise AutoactError(f"activation {row.name!r}: a gated one cannot be stochastic")
    pieces, channels = row.pieces(), 3
    wide = pieces * channels
    x = torch.linspace(-2.0, 2.0, 2 * wide, dtype=torch.float32, device="cpu").sin().reshape(2, wide)
    try:
        y = row.function(x.clone(), **row.values())
        alone = torch.cat([row.function(x[:, c::channels].clone(), **row.values()) for c in range(channels)], -1)
    except Exception as error:
        raise AutoactError(f"activation {row.name!r} fails on a 2 x {wide} tensor: {error}") from error
    if not isinstance(y, Tensor) or y.shape != (2, channels) or y.dtype != x.dtype:
        got = f"{tuple(y.shape)} {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise AutoactError(
            f"activation {row.name!r} must make 1 channel of {pieces}: (2, {wide}) torch.float32 became {got}"
        )
    if not torch.allclose(alone, y, rtol=1e-5, atol=1e-6, equal_nan=True):
        raise AutoactError(
            f"activation {row.name!r} mixes its channels: output c may depend on inputs c, c + channels, ... alone"
        )


def name_key(name: str) -> str:
    """The form in which names are compared: ``ReLU``, ``relu`` and ``Relu`` are one."""
    return name.strip().lower().replace("-", "_")


ACTIVATIONS = Registry(
    "activation", "autoact.activations", Activation, (*ROWS, *NORMALISATIONS), check=_check, key=name_key
)


def register(
    activation: Activation | str,
    function: Function | None = None,
    *,
    gain: float | None = None,
    replace: bool = False,
    **fields: object,
) -> Activation:
    """Make an activation known by name.

    Args:
        activation: a whole row, or the name of a new one.
        function: pure ``f(x, *parameters)``, where a name is given. Arguments after x that have a number as default
            become the row's parameters, unless ``parameters`` is given.
        gain: scale for the weights that consume its output; computed where not given.
        replace: put it in the place of one registered before under this name (in a notebook, say). The catalogue's own
            rows cannot be replaced.
        **fields: further fields of ``Activation``, such as ``aliases``, ``family="learnable"`` or ``formula``.

    Returns:
        The row.

    Raises:
        AutoactError: the name or an alias is taken, or the function is not pointwise.

    Example:
        >>> register("doctest_cube", lambda x, scale=1.0: scale * x**3).parameter_names
        ('scale',)
        >>> str(canonical("doctest_cube(scale=2)"))
        'doctest_cube(scale=2)'
        >>> unregister("doctest_cube")
    """
    row = activation if isinstance(activation, Activation) else _row(activation, function, gain, fields)
    if isinstance(activation, Activation) and (function is not None or gain is not None or fields):
        raise AutoactError(f"activation {row.name!r} is a whole row: change the row, or give a name with the fields")
    if not row.name.isidentifier():
        raise AutoactError(f"activation name {row.name!r}: use letters, digits and _, no digit first")
    ACTIVATIONS.add(row, replace=replace)
    return row


def unregister(name: str) -> None:
    """Forget an activation that ``register`` added. Modules built from it go on, but cannot be unpickled.

    Raises:
        AutoactError: there is none of this name, or it is autoact's own.

    Example:
        >>> unregister("relu")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: activation 'relu' is autoact's own: only registered ones can go
    """
    ACTIVATIONS.remove(name)


def _row(name: str, function: Callable[..., Tensor] | None, gain: float | None, fields: dict[str, Any]) -> Activation:
    if not callable(function):
        raise AutoactError(f"register({name!r}, ...) needs a function of a tensor, got {function!r}")
    if gain is not None and not (math.isfinite(gain) and gain > 0):
        raise AutoactError(f"gain of {name!r} must be a positive number, got {gain!r}")
    allowed = set(Activation.__dataclass_fields__) - {"name", "function", "stated_gain"}
    for key in fields:
        if key not in allowed:
            raise unknown("field of an activation", key, sorted(allowed))
    fields.setdefault("parameters", _parameters_of(function))
    return Activation(name=name, function=function, stated_gain=gain, **fields)


def canonical(choice: str | Choice) -> Choice:
    """``choice`` in the one form that equal choices share: canonical name, parameters that differ from the defaults.

    Raises:
        AutoactError: an unknown name or parameter, or a value out of bounds.

    Example:
        >>> canonical("swish")
        Choice(name='silu', params=())
        >>> str(canonical("LeakyReLU(negative_slope=0.01)"))
        'leaky_relu'
    """
    choice = Choice.parse(choice)
    row = get(choice.name)
    known = {parameter.name: parameter for parameter in row.parameters}
    for name, value in choice.params:
        if name not in known:
            raise unknown(f"parameter of {row.name}", name, known)
        low, high = known[name].low, known[name].high
        if not (low <= value <= high and math.isfinite(value)):
            raise AutoactError(f"{row.name}: {name}={value:g} is not allowed, choose {low:g} .. {high:g}")
        if known[name].whole and not value.is_integer():
            raise AutoactError(f"{row.name}: {name}={value:g} must be a whole number, {low:g} .. {high:g}")
    values = row.values(dict(choice.params))
    for lesser, greater in row.ordered:
        if values[lesser] > values[greater]:
            raise AutoactError(f"{row.name}: {lesser}={values[lesser]:g} may not exceed {greater}={values[greater]:g}")
    return Choice(row.name, tuple(sorted((n, float(v)) for n, v in choice.params if v != known[n].default)))


def parameters(choice: str | Choice) -> dict[str, float]:
    """All parameters of ``choice``, defaults included, in the order of the function's arguments.

    Example:
        >>> parameters("softplus(beta=2)")
        {'beta': 2.0, 'threshold': 20.0}
    """
    choice = canonical(choice)
    return get(choice.name).values(dict(choice.params))


def pieces(choice: str | Choice) -> int:
    """How many input channels each output channel of ``choice`` is made of: 1 unless it is gated.

    Example:
        >>> pieces("relu"), pieces("swiglu"), pieces("maxout(pieces=4)")
        (1, 2, 4)
    """
    choice = canonical(choice)
    return get(choice.name).pieces(dict(choice.params))
