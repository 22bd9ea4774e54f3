"""One population: members of equal shapes, advanced by one Lightning Trainer after another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from lightning import LightningDataModule, Trainer

from autoact.core.trial import FAILED
from autoact.data.datamodule import TensorDataModule
from autoact.data.foreign_datamodule import prepared
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted, PauseAt, StopWhen
from autoact.training.lightning_session import SessionOptions, trainer_from
from autoact.training.population.member import Member
from autoact.training.population.member_group import Members
from autoact.training.population.population_module import PopulationModule
from autoact.training.population.seed_streams import Key, Stream, StreamBatches, StreamValidation
from autoact.training.state.best_epoch import State
from autoact.training.state.random_state import RandomState, random_state
from autoact.training.trainer_arguments import TRAINER_DEFAULTS


class Population:
    """Members with equal parameter shapes, trained equally far, that train in lockstep."""

    def __init__(self, task: Task, options: SessionOptions, members: Sequence[Member]) -> None:
        # Early stopping and its least epochs are each member's own, and nothing is validated before training.
        own = {key: value for key, value in task.trainer.items() if key != "min_epochs"}
        self.task = replace(task, trainer={**own, "num_sanity_val_steps": 0})
        self._least = task.trainer.get("min_epochs") or 0
        self.options = options
        self.all = list(members)
        self.streams = [
            Stream(key, task.datamodule(key.seed, key.fold), _random(members, key))
            for key in dict.fromkeys(member.key for member in members)
        ]

    def advance(self, to: int | None) -> None:
        """Train all that are active up to epoch ``to``, or to the end of the budget."""
        waiting = [member for member in self.all if member.active]
        if not waiting or (to is not None and waiting[0].epochs >= to):
            return
        started, before = time.perf_counter(), sum(member.seconds for member in waiting)
        members = Members(waiting, self.streams)
        module = PopulationModule(self.task, members, least=self._least)
        pause = PauseAt()
        pause.epoch = to
        arguments = dict(self.task.trainer)
        if members.own_batches:  # each stream has its own validation batches, and the limit holds for each
            arguments["limit_val_batches"] = 1.0
        trainer = trainer_from(arguments, self.options.device, [pause, StopWhen(self.options.stop_asked)])
        _go_on_from(trainer, waiting[0])
        try:
            self._fit(trainer, module)
        except Interrupted:
            module.interrupted()
        for member in waiting:
            member.module._trainer = None
        self._settle(waiting, to)
        # What no epoch took is shared by all: seconds add up to the time on the clock.
        rest = time.perf_counter() - started - (sum(member.seconds for member in waiting) - before)
        for member in waiting:
            member.seconds += rest / len(waiting)

    def _fit(self, trainer: Trainer, module: PopulationModule) -> None:
        """One call of ``fit``; the random numbers go on from their last state."""
        if len(self.streams) == 1:
            (stream,) = self.streams
            stream.begin()
            trainer.fit(module, datamodule=stream.datamodule)
            stream.random = random_state()
            return
        for stream in self.streams:
            if stream.random is None:
                stream.begin()
                stream.random = random_state()
        for stream in self.streams:
            if isinstance(stream.datamodule, TensorDataModule):
                stream.datamodule.place(self.options.device)
        loaders = [prepared(stream.datamodule).train_dataloader() for stream in self.streams]
        validation = [stream.datamodule.val_dataloader() for stream in self.streams]
        limit = self.task.trainer.get("limit_val_batches")
        trainer.fit(module, StreamBatches(loaders, self.streams), StreamValidation(validation, self.streams, limit))

    def _settle(self, waiting: Sequence[Member], to: int | None) -> None:
        """After a call of ``fit``: members are done, or only paused."""
        most = self.task.trainer.get("max_epochs", TRAINER_DEFAULTS["max_epochs"])
        bounded = most is not None and most > 0
        for member in waiting:
            if not member.active:
                continue
            spent = bounded and member.epochs >= most
            if to is None or spent or member.epochs < to:
                member.check_validated(most if bounded else None)
                member.finish()
            else:
                member.watch.closed(member.module)
                member.watch.ended(member.module, member.optimizers)
                member.restarts = member.watch.lossy

    def checkpoint(self, member: Member) -> State:
        """The state of a paused member."""
        stream = next(stream for stream in self.streams if stream.key == member.key)
        return member.pause(stream.random)

    def score(self, test: LightningDataModule) -> dict[int, float]:
        """The monitored value of every complete member on the rows of ``test``."""
        members = Members(self.all, self.streams[:1])
        complete = members.complete
        if not complete:
            return {}
        arguments = dict(self.task.trainer)
        if "limit_val_batches" in arguments:  # the user's limit is for the search, not for the final check
            arguments["limit_val_batches"] = arguments.get("limit_test_batches", 1.0)
        module = PopulationModule(self.task, members)
        trainer = trainer_from(arguments, self.options.device, [])
        for member in complete:
            member.module.to(self.options.device)
        trainer.validate(module, datamodule=test, verbose=False)
        scores = module.scores(test)
        for member in complete:
            member.module._trainer = None
            if member.failure is not None:
                member.failure = (FAILED, f"on the test rows: {member.failure[1]}")
            elif member.number in scores:
                _, member.replicates, member.details = scores[member.number]
        return {m.number: scores[m.number][0] for m in complete if m.failure is None and m.number in scores}


def _random(members: Sequence[Member], key: Key) -> RandomState | None:
    """The random numbers of a stream, where its members were paused."""
    paused = [m.paused for m in members if m.key == key and m.paused is not None]
    return paused[0]["random"] if paused else None


def _go_on_from(trainer: Trainer, member: Member) -> None:
    """Let a fresh Trainer believe that it has trained as far as the member has."""
    loop = trainer.fit_loop
    vars(loop.epoch_progress.current).update(
        dict.fromkeys(("ready", "started", "processed", "completed"), member.epochs)
    )
    steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    steps.total.ready = steps.total.completed = member.steps
    loop.epoch_loop._batches_that_stepped = member.steps
    # Its first epoch asks the loader for an iterator once, as every other epoch does.
    loop._resuming_from_checkpoint = member.epochs > 0
