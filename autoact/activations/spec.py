"""What a catalogue row says of an activation: its function, its parameters, and facts that tests check."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from autoact.core.errors import AutoactError

FAMILIES = ("pointwise", "learnable", "gated", "normalisation")
"""``pointwise`` holds no weights; ``learnable`` turns each parameter into a weight that starts at the given value;
``gated`` makes each output channel of several input channels, so the layers around it change their widths;
``normalisation`` stands at normalisations, and nowhere else: each parameter is one weight of the whole layer, whose
scale and shift per channel stay."""

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class SearchRange:
    """Where a search looks for a parameter's value, once it is asked to.

    Attributes:
        low: the smallest value that is tried.
        high: the largest value that is tried.
        log: whether ratios count rather than differences: 1 lies as far from 2 as 10 from 20.
        source: where the range comes from.
    """

    low: float
    high: float
    log: bool = True
    source: str = ""

    def __str__(self) -> str:
        """The range and its scale, as people read it."""
        return f"{self.low:g} .. {self.high:g}, {'log' if self.log else 'linear'}"


@dataclass(frozen=True)
class Parameter:
    """A number that shapes an activation.

    Attributes:
        name: the function's argument, also the name in ``leaky_relu(negative_slope=0.2)``.
        default: the value where none is given; for a learnable activation, where training starts.
        low: the smallest value allowed.
        high: the largest value allowed.
        meaning: one short phrase.
        whole: whether only whole numbers are allowed.
        search: the range that ``space.parameters=true`` searches; None: nobody has stated one.
    """

    name: str
    default: float
    low: float = -math.inf
    high: float = math.inf
    meaning: str = ""
    whole: bool = False
    search: SearchRange | None = None


@dataclass(frozen=True)
class Initialisation:
    """How the weights around an activation are drawn: a rule of ``autoact.activations.initialisation``.

    Every weight that consumes the output is scaled so that its results keep a root mean square of 1.

    Attributes:
        source: author, title, year.
        critical: whether the bias of the layer that consumes the output takes a constant off it, chosen so that
            back-propagated gradients keep their size too.
        scale: root mean square that the inputs should have, as a function of the parameters; the weights that produce
            them are drawn for it. 1 where not given.
        first: a weight that multiplies the model's own input is drawn from ``U(-first / fan_in, first / fan_in)``, and
            its bias from ``U(-1 / sqrt(fan_in), 1 / sqrt(fan_in))``, where the weights are larger so than by the rule
            for the other layers; None for no such exception.
        quiet_end: whether a layer that consumes the output and leads to no activation is drawn at ``scale`` as well.
    """

    source: str
    critical: bool = False
    scale: Callable[..., float] | None = None
    first: float | None = None
    quiet_end: bool = False


HE = Initialisation("He et al., Delving Deep into Rectifiers, 2015")
"""The plain rule: the gain alone, whose weights keep forward signals at their size; biases are zero."""

CRITICAL = Initialisation("Schoenholz et al., Deep Information Propagation, 2017", critical=True)
"""The gain and a bias on the edge of chaos, where gradients neither vanish nor explode."""


@dataclass(frozen=True, eq=False)
class Activation:
    """One row of the catalogue.

    Every fact holds at the default parameters. ``None`` in a flag means that nobody has stated it.

    Attributes:
        name: the canonical name.
        function: pure ``f(x, *parameters)``; a stochastic one also takes the keyword ``training``. A gated one takes
            ``[..., pieces * channels]`` and returns ``[..., channels]``.
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
        initialisation: how the weights around it are drawn.
        moment_of: of a gated one: ``g(z, *parameters)`` of one number such that ``E[g(z)^2]`` is the second moment of
            the output for independent standard normal inputs; its gain is computed from it.
        by_member: a pointwise one's function of parameters that are numbers or tensors which broadcast against x:
            members of a population that differ in their values share one call of it. None: each value has its own.
        torch_type: the torch.nn class that computes this.
        torch_attributes: attribute of the torch module -> parameter, where it is not called as the parameter is.
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
    initialisation: Initialisation = HE
    moment_of: Function | None = None
    by_member: Function | None = None
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
        if not self.parameters and (self.family == "learnable" or (self.normalisation and self.searchable)):
            what = "what stands for a normalisation" if self.normalisation else "a learnable one"
            raise AutoactError(f"activation {self.name!r}: {what} needs parameters to learn")
        if self.gated and self.moment_of is None and self.stated_gain is None:
            raise AutoactError(f"activation {self.name!r}: a gated one needs gain=<number>, or moment_of=<function>")
        if not isinstance(self.initialisation, Initialisation):
            raise AutoactError(
                f"activation {self.name!r}: initialisation={self.initialisation!r} is no rule: "
                'give autoact.Initialisation("author, title, year", critical=True), for example'
            )
        if self.gated and self.initialisation != HE:
            raise AutoactError(f"activation {self.name!r}: a gated one has no initialisation of its own, only a gain")
        for parameter in self.parameters:
            if not parameter.low <= parameter.default <= parameter.high or not math.isfinite(parameter.default):
                raise AutoactError(
                    f"activation {self.name!r}: default {parameter.name}={parameter.default:g} "
                    f"is outside {parameter.low:g} .. {parameter.high:g}"
                )
            if parameter.whole and not parameter.default.is_integer():
                raise AutoactError(
                    f"activation {self.name!r}: default {parameter.name}={parameter.default:g} is not whole"
                )
            self._check_search(parameter)

    def _check_search(self, parameter: Parameter) -> None:
        """Refuse a stated range that holds forbidden values, or not the default."""
        stated = parameter.search
        if stated is None:
            return
        if parameter.whole or not parameter.low <= stated.low <= parameter.default <= stated.high <= parameter.high:
            raise AutoactError(
                f"activation {self.name!r}: the range of {parameter.name}, {stated}, must hold its default "
                f"{parameter.default:g} and lie within {parameter.low:g} .. {parameter.high:g}"
            )
        if not stated.low < stated.high or (stated.log and stated.low <= 0):
            raise AutoactError(f"activation {self.name!r}: the range of {parameter.name}, {stated}, is none")

    @property
    def searchable(self) -> bool:
        """Whether a search may try it."""
        return not self.reason_not_searchable

    @property
    def learnable(self) -> bool:
        """Whether its parameters are weights."""
        return self.family == "learnable" or (self.normalisation and bool(self.parameters))

    @property
    def normalisation(self) -> bool:
        """Whether it stands at normalisations, and not where activations are applied."""
        return self.family == "normalisation"

    @property
    def gated(self) -> bool:
        """Whether each output channel is made of several input channels."""
        return self.family == "gated"

    def pieces(self, given: Mapping[str, float] | None = None) -> int:
        """How many input channels an output channel is made of: 1 unless gated, 2 unless a parameter ``pieces`` says.

        Example:
            >>> from autoact.activations import registry
            >>> registry.get("relu").pieces(), registry.get("swiglu").pieces(), registry.get("maxout").pieces()
            (1, 2, 2)
        """
        return int(self.values(given).get("pieces", 2)) if self.gated else 1

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
