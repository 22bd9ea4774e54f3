"""One member of a population: its module, its optimiser, and what is known of it so far."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping

from autoact.core.trial import FAILED, Candidate
from autoact.tasks.task import Task
from autoact.training.callbacks import Patience
from autoact.training.lightning_session import SessionOptions, build_module
from autoact.training.state.best_epoch import Best, copied_weights
from autoact.training.state.training_state import TrainingState
from autoact.training.state.unsaved_state import Unsaved


class Member(TrainingState):
    """A candidate in training; its weights are rows of the population's stacked tensors while it trains.

    Attributes:
        module: the user's own module; it can be used as it is at any time.
        best: the best epoch and the curve.
        stoppers: early stopping: the task's own callbacks and ``search.patience``.
        steps: optimiser steps taken.
        optimizer: what the module configured, once training has begun.
        schedulers: Lightning's scheduler configurations.
        failure: status and reason, where it failed.
        stopping: early stopping has spoken.
        logged: what was logged last, by name, as the Trainer's ``callback_metrics`` would have it.
        by_validation: names that only validations have logged.
        again: it is paused, and will start again: it holds what would be lost (see ``Unsaved``).
        watch: sees what it holds.
    """

    def __init__(self, number: int, candidate: Candidate, task: Task, options: SessionOptions) -> None:
        self.number = number
        self.candidate = candidate
        lightning.seed_everything(candidate.seed, verbose=False)
        self.module = build_module(task, candidate, rescale=options.rescale)
        self.best = Best(task.monitor, task.mode)
        self.stoppers = [c for c in task.make_callbacks() if type(c) is EarlyStopping]
        if options.patience is not None:
            self.stoppers.append(Patience(task.monitor, mode=task.mode, patience=options.patience))
        self.steps = 0
        self.seconds = 0.0
        self.optimizer: torch.optim.Optimizer | None = None
        self.schedulers: list[Any] = []
        self.failure: tuple[str, str] | None = None
        self.stopping = False
        self.logged: dict[str, float] = {}
        self.by_validation: set[str] = set()
        self.finished = False
        self.replicates: tuple[float, ...] = ()
        self.paused: dict[str, Any] | None = None
        self.again = False
        self.watch: Unsaved | None = None

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.best.curve)

    def validate(self, batch: Any, batch_idx: int) -> Any:
        """The module's own ``validation_step``."""
        step = self.module.validation_step
        return step(batch, batch_idx) if len(inspect.signature(step).parameters) > 1 else step(batch)

    @property
    def active(self) -> bool:
        """Whether it has something left to train."""
        return self.failure is None and not self.finished

    def fail(self, reason: object) -> None:
        """It fails alone, for this reason."""
        said = str(reason).strip() or type(reason).__name__
        self.failure = (FAILED, said.splitlines()[0])

    def epoch_ended(self, logged: Mapping[str, float], validated: Mapping[str, float] | None, epoch: int) -> None:
        """Append an epoch to the curve as a Trainer's callback sees it: with all that is logged by then.

        Args:
            logged: all that was logged in it.
            validated: what its validation logged; None where there was none: what an earlier one logged is left out.
            epoch: counted from 1.
        """
        self.logged |= logged
        stale = set() if validated is not None else self.by_validation - set(logged)
        self.best.ended({name: value for name, value in self.logged.items() if name not in stale}, epoch)

    def stop(self, logged: Mapping[str, float], validated: Mapping[str, float] | None) -> None:
        """Ask the early stopping about the epoch that has ended.

        Args:
            logged: all that was logged in it.
            validated: what its validation logged; None where there was none.
        """
        for stopper in self.stoppers:
            if validated is None and stopper.monitor not in logged:
                continue  # nothing new to judge by
            seen = validated if stopper._check_on_train_epoch_end is False and validated is not None else logged
            if stopper._validate_condition_metric({name: torch.tensor(value) for name, value in seen.items()}):
                over, _ = stopper._evaluate_stopping_criteria(torch.tensor(seen[stopper.monitor]))
                self.stopping = self.stopping or over

    def finish(self) -> None:
        """Training is over: the best epoch's weights, in memory of its own."""
        self.let_go()
        self.best.restore_(self.module)
        self.finished = True

    def let_go(self) -> None:
        """Leave the population: tensors in memory of their own, and nothing that only training needs."""
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            tensor.data = tensor.detach().clone()
            tensor.grad = None
        self.optimizer, self.schedulers, self.paused = None, [], None
        self.module._trainer = None

    def pause(self, random: Mapping[str, Any] | None) -> dict[str, Any]:
        """Everything that goes on in another population, with the state of the random numbers."""
        if self.again:
            return {"again": True, "best": self.best.known(), "seconds": self.seconds, "random": None}
        if self.optimizer is None:
            assert self.paused is not None, "it has trained before"
            return self.paused
        checkpoint: dict[str, Any] = {"state_dict": copied_weights(self.module)}
        self.module.on_save_checkpoint(checkpoint)
        return {
            "checkpoint": copy.deepcopy(checkpoint),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "schedulers": [copy.deepcopy(config.scheduler.state_dict()) for config in self.schedulers],
            "best": self.best.state_dict(),
            "stoppers": [copy.deepcopy(stopper.state_dict()) for stopper in self.stoppers],
            "stopping": self.stopping,
            "logged": dict(self.logged),
            "by_validation": sorted(self.by_validation),
            "steps": self.steps,
            "seconds": self.seconds,
            "random": copy.deepcopy(random),
        }

    def go_on(self, paused: dict[str, Any]) -> None:
        """Take over what ``pause`` gave; the module follows in ``restore``, the optimiser when it is made."""
        self.paused = paused
        if paused.get("again"):
            self.best.load_state_dict(copy.deepcopy(paused["best"]))
            self.again, self.seconds = True, paused["seconds"]
            return
        self.best.load_state_dict(copy.deepcopy(paused["best"]))
        for stopper, state in zip(self.stoppers, paused["stoppers"], strict=True):
            stopper.load_state_dict(copy.deepcopy(state))
        self.stopping = paused["stopping"]
        self.logged, self.by_validation = dict(paused["logged"]), set(paused["by_validation"])
        self.steps, self.seconds = paused["steps"], paused["seconds"]

    def restore(self) -> None:
        """Give the module what ``pause`` saved of it, after its ``setup``, as Lightning does."""
        if self.paused is not None:
            checkpoint = copy.deepcopy(self.paused["checkpoint"])
            self.module.on_load_checkpoint(checkpoint)
            self.module.load_state_dict(checkpoint["state_dict"])
