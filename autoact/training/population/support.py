"""Whether a task can train as a population, and if not, why: said once, with what prevents it."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader

from autoact.core.choice import Assignment
from autoact.core.records import Candidate
from autoact.data.datamodule import TensorBatches
from autoact.tasks.task import Task
from autoact.timing.clock import fixed_threads
from autoact.timing.measure import to_device
from autoact.training.lightning_session import SessionOptions, trainer_for
from autoact.training.population.member import Member
from autoact.training.population.stack import Stack
from autoact.training.population.streams import Stream
from autoact.training.population.template import Template
from autoact.training.quiet import quiet_lightning
from autoact.training.randomness import random_state, restore_random_state

# Hooks whose order or effect within a step is the user's own: a population has one step for all.
_HOOKS = (
    "setup",
    "teardown",
    "on_fit_start",
    "on_fit_end",
    "on_train_start",
    "on_train_end",
    "on_train_epoch_start",
    "on_train_epoch_end",
    "on_train_batch_start",
    "on_train_batch_end",
    "on_validation_model_eval",
    "on_validation_model_train",
    "on_validation_model_zero_grad",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_save_checkpoint",
    "on_load_checkpoint",
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
# Trainer arguments that a population honours; others may be given their default.
_ARGUMENTS = frozenset(
    {
        "accelerator", "accumulate_grad_batches", "barebones", "benchmark", "check_val_every_n_epoch", "detect_anomaly",
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
    with _undone(), quiet_lightning(), fixed_threads(options.threads):
        module = task.make_module()
        stated = _hooks(module) or _callbacks(task) or _trainer(task)
        return stated or _tried(task, options)


def _hooks(module: Any) -> str:
    """A hook or a way of training that a population has no place for."""
    name = type(module).__name__
    if not module.automatic_optimization:
        return f"{name} optimises by hand (automatic_optimization=False)"
    found = next((hook for hook in _HOOKS if is_overridden(hook, module, lightning.LightningModule)), None)
    return f"{name} has a {found} of its own" if found else ""


def _callbacks(task: Task) -> str:
    """A callback that has to see a training of its own."""
    found = next((c for c in task.make_callbacks() if type(c) is not EarlyStopping), None)
    return f"the callback {type(found).__name__} watches a single training" if found is not None else ""


def _trainer(task: Task) -> str:
    """A Trainer argument that a population cannot honour."""
    for name, value in task.trainer.items():
        if name == "precision" and value not in _PRECISIONS:
            return f"trainer.precision={value}"
        if name not in _ARGUMENTS and value is not None and not (name in ("logger", "callbacks") and value is False):
            return f"trainer.{name}={value}"
    return ""


def _tried(task: Task, options: SessionOptions) -> str:
    """What one training step of two members ran into."""
    pair = [Member(n, Candidate(Assignment({}), {}, seed), task, options) for n, seed in enumerate((0, 1))]
    if any(map(torch.nn.parameter.is_lazy, pair[0].module.parameters())):
        return f"{type(pair[0].module).__name__} has layers that are not initialised before the first batch"
    batch = first_batch(task, options)
    trainer = trainer_for(task, options.device, [])
    for member in pair:
        member.module.to(options.device)
        member.module.trainer = trainer
    template = Template(pair[0].module, [], streams=False, trainer=trainer)
    before, begun = _attributes(template.base), random_state()
    try:
        together = template.run(Stack([m.module for m in pair], [], {}), batch, 0, own_batches=False).loss_k
    except Exception as error:  # whatever the user's code does that vmap does not know
        return f"{type(pair[0].module).__name__}.training_step cannot be batched: {_said(error)}"
    changed = [name for name, value in _attributes(template.base).items() if before.get(name) != value]
    if changed:
        return f"{type(pair[0].module).__name__}.training_step keeps values on the module (self.{changed[0]})"
    for member, loss in zip(pair, together.detach(), strict=True):
        restore_random_state(begun)
        alone = _alone(member, batch)
        if alone is None or not torch.allclose(alone.to(loss), loss, rtol=_CLOSE, atol=_CLOSE):
            return f"{type(pair[0].module).__name__}.training_step gives another loss when it is batched"
    return ""


def _alone(member: Member, batch: Any) -> torch.Tensor | None:
    """The loss of the module's own step."""
    module = member.module
    object.__setattr__(module, "log", lambda *_, **__: None)
    object.__setattr__(module, "log_dict", lambda *_, **__: None)
    try:
        out = module.training_step(batch, 0) if _arguments(module.training_step) > 1 else module.training_step(batch)
    finally:
        object.__delattr__(module, "log")
        object.__delattr__(module, "log_dict")
    loss = out.get("loss") if isinstance(out, dict) else out
    return loss.detach() if isinstance(loss, torch.Tensor) else None


