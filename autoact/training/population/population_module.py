"""The LightningModule that trains a population: one Trainer for all members."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import lightning
from lightning import LightningDataModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torch.optim import Optimizer

from autoact.core.errors import AutoactError
from autoact.core.trial import RAISED, STOPPED, Role
from autoact.core.value_holders import Batch, PlainData
from autoact.tasks.task import Task
from autoact.training.callbacks import Interrupted
from autoact.training.log_standins import logging_to
from autoact.training.population.hooks import AFTER, VALIDATION_HOOKS, WITH_GRADIENTS, hand_trainer, has_hook
from autoact.training.population.member import Member
from autoact.training.population.member_group import Members, PopulationOptimizer
from autoact.training.population.metric_logging import Logged
from autoact.training.population.optimizers import clip
from autoact.training.population.vmap.errors import CannotBatchError, SeedsApartError
from autoact.training.population.vmap.stacked_parameters import names_of
from autoact.training.predictions import Predictions
from autoact.training.score_details import score_details
from autoact.training.state.best_epoch import Diverged, weights_are_finite
from autoact.training.state.random_state import RandomState, random_state, restore_random_state, same_random_state
from autoact.training.state.unsaved_state import Unsaved
from autoact.training.user_errors import said


class PopulationModule(lightning.LightningModule):
    """Trains every member on the batches that a Trainer hands out; validates each with its own ``validation_step``.

    Every member trains ``least`` epochs, whatever early stopping says.
    """

    def __init__(self, task: Task, members: Members, *, least: int = 0) -> None:
        super().__init__()
        self._least = least
        self.task = task
        self.members = members
        self._logged = Logged(training=True)
        self._metrics_logged: dict[int, Logged] = {}
        self._validated: dict[int, dict[str, float]] = {}
        self._validation: dict[int, Logged] = {}
        self._predictions: dict[int, Predictions] = {}
        self._modes: list[tuple[nn.Module, bool]] = []
        self._since = 0.0
        self._epoch_random: RandomState = {}
        self._batch: Batch = None
        self._optimizer: PopulationOptimizer

    def setup(self, stage: str) -> None:
        """Every member's own, before anything is stacked.

        Raises:
            CannotBatchError: it makes or replaces layers.
        """
        members = self.members.all if stage == "fit" else self.members.complete
        before = [names_of(member.module) for member in members]
        for member in members:
            hand_trainer(member, self.trainer)
            member.module._device = self.device
        self._run_hook("setup", members, stage)
        if before != [names_of(member.module) for member in members]:
            raise CannotBatchError("setup makes or replaces layers")
        for member in members:
            member.restore()

    def configure_optimizers(self) -> PopulationOptimizer:
        """Stack the members where the Trainer put this module."""
        self.members.stack_up(self.device, self.trainer)
        self._optimizer = PopulationOptimizer(self.members)
        return self._optimizer

    def on_fit_start(self) -> None:
        """Every member's own; from here on members are compared for what a pause would lose."""
        for member in self.members.active:
            member.watch = Unsaved(member.module, member.optimizers, (), [c.scheduler for c in member.schedulers])
        self._run_hook("on_fit_start", self.members.active)

    def on_train_start(self) -> None:
        """Start the clock; then every member's own."""
        self._since = time.perf_counter()
        self._run_hook("on_train_start", self.members.active)
        for member in self.members.active:
            member.watch.started(member.module, member.optimizers)

    def on_train_epoch_start(self) -> None:
        """Every member's own; with several seeds, nothing may be drawn from now on but from one of them."""
        self._run_hook("on_train_epoch_start", self.members.active)
        if self.members.own_batches:
            self._epoch_random = random_state()

    def on_train_end(self) -> None:
        """The hooks at the end of a training, of the members that are left."""
        for member in self.members.active:
            member.watch.ending(member.module)
        self._close(self.members.active)

    def teardown(self, stage: str) -> None:
        """Every member's own, after validation alone; at the end of a training each has had it."""
        if stage != "fit":
            self._run_hook("teardown", self.members.complete, stage)

    def _close(self, members: Sequence[Member]) -> None:
        """The hooks of these members at the end of a call of ``fit``."""
        for hook in AFTER:
            self._run_hook(hook, members, *(["fit"] if hook == "teardown" else []))

    def _run_hook(self, name: str, members: Sequence[Member], *arguments: object) -> None:
        """A hook around training, of each member that has one: all of a seed from the same random numbers.

        Raises:
            SeedsApartError: it draws some; with several seeds, batches are drawn at other times than alone.
        """
        having = [member for member in members if member.failure is None and has_hook(member.module, name)]
        fitting = self.trainer.state.fn == "fit"
        raised: dict[int, Exception] = {}
        for stream, members_of_stream in self.members.by_stream(having) if fitting else [(None, having)]:
            with stream.drawing() if stream is not None else nullcontext():
                state, ends = random_state(), list[RandomState]()
                for member in members_of_stream:
                    restore_random_state(state)
                    with self._failing_alone(member, raised, name), self._logs_of_hook(member, name):
                        given = (member.optimizer,) if name == "on_before_optimizer_step" else arguments
                        getattr(member.module, name)(*given)
                    ends.append(random_state())
                # The first member that asks the Trainer for the number of steps makes it open its loaders, which draws.
                alike = ends if name in WITH_GRADIENTS else ends[1:]
                if not all(same_random_state(one, alike[0]) for one in alike[1:]):
                    raise CannotBatchError(f"{name} draws more random numbers for one candidate than for another")
                restore_random_state(ends[0] if ends else state)
                if stream is not None and not same_random_state(state, random_state()):
                    raise SeedsApartError
        self._refuse_if_all(raised, having)
        if having and fitting and name != "setup" and self.members.active:
            self.members.take_over(name)

    @contextmanager
    def _logs_of_hook(self, member: Member, name: str) -> Iterator[None]:
        """``self.log`` inside a hook around training, where Lightning lets it be called."""
        by_step = name in WITH_GRADIENTS
        if not (by_step or name.startswith("on_train_")) or name == "on_train_end":
            yield
            return
        logged = self._metrics_logged.setdefault(member.number, Logged(training=True))
        take = logged.taker(self._batch) if by_step else logged.taker(None, {"on_step": False, "on_epoch": True})
        with logging_to(member.module, take):
            yield

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of every member; the sum of their losses, whose gradients do not mix."""
        self._optimizer.batch_idx = batch_idx
        step = self.members.losses(batch, batch_idx)
        one = self._batch = batch[0] if self.members.own_batches else batch
        for name, value, options in step.logged:
            self._logged.add(name, value, options, one)
        for row, member in enumerate(self.members.active if step.metric_calls else ()):
            logged = self._metrics_logged.setdefault(member.number, Logged(training=True))
            step.log_metrics(member.module, row, logged.taker(one))
        if self.trainer.should_stop:
            raise CannotBatchError("training_step stops the Trainer")
        return step.loss_k.sum()

    def on_after_backward(self) -> None:
        """Every member's own."""
        self._run_with_gradients("on_after_backward")

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Every member's own."""
        self._run_with_gradients("on_before_optimizer_step")

    def _run_with_gradients(self, name: str) -> None:
        """A hook that may read its member's gradients, and write into them.

        Raises:
            CannotBatchError: it puts other tensors in their place.
        """
        if not any(has_hook(member.module, name) for member in self.members.active[:1]):
            return
        self.members.kept.hand_out()
        self.members.bind_grads()
        self._run_hook(name, self.members.active)
        if not self.members.stack.still_bound():
            raise CannotBatchError(f"{name} puts other tensors in the place of gradients")

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip every member by itself."""
        if gradient_clip_val:
            self.members.bind_grads()
            entries = self.members.stepped()
            clip(entries, len(self.members.active), float(gradient_clip_val), gradient_clip_algorithm or "norm")

    def on_validation_start(self) -> None:
        """Put every member into evaluation mode."""
        if self.trainer.state.fn == "fit":
            self.members.kept.hand_out()
        self._modes = [(part, part.training) for member in self._judged for part in member.module.modules()]
        self._validation = {member.number: Logged(training=False) for member in self._judged}
        if self.task.metric is not None:
            self._predictions = {member.number: Predictions(self.task.metric) for member in self._judged}
            for member in self._judged if self.trainer.state.fn != "fit" else ():
                self._predictions[member.number].decide_as(member.best.metrics)
        for member in self._judged:
            member.module.eval()
            for hook in VALIDATION_HOOKS[:2]:
                self._hook(member, hook, None)

    @property
    def _judged(self) -> list[Member]:
        """The members that are validated: the active ones in training, else all that are complete."""
        return self.members.active if self.trainer.state.fn == "fit" else self.members.complete

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Every member's own, one after the other, each from the same state of the random numbers."""
        if self.trainer.state.fn == "fit" and self.members.own_batches:
            stream, batch_idx, batch = batch
            with self.members.streams[stream].drawing():
                self._judge(self.members.judged(stream), batch, batch_idx)
        else:
            self._judge([m for m in self._judged if m.failure is None], batch, batch_idx)

    def _judge(self, members: Sequence[Member], batch: Batch, batch_idx: int) -> None:
        state = random_state()
        raised: dict[int, Exception] = {}
        for member in members:
            restore_random_state(state)
            take = self._validation[member.number].taker(batch)
            with self._failing_alone(member, raised), logging_to(member.module, take):
                self._hook(member, "on_validation_batch_start", batch, batch, batch_idx)
                outputs = member.validate(batch, batch_idx)
                if member.number in self._predictions:
                    self._predictions[member.number].add(member.module, outputs, batch)
                self._hook(member, "on_validation_batch_end", batch, outputs, batch, batch_idx)
        self._refuse_if_all(raised, members)

    def on_validation_epoch_end(self) -> None:
        """Score every member on all its rows."""
        self._validated = {}
        epoch = self.trainer.current_epoch + 1
        raised: dict[int, Exception] = {}
        members = [m for m in self._judged if m.failure is None]
        for member in members:
            with self._failing_alone(member, raised):
                before = set(member.logged)
                if is_overridden("on_validation_epoch_end", member.module):
                    member.logged |= self._validation[member.number].floats(over=False)
                    self._hook(member, "on_validation_epoch_end", None)
                logged = self._validation[member.number].floats()
                if member.number in self._predictions:
                    logged[self.task.monitor] = self._predictions[member.number].value(epoch)
                    logged |= self._predictions[member.number].threshold
                member.by_validation |= set(logged) - before
                self._validated[member.number] = logged
                if self.trainer.state.fn == "fit":
                    member.best.validated(logged, logged, epoch, member.module)
        self._refuse_if_all(raised, members)

    def on_validation_end(self) -> None:
        """Back to training, each part in the mode it had."""
        for member in self._judged:
            self._hook(member, "on_validation_end", None)
        for part, mode in self._modes:
            part.training = mode
        if self.trainer.state.fn == "fit":
            self.members.validated()

    def on_train_epoch_end(self) -> None:
        """Close the epoch: curves, early stopping, schedulers; those that are done leave the stack.

        Raises:
            SeedsApartError: random numbers were drawn that belong to no seed.
        """
        if self.members.own_batches and not same_random_state(self._epoch_random, random_state()):
            raise SeedsApartError
        now = time.perf_counter()
        share = (now - self._since) / max(1, len(self.members.active))
        self._since = now
        epoch = self.trainer.current_epoch + 1
        fresh = self._curves(epoch, share)
        closing, self._metrics_logged = self._metrics_logged, {}
        self.members.kept.hand_out()
        self._run_hook("on_train_epoch_end", self.members.active)
        for member in self.members.judged(None):
            late = self._metrics_logged[member.number].floats() if member.number in self._metrics_logged else {}
            member.logged |= late  # after the callbacks: they see it with the next epoch
            logged = fresh[member.number] | late
            member.stop(logged, self._validated.get(member.number))
            self.members.stepper.epoch_ended(member, epoch, logged)
        for logged_by_member in closing.values():
            logged_by_member.close()
        self._logged, self._metrics_logged, self._validated = Logged(training=True), {}, {}
        self._close([m for m in self.members.active if m.stopping and epoch >= self._least])
        self.members.leave(epoch, least=self._least)
        if not self.members.active:
            self.trainer.should_stop = True

    def _curves(self, epoch: int, share: float) -> dict[int, dict[str, float]]:
        """Append an epoch to every member's curve, and ``share`` seconds to its time; what it logged, by number."""
        fresh: dict[int, dict[str, float]] = {}
        columns = {name: value.tolist() for name, value in self._logged.values().items() if value.dim() == 1}
        for row, member in enumerate(self.members.active):
            member.seconds += share
            if member.failure is not None:
                continue
            trained = {name: float(column[row]) for name, column in columns.items()}
            ending = {name: trained[name] for name in self._logged.names_at_end if name in trained}
            if member.number in self._metrics_logged:
                logged = self._metrics_logged[member.number]
                trained |= (values := logged.floats(over=False))
                ending |= {name: values[name] for name in logged.names_at_end if name in values}
            # As with Lightning: steps log before the validation, the end of an epoch after it.
            fresh[member.number] = trained | self._validated.get(member.number, {}) | ending
            member.epoch_ended(fresh[member.number], self._validated.get(member.number), epoch)
        return fresh

    def scores(self, test: LightningDataModule) -> dict[int, tuple[float, tuple[float, ...], PlainData]]:
        """After ``Trainer.validate``: each member's monitored value, its jackknife replicates and details."""
        scores: dict[int, tuple[float, tuple[float, ...], PlainData]] = {}
        for number, logged in self._validated.items():
            value, predictions = logged[self.task.monitor], self._predictions.get(number)
            if predictions is None:
                scores[number] = (value, (), {})
                continue
            replicates = predictions.replicates(ordered=self.task.ordered)
            scores[number] = (value, replicates, score_details(self.task, predictions, test))
        return scores

    def _hook(self, member: Member, name: str, batch: Batch, *arguments: object) -> None:
        """A member's own hook around validation, where it has one."""
        if is_overridden(name, member.module):
            with logging_to(member.module, self._validation[member.number].taker(batch)):
                getattr(member.module, name)(*arguments)

    @contextmanager
    def _failing_alone(
        self, member: Member, raised: dict[int, Exception], where: str = "its validation"
    ) -> Iterator[None]:
        """A member that diverged fails alone, and one whose own code raises, unless it is the baseline's.

        ``raised`` takes what it raised with finite weights, ``where`` names the code in the reason.
        """
        try:
            yield
        except (Diverged, FloatingPointError) as error:
            member.fail(error)
        except (Interrupted, CannotBatchError):
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {said(error)}"
            if weights_are_finite(member.module):
                if member.candidate.role == Role.CONFIGURED or isinstance(error, AutoactError):
                    raise
                raised[member.number] = error
                member.fail(f"{RAISED} {text} in {where}")
            else:
                member.fail(f"weights are not finite, then {text}")
        if self.trainer.should_stop:  # by its own validation: that stops no other member
            member.stopping, self.trainer.should_stop = True, False

    @staticmethod
    def _refuse_if_all(raised: Mapping[int, Exception], members: Sequence[Member]) -> None:
        """Raise what every member's validation raised: no activation is to blame, but what all have in common."""
        if raised and len(raised) == len(members):
            for member in members:
                member.failure = None
            raise next(iter(raised.values()))

    def interrupted(self) -> None:
        """The user asked to stop: what trains is given up."""
        for member in self.members.active:
            member.failure = (STOPPED, "interrupted by the user")
            member.let_go()
