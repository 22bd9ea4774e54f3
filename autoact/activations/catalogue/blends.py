"""How much of a fixed activation a channel takes is learnt: RealMLP's parametric activations."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from torch import Tensor

from autoact.activations.functional import blends
from autoact.activations.spec import CRITICAL, HE, Activation, Parameter


def _blend(
    name: str,
    function: Callable[..., Tensor],
    formula: str,
    lowest: float,
    highest: float = inf,
    *,
    limits: tuple[float | None, float | None] = (0.0, None),
    smooth: bool = True,
    monotonic: bool = False,
    zero_centred: bool = False,
    parity: str | None = None,
    critical: bool = False,
) -> Activation:
    """The row of a blend; its facts are those of its activation, where training starts."""
    return Activation(
        name=f"blend_{name}",
        function=function,
        aliases=(f"parametric_{name}",),
        family="learnable",
        formula=rf"x + w ({formula} - x)",
        parameters=(Parameter("weight", 1.0, -100.0, 100.0, f"share of {name}; the rest is the input itself"),),
        output_range=(lowest, highest),
        saturation=limits,
        smooth=smooth,
        monotonic=monotonic,
        zero_centred=zero_centred,
        parity=parity,
        initialisation=CRITICAL if critical else HE,
        reference="Holzmüller et al., Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data, 2024",
    )


_SELU = r"\operatorname{SELU}(x)"
_LOW = -1.7580993408473766

ROWS = (
    _blend(
        "selu", blends.blend_selu, _SELU, _LOW, limits=(_LOW, None), smooth=False, monotonic=True, zero_centred=True
    ),
    _blend("mish", blends.blend_mish, r"x \tanh(\log(1 + e^x))", -0.30884341301725073),
    _blend("gelu", blends.blend_gelu, r"x \Phi(x)", -0.16997120747990369, critical=True),
    _blend("silu", blends.blend_silu, r"x \sigma(x)", -0.27846454276107379, critical=True),
    _blend(
        "tanh",
        blends.blend_tanh,
        r"\tanh(x)",
        -1.0,
        1.0,
        limits=(-1.0, 1.0),
        monotonic=True,
        zero_centred=True,
        parity="odd",
        critical=True,
    ),
)
