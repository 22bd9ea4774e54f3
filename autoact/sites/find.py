"""Find the sites of a model: walk its modules, run it once, watch what is called with what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from autoact.sites.dataflow import TensorTags, channel_dim_after, first_tensor, name_of
from autoact.sites.locate import Located, activation_modules, check_model, modules_with_names
from autoact.sites.opaque import (
    FUNCTIONS,
    calling_line,
    looks_like_activation,
    may_be_activation,
    unreplaceable_in,
)
from autoact.sites.records import Site, Sites, Unreplaceable, Wiring
from autoact.sites.run import copied, memory_of, run_model, tensors_in, undisturbed
from autoact.sites.wiring import WiringTracer


def find_sites(model: nn.Module, example_input: Any = None, *, call: Callable[[], Any] | None = None) -> Sites:
    """The sites of ``model``, and what looks like one and cannot be replaced.

    With an example input the model runs once, in evaluation mode and without gradients; weights, buffers, training
    flags and random states are as before. Without one, sites are found by their type alone: shapes, calls and outputs
    are unknown (the last activation of an ``nn.Sequential`` is taken for the output), neither activations of your own
    nor functional calls such as ``F.relu(x)`` are looked for, and no site is known to be gateable.

    A site is gateable where plain ``nn.Linear`` layers stand before and behind it, with nothing between but dropout,
    identities and normalisations of the last axis: there a gated activation may change the width. Elsewhere
    ``site.not_gateable`` says why it may not.

    Args:
        model: any module; activations are found at any depth.
        example_input: a tensor (the one argument), a tuple or list (positional arguments) or a mapping (keyword
            arguments).
        call: runs the model instead of ``model(example_input)``, for a model without a usable forward.

    Returns:
        The sites in the order of their first call.

    Raises:
        AutoactError: ``model`` is not a plain module, or its forward raised.

    Shape:
        - example_input: what the model's forward takes, batch first.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
        >>> print(find_sites(model, torch.zeros(2, 4)))
        site  activation  shape  calls  note
        1     relu        2x8    1
        3     sigmoid     2x1    1      output: not searched
    """
    check_model(model)
    located = activation_modules(model)
    known = unreplaceable_in(model, located)
    if example_input is None and call is None:
        last = _last_module(model)
        sites = [
            Site(item.name, item.choice, is_output=item.module is last, order=order, shared_as=item.names[1:])
            for order, item in enumerate(located)
        ]
        return Sites(sites, known)
    observer, tracer = _Observer(model, located), WiringTracer(model, located)
    example = copied(example_input)
    with undisturbed(model):
        with observer.watching(), tracer.watching():
            result = run_model(model, example, call)
            observer.returned(result)
            tracer.returned(result)
        known += observer.own_activations()
    known += [*observer.functional_calls(), *observer.unused()]
    return Sites(observer.sites(tracer.wiring_of), known)


def _last_module(model: nn.Module) -> nn.Module:
    """What computes the result, as far as nested ``nn.Sequential`` show it; the module itself otherwise."""
    while isinstance(model, nn.Sequential):
        kept = [part for part in model if not isinstance(part, nn.Identity | nn.Flatten | nn.Unflatten)]
        if not kept:
            break
        model = kept[-1]
    return model


@dataclass
class _Seen:
    """What was seen of one activation module."""

    located: Located
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    dims: list[int | None] = field(default_factory=list)
    memories: list[tuple[int, int] | None] = field(default_factory=list)
    order: int = 0


@dataclass
class _FunctionalCall:
    """One call of an activation function outside of any activation module."""

    inside: str
    function: str
    line: str
    memory: tuple[int, int] | None


class _Observer(TorchFunctionMode):
    """Watches one run: which activation modules are called, with which tensors, and what becomes of the results."""

    def __init__(self, model: nn.Module, located: list[Located]) -> None:
        """Watch ``located`` in ``model``."""
        super().__init__()
        self._model = model
        self._modules = modules_with_names(model)
        self._seen = {id(item.module): _Seen(item) for item in located}
        self._layout = TensorTags[int]()
        self._stack: list[tuple[str, nn.Module]] = []
        self._first_calls = 0
        self._own: dict[int, tuple[str, nn.Module, Tensor]] = {}
        self._functional: list[_FunctionalCall] = []
        self._results: set[tuple[int, int] | None] = set()
        self._alive: list[Tensor] = []  # memory keys are valid only while the tensors are alive

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Attach hooks to every module, and remove them afterwards."""
        handles = []
        try:
            for names, module in self._modules:
                if isinstance(module, torch.jit.ScriptModule):
                    continue  # takes no hooks
                handles.append(module.register_forward_pre_hook(self._entering(names[0]), with_kwargs=True))
                handles.append(module.register_forward_hook(self._left, with_kwargs=True))
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        """A hook that runs before the module called ``name``."""

        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._stack.append((name, module))
            seen, x = self._seen.get(id(module)), first_tensor(args, kwargs)
            if seen is None or x is None:
                return
            if not seen.shapes:
                seen.order = self._first_calls
                self._first_calls += 1
            seen.shapes.append(tuple(x.shape))
            seen.dims.append(self._layout.get(x))

        return hook

    def _left(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """A hook that runs after a module."""
        while self._stack and self._stack.pop()[1] is not module:
            pass  # a module that raised, and whose error was caught by its caller, left nothing but its entry
        seen, x = self._seen.get(id(module)), first_tensor(args, kwargs)
        if seen is not None and isinstance(result, Tensor) and seen.dims:
            seen.memories.append(self._key(result))
            self._layout.set(result, seen.dims[-1])
        elif isinstance(result, Tensor) and x is not None and result.shape == x.shape and may_be_activation(module):
            name = next(names[0] for names, other in self._modules if other is module)
            if x.is_floating_point() and name:
                self._own.setdefault(id(module), (name, module, x))
        if module is self._model:
            self.returned(result)

    def returned(self, result: Any) -> None:
        """Note what the model returned."""
        self._results.update(self._key(tensor) for tensor in tensors_in(result))

    def _key(self, tensor: Tensor) -> tuple[int, int] | None:
        """The memory key of ``tensor``, which is kept alive from now on."""
        self._alive.append(tensor)
        return memory_of(tensor)

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``function``; pass the channel dimension on; note losses and functional activations."""
        kwargs = kwargs or {}
        name = name_of(function)
        inputs = [(tensor, self._layout.get(tensor)) for tensor in tensors_in([*args, *kwargs.values()])]
        if inputs and ("loss" in name or "cross_entropy" in name):
            self.returned(inputs[0][0])
        result = function(*args, **kwargs)
        if isinstance(result, Tensor) and inputs:
            if name in FUNCTIONS:
                self._note_functional(name, result)
            self._layout.set(result, channel_dim_after(name, inputs, result))
        return result

    def _note_functional(self, function: str, result: Tensor) -> None:
        """Note a functional activation, unless it belongs to an activation module or to a module of torch."""
        inside, module = self._stack[-1] if self._stack else ("", self._model)
        within_site = any(id(outer) in self._seen for _, outer in self._stack)
        if not within_site and not type(module).__module__.startswith("torch."):
            self._functional.append(_FunctionalCall(inside, function, calling_line(), self._key(result)))

    def _is_result(self, memory: tuple[int, int] | None) -> bool:
        """Whether the model returned this memory unchanged."""
        return memory is not None and memory in self._results

    def sites(self, wiring_of: Callable[[Located], Wiring | str]) -> list[Site]:
        """The modules that were called; ``wiring_of`` tells the layers around each."""
        called = sorted((seen for seen in self._seen.values() if seen.shapes), key=lambda seen: seen.order)
        return [self._site(seen, wiring_of(seen.located)) for seen in called]

    def _site(self, seen: _Seen, wiring: Wiring | str) -> Site:
        """One site; its channels are unknown where calls differ in them."""
        dims = {-1 if dim is None else dim for dim in seen.dims}
        dim = next(iter(dims)) if len(dims) == 1 else -1
        sizes = {shape[dim] for shape in seen.shapes if shape}
        return Site(
            name=seen.located.name,
            current=seen.located.choice,
            shape=seen.shapes[0],
            channels=sizes.pop() if len(sizes) == len(dims) == 1 else None,
            channel_dim=dim,
            uses=len(seen.shapes),
            is_output=any(self._is_result(memory) for memory in seen.memories),
            order=seen.order,
            shared_as=seen.located.names[1:],
            wiring=None if isinstance(wiring, str) else wiring,
            not_gateable=wiring if isinstance(wiring, str) else "",
        )

    def own_activations(self) -> list[Unreplaceable]:
        """Modules of the user's that act like an activation; run this inside ``undisturbed``."""
        found = [entry for entry in self._own.values() if looks_like_activation(entry[1], entry[2])]
        self._own = {id(module): (name, module, x) for name, module, x in found}
        reason = "{0} looks like an activation, not in the catalogue: autoact.register it with torch_type={0}"
        return [Unreplaceable(name, "unknown", reason.format(type(module).__name__)) for name, module, _ in found]

    def functional_calls(self) -> list[Unreplaceable]:
        """Activation functions called in a forward, but for the model's output; one entry per line of code."""
        own = {name for name, _, _ in self._own.values()}
        calls = [c for c in self._functional if c.inside not in own and not self._is_result(c.memory)]
        unique = dict.fromkeys((c.inside, c.function, c.line) for c in calls)
        return [
            Unreplaceable(name, "functional", f"calls {function}() at {line}: make it a module to have it replaced")
            for name, function, line in unique
        ]

    def unused(self) -> list[Unreplaceable]:
        """Activation modules that the run did not call."""
        return [
            Unreplaceable(seen.located.name, "unused", f"{seen.located.choice} is not called with this example input")
            for seen in self._seen.values()
            if not seen.shapes
        ]
