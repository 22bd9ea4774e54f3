"""The members of one population: those that train, stacked; those that leave; those that are done."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn

from autoact.activations import registry
from autoact.core.value_holders import Batch
from autoact.training.population.hooks import VALIDATION_HOOKS, StepTrainer, hand_trainer, has_hook
from autoact.training.population.member import Member
from autoact.training.population.optimizers import Stepper, configure
from autoact.training.population.seed_streams import Stream
from autoact.training.population.vmap.activation_groups import Groups, Part, part_of, part_of_values, shared_by
from autoact.training.population.vmap.errors import CannotBatchError, SeedsApartError
from autoact.training.population.vmap.module_structure import Structure
from autoact.training.population.vmap.side_effects import Kept
from autoact.training.population.vmap.stacked_parameters import Entry, Stack
from autoact.training.population.vmap.step import Step, Template
from autoact.training.state._compat_torch import tree_map


class Members:
    """Members with equal parameter shapes, trained equally far, in lockstep; ``active`` ones are in the stack."""

    def __init__(self, members: Sequence[Member], streams: Sequence[Stream]) -> None:
        self.all = list(members)
        self.active: list[Member] = []
        self.streams = list(streams)
        self.stack: Stack
        self.kept: Kept
        self._structure: Structure
        self.stepper: Stepper
        self._template: Template
        self._device = torch.device("cpu")
        self._stream_of: Tensor
        self._first = True
        self._positions: Mapping[str, Sequence[Sequence[int]]] = {}

    @property
    def own_batches(self) -> bool:
        """Whether there are several seeds, each with its own order of batches."""
        return len(self.streams) > 1

    def judged(self, stream: int | None) -> list[Member]:
        """The active members that have not failed, of one stream or of all."""
        staying = [member for member in self.active if member.failure is None]
        return staying if stream is None else [m for m in staying if m.key == self.streams[stream].key]

    def by_stream(self, members: Sequence[Member]) -> list[tuple[Stream | None, list[Member]]]:
        """The members of each seed, where there are several; else all, and no seed of their own."""
        if not self.own_batches:
            return [(None, list(members))]
        return [(stream, [m for m in members if m.key == stream.key]) for stream in self.streams]

    def take_over(self, name: str) -> None:
        """The members' own code has run: take over what it did to them.

        Raises:
            CannotBatchError: it changed what all members have to share.
        """
        if self.stack.touched():
            raise CannotBatchError(f"{name} freezes, unfreezes or replaces weights")
        self._structure.follow([member.module for member in self.active], name)
        self.kept.gather()
        self.stepper.forget()

    def validated(self) -> None:
        """The members' validations have run: take over what they did."""
        if any(has_hook(member.module, hook) for member in self.active[:1] for hook in VALIDATION_HOOKS):
            self.take_over("validation")
        else:
            self.kept.gather()

    @property
    def complete(self) -> list[Member]:
        """Those whose training is over."""
        return [member for member in self.all if member.finished and member.failure is None]

    @property
    def _sites(self) -> list[str]:
        """Where members may differ: all have the same, in whatever order."""
        return sorted(self.all[0].candidate.assignment)

    def stack_up(self, device: torch.device, trainer: Trainer) -> None:
        """Stack all that have something left to train, on ``device``, and make their optimisers."""
        self._device = device
        waiting = [member for member in self.all if member.active]
        # Members with equal activations lie side by side: their groups are slices.
        waiting.sort(key=lambda member: [str(member.candidate.assignment[site]) for site in self._sites])
        for member in waiting:
            trainer.precision_plugin.convert_module(member.module.to(device))
            hand_trainer(member, trainer)
        own = StepTrainer(trainer, None)
        self._template = Template(waiting[0].module, self._sites, streams=self.own_batches, trainer=own)
        modules = [member.module for member in waiting]
        self.kept, self._structure = Kept(self._template.base, modules), Structure(self._template.base, modules)
        self._stack(waiting)
        for member in waiting:
            if member.optimizer is None:
                configure(member)

    def _stack(self, members: Sequence[Member]) -> None:
        self.active = list(members)
        self.kept.keep([member.module for member in members])
        self._positions = {site: _groups(members, site) for site in self._sites}
        self.stack = Stack([member.module for member in members], self._sites, self._positions)
        for site, groups in self._positions.items():
            parts = [self._part(site, index, where) for index, where in enumerate(groups)]
            self._template.activations[site].groups = Groups(parts, groups, self._device)
        self._template.learning({site for (site, _), entries in self.stack.grouped.items() if entries})
        keys = [stream.key for stream in self.streams]
        self._stream_of = torch.tensor([keys.index(m.key) for m in members], device=self._device)
        streams = self.streams if self.own_batches else ()
        self._template.seat([member.module for member in members], streams, self._stream_of)
        self.stepper = Stepper(members)
        self._first = True

    def _part(self, site: str, index: int, where: Sequence[int]) -> Part:
        choices = [self.active[position].candidate.assignment[site] for position in where]
        row = registry.get(choices[0].name)
        if len(set(choices)) > 1 and not row.learnable:
            return part_of_values(choices)
        tensors = {name: entry.tensor for name, entry in self.stack.grouped[site, index].items()}
        module = self.active[where[0]].module.get_submodule(site)
        return part_of(module, tensors, pointwise=row.family == "pointwise", stochastic=row.stochastic)

    def losses(self, batch: Batch, batch_idx: int) -> Step:
        """One forward pass of every member."""
        if self.own_batches:
            try:
                batch = tree_map(self._spread, *batch)
            except ValueError as error:  # other structures
                raise SeedsApartError from error
        return self._template.run(self.stack, batch, batch_idx, own_batches=self.own_batches)

    def _spread(self, *leaves: object) -> object:
        """Each stream's leaf, handed to its members."""
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if not tensors:
            if any(leaf != leaves[0] for leaf in leaves):  # a name, or a number, that vmap cannot hand out
                raise SeedsApartError
            return leaves[0]
        if len(tensors) < len(leaves) or len({leaf.shape for leaf in tensors}) > 1:
            raise SeedsApartError
        return torch.stack(tensors).index_select(0, self._stream_of)

    def bind_grads(self) -> None:
        """Let every member's parameters see their gradients."""
        if self.stack.bind_grads():
            self.stepper.forget()

    def step(self, batch_idx: int) -> None:
        """Step every member's optimiser."""
        self.bind_grads()
        self.stepper.step(batch_idx)
        if self._first and self.stepper.foreign and not self.stack.still_bound():
            name = type(self.active[0].optimizer).__name__
            raise CannotBatchError(f"{name}.step puts other tensors in the place of parameters or gradients")
        self._first = False

    def stepped(self) -> list[tuple[Entry, Sequence[int]]]:
        """Parameters that the optimisers step and that have a gradient, with the positions of their members."""
        everyone = range(len(self.active))
        entries: list[tuple[Entry, Sequence[int]]] = [(entry, everyone) for entry in self.stack.common.values()]
        for (site, index), group in self.stack.grouped.items():
            entries += [(entry, self._positions[site][index]) for entry in group.values()]
        return [(entry, where) for entry, where in entries if entry.bound and self.stepper.steps(entry, where[0])]

    def leave(self, epoch: int, *, least: int = 0) -> None:
        """Those that failed leave after an epoch (from 1), and those that are done once they trained the ``least``."""
        for member in self.active:
            if member.failure is not None:
                member.let_go()
            elif member.stopping and epoch >= least:
                member.finish()
        staying = [member for member in self.active if member.active]
        if len(staying) == len(self.active):
            return
        if staying:
            self._stack(staying)
        else:
            self.active = []


def _groups(members: Sequence[Member], site: str) -> list[list[int]]:
    """The positions of members that share an activation's call at a site, group by group."""
    groups: dict[Hashable, list[int]] = {}
    for position, member in enumerate(members):
        shared = shared_by(member.candidate.assignment[site], member.module.get_submodule(site))
        groups.setdefault(shared, []).append(position)
    return list(groups.values())


class PopulationOptimizer(torch.optim.Optimizer):
    """The optimiser that Lightning steps: it steps all members' own."""

    def __init__(self, members: Members) -> None:
        super().__init__([nn.Parameter(torch.zeros(0))], {})
        self.members = members
        self.batch_idx = 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Forward, backward, and one step of every member."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.members.step(self.batch_idx)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Zero every member's gradients."""
        self.members.stack.zero_grads()
