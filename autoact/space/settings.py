"""What the user says about the search space; light to import, for the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoact.core.typed_values import check_values


@dataclass
class SpaceSettings:
    """What a search may change.

    Attributes:
        granularity: ``site`` (each site its own activation), ``block`` (one per block) or ``model`` (one for all).
        candidates: activations to try, by name or ``name(param=number)``.
        include: globs of site names to search; the others stay as they are.
        exclude: globs of site names to leave alone.
        learning_rate: lowest and highest multiple of the configured learning rate; empty: not searched.
        weight_decay: values to try beside the configured one; empty: not searched.
        rescale: scale the weights that consume an activation's output by its gain at initialisation.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    granularity: str = "site"
    candidates: list[str] = field(default_factory=list)
    include: list[str] = field(default_factory=lambda: ["*"])
    exclude: list[str] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=lambda: [0.1, 10.0])
    weight_decay: list[float] = field(default_factory=lambda: [0.0, 1e-4, 1e-3, 1e-2, 1e-1])
    rescale: bool = True

    def __post_init__(self) -> None:
        check_values(self, "space")
