"""Weights that a module loads: those that no seed changes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import lightning
import torch

from autoact.tasks.task import Task
from autoact.training.randomness import random_state, restore_random_state

_known: weakref.WeakKeyDictionary[Callable[[], Any], frozenset[str]] = weakref.WeakKeyDictionary()


def loaded_weights(task: Task) -> frozenset[str]:
    """Names of weight matrices that a fresh module holds alike whatever the seed: they were loaded, not drawn.

    Builds the module twice, once for each task; random numbers go on as if nothing had been drawn. Weights that are one
    number throughout are left out: they are a choice of initialisation.

    Example:
        >>> from types import SimpleNamespace
        >>> task = SimpleNamespace(make_module=lambda: torch.nn.Linear(3, 2))
        >>> sorted(loaded_weights(task))
        []
    """
    found = _known.get(task.make_module)
    if found is None:
        found = _known[task.make_module] = _alike(*(_drawn(task, seed) for seed in (0, 1)))
    return found


def loaded_told(names: frozenset[str]) -> str:
    """A line for people; empty where nothing was loaded.

    Example:
        >>> loaded_told(frozenset({"encoder.weight"}))
        'encoder.weight is the same under every seed: it counts as loaded, and is not scaled to an activation'
    """
    if not names:
        return ""
    first, more = sorted(names)[0], len(names) - 1
    if not more:
        return f"{first} is the same under every seed: it counts as loaded, and is not scaled to an activation"
    weights = f"{first} and {more} more weight{'s' * (more > 1)}"
    return f"{weights} are the same under every seed: they count as loaded, and are not scaled to an activation"


def _drawn(task: Task, seed: int) -> dict[str, torch.Tensor]:
    """The parameters of a module that is built under a seed."""
    state = random_state()
    try:
        lightning.seed_everything(seed, verbose=False)
        module = task.make_module()
        getattr(module, "configure_model", lambda: None)()
        return {name: parameter.detach() for name, parameter in module.named_parameters() if _matrix(parameter)}
    finally:
        restore_random_state(state)


def _matrix(parameter: torch.Tensor) -> bool:
    """Whether a parameter is a weight matrix that exists already."""
    return not torch.nn.parameter.is_lazy(parameter) and parameter.dim() > 1 and parameter.numel() > 1


def _alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> frozenset[str]:
    """Names of equal tensors that are not constant."""
    return frozenset(
        name
        for name, value in one.items()
        if name in other
        and value.device.type != "meta"
        and torch.equal(value, other[name])
        and bool((value != value.flatten()[0]).any())
    )
