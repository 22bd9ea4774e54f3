"""The one module that a whole population is run through, under ``vmap``."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.func import vmap
from torchmetrics import Metric, MetricCollection

from autoact.core.value_holders import Batch
from autoact.sites.replacement.dropout import plain_dropout
from autoact.sites.tracing.torch_transformer import fuse_, is_layer, mend_copy_
from autoact.sites.user_hooks import own_hooks
from autoact.training.log_standins import LogOptions, TakeLogged, log_calls
from autoact.training.population.seed_streams import Stream
from autoact.training.population.vmap.activation_groups import GroupedActivation
from autoact.training.population.vmap.dropout import StreamDropout
from autoact.training.population.vmap.errors import CannotBatchError
from autoact.training.population.vmap.escape import one_by_one
from autoact.training.population.vmap.stacked_parameters import Slot, Stack, names_of, slot_of
from autoact.training.state._compat_torch import (
    TreeSpec,
    get_unwrapped,
    is_batchedtensor,
    tree_flatten,
    tree_map,
    tree_unflatten,
)

MetricCall = tuple[str, str, tuple[object, ...], dict[str, object]]
"""Path of a metric, which of its methods was called, and its positional and named arguments."""


class _Deferred:
    """What a metric returns inside ``vmap``: it can be logged and nothing else.

    It is the value of the ``call``-th call of a metric, or one of a collection's values by its ``key``.
    """

    def __init__(self, call: int, key: str = "") -> None:
        self.call = call
        self.key = key

    def of(self, values: Sequence[object]) -> object:
        """The value among those that the calls gave."""
        value = values[self.call]
        return value[self.key] if self.key and isinstance(value, Mapping) else value


class _MetricStandIn(nn.Module):
    """Notes what a metric is called with: metrics keep state, so that members' own run outside ``vmap``.

    A value that may be a loss is computed here as well, by a copy that holds no other values.
    """

    def __init__(self, path: str, calls: list[MetricCall], metric: Metric | MetricCollection) -> None:
        super().__init__()
        self._path, self._calls = path, calls
        self._metric: tuple[Metric | MetricCollection] = (copy.deepcopy(metric),)  # no submodule
        self._metric[0].reset()

    def forward(self, *values: object, **named: object) -> Any:
        self._calls.append((self._path, "forward", values, named))
        return _Deferred(len(self._calls) - 1)

    def update(self, *values: object, **named: object) -> None:
        self._calls.append((self._path, "update", values, named))

    def of(self, module: nn.Module) -> object:
        return module.get_submodule(self._path)


class _SingleStandIn(_MetricStandIn):
    _metric: tuple[Metric]
    _one_by_one = False

    @property
    def __class__(self) -> Any:
        """The metric's own, for code that asks ``isinstance``."""
        return type(vars(self)["_metric"][0]) if "_metric" in vars(self) else _SingleStandIn

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise CannotBatchError(f"training_step makes self.{self._path} a {kind.__name__}")

    def forward(self, *values: object, **named: object) -> object:
        """Note the values; what depends on weights by a function that has a gradient may be a loss: it is computed."""
        self.check()
        noted = super().forward(*values, **named)
        learnt = any(isinstance(x, Tensor) and _learns(x) for x in tree_flatten((values, named))[0])
        if not learnt or self._metric[0].is_differentiable is False:
            return noted
        if not self._one_by_one:
            try:
                return self._learnt(self._value(*values, **named), noted)
            except Exception:  # of code that vmap does not know, such as a condition on values
                self._one_by_one = True
        try:
            return self._learnt(one_by_one(self._value, values, named), noted)
        except Exception:  # its value can only be logged
            return noted

    @staticmethod
    def _learnt(value: object, noted: _Deferred) -> object:
        """A value that has a gradient; else what is known once the members' own metrics have been called."""
        return value if isinstance(value, Tensor) and _learns(value) else noted

    def _value(self, *values: object, **named: object) -> Tensor:
        try:
            value: Tensor = self._metric[0](*values, **named)
            return value
        finally:
            self._metric[0].reset()

    def __getattr__(self, name: str) -> Any:
        """What is not the metric's state, such as a method that turns outputs into predictions.

        Raises:
            CannotBatchError: it is each candidate's own.
        """
        if name.startswith("__") or "_metric" not in vars(self):
            raise AttributeError(name)
        metric = vars(self)["_metric"][0]
        if name in metric._defaults or name in ("compute", "reset", "metric_state"):
            raise CannotBatchError(f"training_step asks for self.{self._path}.{name}, which is each candidate's own")
        return getattr(metric, name)

    def check(self) -> None:
        """Refuse what the members' own metrics would not know of.

        Raises:
            CannotBatchError: a method has updated the metric.
        """
        if self._metric[0]._update_count:
            self._metric[0].reset()
            raise CannotBatchError(f"training_step updates self.{self._path} by a method of its own")


