"""What a training holds that its checkpoint does not: where there is some, it starts again instead of going on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection

from autoact.sites.replacement.parameter_groups import inner_schedulers
from autoact.training.state.module_state import Same, hooks_of, is_plain, parts_of, token_of

# What torch and its schedules keep on an optimiser; weights and state are saved, and written by every step.
_OPTIMIZER = frozenset(vars(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0))) | {"_opt_called", "step"}
_LIGHTNING = ("lightning.", "pytorch_lightning.")


class Unsaved:
    """Watches one call of ``fit``.

    A checkpoint holds weights, buffers, optimisers, schedules and what callbacks give to it. A counter on the module,
    an average in a callback, a layer that a hook has unfrozen are in none: a training that went on from one would be
    another training. Nor is it the same one where the hooks before or after training write weights, which a pause calls
    once more, or where an optimiser or a schedule has another one inside, which its ``state_dict`` does not bring back.
    All of these are ``lossy``.

    Example:
        >>> class Net(nn.Linear):
        ...     steps = 0
        >>> net = Net(1, 1)
        >>> watch = Unsaved(net, [])
        >>> net.steps = 1
        >>> watch.ended(net, [])
        >>> watch.lossy
        True
    """

    def __init__(
        self,
        module: nn.Module,
        optimizers: Sequence[Optimizer],
        callbacks: Sequence[Callback] = (),
        schedulers: Sequence[object] = (),
    ) -> None:
        """Optimisers exist; the hooks before training have not run."""
        self._callbacks = [c for c in callbacks if not type(c).__module__.startswith(_LIGHTNING)]
        self._before = self._beside_checkpoint(module, optimizers)
        self._weights = _weights(module, optimizers)
        hooks = ("on_fit_start", "on_train_start")
        self.lossy = any(getattr(type(c), h) is not getattr(Callback, h) for c in self._callbacks for h in hooks)
        inner = [value for o in map(_bare, optimizers) for value in vars(o).values()]
        self.lossy = self.lossy or any(isinstance(value, Optimizer) for value in inner)
        self.lossy = self.lossy or any(map(inner_schedulers, schedulers))
        self._last: list[tuple[str, int]] | None = None

    def started(self, module: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        """The hooks before training have run: would they do something to a training that goes on?"""
        self.lossy = self.lossy or _weights(module, optimizers) != self._weights

    def ending(self, module: nn.Module) -> None:
        """The last epoch of the call of ``fit`` is over; the hooks after training have not run."""
        self._last = _values(module)

    def closed(self, module: nn.Module) -> None:
        """The hooks after training have run: averages, say, that they put in the place of weights are trained on."""
        self.lossy = self.lossy or (self._last is not None and _values(module) != self._last)

    def ended(self, module: nn.Module, optimizers: Sequence[Optimizer], logged: Collection[int] = ()) -> None:
        """The call of ``fit`` is over: is there anything that was not there before?

        ``logged`` are ids of the metrics that were logged as they are: each epoch resets them.
        """
        self.lossy = self.lossy or self._beside_checkpoint(module, optimizers, logged) != self._before

    def _beside_checkpoint(
        self, module: nn.Module, optimizers: Sequence[Optimizer], logged: Collection[int] = ()
    ) -> tuple[object, ...]:
        """What tells whether anything has changed that a checkpoint does not hold."""
        silent = [c for c in self._callbacks if type(c).state_dict is Callback.state_dict]
        silent = [c for c in silent if type(c).on_save_checkpoint is Callback.on_save_checkpoint]
        return (
            _plain(module, logged),
            hooks_of(module),
            [(name, parameter.requires_grad) for name, parameter in module.named_parameters()],
            [(path, Same(part), part.training) for path, part in module.named_modules()],
            [(Same(o), [len(group["params"]) for group in o.param_groups], _beside(o)) for o in map(_bare, optimizers)],
            [token_of(vars(callback)) for callback in silent],
        )


class BeforeEnd(Callback):
    """Comes before the user's callbacks: the hooks after training have not run when it is called."""

    def __init__(self) -> None:
        self.watch: Unsaved

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """No hook has written into the weights since the last epoch."""
        self.watch.ending(pl_module)


class UnsavedState(Callback):
    """Watches each call of ``fit`` of a single training with the user's callbacks, before which ``first`` belongs."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = list(callbacks)
        self._watch: Unsaved
        self._started = False
        self.first = BeforeEnd()

    @property
    def lossy(self) -> bool:
        """Whether the last call left something that no checkpoint has."""
        return self._watch.lossy

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the module's own."""
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self._watch = Unsaved(pl_module, trainer.optimizers, self._callbacks, schedulers)
        self.first.watch = self._watch
        self._started = trainer.ckpt_path is not None  # optimisers then get their state after this
        # With max_steps, Lightning goes on with an epoch that has no batch; reloaded loaders draw at other times.
        if trainer.max_steps != -1 or getattr(trainer, "reload_dataloaders_every_n_epochs", False):
            self._watch.lossy = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the module's own ``on_fit_start`` and ``on_train_start``."""
        if not self._started:
            self._watch.started(pl_module, trainer.optimizers)
            self._started = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the last epoch."""
        loops = (trainer.fit_loop, trainer.fit_loop.epoch_loop.val_loop)
        values = [getattr(one, "value", None) for loop in loops for one in loop._results.values()]
        self._watch.ended(pl_module, trainer.optimizers, {id(v) for v in values if isinstance(v, Metric)})

    def closed(self, module: LightningModule) -> None:
        """After the call of ``fit``."""
        self._watch.closed(module)


def _plain(module: nn.Module, logged: Collection[int]) -> list[tuple[object, ...]]:
    """Plain attributes of all parts; of metrics, which are reset where they are logged, the number of updates."""
    plain: list[tuple[object, ...]] = []
    for path, part in parts_of(module):
        if isinstance(part, MetricCollection):
            continue
        if isinstance(part, Metric):
            plain.append((path, 0 if id(part) in logged else part._update_count))
            continue
        plain += [(path, key, token_of(value)) for key, value in vars(part).items() if is_plain(key, value)]
    return plain


def _weights(module: nn.Module, optimizers: Sequence[Optimizer]) -> tuple[object, ...]:
    """What tells whether weights, buffers, hooks or settings of optimisers are written."""
    tensors = [(t.data_ptr(), t._version) for t in [*module.parameters(), *module.buffers()]], _values(module)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    settings = [sorted((k, repr(v)) for k, v in group.items() if k != "params") for group in groups]
    return tensors, hooks_of(module), settings


def _values(module: nn.Module) -> list[tuple[str, int]]:
    """What tells whether weights and buffers have the same values: writing through ``.data`` leaves no other trace."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return [(name, hash(_bytes(tensor.detach()))) for name, tensor in named if not tensor.is_meta]


def _bytes(tensor: Tensor) -> bytes:
    """The contents of a tensor on any device."""
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _beside(optimizer: Optimizer) -> list[tuple[str, object]] | None:
    """What tells whether attributes of an optimiser have changed that are in no ``state_dict``."""
    if type(optimizer).__module__.startswith("torch."):
        return None
    return [(key, token_of(value)) for key, value in vars(optimizer).items() if key not in _OPTIMIZER]


def _bare(optimizer: Optimizer) -> Optimizer:
    """The user's optimiser, which Lightning may have wrapped."""
    bare: Optimizer = getattr(optimizer, "_optimizer", optimizer)
    return bare
