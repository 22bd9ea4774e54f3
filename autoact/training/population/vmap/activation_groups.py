"""One site of a population: every member's own activation, applied group by group."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from autoact.activations import registry
from autoact.activations.functional.pointwise import HALF
from autoact.activations.modules import LearnableActivation, recognise
from autoact.core.assignment import Choice
from autoact.training.population.vmap.errors import CannotBatchError
from autoact.training.population.vmap.escape import outside
from autoact.training.state._compat_torch import is_functorch_wrapped_tensor

Part = Callable[[Tensor, slice], Tensor]
"""The activation of some members of a group that lie side by side: their inputs, and which of the group they are."""


class Groups:
    """Which members of a population share an activation, resolved once and not in every step.

    On a CPU, members of a group that do not lie side by side are treated run by run: that needs no copy, and a short
    run stays in the caches. On a GPU, where every call waits for a kernel's launch, they are gathered.

    Attributes:
        calls: activation, size and place in its group of each run, in the order of the tensor that is split.
        order: position -> member, where groups are gathered; None where the members' own order is kept.
        inverse: member -> position.
    """

    def __init__(self, parts: Sequence[Part], members: Sequence[Sequence[int]], device: torch.device) -> None:
        self.order = self.inverse = None
        flat = [member for group in members for member in group]
        if device.type != "cpu" and flat != sorted(flat):
            self.order = torch.tensor(flat, device=device)
            self.inverse = torch.argsort(self.order)
            self.calls = [(part, len(group), slice(None)) for part, group in zip(parts, members, strict=True)]
        else:
            self.calls = _runs(parts, members)
        self.sizes = [size for _, size, _ in self.calls]

    def __call__(self, x_k: Tensor) -> Tensor:
        """Every member's activation.

        **Shape**: ``[members, ...]``, kept but for layer-level activations.
        """
        if len(self.calls) == 1:
            return self.calls[0][0](x_k, slice(None))
        if self.order is not None:
            x_k = x_k.index_select(0, self.order)
        pieces = x_k.split(self.sizes)
        y_k = torch.cat([part(x_r, where) for (part, _, where), x_r in zip(self.calls, pieces, strict=True)])
        return y_k if self.inverse is None else y_k.index_select(0, self.inverse)


def _runs(parts: Sequence[Part], members: Sequence[Sequence[int]]) -> list[tuple[Part, int, slice]]:
    """Members of one group that lie side by side: activation, how many, and which of the group."""
    group_of = {member: group for group, mine in enumerate(members) for member in mine}
    runs: list[tuple[int, int, int]] = []  # group, size, first of the group
    placed = [0] * len(members)
    for member in range(len(group_of)):
        group = group_of[member]
        if runs and runs[-1][0] == group:
            runs[-1] = (group, runs[-1][1] + 1, runs[-1][2])
        else:
            runs.append((group, 1, placed[group]))
        placed[group] += 1
    return [(parts[group], size, slice(first, first + size)) for group, size, first in runs]


class GroupedActivation(nn.Module):
    """The activation at a site of the template that a population is run through.

    Attributes:
        groups: set once more whenever members leave.
        member: each member's number under ``vmap``, which makes every call a batched one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.groups: Groups | None = None
        self.member: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Every member's own activation."""
        assert self.groups is not None
        return outside(x, self.member, self.groups)


def part_of(module: nn.Module, parameters: dict[str, Tensor], *, pointwise: bool, stochastic: bool) -> Part:
    """The activation of a group: ``module`` is that of one member, ``parameters`` are stacked over all of them.

    Where it is ``pointwise`` and has no weights, it is called as it is; a ``stochastic`` one has a single member.
    """
    if stochastic:
        return partial(_alone, module)
    if type(module) is LearnableActivation:
        return lambda x_r, where: module.activation.function(x_r, *_theta(module, parameters, where, x_r.dim()))
    if parameters:
        batched = vmap(lambda values, x: functional_call(module, values, (x,)))
        return lambda x_r, where: batched({name: value[where] for name, value in parameters.items()}, x_r)
    pure = _out_of_place(module)
    whole = pure if pointwise else vmap(pure)
    return lambda x_r, _: whole(x_r)


def shared_by(choice: Choice, module: nn.Module) -> Hashable:
    """What members of one group have in common at a site; equal for members that may share one call.

    Members with equal choices always do. So do those whose choices differ in numbers alone, where the catalogue's
    function takes them as tensors, or where they are the starting values of weights, which are stacked anyway.
    """
    row = registry.get(choice.name)
    if row.by_member is not None and recognise(module) == choice and not row.learnable:
        return row.name
    if type(module) is LearnableActivation:
        return (row.name, module.channels, module.channel_dim)
    return choice


def _alone(module: nn.Module, x_r: Tensor, _: slice) -> Tensor:
    """The activation of one member, which draws random numbers.

    Raises:
        CannotBatchError: the step differentiates it, for which it is called once more and would draw others.
    """
    if is_functorch_wrapped_tensor(x_r):
        raise CannotBatchError(f"training_step differentiates {type(module).__name__}, which draws random numbers")
    found: Tensor = module(x_r.squeeze(0)).unsqueeze(0)
    return found


def part_of_values(choices: Sequence[Choice]) -> Part:
    """The activation of members that differ in its parameters' values: each parameter is a tensor over the members.

    Args:
        choices: each member's, all of one row.
    """
    row = registry.get(choices[0].name)
    assert row.by_member is not None
    function, every = row.by_member, [registry.parameters(choice) for choice in choices]
    columns = {name: [one[name] for one in every] for name in row.parameter_names}
    alike = {name: values[0] for name, values in columns.items() if len(set(values)) == 1}
    made: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}

    def part(x_r: Tensor, where: slice) -> Tensor:
        dtype = torch.float32 if x_r.dtype in HALF else x_r.dtype  # half types are computed in float32
        if (key := (dtype, x_r.device)) not in made:
            differing = {name: values for name, values in columns.items() if name not in alike}
            made[key] = {n: torch.tensor(values, dtype=dtype, device=x_r.device) for n, values in differing.items()}
        shape = (-1, *[1] * (x_r.dim() - 1))
        return function(x_r, **alike, **{name: values[where].view(shape) for name, values in made[key].items()})

    return part


def _out_of_place(module: nn.Module) -> nn.Module:
    """The module, or a copy that does not write into its input, which is a slice of all members'."""
    if not getattr(module, "inplace", False):
        return module
    pure = copy.deepcopy(module)
    vars(pure)["inplace"] = False
    return pure


def _theta(module: LearnableActivation, parameters: dict[str, Tensor], where: slice, dim: int) -> list[Tensor]:
    """The weights of some members, ``[members, channels]``, shaped to broadcast against ``dim`` axes."""
    after = (dim - 1 if module.channel_dim >= 0 else 0) - module.channel_dim - 1 if module.channels else 0
    weights = [parameters[name][where] for name in module.activation.parameter_names]
    return [weight.view(len(weight), *[1] * (dim - 2 - after), -1, *[1] * after) for weight in weights]