class _CollectionStandIn(_MetricStandIn):
    """Stands for a collection, whose calls give a value for each of its metrics."""

    _metric: tuple[MetricCollection]

    def __init__(self, path: str, calls: list[MetricCall], metric: Metric | MetricCollection) -> None:
        super().__init__(path, calls, metric)
        self.keys = list(map(str, self._metric[0].keys(keep_base=False)))

    def forward(self, *values: object, **named: object) -> dict[str, _Deferred]:
        call = super().forward(*values, **named).call
        return {key: _Deferred(call, key) for key in self.keys}

    def items(self, *_: object, **__: object) -> list[tuple[str, _OneOfCollection]]:
        """Its metrics, each by the name that it is logged under."""
        return [(key, _OneOfCollection(self._path, key)) for key in self.keys]


class _OneOfCollection:
    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key

    def of(self, module: nn.Module) -> object:
        collection = module.get_submodule(self.name)
        assert isinstance(collection, MetricCollection)
        return dict(collection.items(keep_base=False))[self.key]


class _Unread(dict[str, nn.Parameter | None]):
    """The parameters of a site, in the template: there are none, as each group of members has its own.

    A step that walks over the parameters of the whole module would miss what the activations learn.
    """

    def items(self) -> NoReturn:
        raise CannotBatchError("training_step reads the parameters of an activation, as self.parameters() does")


class Step:
    """What one training step of all members gave.

    Attributes:
        loss_k: ``[members]``.
        logged: name, value per member (a tensor ``[members, ...]``), and the options of ``self.log``.
        metric_calls: path of a metric, and its arguments, stacked over members.
        metrics_logged: name, the metric or the value of one of its calls, and the options of ``self.log``.
    """

    def __init__(self, loss_k: Tensor) -> None:
        self.loss_k = loss_k
        self.logged: list[tuple[str, Tensor, LogOptions]] = []
        self.metric_calls: list[MetricCall] = []
        self.metrics_logged: list[tuple[str, _Deferred | _MetricStandIn | _OneOfCollection, LogOptions]] = []

    def log_metrics(self, module: nn.Module, row: int, take: TakeLogged) -> None:
        """Call a member's own metrics with its own values, and hand what is logged of them to ``take``."""

        def own(value: object) -> object:
            return value[row].detach() if isinstance(value, Tensor) else value

        values = []
        for name, method, arguments, named in self.metric_calls:
            call = getattr(module.get_submodule(name), method)
            values.append(call(*tree_map(own, arguments), **tree_map(own, named)))
        for name, what, options in self.metrics_logged:
            take(name, what.of(values) if isinstance(what, _Deferred) else what.of(module), options)


class _Shape(NamedTuple):
    """What a step logged, whose tensors left ``vmap`` by themselves, and the positions of what it assigned."""

    logged: list[tuple[str, object, LogOptions]]
    spec: TreeSpec
    fixed: list[object]
    assigned: list[int]


