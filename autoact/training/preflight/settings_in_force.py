"""Whether what is set is in force: a few steps of a real training, under settings of its own, tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.tasks.task import Task
from autoact.training.callbacks import OptimizerSettings
from autoact.training.lightning_session import build_module, trainer_for
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.random_state import random_state, restore_random_state
from autoact.training.user_errors import said

# Steps of the optimisers that are watched, and batches after which nobody waits for them any longer.
WATCHED_STEPS, BATCHES = 3, 64
_CLOSE = 1e-3


class _EnoughError(Exception):
    """What was to be seen has been seen."""


class SetUpError(Exception):
    """A training cannot be set up with an assignment; says what was raised, and where."""


@dataclass(frozen=True)
class _Groups:
    """Rates and decays of all parameter groups at one time."""

    rates: tuple[float, ...]
    decays: tuple[float, ...]


class _Watch(lightning.Callback):
    """Notes what each step of an optimiser went by, and ends the training after a few.

    Attributes:
        seen: as it was set, then after each step: by then everything that writes a rate has done so.
        trained: ids of the parameters that the optimisers hold.
        module: what is trained.
        error: that the training ended in; None where it was seen.
    """

    module: Any
    error: Exception | None = None

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.seen: list[_Groups] = []
        self.trained: set[int] = set()

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Optimisers are set up, and set, by now."""
        self._note(trainer)
        self.trained = {id(p) for o in trainer.optimizers for group in o.param_groups for p in group["params"]}
        if not self.steps:
            raise _EnoughError
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda *_: self._note(trainer))

    def _note(self, trainer: lightning.Trainer) -> None:
        """One line of what is seen."""
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        decays = tuple(float(group.get("weight_decay", math.nan)) for group in groups)
        self.seen.append(_Groups(tuple(float(group["lr"]) for group in groups), decays))

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Stop as soon as enough is known."""
        if len(self.seen) > self.steps or index + 1 >= BATCHES:
            raise _EnoughError

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """An epoch is enough."""
        raise _EnoughError


def settings_in_force(
    task: Task, device: torch.device, configured: Mapping[str, float], other: Mapping[str, float]
) -> dict[str, str]:
    """Which training settings the module, or a callback, overwrites; with what was seen, in a few words.

    Trains the baseline twice for a few steps: as configured, and under ``other``.

    Args:
        task: what is trained.
        device: where.
        configured: learning rate and weight decay as the module configures them.
        other: another value for each setting that is asked about.

    Returns:
        Nothing for settings that are in force, and nothing where the training fails: the search meets that itself.
    """
    base = _watched(task, device, {}, WATCHED_STEPS)
    changed = _watched(task, device, other, WATCHED_STEPS)
    if base.error or changed.error or len(changed.seen) < 2 or len(base.seen) != len(changed.seen):
        return {}
    found: dict[str, str] = {}
    pairs = list(zip(base.seen[1:], changed.seen[1:], strict=True))
    if "learning_rate" in other:
        factor = other["learning_rate"] / configured["learning_rate"]
        for before, after in pairs:
            wanted = [(rate * factor, seen) for rate, seen in zip(before.rates, after.rates, strict=True)]
            for rate, seen in [pair for pair in wanted if not _close(*pair)]:
                found.setdefault("learning_rate", f"{seen:.3g} where {rate:.3g} was set")
    if "weight_decay" in other:
        set_to = zip(base.seen[0].decays, changed.seen[0].decays, strict=True)
        places = [place for place, (a, b) in enumerate(set_to) if not _close(a, b)]
        lost = [after.decays[p] for before, after in pairs for p in places if _close(before.decays[p], after.decays[p])]
        if lost:
            found["weight_decay"] = f"{lost[0]:.3g} where {other['weight_decay']:.3g} was set"
    return found


def untrained_weights(task: Task, device: torch.device, assignment: Assignment) -> dict[str, list[str]]:
    """Site -> weights of its activation that no optimiser holds, once ``assignment`` is applied.

    Nothing is told of a module that cannot be set up with its own activations: the search meets that itself.

    Raises:
        SetUpError: with the assignment it cannot, and with its own activations it can.
    """
    watch = _watched(task, device, {}, 0, assignment)
    if watch.error is not None:
        if _watched(task, device, {}, 0).error is not None:
            return {}
        raise SetUpError(said(watch.error)) from watch.error
    found = {}
    for site in assignment:
        named = dict(watch.module.get_submodule(site).named_parameters())
        out = [f"{site}.{n}" for n, p in named.items() if id(p) not in watch.trained or not p.requires_grad]
        if out:
            found[site] = out
    return found


def _watched(
    task: Task, device: torch.device, settings: Mapping[str, float], steps: int, assignment: Assignment | None = None
) -> _Watch:
    """What a short training shows, or the error that it ends in. Random numbers go on as if nothing had been drawn."""
    watch, state = _Watch(steps), random_state()
    callbacks = [callback for callback in task.make_callbacks() if not isinstance(callback, Checkpoint)]
    try:
        with quiet_lightning():
            lightning.seed_everything(0, verbose=False)
            watch.module = build_module(task, Candidate(assignment or Assignment({})), rescale=False)
            trainer = trainer_for(task, device, [*callbacks, OptimizerSettings(settings), watch])
            trainer.fit(watch.module, datamodule=task.make_datamodule(0))
    except _EnoughError:
        pass
    except Exception as error:  # of the user's code: it is raised again where trials are trained, and told there
        watch.error = error
    finally:
        restore_random_state(state)
    return watch


def _close(one: float, other: float) -> bool:
    """Whether two numbers are the same one; nan is itself."""
    return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
