"""What cannot be set in the user's module is taken out of the search space, with a line that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from autoact.activations import registry
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.space.search_space import SearchSpace
from autoact.space.training_settings import DROPOUT, LEARNING_RATE, WEIGHT_DECAY
from autoact.tasks.task import Task
from autoact.training.preflight.settings_in_force import (
    SetUpError,
    dropout_acts,
    settings_in_force,
    untrained_weights,
)

_LEFT_OUT: Mapping[str, dict[str, Any]] = {
    LEARNING_RATE: {"rate_range": None},
    WEIGHT_DECAY: {"decays": ()},
    DROPOUT: {"dropouts": ()},
}


def narrowed(task: Task, space: SearchSpace, device: torch.device, name: str) -> tuple[SearchSpace, tuple[str, ...]]:
    """The space without what the module does not let be set, and a line for each thing that was taken out.

    ``name`` is that of the module's class, for people.

    Raises:
        AutoactError: nothing is left to search.
    """
    notes: list[str] = []
    other = _other(space)
    for setting, seen in (settings_in_force(task, device, space.configured, other) if other else {}).items():
        word = setting.replace("_", " ")
        written, held = f"its optimiser's {word}s", "let the optimiser or its scheduler hold them"
        if setting == DROPOUT:
            written, held = "p of its nn.Dropout layers", "leave it as it was built"
        notes.append(
            f"the {word} is not searched: {name}, or a callback, writes {written} itself ({seen}, after a few steps); "
            f"{held} to have the {word} searched"
        )
        space = replace(space, **_LEFT_OUT[setting])
    if space.dropouts and not dropout_acts(task, device, other[DROPOUT]):
        notes.append(
            f"the dropout is not searched: it changes nothing in the first steps of a training, as no nn.Dropout layer "
            f"of {name} is called there, or all are in evaluation mode; leave space.dropout out, or put them to use"
        )
        space = replace(space, **_LEFT_OUT[DROPOUT])
    space, reasons = _trained(task, space, device, name)
    if reasons and space.size() == 1 and not space.setting_names:
        raise AutoactError(f"nothing is left to search: {'; '.join([*notes, *reasons])}")
    return space, tuple(notes)


def _other(space: SearchSpace) -> dict[str, float]:
    """Another value for each setting that is searched: the one farthest from the configured."""
    other = {}
    if space.rate_range is not None:
        low, high = space.rate_range
        rate = space.configured[LEARNING_RATE]
        other[LEARNING_RATE] = low if rate / low > high / rate else high
        if other[LEARNING_RATE] == rate:
            del other[LEARNING_RATE]
    for name, values in space.listed_settings.items():
        if others := [value for value in values if value != space.configured[name]]:
            other[name] = max(others)
    return other


def _trained(task: Task, space: SearchSpace, device: torch.device, name: str) -> tuple[SearchSpace, list[str]]:
    """The space without learnable activations where no optimiser would train them, and why."""
    learnable = {group: [c for c in space.choices_of(group) if _learns(c)] for group in space.groups}
    tried = {site: chosen[0] for group, chosen in learnable.items() if chosen for site in space.groups[group]}
    if not tried:
        return space, []
    fixed = {site: choice for site, choice in space.baseline.items() if site not in tried}
    refused = {group: dict(reasons) for group, reasons in space.refused.items()}
    try:
        untrained = untrained_weights(task, device, Assignment({**fixed, **tried}))
    except SetUpError as error:
        reason = f"learnable activations: {name} cannot be set up for training with their weights ({error})"
        for group, chosen in learnable.items():
            if others := _others(space, chosen, group):
                refused.setdefault(group, {}).update(dict.fromkeys(others, reason))
        return replace(space, refused=refused), [reason]
    found: dict[str, None] = {}
    for group, sites in space.groups.items():
        left = {weight for site in sites if site in tried for weight in untrained.get(site, [])}
        if not left or not _all_left(space, sites, untrained):
            continue
        where = f"{group}: " if group not in sites else ""
        reason = (
            f"{where}learnable activations at {', '.join(s for s in sites if s in untrained)}: no optimiser of "
            f"{name}.configure_optimizers holds their weights, which would never be trained; "
            "give it self.parameters(), or a group with that layer, to have them tried"
        )
        for choice in _others(space, learnable[group], group):
            refused.setdefault(group, {})[choice] = reason
            found[reason] = None
    return replace(space, refused=refused), list(found)


def _others(space: SearchSpace, choices: list[str], group: str) -> list[str]:
    """Choices of a group without the baseline's own."""
    own = str(space.baseline[space.groups[group][0]])
    return [choice for choice in choices if choice != own]


def _all_left(space: SearchSpace, sites: tuple[str, ...], untrained: dict[str, list[str]]) -> bool:
    """Whether the weights of some site are trained at no copy of it: of an averaged net, one is enough."""
    twin_of = {s.name: s.twin_of or s.name for s in space.sites} if space.sites is not None else {}
    kept = {twin_of.get(site, site) for site in sites if site not in untrained}
    return any(twin_of.get(site, site) not in kept for site in sites if site in untrained)


def _learns(choice: str) -> bool:
    return registry.get(registry.canonical(choice).name).learnable
