"""A session that trains one candidate at a time through a Lightning Trainer."""

from __future__ import annotations

import io
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.trainer.states import TrainerFn

from autoact.activations.registry import any_normalisation
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError, first_line
from autoact.core.trial import FAILED, RAISED, STOPPED, Candidate, Role, TrialRecord
from autoact.data.foreign_datamodule import first_of, prepared
from autoact.latency.model_call import to_device
from autoact.latency.timer import fixed_threads
from autoact.sites import apply_
from autoact.sites.initialise import holding
from autoact.sites.replacement.dropout import set_dropout_
from autoact.tasks.task import Task
from autoact.training.callbacks import (
    BestEpoch,
    Interrupted,
    OptimizerSettings,
    Patience,
    PauseAt,
    PredictionScore,
    StopWhen,
)
from autoact.training.ensembles.averaged_networks import AveragedNetworks
from autoact.training.preflight.loaded_weights import loaded_weights, sites_of
from autoact.training.preflight.one_step import site_at_fault
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.score_details import score_details
from autoact.training.state.best_epoch import Diverged, State, weights_are_finite
from autoact.training.state.random_state import (
    RandomState,
    preserved_random_state,
    random_state,
    restore_random_state,
)
from autoact.training.state.training_state import TrainingState
from autoact.training.state.unsaved_state import UnsavedState
from autoact.training.trainer_arguments import TRAINER_DEFAULTS, TrainerArguments
from autoact.training.user_errors import lone_row, said

CPU = torch.device("cpu")


