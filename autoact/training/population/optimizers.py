"""The members' own optimisers: each steps on its rows, fused where the optimiser is Adam or AdamW."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch.utilities.types import LRSchedulerConfig
from torch import Tensor

from autoact.core.errors import AutoactError
from autoact.sites.replacement.parameter_groups import no_groups_in, put_activations_apart_
from autoact.training._compat_lightning import check_schedulers, configured_optimizers, configured_schedulers
from autoact.training.callbacks import apply_settings
from autoact.training.population.member import Member
from autoact.training.population.vmap.errors import CannotBatchError
from autoact.training.population.vmap.stacked_parameters import Entry
from autoact.training.state._compat_torch import foreach_clamp_max_, foreach_clamp_min_, fused_adam_, fused_adamw_
from autoact.training.state.best_epoch import State

_FUSED = {torch.optim.AdamW: fused_adamw_, torch.optim.Adam: fused_adam_}
_PLAIN = ("amsgrad", "maximize", "capturable", "differentiable")


def configure(member: Member) -> None:
    """Make a member's optimiser and schedulers as Lightning does, with the candidate's settings.

    Raises:
        AutoactError: the module configures no optimiser.
        CannotBatchError: several, or a schedule that only a Trainer of its own can step.
    """
    configured: Any = member.module.configure_optimizers()  # in any of the forms that Lightning takes
    name = type(member.module).__name__
    if configured is None:
        raise AutoactError(f"{name}.configure_optimizers returns nothing")
    optimizers, schedulers, monitor = configured_optimizers(configured)
    if len(optimizers) != 1:
        raise CannotBatchError(f"{name}.configure_optimizers returns {len(optimizers)} optimisers")
    member.optimizer = optimizers[0]
    member.schedulers = configured_schedulers(schedulers, monitor)
    check_schedulers(member.schedulers, member.module)
    if any(config.reduce_on_plateau and config.interval == "step" for config in member.schedulers):
        raise CannotBatchError(f"{name}.configure_optimizers asks ReduceLROnPlateau after every step")
    inner = [config.scheduler for config in member.schedulers]
    apply_settings(member.candidate.settings, optimizers, inner)
    if not no_groups_in(member.optimizer):
        put_activations_apart_(member.module, optimizers, inner, factor=member.activation_rate)
    if member.paused is not None:
        member.optimizer.load_state_dict(copy.deepcopy(member.paused["optimizer"]))
        for config, state in zip(member.schedulers, member.paused["schedulers"], strict=True):
            config.scheduler.load_state_dict(copy.deepcopy(state))
        _unshare([*member.optimizer.state.values()])
        vars(member.optimizer)["_opt_called"] = True  # it has stepped: schedulers may follow
        member.paused = None


class Stepper:
    """Steps the optimisers of all members.

    A member's first step is its optimiser's own, which creates the state. From then on Adam and AdamW are stepped by
    one fused kernel call per parameter group, without the optimiser's own work in Python, which takes several times as
    long as the kernel at the sizes of one member.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)
        self._plans: dict[int, list[_Plan] | None] = {}
        self._stepped: dict[int, set[int]] = {}

    @property
    def foreign(self) -> bool:
        """Whether the optimisers are not torch's own."""
        return any(not type(member.optimizer).__module__.startswith("torch.optim.") for member in self.members)

    def steps(self, entry: Entry, position: int) -> bool:
        """Whether the optimiser of the member at ``position`` steps the first row of a stacked parameter."""
        if position not in self._stepped:
            optimizer = self.members[position].optimizer
            assert optimizer is not None
            self._stepped[position] = {id(p) for group in optimizer.param_groups for p in group["params"]}
        store, key = entry.slots[0]
        return id(store[key]) in self._stepped[position]

    def forget(self) -> None:
        """Gradients are new tensors, or gone: plan the steps once more."""
        for plan in [plan for plans in self._plans.values() if plans for plan in plans]:
            _unshare(plan.states)
        self._plans.clear()

    @torch.no_grad()
    def step(self, batch_idx: int) -> None:
        """One step of every member after the batch ``batch_idx``, and of the schedulers that count steps."""
        for member in self.members:
            optimizer = member.optimizer
            assert optimizer is not None
            if member.number not in self._plans and _has_state(optimizer):
                self._plans[member.number] = _plans(optimizer)
            plans = self._plans.get(member.number)
            if plans is None:
                optimizer.step()
            else:
                for plan in plans:
                    plan.step()
            member.steps += 1
            for config in member.schedulers:
                if config.interval == "step" and (batch_idx + 1) % config.frequency == 0:
                    _step_of(config)()

    def epoch_ended(self, member: Member, epoch: int, logged: Mapping[str, float]) -> None:
        """Step the schedulers that count epochs; ``epoch`` counts from 1."""
        for config in member.schedulers:
            if config.interval != "epoch" or epoch % config.frequency:
                continue
            if not config.reduce_on_plateau:
                _step_of(config)()
            elif (value := logged.get(config.monitor or "")) is not None:
                _step_of(config)(value)
            elif config.strict:
                raise AutoactError(
                    f"ReduceLROnPlateau waits for {config.monitor}, which is not among what was logged: "
                    f"{', '.join(sorted(logged))}"
                )


