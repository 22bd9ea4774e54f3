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

Whole = Callable[..., Tensor]
"""A function of tensors ``[members, ...]`` that gives one."""


class _Outside(torch.autograd.Function):
    """torch's documented way: a ``vmap`` staticmethod is called below ``vmap``, where differentiation is the usual.

    Transforms of ``torch.func`` that lie inside of the members' ``vmap``, as ``grad`` of a network by its inputs,
    meet the function before that ``vmap`` does. Its derivative is a function of all members' tensors again, which steps
    out in its turn: so derivatives of every order pass, and what they make of the members' weights is differentiated
    below as usual.
    """

    @staticmethod
    def forward(member: Tensor, function: Whole, *tensors: Tensor) -> Tensor:
        raise RuntimeError("a part of a population was called outside its population")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
        """Keep what a derivative by the tensors needs."""
        member, ctx.function, *tensors = inputs
        ctx.save_for_backward(member, *tensors)
        ctx.save_for_forward(member, *tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """One derivative for each tensor, by the function's own reverse pass."""
        member, *tensors = ctx.saved_tensors
        needed = ctx.needs_input_grad[2:]
        by_each = [
            _Outside.apply(member, _Pulled(ctx.function, place), *tensors, *grads) if wanted else None
            for place, wanted in enumerate(needed)
        ]
        return None, None, *by_each

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """The change of the result with that of the tensors, by the function's own forward pass."""
        member, *tensors = ctx.saved_tensors
        moved = [torch.zeros_like(x) if t is None else t for x, t in zip(tensors, tangents[2:], strict=True)]
        changed: Tensor = _Outside.apply(member, _Pushed(ctx.function), *tensors, *moved)
        return changed

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], member: Tensor, function: Whole, *tensors: Tensor
    ) -> tuple[Tensor, int]:
        pairs = list(zip(in_dims[2:], tensors, strict=True))
        if in_dims[0] is None:  # a vmap inside of the members' own: its axis goes behind theirs
            inner = tuple(None if dim is None else 1 for dim, _ in pairs)
            rows = [x if dim is None else x.movedim(dim, 0) for dim, x in pairs]
            within = torch.func.vmap(function, in_dims=inner, out_dims=1, randomness="error")
            return _Outside.apply(member, within, *rows), 0
        rows = [x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0) for dim, x in pairs]
        return function(*rows), 0


class _Pulled:
    """A vector times a function's derivative by one of its tensors; takes the tensors, then the vector."""

    def __init__(self, function: Whole, place: int) -> None:
        self.function, self.place = function, place

    def __call__(self, *given: Tensor) -> Tensor:
        *tensors, vector = given
        before, after = tensors[: self.place], tensors[self.place + 1 :]
        pull = torch.func.vjp(lambda x: self.function(*before, x, *after), tensors[self.place])[1]
        found: Tensor = pull(vector)[0]
        return found


class _Pushed:
    """The change of a function's result; takes its tensors, then the change of each."""

    def __init__(self, function: Whole) -> None:
        self.function = function

    def __call__(self, *given: Tensor) -> Tensor:
        half = len(given) // 2
        found: Tensor = torch.func.jvp(self.function, given[:half], given[half:])[1]
        return found


def outside(x: Tensor, member: Tensor | None, function: Whole) -> Tensor:
    """``function`` of all members' ``x``, called with one member's under ``vmap``; gradients flow as usual.

    What ``torch.autograd.Function`` with a ``vmap`` staticmethod does, at a third of its cost in Python where ``x`` is
    batched by the innermost ``vmap``, the members' own: its tensor is unwrapped and the result wrapped again, as that
    does inside. ``member`` is the member's number, which is always batched; ``function`` keeps the first axis.
    """
    if is_batchedtensor(x) and member is not None and is_batchedtensor(member):
        interpreter = current_interpreter()
        if maybe_get_level(x) == maybe_get_level(member) == interpreter.level():
            x_k = get_unwrapped(x).movedim(maybe_get_bdim(x), 0)
            with interpreter.lower():
                y_k = function(x_k)
            return add_batch_dim(y_k, 0, interpreter.level())
    found: Tensor = _Outside.apply(member, function, x)
    return found


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