class Run(TrainingState):
    """One candidate in training, with a module and a Trainer of its own."""

    best: BestEpoch

    def __init__(self, number: int, candidate: Candidate, task: Task, options: SessionOptions) -> None:
        super().__init__(number, candidate, task)
        self.best = BestEpoch(task.monitor, task.mode)
        self.pause = PauseAt()
        self.saved: bytes | None = None
        self.random: RandomState | None = None
        lightning.seed_everything(candidate.seed, verbose=False)
        self.module = build_module(task, candidate, rescale=options.rescale)
        self.datamodule = task.datamodule(candidate.seed, candidate.fold)
        self._options = options
        own = list(task.make_callbacks())
        self.unsaved = UnsavedState(own)
        settings = OptimizerSettings(candidate.settings, options.activation_rate)
        self._callbacks = [self.unsaved.first, *own, self.best, self.pause, settings, self.unsaved]
        if task.metric is not None:
            # The score is logged before anything monitors it.
            self._callbacks.insert(0, PredictionScore(task.metric, task.monitor))
        if options.patience is not None:
            self._callbacks.append(Patience(task.monitor, mode=task.mode, patience=options.patience))
        self._callbacks.append(StopWhen(options.stop_asked))
        self.trainer = self._trainer()
        most = self.trainer.max_epochs
        self.budget = most if most is not None and most > 0 else None

    def _trainer(self) -> Trainer:
        return trainer_from(self.task.trainer, self._options.device, self._callbacks)

    def advance(self, to: int | None) -> None:
        """Train up to epoch ``to``; failures are kept as reasons."""
        if not self.active or (to is not None and self.epochs >= to):
            return
        self.pause.epoch = to
        started = time.perf_counter()
        try:
            self._fit()
        except Interrupted:
            self.failure = (STOPPED, "interrupted by the user")
        except (Diverged, FloatingPointError, torch.OutOfMemoryError) as error:
            self.failure = (FAILED, first_line(error))
        except Exception as error:
            if lone := lone_row(error):
                raise lone from error
            # What the baseline raises, every candidate would: a bug, which keeps its traceback.
            if isinstance(error, AutoactError) or (
                self.candidate.role == Role.CONFIGURED and weights_are_finite(self.module)
            ):
                raise
            self.failure = (FAILED, self._raised(error))
        finally:
            self.seconds += time.perf_counter() - started
        self._settle(to)

    def _raised(self, error: Exception) -> str:
        """The reason of a failure: what the user's code raised with these activations, and at which site."""
        text = f"{type(error).__name__}: {said(error)}"
        if not weights_are_finite(self.module):  # code that meets nan raises whatever it likes
            return f"weights are not finite, then {text}"

        def build(assignment: Assignment) -> LightningModule:
            lightning.seed_everything(self.candidate.seed, verbose=False)
            candidate = replace(self.candidate, assignment=assignment)
            module = build_module(self.task, candidate, rescale=self._options.rescale)
            module.trainer = trainer
            module.setup("fit")
            return module.to(self._options.device)

        site = ""
        with preserved_random_state(), suppress(Exception):  # the user's loader may be what raised: no site is at fault
            datamodule = prepared(self.task.datamodule(self.candidate.seed, self.candidate.fold))
            batch = to_device(first_of(datamodule.train_dataloader()), self._options.device)
            with connected(self.task, self._options.device, self.module, datamodule) as trainer:
                site = site_at_fault(build, self.candidate.assignment, batch, error)
        return f"{RAISED} {text}{f'; already with {site} alone' if site else ''}"

    def _fit(self) -> None:
        """One call of ``fit``, from the start or from the saved state."""
        with tempfile.TemporaryDirectory() as folder:
            path = None
            if self.saved is not None:
                self.trainer = self._trainer()
                path = Path(folder) / "paused.ckpt"
                path.write_bytes(self.saved)
                assert self.random is not None, "saved together"
                restore_random_state(self.random)
            else:
                lightning.seed_everything(self.candidate.seed, verbose=False)
            self.trainer.fit(self.module, datamodule=self.datamodule, ckpt_path=path, weights_only=False)

    def _settle(self, to: int | None) -> None:
        """After a call of ``fit``: finished, or paused with its state saved."""
        if self.failure:
            return
        stopped = self.trainer.should_stop and self.epochs >= (self.trainer.min_epochs or 0)
        spent = self.budget is not None and self.epochs >= self.budget
        self.finished = to is None or self.epochs < to or stopped or spent
        if self.finished:
            self.saved = self.random = None
            self.check_validated(self.budget)
            self.best.restore_(self.module)
            return
        self.unsaved.closed(self.module)
        if self.unsaved.lossy:
            self.restarts = True
        else:
            self.random = random_state()
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "paused.ckpt"
                self.trainer.save_checkpoint(path)
                self.saved = path.read_bytes()

    def restarted(self) -> Run:
        """The same training, from its start; see ``restarts``."""
        fresh = Run(self.number, self.candidate, self.task, self._options)
        fresh.seconds = self.seconds
        return fresh

    def resume(self, state: State) -> None:
        """Take over a state of ``LightningSession.checkpoint``, with the epochs so far."""
        if state["saved"] is not None:
            self.saved, self.random, self.seconds = state["saved"], state["random"], state["seconds"]
            loaded = torch.load(io.BytesIO(state["saved"]), map_location="cpu", weights_only=False)
            self.best.load_state_dict(loaded["callbacks"][self.best.state_key])
        elif state.get("again") is not None:
            self.best.load_state_dict(state["again"])
            self.restarts, self.seconds = True, state["seconds"]

    def score(self, test: LightningDataModule) -> float | None:
        """The monitored value of the best epoch on the rows of ``test``; None where it is not finite: a failure."""
        if "limit_val_batches" in self.task.trainer:  # the user's limit is for the search, not for the final check
            self.trainer.limit_val_batches = self.task.trainer.get("limit_test_batches", 1.0)
        predictions = [callback for callback in self._callbacks if isinstance(callback, PredictionScore)]
        for callback in predictions:
            callback.decide_as(self.best.metrics)
        try:
            self.trainer.validate(self.module, datamodule=test, verbose=False)
            value = float(self.trainer.callback_metrics[self.task.monitor])
            if not math.isfinite(value):
                raise Diverged(f"{self.task.monitor} is {value}")
        except (Diverged, FloatingPointError) as error:
            self.failure = (FAILED, f"on the test rows: {first_line(error)}")
            return None
        except Exception as error:
            if isinstance(error, AutoactError) or self.candidate.role == Role.CONFIGURED:
                raise
            self.failure = (FAILED, f"on the test rows it {RAISED} {type(error).__name__}: {said(error)}")
            return None
        for callback in predictions:
            self.replicates = callback.replicates(ordered=self.task.ordered)
            self.details = score_details(self.task, callback, test)
        return value