def _step_of(config: LRSchedulerConfig) -> Callable[..., None]:
    return config.scheduler.step  # of ReduceLROnPlateau, it takes a value


class _Plan:
    def __init__(
        self, kernel: Callable[..., object], group: State, parameters: list[Tensor], states: Sequence[State]
    ) -> None:
        self.kernel = kernel
        self.group = group
        self.parameters = parameters
        self.grads = [parameter.grad for parameter in parameters]
        self.first = [state["exp_avg"] for state in states]
        self.second = [state["exp_avg_sq"] for state in states]
        self.states = states
        self.count = states[0]["step"].clone()
        for state in states:  # they count alike
            state["step"] = self.count

    def step(self) -> None:
        """Adam or AdamW (Kingma and Ba, 2015; Loshchilov and Hutter, 2019)."""
        group = self.group
        self.count += 1
        self.kernel(
            self.parameters,
            self.grads,
            self.first,
            self.second,
            [],
            [self.count] * len(self.parameters),
            lr=float(group["lr"]),
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )


def _unshare(states: Sequence[State]) -> None:
    """Let every parameter count its own steps again."""
    for state in states:
        if isinstance(state.get("step"), Tensor):
            state["step"] = state["step"].clone()


def _has_state(optimizer: torch.optim.Optimizer) -> bool:
    """Whether every parameter with a gradient has been stepped before."""
    return all(p in optimizer.state for group in optimizer.param_groups for p in group["params"] if p.grad is not None)


def _plans(optimizer: torch.optim.Optimizer) -> list[_Plan] | None:
    """Fused steps that do what the optimiser does; None where its own step has to."""
    kernel = _FUSED.get(type(optimizer))
    if kernel is None or any(group.get(flag) for group in optimizer.param_groups for flag in _PLAIN):
        return None
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return None
    if type(optimizer) is torch.optim.Adam and any(g.get("decoupled_weight_decay") for g in optimizer.param_groups):
        kernel = fused_adamw_
    plans = []
    for group in optimizer.param_groups:
        parameters = [p for p in group["params"] if p.grad is not None]
        states = [optimizer.state[p] for p in parameters]
        if not parameters:
            continue
        counts = {float(state["step"]) for state in states}
        places = {state["step"].device for state in states} | {p.device for p in parameters}
        floats = all(p.is_floating_point() for p in parameters)
        if len(counts) > 1 or len(places) > 1 or not floats:
            return None
        plans.append(_Plan(kernel, group, parameters, states))
    return plans


def clip(entries: Sequence[tuple[Entry, Sequence[int]]], members: int, value: float, algorithm: str) -> None:
    """Clip every member's gradients by themselves, as ``torch.nn.utils.clip_grad_norm_`` and ``..._value_`` do.

    ``entries`` are stacked parameters, each with the positions of its members; ``algorithm`` is ``norm`` or ``value``.
    """
    grads = [(entry.tensor.grad, positions) for entry, positions in entries if entry.tensor.grad is not None]
    if not grads:
        return
    if algorithm == "value":
        foreach_clamp_max_([grad for grad, _ in grads], value)
        foreach_clamp_min_([grad for grad, _ in grads], -value)
        return
    squares = grads[0][0].new_zeros(members)
    for grad, positions in grads:
        index = torch.tensor(list(positions), device=squares.device)
        squares.index_add_(0, index, grad.flatten(1).square().sum(1) if grad.dim() > 1 else grad.square())
    factors = (value / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    for grad, positions in grads:
        grad.mul_(factors[list(positions)].view(-1, *[1] * (grad.dim() - 1)))
