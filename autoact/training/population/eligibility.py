"""Whether a task can train as a population, and if not, why: said once, with what prevents it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.core.value_holders import Batch
from autoact.data.datamodule import TensorBatches
from autoact.data.foreign_datamodule import first_of, prepared
from autoact.latency.model_call import to_device
from autoact.latency.timer import fixed_threads
from autoact.sites.tracing.locate import activation_modules
from autoact.sites.user_hooks import own_hooks
from autoact.tasks.task import Task
from autoact.training.lightning_session import SessionOptions, connected
from autoact.training.log_standins import logging_to, nowhere
from autoact.training.population.hooks import BEFORE, WITHIN_STEP, StepTrainer, hand_trainer, has_hook
from autoact.training.population.member import Member
from autoact.training.population.optimizers import configure
from autoact.training.population.seed_streams import Key, Stream
from autoact.training.population.vmap.errors import CannotBatchError
from autoact.training.population.vmap.side_effects import Kept
from autoact.training.population.vmap.stacked_parameters import Stack, names_of, slot_of
from autoact.training.population.vmap.step import Template
from autoact.training.preflight.one_step import NoLossError, own_loss
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.random_state import (
    RandomState,
    preserved_random_state,
    random_state,
    restore_random_state,
    same_random_state,
)
from autoact.training.trainer_arguments import trainer_parameters
from autoact.training.user_errors import said

# Trainer arguments that a population honours; others may be given their default.
_ARGUMENTS = frozenset(
    {
        "accelerator", "accumulate_grad_batches", "benchmark", "check_val_every_n_epoch", "detect_anomaly",
        "deterministic", "devices", "enable_checkpointing", "enable_model_summary", "enable_progress_bar",
        "gradient_clip_algorithm", "gradient_clip_val", "inference_mode", "limit_test_batches", "limit_train_batches",
        "limit_val_batches", "log_every_n_steps", "max_epochs", "min_epochs", "num_sanity_val_steps", "precision",
        "use_distributed_sampler",
    }
)  # fmt: skip
_PRECISIONS = frozenset({None, 32, 64, "32", "64", "32-true", "64-true", "bf16-mixed"})
# How far the losses of a population and of a single may lie apart, relative to their size, after one step.
_CLOSE = 1e-3


def why_not(task: Task, options: SessionOptions) -> str:
    """Why candidates of a task have to train one by one; empty where they can train as a population.

    Looks at hooks, callbacks and Trainer arguments, then tries one training step of two members and compares it with
    the module's own. Nothing is kept, and the state of the random numbers is put back.
    """
    with preserved_random_state(), quiet_lightning(), fixed_threads(options.threads):
        module = task.make_module()
        by_rule = _hooks(module) or _listeners(module) or _callbacks(task) or _trainer(task) or _loaders(task)
        return by_rule or _tried(task, options)


def _hooks(module: LightningModule) -> str:
    """A hook or a way of training that a population does not support."""
    name = type(module).__name__
    if not module.automatic_optimization:
        return f"{name} optimises by hand (automatic_optimization=False)"
    own = next((hook for hook in WITHIN_STEP if has_hook(module, hook)), None)
    return f"{name} has {'an' if own[0] in 'aeiou' else 'a'} {own} of its own" if own else ""


def _listeners(module: LightningModule) -> str:
    """A hook on gradients or on an activation, which are all members' in a population."""
    name = type(module).__name__
    for path, parameter in module.named_parameters():
        if parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None):
            return f"{name}.{path} has a hook on its gradient"
    for path, part in module.named_modules():
        if part._backward_hooks or part._backward_pre_hooks:
            return f"{name}.{path} has a hook on its backward pass".replace(". has", " has")
    hooked = next((item.name for item in activation_modules(module) if own_hooks(item.module)), None)
    return "" if hooked is None else f"{name}.{hooked} is an activation with a hook, which would see all candidates"


def _loaders(task: Task) -> str:
    """Several loaders at once, whose batches a population does not take apart."""
    datamodule = set_up(task)
    for made in ("train_dataloader", "val_dataloader"):
        given = getattr(datamodule, made)()
        if isinstance(given, (Mapping, list, tuple, CombinedLoader)):
            return f"{type(datamodule).__name__}.{made} returns loaders in a {type(given).__name__}"
    return ""


def _callbacks(task: Task) -> str:
    """A callback that has to see a training of its own."""
    own = next((c for c in task.make_callbacks() if type(c) is not EarlyStopping), None)
    return f"the callback {type(own).__name__} watches a single training" if own is not None else ""