def _arguments(function: Callable[..., Any]) -> int:
    """How many arguments a bound method takes."""
    return len(inspect.signature(function).parameters)


def _attributes(base: torch.nn.Module) -> dict[str, Any]:
    """What a step might leave on a module: its plain attributes, and the length of those that have one."""
    found = {}
    for path, module in base.named_modules():
        for key, value in vars(module).items():
            if key.startswith("_") or key in ("training", "member", "groups"):
                continue
            size = len(value) if isinstance(value, (list, dict, set)) else None
            found[f"{path}.{key}".lstrip(".")] = (id(value), size)
    return found


def _said(error: BaseException) -> str:
    """What an error says, in one line, and where in the user's code."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0].removeprefix("vmap: ")
    here = str(Path(__file__).parents[2])
    lines = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(here)]
    mine = [f for f in lines if "site-packages" not in f.filename and "dist-packages" not in f.filename]
    where = f" ({Path(mine[-1].filename).name}:{mine[-1].lineno})" if mine else ""
    return f"{text.split('. ')[0].rstrip('.')}{where}"


def first_batch(task: Task, options: SessionOptions) -> Any:
    """The first training batch, on the device."""
    datamodule = task.make_datamodule(0)
    datamodule.prepare_data()
    datamodule.setup("fit")
    return to_device(next(iter(datamodule.train_dataloader())), options.device)


def seeds_can_share(task: Task, options: SessionOptions, streams: list[Stream]) -> bool:
    """Whether members of several seeds can train together.

    They cannot where loaders differ in length or work in other processes, where the datamodule has hooks that belong to
    a Trainer, or where a step draws random numbers elsewhere than in ``nn.Dropout``: those would be drawn once for all.
    """
    with _undone(), quiet_lightning():
        hooks = ("transfer_batch_to_device", "on_before_batch_transfer", "on_after_batch_transfer")
        lengths = set()
        for stream in streams:
            if any(is_overridden(hook, stream.datamodule, lightning.LightningDataModule) for hook in hooks):
                return False
            stream.datamodule.prepare_data()
            stream.datamodule.setup("fit")
            loaders = (stream.datamodule.train_dataloader(), stream.datamodule.val_dataloader())
            if not all(_plain(loader) for loader in loaders):
                return False
            lengths.add(len(loaders[0]))
        return len(lengths) == 1 and not _draws(task, options)


def _plain(loader: Any) -> bool:
    """Whether a loader works in this process and knows its length."""
    return isinstance(loader, TensorBatches) or (type(loader) is DataLoader and loader.num_workers == 0)


def _draws(task: Task, options: SessionOptions) -> bool:
    """Whether a training step draws random numbers elsewhere than in ``nn.Dropout``."""
    member = Member(0, Candidate(Assignment({})), task, options)
    batch = first_batch(task, options)
    member.module.to(options.device)
    trainer = trainer_for(task, options.device, [])
    template = Template(member.module, [], streams=True, trainer=trainer)
    for dropout in template.dropouts:
        stream = Stream(0, None, random_state())
        dropout.streams, dropout.stream_of = [stream], torch.zeros(1, dtype=torch.long, device=options.device)
    before = torch.get_rng_state()
    template.run(Stack([member.module], [], {}), batch, 0, own_batches=False)
    return not bool(torch.equal(before, torch.get_rng_state()))


@contextmanager
def _undone() -> Iterator[None]:
    """Random numbers go on as if nothing had been drawn inside."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)
