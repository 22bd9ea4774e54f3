"""Gated forms and maxout: choices for a whole layer, whose width changes with them. Opt-in, see ``autoact.sites``."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from autoact.activations.functional import gated, pointwise
from autoact.activations.spec import Activation, Parameter

_SHAZEER = "Shazeer, GLU Variants Improve Transformer, 2020"

ROWS = (
    Activation(
        name="glu",
        function=gated.glu,
        family="gated",
        formula=r"a \, \sigma(b)",
        moment_of=torch.sigmoid,
        smooth=True,
        monotonic=False,
        zero_centred=True,
        reference="Dauphin et al., Language Modeling with Gated Convolutional Networks, 2017",
    ),
    Activation(
        name="reglu",
        function=gated.reglu,
        family="gated",
        formula=r"a \max(0, b)",
        moment_of=F.relu,
        smooth=False,
        monotonic=False,
        zero_centred=True,
        reference=_SHAZEER,
    ),
    Activation(
        name="geglu",
        function=gated.geglu,
        family="gated",
        formula=r"a \, b \, \Phi(b)",
        moment_of=F.gelu,
        smooth=True,
        monotonic=False,
        zero_centred=True,
        reference=_SHAZEER,
    ),
    Activation(
        name="swiglu",
        function=gated.swiglu,
        family="gated",
        formula=r"a \, b \, \sigma(b)",
        moment_of=F.silu,
        smooth=True,
        monotonic=False,
        zero_centred=True,
        reference=_SHAZEER,
    ),
    Activation(
        name="bilinear",
        function=gated.bilinear,
        family="gated",
        formula=r"a \, b",
        moment_of=pointwise.identity,
        smooth=True,
        monotonic=False,
        zero_centred=True,
        parity="even",
        reference=_SHAZEER,
    ),
    Activation(
        name="maxout",
        function=gated.maxout,
        family="gated",
        formula=r"\max(a_1, \ldots, a_k)",
        parameters=(Parameter("pieces", 2.0, 2.0, 8.0, "linear maps that each output chooses from", whole=True),),
        moment_of=gated.maxout_alike,
        smooth=False,
        monotonic=True,
        zero_centred=False,
        reference="Goodfellow et al., Maxout Networks, 2013",
    ),
)
