"""What is alike in all fresh modules of a task: the weights that they load, which no seed changes, and their sites."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import lightning
import torch

from autoact.sites import Sites, find_sites
from autoact.sites.initialise import holding
from autoact.tasks.task import Task
from autoact.training.state.random_state import preserved_random_state

_loaded: weakref.WeakKeyDictionary[Callable[[], object], frozenset[str]] = weakref.WeakKeyDictionary()
_sites: weakref.WeakKeyDictionary[Callable[[], object], dict[bool, Sites]] = weakref.WeakKeyDictionary()


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
    loaded = _loaded.get(task.make_module)
    if loaded is None:
        loaded = _loaded[task.make_module] = _alike(*(_drawn(task, seed) for seed in (0, 1)))
    return loaded


def sites_of(task: Task, *, normalisations: bool = False) -> Sites:
    """The sites of a fresh module of the task, with loaded weights held; looked for once in a process.

    Random numbers go on as if nothing had been drawn; ``normalisations`` as in ``find_sites``.

    Raises:
        AutoactError: see ``find_sites``.

    Example:
        >>> from types import SimpleNamespace
        >>> net = lambda: torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
        >>> sites_of(SimpleNamespace(make_module=net, example_input=torch.zeros(2, 3))).names
        ('1',)
    """
    known = _sites.setdefault(task.make_module, {})
    if normalisations not in known:
        with preserved_random_state():
            module = _made(task)
            with holding(module, loaded_weights(task)):
                known[normalisations] = find_sites(module, task.example_input, normalisations=normalisations)
    return known[normalisations]


def loaded_note(names: frozenset[str]) -> str:
    """The note that users get; empty where nothing was loaded.

    Example:
        >>> loaded_note(frozenset({"encoder.weight"}))
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
    with preserved_random_state():
        lightning.seed_everything(seed, verbose=False)
        named = _made(task).named_parameters()
        return {name: parameter.detach() for name, parameter in named if _is_matrix(parameter)}


def _made(task: Task) -> torch.nn.Module:
    """A fresh module, with the layers that its ``configure_model`` makes."""
    module: torch.nn.Module = task.make_module()
    getattr(module, "configure_model", lambda: None)()
    return module


def _is_matrix(parameter: torch.Tensor) -> bool:
    """Whether a parameter is a weight matrix that exists already."""
    return not torch.nn.parameter.is_lazy(parameter) and parameter.dim() > 1 and parameter.numel() > 1


def _alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> frozenset[str]:
    return frozenset(
        name
        for name, value in one.items()
        if name in other
        and value.device.type != "meta"
        and torch.equal(value, other[name])
        and bool((value != value.flatten()[0]).any())
    )