def _trainer(task: Task) -> str:
    parameters = trainer_parameters()
    for name, value in task.trainer.items():
        if name == "precision" and value not in _PRECISIONS:
            return f"trainer.precision={value}"
        if name in _ARGUMENTS or value is None or (name in ("logger", "callbacks") and value is False):
            continue
        if name not in parameters or value != parameters[name].default:
            return f"trainer.{name}={value}"
    return ""


def _tried(task: Task, options: SessionOptions) -> str:
    """What one training step of two members ran into, or how it differs from the module's own."""
    pair = [Member(n, Candidate(Assignment({}), {}, seed), task, options) for n, seed in enumerate((0, 1))]
    if any(map(torch.nn.parameter.is_lazy, pair[0].module.parameters())):
        return f"{type(pair[0].module).__name__} has layers that are not initialised before the first batch"
    datamodule = set_up(task)
    batch = first_batch(datamodule, options.device)
    with connected(task, options.device, pair[0].module, datamodule) as trainer:
        return _stepped(pair, batch, trainer, options)


def _stepped(pair: Sequence[Member], batch: Batch, trainer: Trainer, options: SessionOptions) -> str:
    """One training step of two members, each by itself and both together: what differs, or what it ran into."""
    name = type(pair[0].module).__name__
    try:
        begin(pair, trainer, options.device)
        if listens := _listeners(pair[0].module):  # its setup may have registered some
            return listens
        template = Template(pair[0].module, [], streams=False, trainer=StepTrainer(trainer, None))
        kept, state = Kept(template.base, [member.module for member in pair]), random_state()
        alone = [_alone(member, batch, state) for member in pair]
        restore_random_state(state)
        stack = Stack([m.module for m in pair], [], {})
        together = template.run(stack, batch, 0, own_batches=False).loss_k
        _backward(together)
    except (CannotBatchError, NoLossError) as error:
        return f"{name}: {said(error)}"
    except Exception as error:  # whatever the user's code does that vmap does not know
        return f"{name}.training_step cannot be batched: {said(error)}"
    if keeps := kept.disagreeing():
        return f"{name}.{keeps}"
    for row, one in enumerate(alone):
        if different := _different(one, row, together, stack):
            return f"{name}.training_step gives another {different} when it is batched"
    return _asks_repeatedly(pair[0], batch)


def _asks_repeatedly(member: Member, batch: Batch) -> str:
    """Says where the optimiser asks for the loss several times in one step, as L-BFGS and SAM do."""
    try:
        if member.optimizer is None or not _may_ask(member.optimizer):
            return ""
        asked = 0

        def closure() -> Any:
            nonlocal asked
            asked += 1
            with torch.enable_grad():
                loss = own_loss(member.module, batch).sum()
                loss.backward()
            return loss

        member.optimizer.step(closure)
    except Exception:  # of the user's code: a single training meets it too, and tells
        return ""
    times = f"{type(member.optimizer).__name__}.step asks for the loss {asked} times, at other weights each time"
    return times if asked > 1 else ""


def _may_ask(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimiser may ask for the loss more than once: those of torch do not, but for one."""
    return type(optimizer) is torch.optim.LBFGS or not type(optimizer).__module__.startswith("torch.optim.")


def _backward(loss_k: torch.Tensor) -> None:
    """The backward pass of all members.

    Raises:
        CannotBatchError: it runs layers once more, which hold no member's weights by then.
    """
    try:
        loss_k.sum().backward()
    except Exception as error:
        if any("checkpoint" in frame.filename for frame in traceback.extract_tb(error.__traceback__)):
            raise CannotBatchError("its backward pass runs layers again, as torch.utils.checkpoint does") from error
        raise


def begin(members: Sequence[Member], trainer: Trainer, device: torch.device) -> None:
    """What each module does before its first step.

    Raises:
        CannotBatchError: it makes layers there.
    """
    for member in members:
        member.module.to(device)
        hand_trainer(member, trainer)
        before = names_of(member.module)
        for hook in ("setup", *BEFORE):
            if has_hook(member.module, hook):
                with logging_to(member.module, nowhere):
                    getattr(member.module, hook)(*(["fit"] if hook == "setup" else []))
            if hook == "setup" and member.optimizer is None:
                configure(member)
        if before != names_of(member.module):
            raise CannotBatchError("setup makes or replaces layers")


@dataclass
class _Alone:
    """What the module's own step gave: its loss, gradients by parameter, and buffers as the step left them."""

    loss: torch.Tensor
    grads: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]


