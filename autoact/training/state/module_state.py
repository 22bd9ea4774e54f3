"""What a module holds beside its weights: plain attributes, hooks, modes; and what tells whether it has changed."""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from types import GeneratorType, MemberDescriptorType

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from autoact.training.state._compat_torch import is_batchedtensor

# Containers inside containers are looked into as deep as this.
DEPTH = 4
# Bytes of an array that is looked into: larger ones are data, which no step writes.
_SMALL = 2**20
# What every module has, and what Lightning writes itself.
_OWN = frozenset(vars(lightning.LightningModule())) | {"training", "log", "log_dict"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GRADIENT_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def parts_of(base: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Parts by path that are the user's or torch's: the module itself, and what is no activation of autoact."""
    for path, part in base.named_modules():
        if path == "" or not type(part).__module__.startswith("autoact."):
            yield path, part


def is_plain(key: str, value: object) -> bool:
    """Whether an attribute is the user's, and no part of the module."""
    return key not in _OWN and not isinstance(value, nn.Module)


def hooks_of(module: nn.Module) -> list[tuple[object, ...]]:
    """What tells whether hooks on layers and on gradients are the same ones.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> before = hooks_of(layer)
        >>> handle = layer.register_forward_hook(print)
        >>> before == hooks_of(layer)
        False
    """
    on_layers = [(path, *(tuple(getattr(part, kind)) for kind in _HOOKS)) for path, part in module.named_modules()]
    on_weights = [
        (name, *(tuple(getattr(p, kind, None) or ()) for kind in _GRADIENT_HOOKS))
        for name, p in module.named_parameters()
    ]
    return [*on_layers, *on_weights]


class Same:
    """An object, equal to itself alone; held on to, so that no other one gets its address."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    __hash__ = None  # type: ignore[assignment]


def token_of(value: object, depth: int = DEPTH) -> object:
    """Something that is equal for equal contents, and cheap.

    What does not show how far it has come, such as a generator, is equal to nothing.

    Example:
        >>> queue = deque([1], maxlen=2)
        >>> before = token_of(queue)
        >>> queue.append(2)
        >>> before == token_of(queue)
        False
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, np.ndarray):
        return Same(value), hash(value.tobytes()) if value.nbytes <= _SMALL and not value.dtype.hasobject else 0
    if isinstance(value, _GENERATORS):
        return Same(value), _drawn(value)
    if isinstance(value, nn.Parameter):  # training writes into it
        return Same(value)
    if isinstance(value, Tensor):
        batched = is_batchedtensor(value)
        return Same(value), value._version if not batched and not value.is_inference() else -1
    if isinstance(value, GeneratorType) or type(value).__module__ == "itertools":
        return Same(object())
    if depth == 0 or callable(value) or isinstance(value, (nn.Module, type)):
        return Same(value)
    if isinstance(value, (Mapping, list, tuple, Set)):
        return type(value), _contents(value, depth - 1)
    items = list(value) if isinstance(value, (deque, array, bytearray)) else []
    return Same(value), _contents(attributes_of(value), depth - 1), _contents(items, depth - 1)


def attributes_of(value: object) -> dict[str, object]:
    """What an object holds by name, in its slots, too."""
    attributes = getattr(value, "__dict__", None)
    held: dict[str, object] = dict(attributes) if isinstance(attributes, dict) else {}
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and isinstance(vars(kind).get(name), MemberDescriptorType):
                with suppress(AttributeError):  # an empty slot
                    held[name] = vars(kind)[name].__get__(value)
    return held


def _contents(value: Iterable[object], depth: int) -> object:
    if isinstance(value, Mapping):
        return [(token_of(key, 1), token_of(item, depth)) for key, item in value.items()]
    return frozenset(value) if isinstance(value, Set) else [token_of(item, depth) for item in value]


def _drawn(generator: torch.Generator | np.random.Generator | np.random.RandomState | random.Random) -> object:
    """What tells how far a generator of random numbers has drawn."""
    if isinstance(generator, torch.Generator):
        return bytes(generator.get_state().tolist())
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return repr(generator.get_state())
    return repr(generator.bit_generator.state)
