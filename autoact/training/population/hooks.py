"""The hooks of a LightningModule: which a population runs member by member, and what it tells them of the Trainer."""

from __future__ import annotations

import dis
import functools
from types import CodeType, FunctionType
from typing import Any

import lightning
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.types import LRSchedulerConfig

from autoact.training.population.member import Member
from autoact.training.population.vmap.errors import CannotBatchError

# Hooks around training: each member's own runs, one after the other.
BEFORE = ("on_fit_start", "on_train_start", "on_train_epoch_start")
AFTER = ("on_train_end", "on_fit_end", "teardown")
# What a module may do around its validation: each member's own runs, one after the other.
VALIDATION_HOOKS = (
    "on_validation_start",
    "on_validation_epoch_start",
    "on_validation_batch_start",
    "on_validation_batch_end",
    "on_validation_epoch_end",
    "on_validation_end",
)
# Hooks between a step's gradients and the optimiser: each member's own runs, and sees its own gradients.
WITH_GRADIENTS = ("on_after_backward", "on_before_optimizer_step")
# Hooks whose order or effect within a step is the user's own: a population has one step for all.
WITHIN_STEP = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_validation_model_eval",
    "on_validation_model_train",
    "on_validation_model_zero_grad",
    "on_before_zero_grad",
    "on_before_backward",
    "transfer_batch_to_device",
    "on_before_batch_transfer",
    "on_after_batch_transfer",
    "backward",
    "optimizer_step",
    "optimizer_zero_grad",
    "lr_scheduler_step",
    "configure_gradient_clipping",
    "configure_callbacks",
)
_NOTHING = frozenset({"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "COPY_FREE_VARS"})
_MEMBERS_OWN = frozenset(
    {
        "lr_scheduler_configs", "callback_metrics", "logged_metrics", "progress_bar_metrics", "model",
        "lightning_module",
    }
)  # fmt: skip


def has_hook(module: LightningModule, name: str) -> bool:
    """Whether a module has a hook of its own that does something.

    Example:
        >>> class Net(lightning.LightningModule):
        ...     def on_train_epoch_end(self):
        ...         pass
        ...     def on_train_start(self):
        ...         print("here we go")
        >>> has_hook(Net(), "on_train_epoch_end"), has_hook(Net(), "on_train_start"), has_hook(Net(), "on_fit_start")
        (False, True, False)
    """
    if not is_overridden(name, module, lightning.LightningModule):
        return False
    function = getattr(getattr(module, name), "__func__", None)
    if not isinstance(function, FunctionType):
        return True
    return not _does_nothing(function.__code__)


@functools.lru_cache(maxsize=1024)
def _does_nothing(code: CodeType) -> bool:
    """Whether a function's code returns None and does nothing else; asked for at every step."""
    steps = dis.get_instructions(code)
    return all(s.opname in _NOTHING and (s.opname != "LOAD_CONST" or s.argval is None) for s in steps)


class MemberTrainer:
    """The Trainer of a population as one member's hooks see it: optimiser, values and end are the member's own."""

    _trainer: Trainer
    _member: Member

    def __init__(self, trainer: Trainer, member: Member | None) -> None:
        vars(self).update(_trainer=trainer, _member=member)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(vars(self)["_trainer"], name)

    def __setattr__(self, name: str, value: object) -> None:
        """Stop this member alone.

        Raises:
            CannotBatchError: something else is set, which is all members'.
        """
        if name != "should_stop":
            raise CannotBatchError(f"a hook sets self.trainer.{name}, which all candidates share")
        self._member.stopping = bool(value)

    @property
    def should_stop(self) -> bool:
        """Whether this member's training ends with the epoch."""
        return bool(self._member.stopping)

    @property
    def model(self) -> LightningModule:
        """The member's module."""
        return self._member.module

    lightning_module = model

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """The member's own, once it exists."""
        return self._member.optimizers

    @property
    def lr_scheduler_configs(self) -> list[LRSchedulerConfig]:
        """The member's own."""
        return list(self._member.schedulers)

    @property
    def strategy(self) -> _MemberStrategy:
        """Where ``self.optimizers()`` looks."""
        return _MemberStrategy(self._trainer.strategy, self)

    @property
    def callback_metrics(self) -> dict[str, torch.Tensor]:
        """What the member has logged."""
        return {name: torch.tensor(value) for name, value in self._member.logged.items()}

    logged_metrics = progress_bar_metrics = callback_metrics


class _MemberStrategy:
    """The Trainer's strategy with a member's optimiser in it."""

    def __init__(self, strategy: Strategy, trainer: MemberTrainer) -> None:
        self._strategy, self._own = strategy, trainer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("_lightning_optimizers", "optimizers"):
            return self._own.optimizers
        if name in ("setup_optimizers", "setup"):
            raise CannotBatchError(f"a hook calls self.trainer.strategy.{name}, which all candidates share")
        return self._own.model if name in ("model", "lightning_module") else getattr(self._strategy, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in ("_strategy", "_own"):
            raise CannotBatchError(f"a hook sets self.trainer.strategy.{name}, which all candidates share")
        object.__setattr__(self, name, value)


def hand_trainer(member: Member, trainer: Trainer) -> None:
    """Let a member's module have the Trainer of its population as its own."""
    module: Any = member.module  # the setter is declared for a Trainer
    module.trainer = MemberTrainer(trainer, member)


class StepTrainer(MemberTrainer):
    """The Trainer as a training step of all members sees it: what is each member's own cannot be asked for there."""

    def __getattribute__(self, name: str) -> Any:
        """Everything but what differs.

        Raises:
            CannotBatchError: a step that asks would be answered for all members alike.
        """
        if name == "optimizers":
            raise CannotBatchError("training_step asks for the optimiser, whose param_groups are each candidate's own")
        if name in _MEMBERS_OWN:
            raise CannotBatchError(f"training_step asks for self.trainer.{name}, which is each candidate's own")
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._trainer, name, value)

    @property
    def should_stop(self) -> bool:
        """Of all."""
        return bool(self._trainer.should_stop)