class Template:
    """A copy of a member's module whose ``training_step`` runs for all members at once.

    Modules at ``sites`` differ between members. With ``streams``, members are of several seeds, and dropout is drawn
    seed by seed. Inside the step, ``self.trainer`` is ``trainer``.
    """

    def __init__(self, module: LightningModule, sites: Sequence[str], *, streams: bool, trainer: object) -> None:
        owner_trainer = module._trainer
        module._trainer = None
        self.base = copy.deepcopy(module)
        mend_copy_(module, self.base)
        module._trainer = owner_trainer
        vars(self.base)["_trainer"] = trainer  # declared for a Trainer
        self.activations: dict[str, GroupedActivation] = {}
        for site in sites:
            if own_hooks(self.base.get_submodule(site)):
                raise CannotBatchError(f"{site} has a hook, which would see all candidates")
            self.activations[site] = GroupedActivation()
            _replace(self.base, self.base.get_submodule(site), self.activations[site])
        self._dropouts: dict[str, StreamDropout] = {}
        for part in filter(is_layer, self.base.modules()):
            fuse_(part)  # a fused path would read the weights of normalisations that are no longer there
        if streams or module.device.type == "cpu":  # a GPU draws in an order of its own
            for path, dropout in plain_dropout(self.base).items():
                self._dropouts[path] = StreamDropout(dropout)
                _replace(self.base, dropout, self._dropouts[path])
        self._metric_calls: list[MetricCall] = []
        for name, metric in _metrics(self.base):
            kind = _CollectionStandIn if isinstance(metric, MetricCollection) else _SingleStandIn
            _replace(self.base, metric, kind(name, self._metric_calls, metric))
        self._metrics = [m for m in self.base.modules() if type(m) is _SingleStandIn]
        self._logged: list[tuple[str, object, LogOptions]] = []
        for name, call in log_calls(lambda *given: self._logged.append(given)).items():
            object.__setattr__(self.base, name, call)
        self._takes_index = len(inspect.signature(self.base.training_step).parameters) > 1
        self._slots = [(name, _aliases(self.base, name)) for name in names_of(self.base)]

    def seat(self, modules: Sequence[nn.Module], streams: Sequence[Stream], stream_of: Tensor) -> None:
        """Let dropout be drawn for the members of these modules; ``streams`` where there are several."""
        for path, dropout in self._dropouts.items():
            own = [module.get_submodule(path) for module in modules]
            dropout.seat([layer for layer in own if isinstance(layer, nn.Dropout)], streams, stream_of)

    def learning(self, sites: Collection[str]) -> None:
        """At these sites some member's activation learns: a step must not walk over the template's parameters."""
        for site, activation in self.activations.items():
            vars(activation)["_parameters"] = _Unread() if site in sites else {}

    def run(self, stack: Stack, batch: Batch, batch_idx: int, *, own_batches: bool) -> Step:
        """One training step of every member, on one batch for all or, with ``own_batches``, tensors ``[members, ...]``.

        Raises:
            CannotBatchError: the step returned no loss.
        """
        entries = [stack.common[name] for name, _ in self._slots]
        tensors = [entry.tensor for entry in entries]
        index = torch.arange(stack.members, device=self.base.device)
        leaves, spec = tree_flatten(batch)
        moving = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        shapes: list[_Shape] = []

        def one(member: Tensor, values: list[Tensor], rows: list[Tensor]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
            members_leaves = list(leaves)
            for place, tensor in zip(moving, rows, strict=True):
                members_leaves[place] = tensor
            loss = self._call(member, values, tree_unflatten(members_leaves, spec), batch_idx)
            noted, kept = tree_flatten([[value for _, value, _ in self._logged], list(self._metric_calls)])
            fixed = [Tensor if isinstance(leaf, Tensor) else leaf for leaf in noted]
            assigned, changed = self._assigned(values)
            shapes.append(_Shape(list(self._logged), kept, fixed, assigned))
            return loss, [leaf for leaf in noted if isinstance(leaf, Tensor)], changed

        batched = vmap(one, in_dims=(0, 0, 0 if own_batches else None), randomness="same")
        try:
            loss_k, logged, changed = batched(index, tensors, [leaves[i] for i in moving])
        finally:
            self._release()
        for entry, value_k in zip([entries[i] for i in shapes[-1].assigned], changed, strict=True):
            entry.replace(value_k.detach())
        return self._step(loss_k, logged, shapes[-1])

    def _assigned(self, values: Sequence[Tensor]) -> tuple[list[int], list[Tensor]]:
        """Tensors that the step put in the place of others, as ``self.average = ...`` does with a buffer."""
        where, changed = [], []
        for i, ((name, slots), value) in enumerate(zip(self._slots, values, strict=True)):
            current = slots[0][0][slots[0][1]]
            if current is value:
                continue
            if not isinstance(current, Tensor) or value.requires_grad:
                raise CannotBatchError(f"training_step puts something else in the place of {name}")
            where.append(i)
            changed.append(current)
        return where, changed

    def _call(self, member: Tensor, values: list[Tensor], batch: Batch, batch_idx: int) -> Tensor:
        """The module's own ``training_step`` with one member's tensors in its place."""
        self._logged.clear()
        self._metric_calls.clear()
        for (_, slots), value in zip(self._slots, values, strict=True):
            for store, key in slots:
                store[key] = value
        self._point(member)
        out = self.base.training_step(batch, batch_idx) if self._takes_index else self.base.training_step(batch)
        for metric in self._metrics:
            metric.check()
        loss = out.get("loss") if isinstance(out, Mapping) else out
        if not isinstance(loss, Tensor):
            raise CannotBatchError(f"training_step returned {type(out).__name__} without a loss")
        return loss

    def _point(self, member: Tensor | None) -> None:
        """Tell what steps out of ``vmap`` which member it is called for."""
        for activation in self.activations.values():
            activation.member = member
        for dropout in self._dropouts.values():
            dropout.member = member

    def _release(self) -> None:
        """Let go of batched tensors, which must not outlive ``vmap``."""
        for _, slots in self._slots:
            for store, key in slots:
                store[key] = None
        self._point(None)

    def _step(self, loss_k: Tensor, logged: list[Tensor], shape: _Shape) -> Step:
        """Put what left ``vmap`` back into its form."""
        step, tensors = Step(loss_k), iter(logged)
        leaves = [next(tensors) if fixed is Tensor else fixed for fixed in shape.fixed]
        values, step.metric_calls = tree_unflatten(leaves, shape.spec)
        for (name, _, options), value in zip(shape.logged, values, strict=True):
            if isinstance(value, (_Deferred, _MetricStandIn, _OneOfCollection)):
                step.metrics_logged.append((name, value, options))
                continue
            if not isinstance(value, Tensor):
                value = torch.full((len(loss_k),), float(value))
            step.logged.append((name, value, options))
        self._logged.clear()
        self._metric_calls.clear()
        return step


def _learns(x: Tensor) -> bool:
    """Whether a tensor inside ``vmap`` depends on weights; it does not say so itself."""
    return bool((get_unwrapped(x) if is_batchedtensor(x) else x).requires_grad)


def _metrics(base: nn.Module) -> list[tuple[str, Metric | MetricCollection]]:
    """The metrics of a module by path, collections as a whole."""
    metrics: list[tuple[str, Metric | MetricCollection]] = []
    for name, module in base.named_modules():
        inside = any(name.startswith(f"{other}.") for other, _ in metrics)
        if isinstance(module, (Metric, MetricCollection)) and not inside:
            metrics.append((name, module))
    return metrics


def _aliases(base: nn.Module, name: str) -> list[Slot]:
    """Every place where a module holds the tensor called ``name``, tied ones included."""
    tensor = dict([*base.named_parameters(), *base.named_buffers()])[name]
    every = [*base.named_parameters(remove_duplicate=False), *base.named_buffers(remove_duplicate=False)]
    return [slot_of(base, alias) for alias, other in every if other is tensor]


def _replace(base: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put ``new`` wherever ``base`` holds ``old``: as a submodule, or as a plain attribute of that name."""
    for parent in list(base.modules()):
        for held in (parent._modules, parent.__dict__):
            for name, child in list(held.items()):
                if child is old:
                    held[name] = new
