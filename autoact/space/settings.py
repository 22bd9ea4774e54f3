"""What the user says about the search space; light to import, for the configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from autoact.core.errors import AutoactError, unknown
from autoact.core.typed_values import check_values

GRANULARITIES = ("model", "block", "site")


@dataclass
class SpaceSettings:
    """What a search may change.

    Attributes:
        granularity: ``site`` (each site its own activation), ``block`` (one per block) or ``model`` (one for all).
        candidates: activations to try, by name or ``name(param=number)``; ``name(param=low..high)`` searches that
            parameter, too.
        parameters: search the parameters of all candidates for which the catalogue states a range.
        normalisations: what to try in the place of each ``nn.LayerNorm`` and ``nn.RMSNorm``, beside the normalisation
            itself: ``dynamic_tanh``, ``derf``; empty: normalisations are not searched.
        include: globs of site names to search; the others stay as they are.
        exclude: globs of site names to leave alone.
        learning_rate: lowest and highest multiple of the configured learning rate; empty: not searched.
        weight_decay: values to try beside the configured one; empty: not searched.
        dropout: values of ``p`` to try beside the configured one, in the network's ``nn.Dropout`` layers (see
            ``autoact.set_dropout_``); empty: not searched.
        rescale: change the initial weights around each activation by its rule (see ``autoact.rescale_``).
        activation_rate: factor of the learning rate of the weights that activations bring along, which then have no
            weight decay (0.1 in RealMLP); 1: they train as all others.
        arguments: argument of the network -> values to choose from before the search, with the baseline's activations;
            empty: the network stays as configured.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    granularity: str = "site"
    candidates: list[str] = field(default_factory=list)
    parameters: bool = False
    normalisations: list[str] = field(default_factory=list)
    include: list[str] = field(default_factory=lambda: ["*"])
    exclude: list[str] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=lambda: [0.1, 10.0])
    weight_decay: list[float] = field(default_factory=lambda: [0.0, 1e-4, 1e-3, 1e-2, 1e-1])
    dropout: list[float] = field(default_factory=list)
    rescale: bool = True
    activation_rate: float = 1.0
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_values(self, "space")
        if self.granularity not in GRANULARITIES:
            raise unknown("granularity", self.granularity, GRANULARITIES)
        rates = list(self.learning_rate)
        if rates and (len(rates) != 2 or not 0 < rates[0] <= 1 <= rates[1]):
            raise AutoactError(
                f"space.learning_rate={rates} must be [lowest, highest] multiples of the configured rate, "
                "the lowest at most 1 and the highest at least 1, e.g. [0.1, 10]"
            )
        if not (self.activation_rate > 0 and math.isfinite(self.activation_rate)):
            raise AutoactError(
                f"space.activation_rate={self.activation_rate} must be a factor above 0 of the learning rate, e.g. 0.1"
            )
        if any(value < 0 for value in self.weight_decay):
            raise AutoactError(f"space.weight_decay={list(self.weight_decay)} holds a negative value")
        if any(not 0 <= value < 1 for value in self.dropout):
            raise AutoactError(
                f"space.dropout={list(self.dropout)} must hold shares from 0 to below 1, e.g. [0, 0.1, 0.3]"
            )
