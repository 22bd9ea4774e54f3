"""What makes two searches the same study: data, model, space and objectives; not the budget."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoact.activations.initialisation import VERSION
from autoact.space.search_space import SearchSpace
from autoact.tasks.objectives import Objective
from autoact.tasks.task import Task


def digest(data: Any) -> str:
    """A short stable hash of plain data.

    Example:
        >>> digest({"a": 1}) == digest({"a": 1})
        True
    """
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Identity:
    """A study's name, and its family: equal for studies that differ in their space alone and can seed each other.

    ``activation_rate`` is the factor of the learning rate of the weights that activations bring along: it decides which
    trials of the family fit. So do the rules of ``initialisation`` by which the weights around each activation on offer
    are drawn; there are none where weights stay as the model draws them.
    """

    name: str
    family: str
    activation_rate: float = 1.0
    initialisation: Mapping[str, str] = field(default_factory=dict)


def identify(
    task: Task,
    space: SearchSpace,
    objectives: Sequence[Objective],
    training: Mapping[str, Any],
    hardware: Any,
    activation_rate: float = 1.0,
    initialisation: Mapping[str, str] | None = None,
) -> Identity:
    """The identity of a search; ``training`` holds what else changes a trial's result: seed, patience, ..."""
    family = digest(
        {
            "task": task.name,
            "identity": task.identity,
            "monitor": [task.monitor, task.mode],
            "objectives": [[o.name, o.unit, o.direction] for o in objectives],
            "training": training,
            "trainer": task.trainer,
            "hardware": hardware,
        }
    )
    described = space.describe()
    if space.learnable and activation_rate != 1.0:  # studies without such weights keep their names
        described["activation_rate"] = activation_rate
    if initialisation and VERSION > 1:  # studies of versions that did not note their rules keep their names
        described["initialisation"] = VERSION
    name = f"{task.name}-{digest([family, described])}"
    return Identity(name, family, activation_rate, dict(initialisation or {}))
