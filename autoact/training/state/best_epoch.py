"""The best epoch of a training: its value, its weights, and the learning curve."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule

from autoact.core.errors import AutoactError, nearest

State = dict[str, Any]
"""What a training, a callback or an optimiser saves of itself, by names of its own."""


class Diverged(ArithmeticError):  # noqa: N818  (says what happened to the trial)
    """Training produced values that are not finite; the trial fails alone, with this reason."""


def logged_value(monitor: str, logged: Mapping[str, float], *, trained: Collection[str] = ()) -> float:
    """The value of ``monitor`` among what was logged; names that only training logged (``trained``) are not proposed.

    Raises:
        AutoactError: it is not there; names the nearest and all others.
    """
    if monitor not in logged:
        # With several validation loaders Lightning adds to each name which one it is of.
        own = [name for name in logged if name not in trained]
        close = [name for name in own if name.startswith(f"{monitor}/dataloader_idx_")] or nearest(monitor, own)
        hint = f": did you mean {' or '.join(close)}?" if close else "."
        names = ", ".join(sorted(own)) or "nothing"
        others = f"; by training: {', '.join(sorted(trained))}" if trained else ""
        raise AutoactError(f"monitor={monitor} was not logged by validation{hint} Logged: {names}{others}")
    return logged[monitor]


class Best:
    """Keeps the weights of the best epoch in memory, and the learning curve.

    Attributes:
        value: the best value of ``monitor``; None before the first validation.
        epoch: its epoch, counted from 1.
        metrics: everything that was logged there.
        curve: per epoch, everything that was logged.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor = monitor
        self.mode = mode
        self.value: float | None = None
        self.epoch = 0
        self.metrics: dict[str, float] = {}
        self.curve: list[dict[str, float]] = []
        self._weights: Mapping[str, object] = {}

    def validated(self, logged: Mapping[str, float], own: Collection[str], epoch: int, module: torch.nn.Module) -> None:
        """Keep the module's weights where the monitored value is the best so far; ``own`` are validation's names.

        Raises:
            AutoactError: the monitored value is not among what was logged.
            Diverged: it is not finite, or the weights are not.
        """
        value = logged_value(self.monitor, logged)
        if not math.isfinite(value):
            raise Diverged(f"{self.monitor} is {value} in epoch {epoch}")
        if self.value is None or (value > self.value if self.mode == "max" else value < self.value):
            # A count of right answers stays finite where every output is nan.
            if not weights_are_finite(module):
                raise Diverged(f"weights are not finite in epoch {epoch}")
            self.value, self.epoch = value, epoch
            self.metrics = {name: logged[name] for name in own if name in logged}
            self._weights = copied_weights(module)

    def ended(self, logged: Mapping[str, float], epoch: int) -> None:
        """Append what an epoch logged to the curve; what training logged at the best epoch is known only now."""
        self.curve.append(dict(logged))
        if self.epoch == epoch:
            self.metrics = {**logged, **self.metrics}

    def restore_(self, module: LightningModule) -> None:
        """Put the best epoch's weights into ``module``.

        Raises:
            AutoactError: its parameters have other names or shapes by now.
        """
        try:
            module.load_state_dict(self._weights, strict=module.strict_loading)
        except RuntimeError as error:
            present = set(module.state_dict())
            before, now = sorted(set(self._weights) - present), sorted(present - set(self._weights))
            if not before and not now:
                raise
            raise AutoactError(
                f"the weights of epoch {self.epoch}, the best, do not fit {type(module).__name__} any more: "
                f"parameters had other names in that epoch ({', '.join(before[:2]) or 'none'}) than at the end of the "
                f"training ({', '.join(now[:2]) or 'none'}): keep the callback or hook that exchanges them out of the "
                "search (of ModelPruning: make_pruning_permanent=False)"
            ) from error

    def state_dict(self) -> State:
        """What a resumed training needs."""
        return copy.deepcopy({k: getattr(self, k) for k in ("value", "epoch", "metrics", "curve", "_weights")})

    def without_weights(self) -> State:
        """What a record of a paused training needs."""
        return self.state_dict() | {"_weights": {}}

    def load_state_dict(self, state_dict: State) -> None:
        """The inverse of ``state_dict``."""
        for name, value in state_dict.items():
            setattr(self, name, value)


def weights_are_finite(module: torch.nn.Module) -> bool:
    """Whether every parameter is finite.

    Example:
        >>> weights_are_finite(torch.nn.Linear(1, 1))
        True
    """
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())


def copied_weights(module: torch.nn.Module) -> OrderedDict[str, object]:
    """A module's state dict in memory of its own: a row of a stacked tensor would be pickled with all the others.

    It keeps the versions of modules, which some look at when they load (torchvision's MNASNet).

    Example:
        >>> dict(copied_weights(torch.nn.Linear(1, 1))._metadata)
        {'': {'version': 1}}
    """
    state = module.state_dict()
    weights = OrderedDict[str, object]()
    for key, entry in state.items():  # a module's extra state need not be a tensor
        weights[key] = entry.detach().clone() if isinstance(entry, torch.Tensor) else copy.deepcopy(entry)
    vars(weights).update(copy.deepcopy(getattr(state, "__dict__", {})))
    return weights
