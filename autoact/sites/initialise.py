"""Scale weights by the gain of the activation whose output they consume."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autoact.activations.gain import gain
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites.tracing.locate import activation_modules
from autoact.sites.tracing.weight_consumers import WeightSource, consumers

_HELD = "_autoact_held"


def initialise_(
    model: nn.Module,
    example_input: object,
    generator: torch.Generator | None = None,
    *,
    call: Callable[[], object] | None = None,
) -> dict[str, float]:
    """Draw the weights of linear and convolution layers anew, in place, so that pre-activations keep an RMS of 1.

    A weight that consumes an activation's output has standard deviation ``gain / sqrt(fan_in)`` with
    ``gain = 1 / sqrt(E[f(z)^2])``, z ~ N(0, 1) (LeCun et al., 1998, for gain 1; He et al., 2015, for ReLU). ``E[f^2]``
    holds the mean as well as the variance of the output, so activations with a mean of their own are covered. The gain
    is 1 for the input layer, behind a normalisation, and where the source is unknown. Biases of these layers become
    zero. Frozen parameters (``requires_grad=False``) and all other layers stay as they are.

    Args:
        model: changed in place.
        example_input: as in ``find_sites``.
        generator: source of random numbers; torch's default one if not given.
        call: as in ``find_sites``.

    Returns:
        The gain of each weight that was drawn, by parameter name.

    Raises:
        AutoactError: the forward raised, or an activation has no gain.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> initialise_(model, torch.zeros(2, 4), torch.Generator().manual_seed(0))["2.weight"] > 1.41
        True
    """
    sources = consumers(model, example_input, call=call)
    current = {item.name: item.choice for item in activation_modules(model)}
    gains = {name: gain(current[source.site]) if source.site else 1.0 for name, source in sources.items()}
    parameters = dict(model.named_parameters())
    drawn = {name: value for name, value in gains.items() if parameters[name].requires_grad}
    with torch.no_grad():
        for name, value in drawn.items():
            weight, source = parameters[name], sources[name]
            draw_(weight, value, source.fan_in, generator)
            if source.bias is not None and parameters[source.bias].requires_grad:
                parameters[source.bias].zero_()
    return drawn


def rescale_(
    model: nn.Module,
    example_input: object,
    old: Mapping[str, str | Choice],
    new: Mapping[str, str | Choice],
    *,
    call: Callable[[], object] | None = None,
) -> dict[str, float]:
    """Multiply the weights that consume changed sites by ``gain(new) / gain(old)``, in place.

    Tied weights are scaled once. Frozen weights (``requires_grad=False``) and those with a source other than a changed
    site stay as they are.

    Args:
        model: changed in place; it may hold the old or the new activations.
        example_input: as in ``find_sites``.
        old: site name -> activation before the change.
        new: site name -> activation after it.
        call: as in ``find_sites``.

    Returns:
        The factor of each weight that was scaled, by parameter name.

    Raises:
        AutoactError: ``old`` and ``new`` name different sites, the forward raised, or an activation has no gain.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> factors = rescale_(model, torch.zeros(2, 4), {"3": "relu"}, {"3": "identity"})
        >>> {name: round(factor, 3) for name, factor in factors.items()}
        {'4.weight': 0.707}
    """
    factors = weight_factors(consumers(model, example_input, call=call), old, new)
    factors = {name: factor for name, factor in factors.items() if not is_held(model.get_parameter(name))}
    multiply_(model, factors)
    return factors


@contextmanager
def holding(model: nn.Module, names: Collection[str]) -> Iterator[None]:
    """Inside the block these parameters count as frozen: they are neither scaled nor drawn anew."""
    held = [parameter for name, parameter in model.named_parameters() if name in names]
    for parameter in held:
        vars(parameter)[_HELD] = True
    try:
        yield
    finally:
        for parameter in held:
            vars(parameter).pop(_HELD, None)


def is_held(parameter: Tensor) -> bool:
    """Whether a parameter has to stay as it is: it is frozen, or it was loaded (see ``holding``)."""
    return not parameter.requires_grad or _HELD in vars(parameter)


def weight_factors(
    sources: Mapping[str, WeightSource], old: Mapping[str, str | Choice], new: Mapping[str, str | Choice]
) -> dict[str, float]:
    """The factor of each weight whose source is a changed site.

    Raises:
        AutoactError: ``old`` and ``new`` name different sites, or an activation has no gain.
    """
    if set(old) != set(new):
        raise AutoactError(f"old and new must name the same sites; only one names {', '.join(set(old) ^ set(new))}")
    ratios = {site: gain(new[site]) / gain(old[site]) for site in new}
    return {name: ratios[source.site] for name, source in sources.items() if source.site in ratios}


def multiply_(model: nn.Module, factors: Mapping[str, float]) -> None:
    """Multiply parameters by name, in place."""
    with torch.no_grad():
        for name, factor in factors.items():
            model.get_parameter(name).mul_(factor)


def draw_(weight: Tensor, value: float, fan_in: int, generator: torch.Generator | None = None) -> None:
    """Fill ``weight``, in place, with normal numbers of standard deviation ``value / sqrt(fan_in)``.

    ``value`` is the gain of what it consumes, ``fan_in`` how many inputs each output sums over.
    """
    with torch.no_grad():
        weight.copy_(_normal_like(weight, generator) * (value / fan_in**0.5))


def _normal_like(weight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers in float32 at least, drawn where the generator lives, moved to where ``weight`` is."""
    device = generator.device if generator is not None else weight.device
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return torch.randn(weight.shape, generator=generator, device=device, dtype=dtype).to(weight.device)
