"""Parameter groups of their own for the weights of activations that were put in; schedules follow. torch is enough."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from autoact.core.errors import AutoactError
from autoact.sites.replacement.state_dict_marker import is_put_in

RATES = ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr")
"""What a parameter group holds of learning rates, its own and its schedule's."""
_RATES_OF_GROUPS = ("base_lrs", "max_lrs", "min_lrs", "_last_lr")
_VALUES_OF_GROUPS = ("lr_lambdas", "base_momentums", "max_momentums")
"""Lists of a schedule that have an entry for each parameter group: rates, and others."""


def put_activations_apart_(
    module: nn.Module,
    optimizers: Optimizer | Sequence[Optimizer],
    schedulers: Sequence[object] = (),
    *,
    factor: float,
) -> None:
    """Train the weights of activations that were put in with ``factor`` of the learning rate, and without decay.

    They become parameter groups of their own, behind those that there are: a group for each that held some, whose
    values they keep otherwise. Schedules that exist already follow. A factor of 1 changes nothing.

    Args:
        module: what is trained.
        optimizers: its own, one or several; changed in place, before their first step.
        schedulers: theirs; changed in place.
        factor: of the learning rate (0.1 in RealMLP: Holzmüller et al., Better by Default, 2024), such as
            ``recommendation.activation_rate``.

    Raises:
        AutoactError: a factor that is none, or an optimiser that holds such weights and takes no groups.

    Example:
        >>> import torch
        >>> from autoact.sites import apply
        >>> model = apply(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), {"1": "prelu"}, example_input=torch.zeros(1, 2))
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
        >>> put_activations_apart_(model, optimizer, factor=0.1)
        >>> [(group["lr"], group["weight_decay"], len(group["params"])) for group in optimizer.param_groups]
        [(0.5, 0.01, 2), (0.05, 0.0, 1)]
    """
    check_rate("factor", factor)
    if factor == 1.0:
        return
    ours = {id(weight) for part in module.modules() if is_put_in(part) for weight in part.weights()}
    for optimizer in [optimizers] if isinstance(optimizers, Optimizer) else optimizers:
        for place in range(len(optimizer.param_groups)):
            if any(id(weight) in ours for weight in optimizer.param_groups[place]["params"]):
                if reason := no_groups_in(optimizer):
                    raise AutoactError(f"the weights of activations cannot have a learning rate of their own: {reason}")
                _split_group(optimizer, place, ours, schedulers, factor)


def check_rate(name: str, factor: float) -> None:
    """Refuse what is no factor of a learning rate.

    Raises:
        AutoactError: says what was given.
    """
    if not (factor > 0 and math.isfinite(factor)):
        raise AutoactError(f"{name}={factor:g} must be a factor above 0 of the learning rate, e.g. 0.1")


def no_groups_in(optimizer: object) -> str:
    """Why an optimiser cannot have a parameter group more; empty where it can.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> no_groups_in(torch.optim.SGD([weight])), no_groups_in(torch.optim.LBFGS([weight]))
        ('', 'LBFGS steps all its weights as one')
    """
    name = type(optimizer).__name__
    if not isinstance(optimizer, Optimizer):
        return f"{name} is no torch.optim.Optimizer"
    own = getattr(optimizer, "_params", None)
    if own is not None and any(own is group["params"] for group in optimizer.param_groups):
        return f"{name} steps all its weights as one"
    return ""


def _split_group(
    optimizer: Optimizer, place: int, ours: Collection[int], schedulers: Sequence[object], factor: float
) -> None:
    group, count = optimizer.param_groups[place], len(optimizer.param_groups)
    chosen = [id(weight) in ours for weight in group["params"]]
    apart = group
    if not all(chosen):
        apart = dict(group)
        for key in ("params", "param_names"):
            if key in group:
                apart[key] = [one for one, mine in zip(group[key], chosen, strict=True) if mine]
                group[key] = [one for one, mine in zip(group[key], chosen, strict=True) if not mine]
        optimizer.param_groups.append(apart)
    for key in RATES:
        if key in apart:
            apart[key] = apart[key] * factor
    if "weight_decay" in apart:
        apart["weight_decay"] = 0.0
    for scheduler in schedulers:
        if getattr(scheduler, "optimizer", optimizer) is optimizer:
            _follow_group(scheduler, place, count, factor, added=apart is not group)


def _follow_group(scheduler: object, place: int, count: int, factor: float, *, added: bool) -> None:
    """Give a schedule of ``count`` groups the values of the one at ``place``, with other rates."""
    for inner in (*getattr(scheduler, "_schedulers", ()), *inner_schedulers(scheduler)):
        _follow_group(inner, place, count, factor, added=added)
    for key in (*_RATES_OF_GROUPS, *_VALUES_OF_GROUPS):
        values = getattr(scheduler, key, None)
        if not isinstance(values, (list, tuple)) or len(values) != count:
            continue
        value = values[place] * factor if key in _RATES_OF_GROUPS else values[place]
        setattr(scheduler, key, [*values, value] if added else [*values[:place], value, *values[place + 1 :]])


def inner_schedulers(scheduler: object) -> list[LRScheduler | ReduceLROnPlateau]:
    """Schedules that a schedule of the user's own holds: a warm-up with what comes after it.

    Their ``state_dict`` pickles the inner one, whose optimiser would then be a copy that nothing trains with. torch's
    own classes know what they hold.
    """
    if type(scheduler).__module__.startswith("torch."):
        return []
    values = [value if isinstance(value, (list, tuple)) else (value,) for value in vars(scheduler).values()]
    return [one for value in values for one in value if isinstance(one, (LRScheduler, ReduceLROnPlateau))]
