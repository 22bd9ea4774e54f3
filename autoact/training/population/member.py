"""One member of a population: its module, its optimiser, and how far it has come."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities.types import LRSchedulerConfig

from autoact.core.errors import first_line
from autoact.core.trial import FAILED, Candidate
from autoact.core.value_holders import Batch
from autoact.tasks.task import Task
from autoact.training.callbacks import Patience
from autoact.training.lightning_session import SessionOptions, build_module
from autoact.training.population.seed_streams import Key
from autoact.training.state.best_epoch import Best, State, copied_weights
from autoact.training.state.random_state import RandomState
from autoact.training.state.training_state import TrainingState
from autoact.training.state.unsaved_state import Unsaved


class Member(TrainingState):
    """A candidate in training; its weights are rows of the population's stacked tensors while it trains.

    Attributes:
        module: the user's own module; it can be used as it is at any time.
        activation_rate: factor of the learning rate of activations that were put in.
        stoppers: early stopping: the task's own callbacks and ``search.patience``.
        optimizer: what the module configured, once training has begun.
        stopping: early stopping, or the module itself, has asked to stop it.
        logged: what was logged last, by name, as the Trainer's ``callback_metrics`` would have it.
        by_validation: names that only validations have logged.
        watch: compares what it holds beside what a checkpoint does, from the beginning of a call of ``fit``.
    """

    watch: Unsaved

    def __init__(self, number: int, candidate: Candidate, task: Task, options: SessionOptions) -> None:
        super().__init__(number, candidate, task)
        lightning.seed_everything(candidate.seed, verbose=False)
        self.module = build_module(task, candidate, rescale=options.rescale)
        self.activation_rate = options.activation_rate
        self.best = Best(task.monitor, task.mode)
        self.stoppers = [c for c in task.make_callbacks() if type(c) is EarlyStopping]
        if options.patience is not None:
            self.stoppers.append(Patience(task.monitor, mode=task.mode, patience=options.patience))
        self.steps = 0
        self.optimizer: torch.optim.Optimizer | None = None
        self.schedulers: list[LRSchedulerConfig] = []
        self.stopping = False
        self.logged: dict[str, float] = {}
        self.by_validation: set[str] = set()
        self.paused: State | None = None

    @property
    def key(self) -> Key:
        """Its seed, its fold and its dropout."""
        return Key(self.candidate.seed, self.candidate.fold, self.candidate.settings.get("dropout"))

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Its optimiser in a list, as a Trainer has it; empty before training."""
        return [] if self.optimizer is None else [self.optimizer]

    def validate(self, batch: Batch, batch_idx: int) -> object:
        """The module's own ``validation_step``."""
        step = self.module.validation_step
        return step(batch, batch_idx) if len(inspect.signature(step).parameters) > 1 else step(batch)

    def fail(self, reason: str | Exception) -> None:
        """It fails alone, for this reason."""
        self.failure = (FAILED, reason if isinstance(reason, str) else first_line(reason))

    def epoch_ended(self, logged: Mapping[str, float], validated: Mapping[str, float] | None, epoch: int) -> None:
        """Append an epoch (from 1) to the curve as a Trainer's callback sees it: with all that is logged by then.

        Where it was not ``validated`` (None), what an earlier validation logged is left out.
        """
        self.logged |= logged
        stale = set() if validated is not None else self.by_validation - set(logged)
        self.best.ended({name: value for name, value in self.logged.items() if name not in stale}, epoch)

    def stop(self, logged: Mapping[str, float], validated: Mapping[str, float] | None) -> None:
        """Ask the early stopping about the epoch that has ended; arguments are those of ``epoch_ended``."""
        for stopper in self.stoppers:
            if validated is None and stopper.monitor not in logged:
                continue  # nothing new to judge by
            values = validated if stopper._check_on_train_epoch_end is False and validated is not None else logged
            if stopper._validate_condition_metric({name: torch.tensor(value) for name, value in values.items()}):
                over, _ = stopper._evaluate_stopping_criteria(torch.tensor(values[stopper.monitor]))
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

    def pause(self, random: RandomState | None) -> State:
        """Everything that goes on in another population, with the state of the random numbers."""
        if self.restarts:
            return {"again": True, "best": self.best.without_weights(), "seconds": self.seconds, "random": None}
        if self.optimizer is None:
            assert self.paused is not None, "it has trained before"
            return self.paused
        checkpoint: State = {"state_dict": copied_weights(self.module)}
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

    def go_on(self, paused: State) -> None:
        """Take over what ``pause`` gave; the module follows in ``restore``, the optimiser when it is made."""
        self.paused, self.seconds = paused, paused["seconds"]
        self.best.load_state_dict(copy.deepcopy(paused["best"]))
        if paused.get("again"):
            self.restarts = True
            return
        for stopper, state in zip(self.stoppers, paused["stoppers"], strict=True):
            stopper.load_state_dict(copy.deepcopy(state))
        self.stopping = paused["stopping"]
        self.logged, self.by_validation = dict(paused["logged"]), set(paused["by_validation"])
        self.steps = paused["steps"]

    def restore(self) -> None:
        """Give the module what ``pause`` saved of it, after its ``setup``, as Lightning does."""
        if self.paused is not None:
            checkpoint = copy.deepcopy(self.paused["checkpoint"])
            self.module.on_load_checkpoint(checkpoint)
            self.module.load_state_dict(checkpoint["state_dict"])
