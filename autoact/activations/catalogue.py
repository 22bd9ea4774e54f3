"""The catalogue: every row, family by family."""

from __future__ import annotations

from autoact.activations.catalogue_bounded import ROWS as BOUNDED
from autoact.activations.catalogue_gated import ROWS as GATED
from autoact.activations.catalogue_learnable import ROWS as LEARNABLE
from autoact.activations.catalogue_other import ROWS as OTHER
from autoact.activations.catalogue_rectifiers import ROWS as RECTIFIERS
from autoact.activations.catalogue_smooth import ROWS as SMOOTH

ROWS = (*RECTIFIERS, *SMOOTH, *BOUNDED, *OTHER, *LEARNABLE, *GATED)
