"""A session that trains one candidate at a time through a Lightning Trainer."""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from autoact.core.errors import AutoactError, unknown
from autoact.core.records import COMPLETE, FAILED, STOPPED, Candidate, TrialRecord
from autoact.sites import apply_
from autoact.tasks.task import Task
from autoact.training.callbacks import (
    BestEpoch,
    Diverged,
    Interrupted,
    OptimizerSettings,
    PauseAt,
    PredictionScore,
    StopWhen,
)
from autoact.training.quiet import quiet_lightning

TRAINER_DEFAULTS: Mapping[str, Any] = {
    "max_epochs": 50,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class Run:
    """One candidate in training: its module, its Trainer, and what is known of it so far."""

    def __init__(self, number: int, candidate: Candidate, task: Task, options: SessionOptions) -> None:
        self.number = number
        self.candidate = candidate
        self.task = task
        self.best = BestEpoch(task.monitor, task.mode)
        self.pause = PauseAt()
        self.seconds = 0.0
        self.failure: tuple[str, str] | None = None
        self.finished = False
        self.saved: bytes | None = None
        lightning.seed_everything(candidate.seed, verbose=False)
        self.module = build_module(task, candidate, rescale=options.rescale)
        self.datamodule = task.make_datamodule(candidate.seed)
        self._options = options
        self._callbacks = [*task.make_callbacks(), self.best, self.pause, OptimizerSettings(candidate.settings)]
        if task.metric is not None:
            # The score is logged before anything monitors it.
            self._callbacks.insert(0, PredictionScore(task.metric, task.monitor))
        if options.patience is not None:
            self._callbacks.append(EarlyStopping(task.monitor, mode=task.mode, patience=options.patience))
        self._callbacks.append(StopWhen(options.stop_asked))
        self.trainer = self._trainer()

    def _trainer(self) -> lightning.Trainer:
        """A Trainer with the user's arguments over the defaults."""
        arguments = {**TRAINER_DEFAULTS, **_placement(self._options.device), **self.task.trainer}
        if any(isinstance(callback, Checkpoint) for callback in self._callbacks):
            arguments["enable_checkpointing"] = True
        return lightning.Trainer(**arguments, callbacks=self._callbacks)

    @property
    def budget(self) -> int | None:
        """The epochs that a full training takes; None where the user bounds it otherwise."""
        return self.trainer.max_epochs if self.trainer.max_epochs and self.trainer.max_epochs > 0 else None

    def advance(self, to: int | None) -> None:
        """Train up to epoch ``to``; failures are kept as reasons."""
        if self.failure or self.finished or (to is not None and self.epochs >= to):
            return
        self.pause.epoch = to
        started = time.perf_counter()
        try:
            self._fit()
        except (Diverged, FloatingPointError, torch.cuda.OutOfMemoryError) as error:
            self.failure = (FAILED, str(error).splitlines()[0])
        except Interrupted:
            self.failure = (STOPPED, "interrupted by the user")
        finally:
            self.seconds += time.perf_counter() - started
        self._settle(to)

    def _fit(self) -> None:
        """One call of ``fit``, from the start or from the saved state."""
        with tempfile.TemporaryDirectory() as folder:
            path = None
            if self.saved is not None:
                self.trainer = self._trainer()
                path = Path(folder) / "paused.ckpt"
                path.write_bytes(self.saved)
            else:
                lightning.seed_everything(self.candidate.seed, verbose=False)
            self.trainer.fit(self.module, datamodule=self.datamodule, ckpt_path=path, weights_only=False)

    def _settle(self, to: int | None) -> None:
        """After a call of ``fit``: finished, or paused with its state saved."""
        if self.failure:
            return
        if self.best.value is None:
            raise AutoactError(
                f"validation never ran: the monitored value {self.task.monitor} needs at least one validation epoch "
                f"(trainer.max_epochs={self.trainer.max_epochs})"
            )
        self.finished = to is None or self.epochs < to or (self.budget is not None and self.epochs >= self.budget)
        if self.finished:
            self.saved = None
            self.best.restore_(self.module)
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "paused.ckpt"
                self.trainer.save_checkpoint(path)
                self.saved = path.read_bytes()

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        return len(self.best.curve)

    def record(self) -> TrialRecord:
        """What is known of the candidate."""
        status, reason = self.failure or (COMPLETE if self.finished else STOPPED, "" if self.finished else "paused")
        return TrialRecord(
            number=self.number,
            candidate=self.candidate,
            status=status,
            quality=self.best.value,
            metrics=self.best.metrics,
            curve=tuple(self.best.curve),
            best_epoch=self.best.epoch,
            epochs=self.epochs,
            seconds=self.seconds,
            reason=reason,
        )


class SessionOptions:
    """How a session trains.

    Attributes:
        device: where: ``cpu``, ``cuda:0``, ``mps``.
        patience: epochs without a better validation value before a training stops; None: only the user's own callbacks.
        rescale: scale initial weights to each activation's gain (see ``autoact.sites.rescale_``).
        stop_asked: asked between batches; true gives the training up.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        patience: int | None = None,
        rescale: bool = True,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.patience = patience
        self.rescale = rescale
        self.stop_asked = stop_asked


class LightningSession:
    """Trains its candidates one after the other; see ``autoact.training.session.Session`` for the life cycle."""

    def __init__(self, task: Task, options: SessionOptions | None = None) -> None:
        self.task = task
        self.options = options or SessionOptions()
        self.runs: dict[int, Run] = {}

    def start(self, candidates: Sequence[tuple[int, Candidate]]) -> None:
        """Build a fresh module for each candidate."""
        with quiet_lightning():
            for number, candidate in candidates:
                self.runs[number] = Run(number, candidate, self.task, self.options)

    def advance(self, to: int | None = None) -> list[TrialRecord]:
        """Train each up to epoch ``to``, or to the end; returns a record each, in the order of the start."""
        with quiet_lightning():
            for run in self.runs.values():
                run.advance(to)
        return [run.record() for run in self.runs.values()]

    def keep(self, numbers: Collection[int]) -> None:
        """Drop the others."""
        self.runs = {number: run for number, run in self.runs.items() if number in numbers}

    def score(self, test: Any) -> dict[int, float]:
        """The monitored metric on the opened test rows, by the module's own ``validation_step``."""
        scores = {}
        with quiet_lightning():
            for number, run in self.runs.items():
                if run.record().complete:
                    run.trainer.validate(run.module, datamodule=test, verbose=False)
                    scores[number] = float(run.trainer.callback_metrics[self.task.monitor])
        return scores

    def modules(self) -> dict[int, lightning.LightningModule]:
        """The modules, by number, with the weights of the best epoch where complete."""
        return {number: run.module for number, run in self.runs.items()}

    def checkpoint(self) -> dict[str, Any]:
        """The state of every run that is paused or untouched."""
        pending = [run for run in self.runs.values() if not run.finished and run.failure is None]
        return {
            str(run.number): {"candidate": run.candidate.to_dict(), "saved": run.saved, "seconds": run.seconds}
            for run in pending
        }

    def resume(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on with the runs of a checkpoint."""
        for number, state in checkpoint.items():
            self.start([(int(number), Candidate.from_dict(state["candidate"]))])
            run = self.runs[int(number)]
            run.saved, run.seconds = state["saved"], state["seconds"]


def build_module(task: Task, candidate: Candidate, *, rescale: bool) -> Any:
    """A fresh module of the task that carries the candidate's assignment."""
    module = task.make_module()
    module.configure_model()
    if candidate.assignment:
        apply_(module, candidate.assignment, example_input=task.example_input, rescale=rescale)
    return module


def check_trainer(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that ``lightning.Trainer`` does not take.

    Raises:
        AutoactError: names the argument and the nearest ones.
    """
    allowed = [
        name for name in inspect.signature(lightning.Trainer.__init__).parameters if name not in ("self", "callbacks")
    ]
    for name in arguments:
        if name == "callbacks":
            raise AutoactError("trainer.callbacks: name callbacks by reference, callbacks=[package.module:Class]")
        if name not in allowed:
            raise unknown("argument of lightning.Trainer", name, allowed)


def _placement(device: torch.device) -> dict[str, Any]:
    """Trainer arguments that put a training on ``device``."""
    if device.type == "cuda":
        return {"accelerator": "gpu", "devices": [device.index or 0]}
    return {"accelerator": device.type, "devices": 1}
