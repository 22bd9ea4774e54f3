"""What ``self.log`` was given, member by member, reduced over an epoch as Lightning reduces it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from lightning.pytorch.utilities.data import extract_batch_size
from torch import Tensor
from torchmetrics import Metric

from autoact.core.errors import AutoactError
from autoact.core.value_holders import Batch
from autoact.training.log_standins import LogOptions, TakeLogged

_REDUCTIONS: Mapping[Callable[..., object], str] = {
    torch.mean: "mean",
    torch.sum: "sum",
    torch.max: "max",
    torch.min: "min",
    max: "max",
    min: "min",
    sum: "sum",
}


@dataclass
class _Entry:
    on_step: bool
    on_epoch: bool
    reduce: str
    total: Tensor | None = None
    weight: float = 0.0
    last: Tensor | None = None
    metric: Metric | None = None

    def add(self, value: Tensor, weight: float) -> None:
        value = value.detach()
        if not value.is_floating_point():
            value = value.to(torch.get_default_dtype())
        self.last = value
        self.weight += weight
        if self.reduce == "mean":
            value = value * weight
        if self.total is None:  # sums are kept as finely as torch's default, whatever a metric gives
            self.total = value.to(torch.promote_types(value.dtype, torch.get_default_dtype()), copy=True)
        elif self.reduce in ("mean", "sum"):
            self.total = self.total + value
        else:
            self.total = (torch.maximum if self.reduce == "max" else torch.minimum)(self.total, value)

    def reduced(self) -> Tensor:
        assert self.total is not None
        return self.total / self.weight if self.reduce == "mean" else self.total


class Logged:
    """Values of one loop by name; each is a number, or one number per member.

    In ``training`` values count by step unless said otherwise, in validation by epoch.
    """

    def __init__(self, *, training: bool) -> None:
        self.training = training
        self._entries: dict[str, _Entry] = {}

    def add(self, name: str, value: object, options: LogOptions, batch: Batch) -> None:
        """Add what one call of ``self.log`` logs, weighted by the number of rows in ``batch``."""
        entry = self._entries.get(name)
        if entry is None:
            by_step, by_epoch = options.get("on_step"), options.get("on_epoch")
            entry = self._entries[name] = _Entry(
                on_step=self.training if by_step is None else bool(by_step),
                on_epoch=not self.training if by_epoch is None else bool(by_epoch),
                reduce=_reduction(options.get("reduce_fx", "mean")),
            )
        if isinstance(value, Metric):
            entry.metric = value
            return
        if not isinstance(value, Tensor):
            value = torch.tensor(value, dtype=torch.get_default_dtype())
        weight = 1.0
        if entry.reduce == "mean" and entry.on_epoch:
            given = options.get("batch_size")
            if given is None:
                given = 1 if batch is None else extract_batch_size(batch)
            weight = float(given)
        entry.add(value, weight)

    def taker(self, batch: Batch, defaults: LogOptions | None = None) -> TakeLogged:
        """Adds what is logged in a step on ``batch``, with other defaults than Lightning's where some are given."""
        return lambda name, value, options: self.add(name, value, {**(defaults or {}), **options}, batch)

    def values(self, *, over: bool = True) -> dict[str, Tensor]:
        """The values by the names that callbacks see: ``name``, and ``name_step`` and ``name_epoch`` where both count.

        Metrics are computed, and reset where the epoch is ``over``.
        """
        values: dict[str, Tensor] = {}
        for name, entry in self._entries.items():
            last, whole = entry.last, None
            if entry.metric is not None:
                whole = entry.metric.compute()
                last = getattr(entry.metric, "_forward_cache", None)
                if over:
                    entry.metric.reset()
            elif entry.on_epoch:
                whole = entry.reduced()
            if entry.on_step and last is not None and self.training:  # callbacks see whole validations only
                values[name] = last
                if entry.on_epoch:
                    values[f"{name}_step"] = last
            if entry.on_epoch and whole is not None:
                values[name] = whole
                if entry.on_step:
                    values[f"{name}_epoch"] = whole
        return values

    @property
    def names_at_end(self) -> set[str]:
        """Names whose value comes with the end of the epoch, and not with its steps."""
        names = [name for name, entry in self._entries.items() if entry.on_epoch]
        return {*names, *(f"{name}_epoch" for name in names)}

    def floats(self, *, over: bool = True) -> dict[str, float]:
        """The values of one member as floats; what is not a single number is left out."""
        return {name: float(value) for name, value in self.values(over=over).items() if value.numel() == 1}

    def close(self) -> None:
        """Reset the metrics."""
        for entry in self._entries.values():
            if entry.metric is not None:
                entry.metric.reset()


def _reduction(given: str | Callable[..., object]) -> str:
    """``mean``, ``sum``, ``min`` or ``max``.

    Raises:
        AutoactError: Lightning takes no other.
    """
    name = _REDUCTIONS.get(given) if callable(given) else given
    if name not in ("mean", "sum", "min", "max"):
        raise AutoactError(f"self.log(reduce_fx={given}) must be mean, sum, min or max")
    return name
