"""A model that carries an assignment says so in its ``state_dict``, so that weights never compute another function."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TypeGuard

import torch
from torch import nn

from autoact.activations.modules import ActivationModule
from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError

MARKER = "autoact:"
# The names of buffers hold no dots, and transformers reads parentheses in the names of weights as those of a pattern.
_WRITTEN = (("%", "%25"), (".", "%2E"), ("(", "%28"), (")", "%29"))
# As written before that.
_PLAIN = (("%28", "("), ("%29", ")"))


def mark_(module: nn.Module, choice: Choice) -> None:
    """Give an activation module an empty buffer whose name says which activation it is.

    Weights saved with it, or with the name that earlier versions wrote, load into such a model. They do not load into
    the unchanged class: ``load_state_dict`` names the unexpected key. Weights of the unchanged class do not load into
    the changed model either, for the key is missing.

    Example:
        >>> from autoact.activations.modules import build
        >>> module = build("leaky_relu(negative_slope=0.2)")
        >>> mark_(module, module.choice)
        >>> list(module.state_dict())
        ['autoact:leaky_relu%28negative_slope=0%2E2%29']
    """
    text = _replaced(str(choice), _WRITTEN)
    name = f"{MARKER}{text}"
    module.register_buffer(name, torch.empty(0, dtype=torch.uint8))
    if (earlier := _replaced(name, _PLAIN)) != name:
        module.register_load_state_dict_pre_hook(functools.partial(_rename, earlier, name))


def _rename(earlier: str, name: str, module: nn.Module, state_dict: dict[str, object], prefix: str, *_: object) -> None:
    if prefix + earlier in state_dict:
        state_dict[prefix + name] = state_dict.pop(prefix + earlier)


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
        text = _replaced(name.removeprefix(MARKER), [(written, plain) for plain, written in reversed(_WRITTEN)])
        if site in found:
            raise AutoactError(f"the weights carry two activations at {site!r}: {found[site]} and {text}")
        found[site] = Choice.parse(text)
    return Assignment(found)


def _replaced(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    for before, after in pairs:
        text = text.replace(before, after)
    return text


def is_marker(key: str) -> bool:
    """Whether a key of a ``state_dict`` is a marker and no weight.

    Example:
        >>> is_marker("1.autoact:tanh"), is_marker("1.weight")
        (True, False)
    """
    return key.rpartition(".")[2].startswith(MARKER)


def is_put_in(module: nn.Module) -> TypeGuard[ActivationModule]:
    """Whether a module is an activation that ``apply`` put in.

    Example:
        >>> from autoact.sites import apply
        >>> model = apply(nn.Sequential(nn.ReLU(), nn.ReLU()), {"1": "tanh"})
        >>> is_put_in(model[0]), is_put_in(model[1])
        (False, True)
    """
    return isinstance(module, ActivationModule) and any(is_marker(name) for name in module._buffers)
