"""Stepping out of ``vmap``: a function of all members' tensors at once, in the middle of a batched step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from autoact.training.state._compat_torch import (
    add_batch_dim,
    current_interpreter,
    get_unwrapped,
    is_batchedtensor,
    maybe_get_bdim,
    maybe_get_level,
    tree_flatten,
    tree_unflatten,
)

Whole = Callable[[Tensor], Tensor]
"""A function of ``[members, ...]``."""


class _Outside(torch.autograd.Function):
    """torch's documented way: a ``vmap`` staticmethod is called below ``vmap``, where differentiation is the usual."""

    @staticmethod
    def forward(x: Tensor, member: Tensor, function: Whole) -> Tensor:
        raise RuntimeError("a part of a population was called outside its population")

    @staticmethod
    def setup_context(ctx: object, inputs: object, output: object) -> None:
        """Nothing is kept: the graph below holds it."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, member: Tensor, function: Whole
    ) -> tuple[Tensor, int]:
        dim = in_dims[0]
        return function(x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)), 0


def outside(x: Tensor, member: Tensor | None, function: Whole) -> Tensor:
    """``function`` of all members' ``x``, called with one member's under ``vmap``; gradients flow as usual.

    What ``torch.autograd.Function`` with a ``vmap`` staticmethod does, at a third of its cost in Python where ``x`` is
    batched by the innermost ``vmap``: its tensor is unwrapped and the result wrapped again, as that does inside.
    ``member`` is the member's number, which is always batched; ``function`` keeps the first axis.
    """
    if is_batchedtensor(x):
        interpreter = current_interpreter()
        if maybe_get_level(x) == interpreter.level():
            x_k = get_unwrapped(x).movedim(maybe_get_bdim(x), 0)
            with interpreter.lower():
                y_k = function(x_k)
            return add_batch_dim(y_k, 0, interpreter.level())
    return _Outside.apply(x, member, function)


def one_by_one(function: Callable[..., Tensor], values: tuple[object, ...], named: Mapping[str, object]) -> Tensor:
    """``function`` of each member's values, one member after the other, called with one member's under ``vmap``.

    Gradients flow as usual. At least one tensor in ``values`` has to be batched by the innermost ``vmap``.
    """
    interpreter = current_interpreter()
    level = interpreter.level()
    leaves, spec = tree_flatten((values, named))
    results = []
    with interpreter.lower():
        rows = [get_unwrapped(x).movedim(maybe_get_bdim(x), 0).unbind(0) if _is_of(x, level) else None for x in leaves]
        for row in range(max(len(of_members) for of_members in rows if of_members is not None)):
            members_leaves = [x if own is None else own[row] for x, own in zip(leaves, rows, strict=True)]
            arguments, keywords = tree_unflatten(members_leaves, spec)
            results.append(function(*arguments, **keywords))
        return add_batch_dim(torch.stack(results), 0, level)


def _is_of(x: object, level: int) -> bool:
    """Whether a value is batched by the ``vmap`` of this level."""
    return isinstance(x, Tensor) and is_batchedtensor(x) and maybe_get_level(x) == level
