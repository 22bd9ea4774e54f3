"""What a module keeps in plain Python: one and the same for all members of a population, as long as it is equal."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from autoact.training.population.vmap.dropout import StreamDropout
from autoact.training.population.vmap.errors import CannotBatchError
from autoact.training.state._compat_torch import get_unwrapped, is_batchedtensor, maybe_get_bdim
from autoact.training.state.module_state import attributes_of, is_plain, parts_of, token_of

_DEPTH = 4
_MISSING = object()
# How far what a step keeps may lie from what it keeps alone.
_CLOSE = 1e-3
# What tells torch's transformers, in evaluation, which activation they hold.
_ACTIVATION = ("activation", "activation_relu_or_gelu", "use_nested_tensor")
_TRANSFORMERS = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


class Kept:
    """Plain attributes of the template (``base``), which steps run through, and of the members' own modules.

    What the members' own code writes reaches the template where it is equal for all members; an attribute that differs
    must not be read by a training step. What a training step writes reaches every member.

    Example:
        >>> class Net(nn.Module):
        ...     scale = 1.0
        >>> base, members = Net(), [Net(), Net()]
        >>> kept = Kept(base, members)
        >>> for member in members:
        ...     member.scale = 2.0
        >>> kept.gather()
        >>> base.scale
        2.0
    """

    def __init__(self, base: nn.Module, modules: Sequence[nn.Module]) -> None:
        self._base = base
        self.modules = list(modules)
        self._tokens_of_members: dict[tuple[str, str], object] = {}
        self._barred: set[tuple[str, str]] = set()
        self.gather()

    def keep(self, modules: Sequence[nn.Module]) -> None:
        """Only these members stay: what steps have kept of all that were there must not be read any more."""
        if len(modules) == len(self.modules):
            return
        self.modules = list(modules)
        for path, part in parts_of(self._base):
            plain = [(key, value) for key, value in vars(part).items() if is_plain(key, value)]
            for key in [key for key, value in plain if _rows_of(value, 0, _DEPTH)]:
                part.__dict__.pop(key)
                self._bar(path, part, key)
        self._before = self._tokens()

    def gather(self) -> None:
        """The members' own code has run: the template takes over what is equal, and may not read what is not."""
        changed: dict[tuple[str, str], object] = {}
        dropouts = [(path, part) for path, part in self._base.named_modules() if isinstance(part, StreamDropout)]
        for path, part in [*parts_of(self._base), *dropouts]:
            mine = [module.get_submodule(path) for module in self.modules]
            for key in dict.fromkeys(key for one in mine for key, value in vars(one).items() if is_plain(key, value)):
                if key == "p" and isinstance(part, StreamDropout):  # it looks at the members' own
                    continue
                if key in _ACTIVATION and isinstance(part, _TRANSFORMERS):
                    continue
                values = [vars(one).get(key, _MISSING) for one in mine]
                token = [token_of(value, _DEPTH) for value in values]
                if self._tokens_of_members.get((path, key)) == token:
                    continue
                self._tokens_of_members[path, key] = token
                if all(same(values[0], value) for value in values[1:]):
                    self._admit(path, part, key)
                    if not same(values[0], vars(part).get(key, _MISSING)):
                        changed[path, key] = values[0]
                else:
                    self._bar(path, part, key)
        self._write(changed, self.modules[0], self._base)
        self._before = self._tokens()

    def hand_out(self) -> None:
        """Training steps have run: what they wrote is every member's, of stacked values its own."""
        changed: dict[tuple[str, str], object] = {}
        for (path, key), token in (now := self._tokens()).items():
            if self._before.get((path, key), _MISSING) != token:
                changed[path, key] = vars(self._base.get_submodule(path))[key]
        for row, module in enumerate(self.modules if changed else ()):
            self._write(changed, self._base, module, row)
        for path, key in changed:
            mine = [vars(module.get_submodule(path)).get(key, _MISSING) for module in self.modules]
            self._tokens_of_members[path, key] = [token_of(value, _DEPTH) for value in mine]
        self._before = now

    def disagreeing(self) -> str:
        """After one step of the template, and one of each member's own: what they do not agree in; empty if nothing."""
        for (path, key), token in self._tokens().items():
            value = vars(self._base.get_submodule(path))[key]
            mine = [vars(module.get_submodule(path)).get(key, _MISSING) for module in self.modules]
            if self._before.get((path, key), _MISSING) == token:
                continue
            rows = [copy.deepcopy(value, dict(_rows_of(value, row, _DEPTH))) for row in range(len(mine))]
            if not all(same(ours, theirs, close=_CLOSE) for ours, theirs in zip(rows, mine, strict=True)):
                where = f"{path}.{key}".lstrip(".")
                return f"training_step keeps other values on the module (self.{where}) when it is batched"
        return ""

    def _tokens(self) -> dict[tuple[str, str], object]:
        return {
            (path, key): token_of(value, _DEPTH)
            for path, part in parts_of(self._base)
            for key, value in vars(part).items()
            if is_plain(key, value)
        }

    def _write(
        self, values: Mapping[tuple[str, str], object], source: nn.Module, target: nn.Module, row: int | None = None
    ) -> None:
        """Copies of attributes of one module for another, whose parts they then hold; of stacked tensors a ``row``."""
        if not values:
            return
        parts = dict(target.named_modules())
        memo: dict[int, object] = {id(part): parts[path] for path, part in source.named_modules() if path in parts}
        if row is not None:
            for value in values.values():
                memo |= _rows_of(value, row, _DEPTH)
        copies = copy.deepcopy({place: value for place, value in values.items() if value is not _MISSING}, memo)
        for path, key in values:
            if (path, key) in copies:
                parts[path].__dict__[key] = copies[path, key]
            else:
                parts[path].__dict__.pop(key, None)

    def _bar(self, path: str, part: nn.Module, key: str) -> None:
        """Refuse to read an attribute of a part of the template before a step has written it."""
        self._barred.add((path, key))
        kind = type(part)
        if "_barred" not in vars(kind):
            part.__class__ = kind = type(kind.__name__, (kind,), {"__module__": kind.__module__, "_barred": True})

        def differs(*_: object) -> NoReturn:
            raise CannotBatchError(f"self.{f'{path}.{key}'.lstrip('.')} differs between candidates")

        def written(_: object, value: object) -> None:
            self._admit(path, part, key)
            part.__dict__[key] = value

        setattr(kind, key, property(differs, written))

    def _admit(self, path: str, part: nn.Module, key: str) -> None:
        if (path, key) in self._barred:
            self._barred.discard((path, key))
            delattr(type(part), key)