def _alone(member: Member, batch: Batch, state: RandomState) -> _Alone:
    """One step of the module's own, after which the module is as it was."""
    module = member.module
    before = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}
    restore_random_state(state)
    loss = own_loss(module, batch)
    loss.sum().backward()
    result = _Alone(
        loss.detach().sum(),
        {name: p.grad for name, p in module.named_parameters() if p.grad is not None},
        {name: buffer.detach().clone() for name, buffer in module.named_buffers()},
    )
    for parameter in module.parameters():
        parameter.grad = None
    for name, buffer in before.items():
        store, key = slot_of(module, name)
        store[key] = buffer
    return result


def _different(alone: _Alone, row: int, loss_k: torch.Tensor, stack: Stack) -> str:
    """What differs in the population: ``loss``, ``gradient of ...`` or a buffer; empty where nothing does."""
    if not _close(loss_k[row].detach().sum(), alone.loss, 1.0):
        return "loss"
    largest = max((float(grad.abs().max()) for grad in alone.grads.values() if grad.numel()), default=0.0)
    for name, grad in alone.grads.items():
        stacked = stack.common[name].tensor.grad
        if stacked is None or not _close(stacked[row], grad, largest):
            return f"gradient of {name}"
    for name, buffer in alone.buffers.items():
        if name in stack.common and not _close(stack.common[name].tensor[row], buffer, 1.0):
            return name
    return ""


def _close(one: torch.Tensor, other: torch.Tensor, size: float) -> bool:
    """Whether numbers differ by no more than the order of summation explains; nan equals nan."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(torch.allclose(one, other, rtol=_CLOSE, atol=_CLOSE * size, equal_nan=True))


def set_up(task: Task) -> LightningDataModule:
    """A datamodule that is ready to give loaders."""
    datamodule: LightningDataModule = prepared(task.make_datamodule(0))
    return datamodule


def first_batch(datamodule: LightningDataModule, device: torch.device) -> Batch:
    """The first training batch, on the device."""
    return to_device(first_of(datamodule.train_dataloader()), device)


def seeds_can_share(task: Task, options: SessionOptions, streams: list[Stream]) -> bool:
    """Whether members of several seeds can train together.

    They cannot where loaders differ in length or work in other processes, where the datamodule has hooks that belong to
    a Trainer, or where a step draws random numbers elsewhere than in ``nn.Dropout``: those would be drawn once for all.
    What shows only later (``SeedsApartError``) separates them then.
    """
    with preserved_random_state(), quiet_lightning():
        hooks = ("transfer_batch_to_device", "on_before_batch_transfer", "on_after_batch_transfer")
        lengths = set()
        for stream in streams:
            if any(is_overridden(hook, stream.datamodule, LightningDataModule) for hook in hooks):
                return False
            prepared(stream.datamodule)
            training, validation = stream.datamodule.train_dataloader(), stream.datamodule.val_dataloader()
            if not (_is_plain(training) and _is_plain(validation)):
                return False
            rows = training.order.rows if isinstance(training, TensorBatches) else len(training.sampler)
            lengths.add((len(training), training.batch_size, rows))
        return len(lengths) == 1 and not _draws(task, options)


def _is_plain(loader: object) -> bool:
    """Whether a loader works in this process and knows its length."""
    if not isinstance(loader, DataLoader):
        return isinstance(loader, TensorBatches)
    own_rows = type(loader) is DataLoader and not isinstance(loader.dataset, IterableDataset)
    return own_rows and loader.num_workers == 0 and type(loader.batch_sampler) is BatchSampler


def _draws(task: Task, options: SessionOptions) -> bool:
    """Whether a training step draws random numbers elsewhere than in ``nn.Dropout``."""
    member = Member(0, Candidate(Assignment({})), task, options)
    datamodule = set_up(task)
    batch = first_batch(datamodule, options.device)
    with connected(task, options.device, member.module, datamodule) as trainer:
        begin([member], trainer, options.device)
        template = Template(member.module, [], streams=True, trainer=StepTrainer(trainer, None))
        stream = Stream(Key(0), datamodule, random_state())
        template.seat([member.module], [stream], torch.zeros(1, dtype=torch.long, device=options.device))
        before = random_state()
        template.run(Stack([member.module], [], {}), batch, 0, own_batches=False)
        return not same_random_state(before, random_state())