@dataclass
class SessionOptions:
    """How a session trains.

    Attributes:
        device: where: ``cpu``, ``cuda:0``, ``mps``.
        patience: epochs without a better validation value before a training stops; None: only the user's own callbacks.
        rescale: change initial weights by each activation's rule (see ``autoact.sites.rescale_``).
        stop_asked: asked between batches; true gives the training up.
        threads: CPU threads while training; torch's own number unless given.
        population: candidates that train at once, at most; 1: one by one; None: all, where the task allows it.
        alone: why candidates train one by one; empty where they may train together; None: a session has to find out,
            and sets it for those that follow.
        activation_rate: factor of the learning rate of the weights of activations that were put in, which then have no
            weight decay; 1: they train as all others.
    """

    device: torch.device = CPU
    patience: int | None = None
    rescale: bool = True
    stop_asked: Callable[[], bool] = lambda: False
    threads: int | None = None
    population: int | None = None
    alone: str | None = None
    activation_rate: float = 1.0


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
        with quiet_lightning(), fixed_threads(self.options.threads):
            for number, run in self.runs.items():
                if run.restarts and (to is None or run.epochs < to):
                    self.runs[number] = run.restarted()
                self.runs[number].advance(to)
        return self.records()

    def score(self, test: LightningDataModule) -> dict[int, float]:
        """The monitored metric on the opened test rows, by the module's own ``validation_step``."""
        scores = {}
        with quiet_lightning(), fixed_threads(self.options.threads):
            for number, run in self.runs.items():
                if run.record().complete and (score := run.score(test)) is not None:
                    scores[number] = score
        return scores

    def records(self) -> list[TrialRecord]:
        """What is known of each candidate now."""
        return [run.record() for run in self.runs.values()]

    def modules(self) -> dict[int, LightningModule]:
        """The modules, by number, with the weights of the best epoch where complete."""
        return {number: run.module for number, run in self.runs.items()}

    def checkpoint(self) -> dict[str, State]:
        """The state of every run that is paused or untouched."""
        return {
            str(run.number): {
                "candidate": run.candidate.to_dict(),
                "saved": run.saved,
                "random": run.random,
                "seconds": run.seconds,
                "again": run.best.without_weights() if run.restarts else None,
            }
            for run in self.runs.values()
            if run.active
        }

    def resume(self, checkpoint: Mapping[str, State]) -> None:
        """Go on with the runs of a checkpoint."""
        for number, state in checkpoint.items():
            self.start([(int(number), Candidate.from_dict(state["candidate"]))])
            self.runs[int(number)].resume(state)


def build_module(task: Task, candidate: Candidate, *, rescale: bool, as_modules: bool = True) -> LightningModule:
    """A fresh module of the task with the candidate's assignment and dropout; sites are modules by default.

    Raises:
        AutoactError: the candidate has a dropout, and the module no layer where it could be set.
    """
    module: LightningModule = task.make_module()
    module.configure_model()
    if candidate.assignment:
        with holding(module, loaded_weights(task)):
            apply_(
                module,
                candidate.assignment,
                example_input=task.example_input,
                sites=sites_of(task, normalisations=any_normalisation(candidate.assignment.values())),
                rescale=rescale,
                as_modules=as_modules,
            )
    if (dropout := candidate.settings.get("dropout")) is not None:
        set_dropout_(module, dropout)
    return module


def served_module(task: Task, candidate: Candidate, device: torch.device, size: int = 1) -> LightningModule:
    """A fresh module of the task as it is served and timed: a call that stays a call is timed as one.

    Of an ensemble, it is one module that holds ``size`` networks.
    """
    networks = [build_module(task, candidate, rescale=False, as_modules=False).eval() for _ in range(size)]
    return (networks[0] if size == 1 else AveragedNetworks(networks)).to(device)


def trainer_from(given: TrainerArguments, device: torch.device, callbacks: Sequence[lightning.Callback]) -> Trainer:
    """A Trainer on ``device`` with the user's arguments over the defaults."""
    placement: TrainerArguments = {"accelerator": device.type, "devices": 1}
    if device.type == "cuda":
        placement = {"accelerator": "gpu", "devices": [device.index or 0]}
    # Modules write to self.logger.experiment: without a logger there is one that takes everything and keeps nothing.
    arguments = {**TRAINER_DEFAULTS, "logger": DummyLogger(), **placement, **given}
    if any(isinstance(callback, Checkpoint) for callback in callbacks):
        arguments["enable_checkpointing"] = True
    return Trainer(**arguments, callbacks=list(callbacks))


@contextmanager
def connected(
    task: Task, device: torch.device, module: LightningModule, datamodule: LightningDataModule
) -> Iterator[Trainer]:
    """A Trainer with the task's arguments that knows its module and its data; see ``attached``."""
    with attached(trainer_from(task.trainer, device, []), module, datamodule) as trainer:
        yield trainer


@contextmanager
def attached(trainer: Trainer, module: LightningModule, datamodule: LightningDataModule) -> Iterator[Trainer]:
    """A Trainer that is not asked to fit, and knows its module and its data as it does in ``fit``.

    Schedulers ask their Trainer how many steps there will be (``trainer.estimated_stepping_batches``), which makes it
    open its loaders: they are closed afterwards. The datamodule has been set up.
    """
    trainer.state.fn = TrainerFn.FITTING
    trainer.training = True
    trainer.strategy._lightning_module = module
    trainer._data_connector.attach_data(module, datamodule=datamodule)
    try:
        yield trainer
    finally:
        trainer.fit_loop.teardown()
