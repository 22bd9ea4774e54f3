"""The training settings that a module configures, and whether other ones are in force: a short training shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import lightning
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.sites.replacement.dropout import configured_dropout, plain_dropout
from autoact.sites.replacement.parameter_groups import no_groups_in
from autoact.sites.replacement.state_dict_marker import is_put_in
from autoact.tasks.task import Task
from autoact.training.callbacks import OptimizerSettings, optimizer_settings
from autoact.training.lightning_session import build_module, trainer_from
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.random_state import preserved_random_state
from autoact.training.user_errors import said

# Steps of the optimisers that are watched, and batches after which the training ends without them.
WATCHED_STEPS, BATCHES = 3, 64
_CLOSE = 1e-3


class _EnoughError(Exception):
    """The training has shown what it was run for, and ends here."""


class SetUpError(Exception):
    """A training cannot be set up with an assignment; says what was raised, and where."""


Groups = list[tuple[float, float]]
"""Learning rate and weight decay of each parameter group at one time."""


class _Watch(lightning.Callback):
    """Notes what each step of an optimiser went by, and ends the training after a few.

    Attributes:
        history: as it was set, then after each step: by then everything that writes a rate has done so.
        dropouts: ``p`` of each ``nn.Dropout`` layer by name: of the module as it was built, then as in ``history``.
        sums: of each weight and of its gradient, after each step.
        configured: the settings as the optimisers have them at the start; empty where there is no optimiser.
        trained: ids of the parameters that the optimisers hold.
        refusals: why an optimiser cannot have a parameter group more; an empty text for each that can.
        error: that the training ended in; None where it came far enough.
    """

    module: LightningModule
    error: Exception | None = None

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.history: list[Groups] = []
        self.dropouts: list[dict[str, float]] = []
        self.sums: list[list[float]] = []
        self.configured: dict[str, float] = {}
        self.trained: set[int] = set()
        self.refusals: list[str] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if any(optimizer.param_groups for optimizer in trainer.optimizers):  # Lightning puts an empty one for None
            self.configured = optimizer_settings(trainer.optimizers)
        self._note(trainer)
        self.refusals = [no_groups_in(optimizer) for optimizer in trainer.optimizers]
        self.trained = {id(p) for o in trainer.optimizers for group in o.param_groups for p in group["params"]}
        if not self.steps:
            raise _EnoughError
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda *_: self._stepped(trainer))

    def _stepped(self, trainer: Trainer) -> None:
        weights = list(trainer.lightning_module.parameters())
        tensors = [*weights, *(weight.grad for weight in weights if weight.grad is not None)]
        self.sums.append([float(tensor.detach().double().sum()) for tensor in tensors])
        self._note(trainer)

    def _note(self, trainer: Trainer) -> None:
        self.note_dropout(trainer.lightning_module)
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        self.history.append([(float(group["lr"]), float(group.get("weight_decay", math.nan))) for group in groups])

    def note_dropout(self, module: LightningModule) -> None:
        self.dropouts.append({name: float(layer.p) for name, layer in plain_dropout(module).items()})

    def on_train_batch_end(self, trainer: object, module: object, outputs: object, batch: object, index: int) -> None:
        if len(self.history) > self.steps or index + 1 >= BATCHES:
            raise _EnoughError

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise _EnoughError


def configured_settings(task: Task, device: torch.device) -> dict[str, float]:
    """Learning rate of the first parameter group, largest weight decay and largest dropout, as the module has them.

    The weight decay is missing where the optimisers take none, the dropout where there is no ``nn.Dropout`` layer. A
    Trainer asks the module, so that whatever ``configure_optimizers`` wants to know of its Trainer is there.

    Raises:
        AutoactError: the module configures no optimiser, or refuses its own settings.
    """
    watch, module = _Watch(0), task.make_module()
    module.configure_model()
    name, dropout = type(module).__name__, configured_dropout(module)
    try:
        with quiet_lightning():
            trainer_from(task.trainer, device, [watch]).fit(module, datamodule=task.make_datamodule(0))
    except _EnoughError:
        pass
    except ValueError as error:  # torch refuses the user's learning rate or weight decay
        raise AutoactError(f"{name}.configure_optimizers: {error}") from error
    if not watch.configured:
        raise AutoactError(f"{name}.configure_optimizers returns nothing: there is nothing to train")
    return watch.configured | ({} if dropout is None else {"dropout": dropout})


def settings_in_force(
    task: Task, device: torch.device, configured: Mapping[str, float], other: Mapping[str, float]
) -> dict[str, str]:
    """Which training settings the module, or a callback, overwrites, with the values that were in force instead.

    Trains the baseline twice for a few steps: as ``configured``, and with ``other`` values of the settings that are
    checked. Empty where the training fails: the search meets that itself.
    """
    base = _watched(task, device, {}, WATCHED_STEPS)
    changed = _watched(task, device, other, WATCHED_STEPS)
    if base.error or changed.error or len(changed.history) < 2 or len(base.history) != len(changed.history):
        return {}
    overwritten: dict[str, str] = {}
    pairs = list(zip(base.history[1:], changed.history[1:], strict=True))
    if "learning_rate" in other:
        factor = other["learning_rate"] / configured["learning_rate"]
        for before, after in pairs:
            for (rate, _), (actual, _) in zip(before, after, strict=True):
                if not _close(rate * factor, actual):
                    overwritten.setdefault("learning_rate", f"{actual:.3g} where {rate * factor:.3g} was set")
    if "weight_decay" in other:
        set_to = zip(base.history[0], changed.history[0], strict=True)
        places = [place for place, ((_, a), (_, b)) in enumerate(set_to) if not _close(a, b)]
        lost = [after[p][1] for before, after in pairs for p in places if _close(before[p][1], after[p][1])]
        if lost:
            overwritten["weight_decay"] = f"{lost[0]:.3g} where {other['weight_decay']:.3g} was set"
    if "dropout" in other:
        names = [name for name, p in changed.dropouts[0].items() if p != base.dropouts[0].get(name)]
        later = zip(base.dropouts[1:], changed.dropouts[1:], strict=True)
        lost = [
            after[name] for before, after in later for name in names if name in after and before[name] == after[name]
        ]
        if lost:
            overwritten["dropout"] = f"{lost[0]:.3g} where {other['dropout']:.3g} was set"
    return overwritten


def dropout_acts(task: Task, device: torch.device, p: float) -> bool:
    """Whether the first steps of a training are others where ``nn.Dropout`` layers drop a share ``p``.

    They are not where no such layer is called, or all are in evaluation mode, as those of a frozen backbone. True where
    the training fails: the search meets that itself.
    """
    base, changed = (_watched(task, device, settings, WATCHED_STEPS) for settings in ({}, {"dropout": p}))
    return bool(base.error or changed.error) or not base.sums or base.sums != changed.sums


def rate_refusal(task: Task, device: torch.device) -> str:
    """Why weights of activations cannot have a learning rate of their own; empty where they can, and where it fails."""
    return next(filter(None, _watched(task, device, {}, 0).refusals), "")


def untrained_weights(task: Task, device: torch.device, assignment: Assignment) -> dict[str, list[str]]:
    """Site -> weights that its choice brings along and no optimiser holds, once ``assignment`` is applied.

    Empty for a module that cannot be set up with its own activations: the search meets that itself.

    Raises:
        SetUpError: with the assignment it cannot, and with its own activations it can.
    """
    watch = _watched(task, device, {}, 0, assignment)
    if watch.error is not None:
        if _watched(task, device, {}, 0).error is not None:
            return {}
        raise SetUpError(said(watch.error)) from watch.error
    untrained = {}
    for site in assignment:
        part = watch.module.get_submodule(site)
        named = part.named_parameters()
        if is_put_in(part) and part.activation.normalisation:  # scale and shift stay as frozen as they were
            brought = {id(weight) for weight in part.weights()}
            named = ((name, weight) for name, weight in named if id(weight) in brought)
        untrained[site] = [f"{site}.{n}" for n, p in named if id(p) not in watch.trained or not p.requires_grad]
    return {site: names for site, names in untrained.items() if names}


def _watched(
    task: Task, device: torch.device, settings: Mapping[str, float], steps: int, assignment: Assignment | None = None
) -> _Watch:
    """What a short training shows, or the error that it ends in. Random numbers go on as if nothing had been drawn."""
    watch = _Watch(steps)
    callbacks = [callback for callback in task.make_callbacks() if not isinstance(callback, Checkpoint)]
    try:
        with preserved_random_state(), quiet_lightning():
            lightning.seed_everything(0, verbose=False)
            watch.module = build_module(task, Candidate(assignment or Assignment({}), settings), rescale=False)
            watch.note_dropout(watch.module)
            trainer = trainer_from(task.trainer, device, [*callbacks, OptimizerSettings(settings), watch])
            trainer.fit(watch.module, datamodule=task.make_datamodule(0))
    except _EnoughError:
        pass
    except Exception as error:  # of the user's code: trials raise it once more, and report it
        watch.error = error
    return watch


def _close(one: float, other: float) -> bool:
    """Whether two numbers are the same one; nan is itself."""
    return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
