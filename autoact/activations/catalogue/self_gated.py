"""Inputs times a gate of themselves, beyond those that torch has."""

from __future__ import annotations

from math import inf

from autoact.activations.functional import self_gated
from autoact.activations.spec import CRITICAL, Activation, Parameter

_FACTOR = 100.0
"""Largest factor allowed: the papers have no limit, a search should."""

ROWS = (
    Activation(
        name="quick_gelu",
        function=self_gated.quick_gelu,
        aliases=("quickgelu",),
        formula=r"x \sigma(1.702 x)",
        output_range=(-0.16361018963635358, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Hendrycks and Gimpel, Gaussian Error Linear Units, 2016",
        initialisation=CRITICAL,
    ),
    Activation(
        name="clipped_gelu",
        function=self_gated.clipped_gelu,
        aliases=("gelu_10",),
        formula=r"\min(\max(l, x \Phi(x)), u)",
        parameters=(
            Parameter("min_val", -10.0, -1e6, 1e6, "smallest output; GELU itself is never below -0.17"),
            Parameter("max_val", 10.0, -1e6, 1e6, "largest output"),
        ),
        ordered=(("min_val", "max_val"),),
        output_range=(-0.16997120747990366, 10.0),
        saturation=(0.0, 10.0),
        smooth=False,
        monotonic=False,
        zero_centred=False,
        reference="Wu et al., Integer Quantization for Deep Learning Inference, 2020",
        initialisation=CRITICAL,
    ),
    Activation(
        name="golu",
        function=self_gated.golu,
        formula=r"x e^{-e^{-x}}",
        output_range=(-0.097260131227639404, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Das et al., Gompertz Linear Units, 2025",
        initialisation=CRITICAL,
    ),
    Activation(
        name="smish",
        function=self_gated.smish,
        formula=r"x \tanh(\log(1 + \sigma(x)))",
        output_range=(-0.24999366366012950, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Wang et al., Smish: A Novel Activation Function for Deep Learning Methods, 2022",
    ),
    Activation(
        name="logish",
        function=self_gated.logish,
        formula=r"x \log(1 + \sigma(x))",
        output_range=(-0.25276881678944035, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Zhu et al., Logish: A New Nonlinear Nonmonotonic Activation Function for CNN, 2021",
    ),
    Activation(
        name="aptx",
        function=self_gated.aptx,
        formula=r"(\alpha + \tanh(\beta x)) \gamma x",
        parameters=(
            Parameter("alpha", 1.0, -_FACTOR, _FACTOR, "added to the hyperbolic tangent"),
            Parameter("beta", 1.0, -_FACTOR, _FACTOR, "sharpness of the gate"),
            Parameter("gamma", 0.5, -_FACTOR, _FACTOR, "factor of the whole"),
        ),
        output_range=(-0.13923227138053690, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Kumar, APTx: Better Activation Function than MISH, SWISH, and ReLU's Variants, 2022",
        initialisation=CRITICAL,
    ),
)
