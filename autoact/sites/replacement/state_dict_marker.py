"""A model that carries an assignment says so in its ``state_dict``, so that weights never compute another function."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from autoact.activations.modules import ActivationModule
from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError

MARKER = "autoact:"
# The names of buffers hold no dots.
_WRITTEN = (("%", "%25"), (".", "%2E"))


def mark_(module: nn.Module, choice: Choice) -> None:
    """Give an activation module an empty buffer whose name says which activation it is.

    Weights saved with it do not load into the unchanged class: ``load_state_dict`` names the unexpected key. Weights of
    the unchanged class do not load into the changed model either, for the key is missing.

    Example:
        >>> from autoact.activations.modules import build
        >>> module = build("leaky_relu(negative_slope=0.2)")
        >>> mark_(module, module.choice)
        >>> list(module.state_dict())
        ['autoact:leaky_relu(negative_slope=0%2E2)']
    """
    text = str(choice)
    for plain, written in _WRITTEN:
        text = text.replace(plain, written)
    module.register_buffer(f"{MARKER}{text}", torch.empty(0, dtype=torch.uint8))


def assignment_in(keys: Iterable[str]) -> Assignment:
    """The assignment that a ``state_dict`` carries; empty where it carries none.

    Raises:
        AutoactError: two activations at one site, or a marker that names none.

    Example:
        >>> assignment_in(["0.weight", "1.autoact:tanh", "3.act.autoact:leaky_relu(negative_slope=0%2E2)"]).to_dict()
        {'1': 'tanh', '3.act': 'leaky_relu(negative_slope=0.2)'}
    """
    found: dict[str, Choice] = {}
    for key in keys:
        site, _, name = key.rpartition(".")
        if not name.startswith(MARKER):
            continue
        text = name.removeprefix(MARKER)
        for plain, written in reversed(_WRITTEN):
            text = text.replace(written, plain)
        if site in found:
            raise AutoactError(f"the weights carry two activations at {site!r}: {found[site]} and {text}")
        found[site] = Choice.parse(text)
    return Assignment(found)


def is_marker(key: str) -> bool:
    """Whether a key of a ``state_dict`` is a marker and no weight.

    Example:
        >>> is_marker("1.autoact:tanh"), is_marker("1.weight")
        (True, False)
    """
    return key.rpartition(".")[2].startswith(MARKER)


def is_put_in(module: nn.Module) -> bool:
    """Whether a module is an activation that ``apply`` put in.

    Example:
        >>> from autoact.sites import apply
        >>> model = apply(nn.Sequential(nn.ReLU(), nn.ReLU()), {"1": "tanh"})
        >>> is_put_in(model[0]), is_put_in(model[1])
        (False, True)
    """
    return isinstance(module, ActivationModule) and any(is_marker(name) for name in module._buffers)
