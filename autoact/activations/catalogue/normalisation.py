"""Normalisations that models have, and functions of each number that a search may put in their place.

The scale gamma and the shift beta of each channel are those of the normalisation that stood there.
"""

from __future__ import annotations

from torch import nn

from autoact.activations.functional import normalisation
from autoact.activations.spec import Activation, Parameter

_AS_IS = "it is what a model has already, and each normalisation is tried as it is anyway"
_SHARPNESS = Parameter("alpha", 0.5, -100.0, 100.0, "what every input is multiplied by, one number per layer")

ROWS = (
    Activation(
        name="layer_norm",
        function=normalisation.layer_norm,
        aliases=("layernorm",),
        family="normalisation",
        formula=r"\gamma \frac{x - \operatorname{mean}(x)}{\sqrt{\operatorname{var}(x) + \epsilon}} + \beta",
        smooth=True,
        zero_centred=True,
        parity="odd",
        reference="Ba et al., Layer Normalization, 2016",
        reason_not_searchable=_AS_IS,
        torch_type=nn.LayerNorm,
    ),
    Activation(
        name="rms_norm",
        function=normalisation.rms_norm,
        aliases=("rmsnorm",),
        family="normalisation",
        formula=r"\gamma \frac{x}{\sqrt{\operatorname{mean}(x^2) + \epsilon}}",
        smooth=True,
        zero_centred=True,
        parity="odd",
        reference="Zhang and Sennrich, Root Mean Square Layer Normalization, 2019",
        reason_not_searchable=_AS_IS,
        torch_type=nn.RMSNorm,
    ),
    Activation(
        name="dynamic_tanh",
        function=normalisation.dynamic_tanh,
        aliases=("dyt",),
        family="normalisation",
        formula=r"\gamma \tanh(\alpha x) + \beta",
        parameters=(_SHARPNESS,),
        output_range=(-1.0, 1.0),
        saturation=(-1.0, 1.0),
        smooth=True,
        monotonic=True,
        zero_centred=True,
        parity="odd",
        reference="Zhu et al., Transformers without Normalization, 2025",
    ),
    Activation(
        name="derf",
        function=normalisation.derf,
        aliases=("dynamic_erf",),
        family="normalisation",
        formula=r"\gamma \operatorname{erf}(\alpha x + s) + \beta",
        parameters=(_SHARPNESS, Parameter("s", 0.0, -100.0, 100.0, "what is added to it, one number per layer")),
        output_range=(-1.0, 1.0),
        saturation=(-1.0, 1.0),
        smooth=True,
        monotonic=True,
        zero_centred=True,
        parity="odd",
        reference="Chen et al., Stronger Normalization-Free Transformers, 2025",
    ),
)
