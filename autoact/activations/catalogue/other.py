"""The identity, shrinkage and a periodic line."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from autoact.activations.functional import by_member, pointwise
from autoact.activations.spec import CRITICAL, HE, Activation, Initialisation, Parameter, SearchRange

_WIDE_TANHSHRINK = Initialisation(CRITICAL.source, critical=True, scale=lambda: 5.0)
"""Inputs large against the bend: near zero it is a cube, whose signals vanish or explode."""

_WIDE_HARDSHRINK = Initialisation(HE.source, scale=lambda lambd: max(1.0, 12 * lambd))
"""Inputs large against the jumps: what these carry has no gradient, so that gradients vanish with smaller ones."""

_SHRUNKEN = SearchRange(0.05, 2.0, source="from nearly the identity to where 5 % of normal inputs are left")

ROWS = (
    Activation(
        name="identity",
        function=pointwise.identity,
        aliases=("linear", "none"),
        formula=r"x",
        smooth=True,
        monotonic=True,
        zero_centred=True,
        parity="odd",
        reference="Widrow and Hoff, Adaptive Switching Circuits, 1960",
        torch_type=nn.Identity,
    ),
    Activation(
        name="tanhshrink",
        function=F.tanhshrink,
        aliases=("tanh_shrink",),
        formula=r"x - \tanh(x)",
        smooth=True,
        monotonic=True,
        zero_centred=True,
        parity="odd",
        reference="Collobert et al., Torch7: A Matlab-like Environment for Machine Learning, 2011",
        torch_type=nn.Tanhshrink,
        initialisation=_WIDE_TANHSHRINK,
    ),
    Activation(
        name="softshrink",
        function=F.softshrink,
        by_member=by_member.softshrink,
        aliases=("soft_shrink",),
        formula=r"\operatorname{sign}(x) \max(0, |x| - \lambda)",
        parameters=(Parameter("lambd", 0.5, 0.0, 1e6, "inputs within -+ lambd become 0", search=_SHRUNKEN),),
        smooth=False,
        monotonic=True,
        zero_centred=True,
        parity="odd",
        reference="Donoho, De-noising by Soft-Thresholding, 1995",
        torch_type=nn.Softshrink,
        initialisation=CRITICAL,
    ),
    Activation(
        name="hardshrink",
        function=F.hardshrink,
        by_member=by_member.hardshrink,
        aliases=("hard_shrink",),
        formula=r"x \text{ if } |x| > \lambda \text{ else } 0",
        parameters=(Parameter("lambd", 0.5, 0.0, 1e6, "inputs within -+ lambd become 0", search=_SHRUNKEN),),
        smooth=False,
        monotonic=True,
        zero_centred=True,
        parity="odd",
        reference="Donoho and Johnstone, Ideal Spatial Adaptation by Wavelet Shrinkage, 1994",
        torch_type=nn.Hardshrink,
        initialisation=_WIDE_HARDSHRINK,
    ),
    Activation(
        name="snake",
        function=pointwise.snake,
        formula=r"x + \sin^2(a x) / a",
        parameters=(
            Parameter(
                "a",
                1.0,
                1e-2,
                100.0,
                "frequency, radians per unit",
                search=SearchRange(0.2, 50.0, source="Ziyin et al., 2020: from 0.2, and 5 to 50 for periodic data"),
            ),
        ),
        by_member=pointwise.snake,
        smooth=True,
        monotonic=True,
        zero_centred=False,
        reference="Ziyin et al., Neural Networks Fail to Learn Periodic Functions and How to Fix It, 2020",
        initialisation=CRITICAL,
    ),
)
