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
        name="erfact",
        function=learnable.erfact,
        family="learnable",
        formula=r"x \operatorname{erf}(\alpha e^{\beta x})",
        parameters=(
            # Comparisons of later papers, such as RoSwish's, start both weights of ErfAct here.
            Parameter("alpha", 0.75, -100.0, 100.0, "how far the gate is open at zero"),
            Parameter("beta", 0.75, -100.0, 100.0, "sharpness of the gate"),
        ),
        output_range=(-0.40528084517345800, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Biswas et al., ErfAct and Pserf: Non-monotonic Smooth Trainable Activation Functions, 2021",
    ),
    Activation(
        name="coslu",
        function=learnable.coslu,
        family="learnable",
        formula=r"(x + \alpha \cos(\beta x)) \sigma(x)",
        parameters=(
            Parameter("alpha", 1.0, -100.0, 100.0, "height of the wave"),
            Parameter("beta", 1.0, -100.0, 100.0, "its frequency, radians per unit"),
        ),
        output_range=(-0.28927312866451055, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Pishchik, Trainable Activations for Image Classification, 2023",
        initialisation=CRITICAL,
    ),
    Activation(
        name="poly_relu",
        function=learnable.poly_relu,
        aliases=("polyrelu",),
        family="learnable",
        formula=r"\sum_{i=0}^3 a_i \max(0, x)^i",
        parameters=tuple(
            Parameter(f"a{power}", start, -100.0, 100.0, f"coefficient of relu(x)^{power}")
            for power, start in enumerate((0.0, 1 / 3, 1 / 3, 1 / 3))
        ),
        output_range=(0.0, inf),
        saturation=(0.0, None),
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="Zhuo et al., Polynomial Composition Activations, 2024",
        initialisation=CRITICAL,
    ),
    Activation(
        name="xielu",
        function=learnable.xielu,
        family="learnable",
        formula=r"\operatorname{sp}(\alpha_p) x^2 + \tfrac{x}{2} \text{ if } x > 0 \text{ else } "
        r"(\tfrac{1}{2} + \operatorname{sp}(\alpha_n)) (e^x - 1 - x) + \tfrac{x}{2},\; "
        r"\operatorname{sp}(a) = \log(1 + e^a)",
        parameters=(
            Parameter("alpha_p", 0.20338232, -100.0, 100.0, "softplus of it: half the curvature at the right"),
            Parameter("alpha_n", -1.0502256, -100.0, 100.0, "softplus of it, plus 1/2: the weight of the left branch"),
        ),
        output_range=(-0.20575122409648213, inf),
        smooth=True,
        monotonic=False,
        zero_centred=False,
        reference="Huang and Schlag, Deriving Activation Functions Using Integration, 2024",
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
