"""Draw or scale the weights around activations by the rules of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autoact.core.assignment import Choice
from autoact.sites.tracing.locate import activation_modules
from autoact.sites.tracing.weight_consumers import weight_graph
from autoact.sites.weight_rules import WeightRules, change_, sums, take_off_, weight_changes

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
    ``gain = 1 / sqrt(E[f(z)^2])``, z ~ N(0, 1) (LeCun et al., 1998, for gain 1; He et al., 2015, for ReLU). The gain
    is 1 for the input layer, behind a normalisation, and where the source is unknown. Biases of these layers become
    zero. Two things differ where the activation's row says so (``Activation.initialisation``): a bias takes a constant
    off the output, so that gradients keep their size too (tanh, sigmoid, softplus); and the layers before the
    activation, or the affine weights of a normalisation before it, are drawn for inputs of another size (``sine``: 1 /
    omega; in the first layer as SIREN does). Frozen parameters (``requires_grad=False``) and all other layers stay as
    they are.

    Args:
        model: changed in place.
        example_input: as in ``find_sites``.
        generator: source of random numbers; torch's default one if not given.
        call: as in ``find_sites``.

    Returns:
        The standard deviation of each weight that was drawn, times the root of its fan-in, by parameter name; what the
        weights of a normalisation were set to.

    Raises:
        AutoactError: the forward raised, or an activation has no gain.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> initialise_(model, torch.zeros(2, 4), torch.Generator().manual_seed(0))["2.weight"] > 1.41
        True
    """
    graph = weight_graph(model, example_input, call=call)
    current = {item.name: item.choice for item in activation_modules(model)}
    parameters = dict(model.named_parameters())
    frozen = {name for name, parameter in parameters.items() if not parameter.requires_grad}
    rules = WeightRules(graph, frozen, current)
    drawn: dict[str, float] = {}
    with torch.no_grad():
        for name, source in graph.consumers.items():
            if name in frozen:
                continue
            drawn[name] = rules.value(name)
            draw_(parameters[name], drawn[name], source.fan_in, generator, uniform=rules.is_first(name))
            if source.bias is not None and source.bias not in frozen:
                parameters[source.bias].zero_()
                if rules.is_first(name):  # phases
                    draw_(parameters[source.bias], 3**-0.5, source.fan_in, generator, uniform=True)
            if taken := rules.shift(name):
                take_off_(parameters, source, taken * sums(parameters[name], source))
        for name, value in rules.norms().items():
            drawn[name] = value
            parameters[name].fill_(value)
    return drawn


def rescale_(
    model: nn.Module,
    example_input: object,
    old: Mapping[str, str | Choice],
    new: Mapping[str, str | Choice],
    *,
    call: Callable[[], object] | None = None,
) -> dict[str, float]:
    """Change drawn weights around changed sites as the rules of ``initialise_`` differ, in place.

    Weights that consume a changed site are multiplied by ``gain(new) / gain(old)``, those that produce its inputs, and
    their biases, by the ratio of the sizes that the two activations want (1 for most). What the rule of the new one
    takes off its output goes into the bias; what that of the old one took off is put back where it is there. Tied
    weights are scaled once. Frozen weights (``requires_grad=False``) and those around other sites stay as they are.

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
    graph = weight_graph(model, example_input, call=call)
    held = {name for name, parameter in model.named_parameters() if is_held(parameter)}
    changes = {name: change for name, change in weight_changes(graph, held, old, new).items() if name not in held}
    change_(model, changes)
    return {name: change.factor for name, change in changes.items()}


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


def draw_(
    weight: Tensor, value: float, fan_in: int, generator: torch.Generator | None = None, *, uniform: bool = False
) -> None:
    """Fill ``weight``, in place, with numbers of standard deviation ``value / sqrt(fan_in)``, normal ones by default.

    ``value`` is the gain of what it consumes, ``fan_in`` how many inputs each output sums over.
    """
    with torch.no_grad():
        numbers = _numbers_like(weight, generator, uniform)
        weight.copy_(numbers * (value / fan_in**0.5))


def _numbers_like(weight: Tensor, generator: torch.Generator | None, uniform: bool) -> Tensor:
    """Numbers of variance 1 in float32 at least, drawn where the generator lives, moved to where ``weight`` is."""
    device = generator.device if generator is not None else weight.device
    dtype = torch.promote_types(weight.dtype, torch.float32)
    if uniform:
        drawn = (torch.rand(weight.shape, generator=generator, device=device, dtype=dtype) * 2 - 1) * 3**0.5
    else:
        drawn = torch.randn(weight.shape, generator=generator, device=device, dtype=dtype)
    return drawn.to(weight.device)
