"""One training step of a module outside of any fit, and which activation makes it raise."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping

import torch
from lightning.pytorch import LightningModule

from autoact.core.assignment import Assignment
from autoact.training.log_standins import logging_to, nowhere

# Seconds that the search for the activation at fault may take.
MOST_SECONDS = 5.0


class NoLossError(Exception):
    """A training step returned no loss."""


def own_loss(module: LightningModule, batch: object) -> torch.Tensor:
    """The loss of the module's own ``training_step`` on a batch; what it logs goes nowhere.

    Raises:
        NoLossError: it returned none.
    """
    step = module.training_step
    with logging_to(module, nowhere):
        out = step(batch, 0) if len(inspect.signature(step).parameters) > 1 else step(batch)
    loss = out.get("loss") if isinstance(out, Mapping) else out
    if not isinstance(loss, torch.Tensor):
        raise NoLossError(f"training_step returned {type(out).__name__} without a loss")
    return loss


def site_at_fault(
    build: Callable[[Assignment], LightningModule],
    assignment: Assignment,
    batch: object,
    error: Exception,
    most_seconds: float = MOST_SECONDS,
) -> str:
    """The first ``site=activation`` that alone makes one training step raise what a whole training raised; else empty.

    ``build`` gives a fresh module with some activations, ready for a step; ``assignment`` and ``error`` belong to the
    training that failed.
    """
    began = time.perf_counter()
    for site, choice in assignment.items():
        if time.perf_counter() - began > most_seconds:
            break
        try:
            own_loss(build(Assignment({site: choice})), batch).sum().backward()
        except type(error):
            return f"{site}={choice}"
        except Exception:  # something else is wrong with it: that is not what is looked for
            continue
    return ""
