"""The catalogue: every row, family by family; normalisations, which no activation can stand for, are apart."""

from __future__ import annotations

from autoact.activations.catalogue.blends import ROWS as BLENDS
from autoact.activations.catalogue.bounded import ROWS as BOUNDED
from autoact.activations.catalogue.gated import ROWS as GATED
from autoact.activations.catalogue.learnable import ROWS as LEARNABLE
from autoact.activations.catalogue.normalisation import ROWS as NORMALISATIONS
from autoact.activations.catalogue.other import ROWS as OTHER
from autoact.activations.catalogue.rectifiers import ROWS as RECTIFIERS
from autoact.activations.catalogue.self_gated import ROWS as SELF_GATED
from autoact.activations.catalogue.smooth import ROWS as SMOOTH

ROWS = (*RECTIFIERS, *SMOOTH, *SELF_GATED, *BOUNDED, *OTHER, *LEARNABLE, *BLENDS, *GATED)

__all__ = ["NORMALISATIONS", "ROWS"]
