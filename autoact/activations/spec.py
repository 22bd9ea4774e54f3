"""What a catalogue row says of an activation: its function, its parameters, and facts that tests check."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from autoact.core.errors import AutoactError

FAMILIES = ("pointwise", "learnable")
"""``pointwise`` holds no weights; ``learnable`` turns each parameter into a weight that starts at the given value."""

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Parameter:
    """A number that shapes an activation.

    Attributes:
        name: the function's argument, also the name in ``leaky_relu(negative_slope=0.2)``.
        default: the value where none is given; for a learnable activation, where training starts.
        low: the smallest value allowed.
        high: the largest value allowed.
        meaning: one short phrase.
    """

    name: str
    default: float
    low: float = -math.inf
    high: float = math.inf
    meaning: str = ""


@dataclass(frozen=True, eq=False)
class Activation:
    """One row of the catalogue.

    Every fact holds at the default parameters. ``None`` in a flag means that nobody has stated it.

    Attributes:
        name: the canonical name.
        function: pure ``f(x, *parameters)``; a stochastic one also takes the keyword ``training``.
        aliases: other names that mean this row.
        formula: LaTeX.
        family: one of ``FAMILIES``.
        parameters: in the order of the function's arguments.
        ordered: pairs of parameter names whose first may not exceed the second.
        output_range: infimum and supremum of the output.
        saturation: limit as x -> -inf and as x -> +inf, ``None`` where there is no finite limit.
        smooth: whether the derivative is continuous everywhere.
        monotonic: whether it never decreases.
        zero_centred: whether the mean output is zero for standard normal inputs.
        parity: ``"odd"``, ``"even"`` or None.
        stochastic: whether training draws random numbers.
        reference: author, title or venue, year.
        reason_not_searchable: why no search may try it; empty where one may.
        stated_gain: used instead of the computed gain where given.
        torch_type: the torch.nn class that computes this.
        torch_attributes: attribute of the torch module -> parameter.
        torch_fixed: attribute of the torch module -> value that it must have.

    Example:
        >>> from autoact.activations import registry
        >>> row = registry.get("swish")
        >>> row.name, row.monotonic, row.saturation
        ('silu', False, (0.0, None))
    """

    name: str
    function: Function
    aliases: tuple[str, ...] = ()
    formula: str = ""
    family: str = "pointwise"
    parameters: tuple[Parameter, ...] = ()
    ordered: tuple[tuple[str, str], ...] = ()
    output_range: tuple[float, float] = (-math.inf, math.inf)
    saturation: tuple[float | None, float | None] = (None, None)
    smooth: bool | None = None
    monotonic: bool | None = None
    zero_centred: bool | None = None
    parity: str | None = None
    stochastic: bool = False
    reference: str = ""
    reason_not_searchable: str = ""
    stated_gain: float | None = None
    torch_type: type[nn.Module] | None = None
    torch_attributes: Mapping[str, str] = field(default_factory=dict)
    torch_fixed: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a row that contradicts itself.

        Raises:
            AutoactError: a family, a default or a name that cannot be.
        """
        if self.family not in FAMILIES:
            raise AutoactError(f"activation {self.name!r}: family {self.family!r} is none of {', '.join(FAMILIES)}")
        if self.family == "learnable" and not self.parameters:
            raise AutoactError(f"activation {self.name!r}: a learnable one needs parameters to learn")
        for parameter in self.parameters:
            if not parameter.low <= parameter.default <= parameter.high or not math.isfinite(parameter.default):
                raise AutoactError(
                    f"activation {self.name!r}: default {parameter.name}={parameter.default:g} "
                    f"is outside {parameter.low:g} .. {parameter.high:g}"
                )

    @property
    def searchable(self) -> bool:
        """Whether a search may try it."""
        return not self.reason_not_searchable

    @property
    def learnable(self) -> bool:
        """Whether its parameters are weights."""
        return self.family == "learnable"

    @property
    def bounded(self) -> bool:
        """Whether the output stays within finite limits."""
        return all(math.isfinite(limit) for limit in self.output_range)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters' names, in the order of the function's arguments."""
        return tuple(parameter.name for parameter in self.parameters)

    def values(self, given: Mapping[str, float] | None = None) -> dict[str, float]:
        """All parameters by name: those given, defaults for the rest.

        Example:
            >>> from autoact.activations import registry
            >>> registry.get("softplus").values({"beta": 2.0})
            {'beta': 2.0, 'threshold': 20.0}
        """
        given = given or {}
        return {p.name: given.get(p.name, p.default) for p in self.parameters}
