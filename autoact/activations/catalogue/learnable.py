"""Learnable activations: each parameter is a weight that starts at the value given."""

from __future__ import annotations

from math import inf

from torch import nn

from autoact.activations.functional import learnable
from autoact.activations.spec import CRITICAL, Activation, Parameter, SearchRange

_LIKE_LEAKY_RELU = (0.0335826, 0.505, 1.65131, 2.00452, 0.927936, 0.151537, 0.0, 3.96934, 0.0, 0.300074)
"""What ``rational.fit`` finds for leaky_relu, the start that the paper recommends; a test repeats the fit."""

ROWS = (
    Activation(
        name="prelu",
        function=learnable.prelu,
        family="learnable",
        formula=r"\max(0, x) + w \min(0, x)",
        parameters=(Parameter("weight", 0.25, -100.0, 100.0, "slope where x < 0"),),
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="He et al., Delving Deep into Rectifiers, 2015",
        torch_type=nn.PReLU,
    ),
    Activation(
        name="swish_beta",
        function=learnable.swish_beta,
        family="learnable",
        formula=r"x \sigma(\beta x)",
        parameters=(
            Parameter(
                "beta",
                1.0,
                -100.0,
                100.0,
                "sharpness of the gate",
                search=SearchRange(
                    0.1, 10.0, source="Ramachandran et al., 2017: most trained values lie within 0 .. 1.5"
                ),
            ),
        ),
        output_range=(-0.27846454276107379, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Ramachandran et al., Searching for Activation Functions, 2017",
        initialisation=CRITICAL,
    ),
    Activation(
        name="snake_learnable",
        function=learnable.snake_learnable,
        family="learnable",
        formula=r"x + \sin^2(a x) / a",
        parameters=(
            Parameter(
                "a",
                0.5,
                -100.0,
                100.0,
                "frequency, radians per unit",
                search=SearchRange(0.2, 50.0, source="Ziyin et al., 2020: from 0.2, and 5 to 50 for periodic data"),
            ),
        ),
        smooth=True,
        monotonic=True,
        zero_centred=False,
        reference="Ziyin et al., Neural Networks Fail to Learn Periodic Functions and How to Fix It, 2020",
    ),
    Activation(
        name="acon_c",
        function=learnable.acon_c,
        family="learnable",
        formula=r"(p_1 - p_2) x \sigma(\beta (p_1 - p_2) x) + p_2 x",
        parameters=(
            Parameter("p1", 1.0, -100.0, 100.0, "slope at the right"),
            Parameter("p2", 0.0, -100.0, 100.0, "slope at the left"),
            Parameter("beta", 1.0, -100.0, 100.0, "sharpness of the switch"),
        ),
        output_range=(-0.27846454276107379, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Ma et al., Activate or Not: Learning Customized Activation, 2021",
        initialisation=CRITICAL,
    ),
    Activation(
        name="srelu",
        function=learnable.srelu,
        family="learnable",
        formula=r"t_r + a_r (x - t_r) \text{ if } x \ge t_r;\; x;\; t_l + a_l (x - t_l) \text{ if } x \le t_l",
        parameters=(
            Parameter("left", 0.0, -1e4, 1e4, "where the left line begins"),
            Parameter("left_slope", 0.2, -100.0, 100.0, "its slope"),
            Parameter("right", 1.0, -1e4, 1e4, "where the right line begins"),
            Parameter("right_slope", 1.0, -100.0, 100.0, "its slope"),
        ),
        ordered=(("left", "right"),),
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="Jin et al., Deep Learning with S-Shaped Rectified Linear Activation Units, 2016",
    ),
    Activation(
        name="rational",
        function=learnable.rational,
        aliases=("pade", "pau"),
        family="learnable",
        formula=r"\frac{\sum_{j=0}^5 a_j x^j}{1 + |\sum_{k=1}^4 b_k x^k|}",
        parameters=tuple(
            Parameter(name, start, -1e6, 1e6, f"coefficient of x^{name[1]} {'above' if name[0] == 'a' else 'below'}")
            for name, start in zip(learnable.RATIONAL_COEFFICIENTS, _LIKE_LEAKY_RELU, strict=True)
        ),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Molina et al., Padé Activation Units, 2020",
    ),
)
