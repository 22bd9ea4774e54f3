"""One population: members of equal shapes, advanced by one Lightning Trainer after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import lightning

from autoact.core.errors import AutoactError
from autoact.core.trial import FAILED
from autoact.data.datamodule import TensorDataModule
from autoact.data.first_batch import prepared
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted, PauseAt, StopWhen
from autoact.training.lightning_session import SessionOptions, trainer_for
from autoact.training.population.member import Member
from autoact.training.population.member_group import Members
from autoact.training.population.population_module import PopulationModule
from autoact.training.population.seed_streams import Key, Stream, StreamBatches, StreamValidation, key_of
from autoact.training.state.random_state import random_state


class Population:
    """Members that train in lockstep.

    Args:
        task: what is trained.
        options: how.
        members: with equal parameter shapes, trained equally far.
    """

    def __init__(self, task: Task, options: SessionOptions, members: Sequence[Member]) -> None:
        # Early stopping and its least epochs are each member's own affair, and nothing is judged before training.
        own = {key: value for key, value in task.trainer.items() if key != "min_epochs"}
        self.task = replace(task, trainer={**own, "num_sanity_val_steps": 0})
        self._least = task.trainer.get("min_epochs") or 0
        self.options = options
        self.all = list(members)
        self.streams = [
            Stream(key, task.datamodule(*key), _random(members, key))
            for key in dict.fromkeys(key_of(member.candidate) for member in members)
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
        task = self.task
        if members.own_batches:  # each stream has its own validation batches, and the limit holds for each
            task = replace(task, trainer={**task.trainer, "limit_val_batches": 1.0})
        trainer = trainer_for(task, self.options.device, [pause, StopWhen(self.options.stop_asked)])
        _go_on_from(trainer, waiting[0])
        try:
            self._fit(trainer, module)
        except Interrupted:
            module.interrupted()
        for member in waiting:
            member.module._trainer = None
        self._settle(waiting, trainer, to)
        # What no epoch took is everybody's: seconds add up to the time on the clock.
        rest = time.perf_counter() - started - (sum(member.seconds for member in waiting) - before)
        for member in waiting:
            member.seconds += rest / len(waiting)

    def _fit(self, trainer: lightning.Trainer, module: PopulationModule) -> None:
        """One call of ``fit``; the random numbers go on where they stood."""
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
        loaders = [_loader(stream.datamodule, "train_dataloader", setup=True) for stream in self.streams]
        judging = [_loader(stream.datamodule, "val_dataloader", setup=False) for stream in self.streams]
        limit = self.task.trainer.get("limit_val_batches")
        trainer.fit(module, StreamBatches(loaders, self.streams), StreamValidation(judging, self.streams, limit))

    def _settle(self, waiting: Sequence[Member], trainer: lightning.Trainer, to: int | None) -> None:
        """After a call of ``fit``: who is done, and who is only paused."""
        most = trainer_budget(self.task)
        for member in waiting:
            if not member.active:
                continue
            spent = most is not None and member.epochs >= most
            if to is None or spent or member.epochs < to:
                if member.best.value is None:
                    raise AutoactError(
                        f"validation never ran: the monitored value {self.task.monitor} needs at least one validation "
                        f"epoch (trainer.max_epochs={most})"
                    )
                member.finish()
            elif member.watch is not None:
                member.watch.closed(member.module)
                member.watch.ended(member.module, [member.optimizer])
                member.again = member.watch.found

    def checkpoint(self, member: Member) -> dict[str, Any]:
        """The state of a paused member."""
        stream = next(stream for stream in self.streams if stream.key == key_of(member.candidate))
        return member.pause(stream.random)

    def score(self, test: Any) -> dict[int, float]:
        """The monitored value of every complete member on the rows of ``test``."""
        complete = [member for member in self.all if member.finished and member.failure is None]
        if not complete:
            return {}
        arguments = dict(self.task.trainer)
        if "limit_val_batches" in arguments:  # the user's limit is for the search, not for the final check
            arguments["limit_val_batches"] = arguments.get("limit_test_batches", 1.0)
        module = PopulationModule(self.task, Members(complete, self.streams[:1]))
        trainer = trainer_for(replace(self.task, trainer=arguments), self.options.device, [])
        for member in complete:
            member.module.to(self.options.device)
        trainer.validate(module, datamodule=test, verbose=False)
        found = module.scores()
        for member in complete:
            member.module._trainer = None
            if member.failure is not None:
                member.failure = (FAILED, f"on the test rows: {member.failure[1]}")
            elif member.number in found:
                member.replicates = found[member.number][1]
        return {m.number: found[m.number][0] for m in complete if m.failure is None and m.number in found}


def trainer_budget(task: Task) -> int | None:
    """Epochs of a whole training; None where nothing bounds them."""
    most = task.trainer.get("max_epochs", 50)
    return most if most is not None and most > 0 else None


def _random(members: Sequence[Member], key: Key) -> Any:
    """The random numbers of a stream, where its members were paused."""
    paused = [m.paused for m in members if key_of(m.candidate) == key and m.paused is not None]
    return paused[0]["random"] if paused else None


def _go_on_from(trainer: lightning.Trainer, member: Member) -> None:
    """Let a fresh Trainer believe that it has trained as far as the member has."""
    loop = trainer.fit_loop
    epochs: Any = loop.epoch_progress.current
    steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    epochs.ready = epochs.started = epochs.processed = epochs.completed = member.epochs
    steps.total.ready = steps.total.completed = member.steps
    loop.epoch_loop._batches_that_stepped = member.steps
    # Its first epoch asks the loader for an iterator once, as every other epoch does.
    loop._resuming_from_checkpoint = member.epochs > 0


def _loader(datamodule: Any, name: str, *, setup: bool) -> Any:
    """A datamodule's loader, asked for without a Trainer."""
    if setup:
        prepared(datamodule)
    make: Callable[[], Any] = getattr(datamodule, name)
    return make()