def same(one: Any, other: Any, depth: int = _DEPTH, *, close: float = 0.0) -> bool:
    """Whether two values are equal, in containers down to ``depth``; modules are compared by themselves.

    Tensors may lie ``close`` of their size apart.

    Example:
        >>> same({"mask": torch.ones(2), "n": 1}, {"mask": torch.ones(2), "n": 1})
        True
        >>> same([1, 2], [1, 3])
        False
    """
    if one is other or isinstance(one, (nn.Module, nn.Parameter)):
        return one is other or type(one).__name__ == type(other).__name__
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return _same_tensors(one, other, close)
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    if isinstance(one, float):
        return one == other or (one != one and other != other)
    if depth == 0 or callable(one):
        return getattr(one, "__code__", None) == getattr(other, "__code__", None)
    return _same_contents(one, other, depth - 1, close)


def _same_contents(one: object, other: Any, depth: int, close: float) -> bool:
    """Whether what two values of one type hold is equal; what cannot be looked into counts as equal."""
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key], depth, close=close) for key in one)
    if isinstance(one, (list, tuple, deque)):
        return len(one) == len(other) and all(same(a, b, depth, close=close) for a, b in zip(one, other, strict=True))
    if attributes := attributes_of(one):
        return same(attributes, attributes_of(other), depth, close=close)
    unknown = type(one).__eq__ is object.__eq__ and not isinstance(one, torch.Generator)
    return unknown or bool(one == other)


def _same_tensors(one: Tensor, other: Tensor, close: float) -> bool:
    """Whether two tensors hold the same numbers; nan is itself."""
    if is_batchedtensor(one) or is_batchedtensor(other) or one.shape != other.shape or one.dtype != other.dtype:
        return False
    return one.device == other.device and torch.allclose(one, other, rtol=close, atol=close, equal_nan=True)


def _rows_of(value: object, row: int, depth: int) -> dict[int, Tensor]:
    """For each tensor of all members' numbers that a value holds, by its id: one member's."""
    if isinstance(value, Tensor):
        if not is_batchedtensor(value):
            return {}
        return {id(value): get_unwrapped(value).detach().select(maybe_get_bdim(value), row).clone()}
    if depth == 0 or isinstance(value, (str, bytes, nn.Module, type)) or callable(value):
        return {}
    inside: Iterable[object] = value if isinstance(value, (list, tuple, Set, deque)) else attributes_of(value).values()
    rows: dict[int, Tensor] = {}
    for item in value.values() if isinstance(value, Mapping) else inside:
        rows |= _rows_of(item, row, depth - 1)
    return rows
