"""The weights of all members, one tensor per name; a member's own parameters are its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autoact.sites.replacement.state_dict_marker import is_marker
from autoact.training.state._compat_torch import foreach_zero_

Slot = tuple[dict[str, Tensor | None], str]


@dataclass
class Entry:
    """One parameter or buffer of some members.

    Attributes:
        tensor: ``[members, ...]``, a leaf.
        slots: where each member's module holds its row.
        grad: the gradient that the members' rows look at; None before the first backward pass.
        zeroed: its version when it was zeroed last: a backward pass that reaches it makes another.
        bound: whether the members have gradients now; one that a step does not use has none.
    """

    tensor: Tensor
    slots: list[Slot]
    grad: Tensor | None = None
    zeroed: int = -1
    bound: bool = False

    def bind(self) -> None:
        """Let every member's tensor be its row."""
        for row, (store, key) in zip(self.tensor.detach().unbind(0), self.slots, strict=True):
            tensor = store[key]
            if isinstance(tensor, nn.Parameter):
                tensor.data, tensor.grad = row, None
            else:
                store[key] = row
        self.grad, self.bound = None, False

    def replace(self, tensor: Tensor) -> None:
        """Other values, which the members' own tensors look at from now on; for buffers."""
        self.tensor = tensor.contiguous()
        self.bind()

    @property
    def fresh(self) -> bool:
        """Whether the last backward pass reached the tensor."""
        grad = self.tensor.grad
        return grad is not None and (grad is not self.grad or grad._version != self.zeroed)

    def still_bound(self) -> bool:
        """Whether the members' tensors and gradients are still rows of the stacked ones."""
        tensors = [store[key] for store, key in self.slots]
        rows = zip(tensors, self.tensor.unbind(0), strict=True)
        if any(mine is None or mine.data_ptr() != row.data_ptr() for mine, row in rows):
            return False
        return not self.bound or all(mine is not None and mine.grad is not None for mine in tensors)

    def bind_grad(self) -> bool:
        """Let every member's gradient be its row, or None where it was not reached; tells whether that is a change."""
        reached = self.fresh
        if reached == self.bound and self.tensor.grad is self.grad:
            return False
        self.grad, self.bound = self.tensor.grad, reached
        rows = self.grad.unbind(0) if reached and self.grad is not None else [None] * len(self.slots)
        for row, (store, key) in zip(rows, self.slots, strict=True):
            tensor = store[key]
            assert tensor is not None
            tensor.grad = row
        return True


class Stack:
    """Parameters and buffers of members with equal shapes, stacked; their modules are on one device.

    At ``sites``, modules that differ between members, tensors are stacked group by group: ``groups`` has positions.
    """

    def __init__(
        self, modules: Sequence[nn.Module], sites: Sequence[str], groups: Mapping[str, Sequence[Sequence[int]]]
    ) -> None:
        self.members = len(modules)
        self.common: dict[str, Entry] = {}
        self.grouped: dict[tuple[str, int], dict[str, Entry]] = {}
        inside = tuple(f"{site}." for site in sites)
        for name in names_of(modules[0]):
            if not name.startswith(inside):
                self.common[name] = _entry(modules, name)
        for site in sites:
            for index, positions in enumerate(groups[site]):
                mine = [modules[position].get_submodule(site) for position in positions]
                self.grouped[site, index] = {name: _entry(mine, name) for name in names_of(mine[0])}
        self.entries = [*self.common.values(), *(e for group in self.grouped.values() for e in group.values())]
        self.trained = [entry for entry in self.entries if entry.tensor.requires_grad]
        for entry in self.entries:
            entry.bind()

    def bind_grads(self) -> bool:
        """Let members see their gradients; true where something changed."""
        return any([entry.bind_grad() for entry in self.trained])

    def still_bound(self) -> bool:
        """Whether no optimiser has put other tensors in the place of rows."""
        return all(entry.still_bound() for entry in self.trained)

    def touched(self) -> bool:
        """Whether the members' own code has frozen, unfrozen or replaced what they hold."""
        for entry in self.entries:
            for (store, key), row in zip(entry.slots, entry.tensor.unbind(0), strict=True):
                tensor = store[key]
                if tensor is None or tensor.data_ptr() != row.data_ptr() or tensor.shape != row.shape:
                    return True
                if isinstance(tensor, nn.Parameter) and tensor.requires_grad != entry.tensor.requires_grad:
                    return True
        return False

    def zero_grads(self) -> None:
        """Zero every gradient, in place: the members' rows stay bound."""
        pairs = [(entry, entry.tensor.grad) for entry in self.trained]
        grads = [grad for _, grad in pairs if grad is not None]
        if grads:
            foreach_zero_(grads)
        for entry, grad in pairs:
            entry.zeroed = -1 if grad is None else grad._version


def names_of(module: nn.Module) -> list[str]:
    """Names of all parameters and buffers, tied ones once; a marker of a site holds nothing and is left out."""
    buffers = [name for name, _ in module.named_buffers() if not is_marker(name)]
    return [name for name, _ in module.named_parameters()] + buffers


def slot_of(module: nn.Module, name: str) -> Slot:
    """Where a module holds a tensor: the dictionary and the key."""
    owner_name, _, key = name.rpartition(".")
    owner = module.get_submodule(owner_name)
    store: Any = owner._parameters if key in owner._parameters else owner._buffers
    return store, key


def _entry(modules: Sequence[nn.Module], name: str) -> Entry:
    slots = [slot_of(module, name) for module in modules]
    tensors = [store[key] for store, key in slots]
    stacked = torch.stack([tensor.detach() for tensor in tensors if tensor is not None])
    return Entry(stacked.requires_grad_(bool(tensors[0] is not None and tensors[0].requires_grad)), slots)
