"""Stand-ins for a LightningModule's ``log`` and ``log_dict``, for steps that no Trainer runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torchmetrics import MetricCollection


def log_calls(take: Callable[[str, Any, dict[str, Any]], None]) -> dict[str, Callable[..., None]]:
    """Replacements of a LightningModule's ``log`` and ``log_dict`` that hand every value to ``take``."""

    def log(name: str, value: Any, *positional: Any, **options: Any) -> None:
        take(name, value, options | dict(zip(_POSITIONAL, positional, strict=False)))

    def log_dict(dictionary: Any, *positional: Any, **options: Any) -> None:
        named = dictionary.items(keep_base=False) if isinstance(dictionary, MetricCollection) else dictionary.items()
        for name, value in named:
            log(name, value, *positional, **options)

    return {"log": log, "log_dict": log_dict}


@contextmanager
def logging_to(module: Any, take: Callable[[str, Any, dict[str, Any]], None]) -> Iterator[None]:
    """Hand what a module logs inside the block to ``take``."""
    calls = log_calls(take)
    for name, call in calls.items():
        object.__setattr__(module, name, call)
    try:
        yield
    finally:
        for name in calls:
            object.__delattr__(module, name)


def nowhere(name: str, value: Any, options: dict[str, Any]) -> None:
    """What is logged goes nowhere."""


_POSITIONAL = ("prog_bar", "logger", "on_step", "on_epoch", "reduce_fx", "enable_graph")
