"""Stand-ins for a LightningModule's ``log`` and ``log_dict``, for steps that no Trainer runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import LightningModule
from torchmetrics import MetricCollection

LogOptions = Mapping[str, Any]
"""The options of ``self.log``, by name."""
TakeLogged = Callable[[str, object, LogOptions], None]
"""Takes what one call of ``self.log`` was given: a name, a value and options."""


def log_calls(take: TakeLogged) -> dict[str, Callable[..., None]]:
    """Replacements of a LightningModule's ``log`` and ``log_dict`` that hand every value to ``take``."""

    def log(name: str, value: object, *positional: object, **options: object) -> None:
        take(name, value, options | dict(zip(_POSITIONAL, positional, strict=False)))

    def log_dict(dictionary: Mapping[str, object], *positional: object, **options: object) -> None:
        named = dictionary.items(keep_base=False) if isinstance(dictionary, MetricCollection) else dictionary.items()
        for name, value in named:
            log(name, value, *positional, **options)

    return {"log": log, "log_dict": log_dict}


@contextmanager
def logging_to(module: LightningModule, take: TakeLogged) -> Iterator[None]:
    """Hand what a module logs inside the block to ``take``."""
    calls = log_calls(take)
    for name, call in calls.items():
        object.__setattr__(module, name, call)
    try:
        yield
    finally:
        for name in calls:
            object.__delattr__(module, name)


def nowhere(name: str, value: object, options: LogOptions) -> None:
    """What is logged goes nowhere."""


_POSITIONAL = ("prog_bar", "logger", "on_step", "on_epoch", "reduce_fx", "enable_graph")
