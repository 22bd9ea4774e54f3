"""Rectifiers: zero or a shrunken slope on one side."""

from __future__ import annotations

from math import inf

import torch.nn.functional as F
from torch import nn

from autoact.activations.functional import by_member, pointwise
from autoact.activations.spec import CRITICAL, Activation, Initialisation, Parameter, SearchRange

_SLOPE = 100.0
"""Largest slope allowed: torch has no limit, a search should."""

_OFF_THRESHOLD = Initialisation(
    CRITICAL.source, critical=True, scale=lambda threshold, value: max(1.0, 3 * abs(threshold))
)
"""Inputs large against the threshold: with smaller ones its jump carries more than its slope, and gradients vanish."""

ROWS = (
    Activation(
        name="relu",
        function=F.relu,
        aliases=("rectifier",),
        formula=r"\max(0, x)",
        output_range=(0.0, inf),
        saturation=(0.0, None),
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="Nair and Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines, 2010",
        torch_type=nn.ReLU,
    ),
    Activation(
        name="relu6",
        function=F.relu6,
        formula=r"\min(\max(0, x), 6)",
        output_range=(0.0, 6.0),
        saturation=(0.0, 6.0),
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10, 2010",
        torch_type=nn.ReLU6,
    ),
    Activation(
        name="leaky_relu",
        function=F.leaky_relu,
        aliases=("leakyrelu", "lrelu"),
        formula=r"\max(0, x) + s \min(0, x)",
        parameters=(
            Parameter(
                "negative_slope",
                0.01,
                -_SLOPE,
                _SLOPE,
                "slope where x < 0",
                search=SearchRange(1e-3, 0.3, source="Xu et al., 2015, try 0.01 to 0.18; somewhat wider"),
            ),
        ),
        by_member=by_member.leaky_relu,
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="Maas et al., Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013",
        torch_type=nn.LeakyReLU,
    ),
    Activation(
        name="rrelu",
        function=F.rrelu,
        aliases=("randomized_relu",),
        formula=r"\max(0, x) + a \min(0, x),\; a \sim U(l, u) \text{ in training, } \tfrac{l + u}{2} \text{ after}",
        parameters=(
            Parameter("lower", 1 / 8, -_SLOPE, _SLOPE, "smallest slope where x < 0"),
            Parameter("upper", 1 / 3, -_SLOPE, _SLOPE, "largest slope where x < 0"),
        ),
        ordered=(("lower", "upper"),),
        smooth=False,
        monotonic=True,
        zero_centred=False,
        stochastic=True,
        reference="Xu et al., Empirical Evaluation of Rectified Activations in Convolutional Network, 2015",
        torch_type=nn.RReLU,
    ),
    Activation(
        name="threshold",
        function=F.threshold,
        aliases=("thresholded_relu",),
        formula=r"x \text{ if } x > t \text{ else } v",
        parameters=(
            Parameter(
                "threshold",
                1.0,
                -1e6,
                1e6,
                "inputs above it pass",
                search=SearchRange(0.0, 2.0, log=False, source="from ReLU's 0 to twice the 1 of Konda et al., 2014"),
            ),
            Parameter("value", 0.0, -1e6, 1e6, "output for the others"),
        ),
        by_member=by_member.threshold,
        output_range=(0.0, inf),
        saturation=(0.0, None),
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="Konda et al., Zero-bias Autoencoders and the Benefits of Co-adapting Features, 2014",
        torch_type=nn.Threshold,
        initialisation=_OFF_THRESHOLD,
    ),
    Activation(
        name="natural_log_relu",
        function=pointwise.natural_log_relu,
        aliases=("nlrelu",),
        formula=r"\log(1 + \beta \max(0, x))",
        parameters=(Parameter("beta", 1.0, 1e-3, 1e3, "slope at zero, seen from the right"),),
        output_range=(0.0, inf),
        saturation=(0.0, None),
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="Liu et al., Natural-Logarithm-Rectified Activation Function in Convolutional Neural Networks, 2019",
    ),
    Activation(
        name="squared_relu",
        function=pointwise.squared_relu,
        aliases=("relu2", "relu_squared"),
        formula=r"\max(0, x)^2",
        output_range=(0.0, inf),
        saturation=(0.0, None),
        smooth=True,
        monotonic=True,
        zero_centred=False,
        reference="So et al., Primer: Searching for Efficient Transformers for Language Modeling, 2021",
        initialisation=CRITICAL,
    ),
    Activation(
        name="star_relu",
        function=pointwise.star_relu,
        aliases=("starrelu",),
        formula=r"s \max(0, x)^2 + b",
        parameters=(
            Parameter("scale", 0.8944, -_SLOPE, _SLOPE, "factor of the square"),
            Parameter("bias", -0.4472, -_SLOPE, _SLOPE, "added to it"),
        ),
        by_member=pointwise.star_relu,
        output_range=(-0.4472, inf),
        saturation=(-0.4472, None),
        smooth=True,
        monotonic=True,
        zero_centred=True,
        reference="Yu et al., MetaFormer Baselines for Vision, 2022",
        initialisation=CRITICAL,
    ),
)
