"""Watch one run of a model: which activations are called, with what, and what becomes of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.normalisation import NormalisationModule
from autoact.core.assignment import Choice
from autoact.sites.discovery.functional_calls import FoundCall, module_call
from autoact.sites.discovery.functional_sites import FunctionalCalls, Kernels
from autoact.sites.discovery.output_roles import Consequences
from autoact.sites.discovery.recognise import equal_module
from autoact.sites.discovery.unsupported import looks_like_activation, may_be_activation
from autoact.sites.rewriting.method_rewrite import MethodCall
from autoact.sites.site import Site, Unreplaceable, Wiring
from autoact.sites.tracing.dry_run import memory_of, tensors_in
from autoact.sites.tracing.locate import Located, modules_with_names
from autoact.sites.tracing.tensor_tags import CallMode, TensorTags, TorchCall, channel_dim_after, first_tensor


@dataclass
class _Watched:
    located: Located
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    dims: list[int | None] = field(default_factory=list)
    order: int = 0


class CallTracer(CallMode):
    """Watches one run: which activation modules are called, with which tensors, and what becomes of the results."""

    def __init__(
        self, model: nn.Module, located: list[Located], inputs: Iterable[Tensor] = (), *, places: bool = False
    ) -> None:
        """Watch ``located`` in ``model``, fed with ``inputs``; with ``places`` also where each is called."""
        super().__init__()
        self._model, self._places = model, places
        self._modules = modules_with_names(model)
        self._watched = {id(item.module): _Watched(item) for item in located}
        self._layout = TensorTags[int]()
        self._stack: list[tuple[str, nn.Module]] = []
        self._first_calls = 0
        self._own: dict[int, tuple[str, nn.Module, Tensor]] = {}
        self._by_id = {id(module): names[0] for names, module in self._modules}
        self._consequences = Consequences(model, inputs, self._within_site)
        self._functional = FunctionalCalls(model, self._by_id)
        self._calls: dict[int, dict[tuple[str, MethodCall] | None, None]] = {}
        self._results: set[tuple[int, int] | None] = set()
        self._alive: list[Tensor] = []  # memory keys are valid only while the tensors are alive

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Attach hooks to every module, and remove them afterwards."""
        with ExitStack() as hooks:
            for names, module in self._modules:
                if isinstance(module, torch.jit.ScriptModule):
                    continue  # takes no hooks
                hooks.enter_context(module.register_forward_pre_hook(self._entering(names[0]), with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(self._left, with_kwargs=True))
            with self, Kernels(self._kernel), self._consequences:
                yield

    def _kernel(self, name: str) -> None:
        """Note what torch runs, unless an activation module runs it."""
        if not self._hidden():
            self._functional.kernel(name, self._stack[-1][0] if self._stack else "")

    def _within_site(self) -> bool:
        return any(id(outer) in self._watched for _, outer in self._stack)

    def _hidden(self) -> bool:
        """Whether what runs is part of an activation, or of what stands in the place of a normalisation."""
        return self._within_site() or any(isinstance(outer, NormalisationModule) for _, outer in self._stack)

    def _entering(self, name: str) -> Callable[[nn.Module, tuple[object, ...], dict[str, object]], None]:
        def hook(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            self._stack.append((name, module))
            watched, x = self._watched.get(id(module)), first_tensor(args, kwargs)
            if watched is None or x is None:
                return
            if not watched.shapes:
                watched.order = self._first_calls
                self._first_calls += 1
            if self._places:
                self._calls.setdefault(id(module), {})[module_call(self._by_id, module)] = None
            row = registry.get(watched.located.choice.name)
            self._consequences.entering(watched.located.name, x, bounded=row.bounded)
            watched.shapes.append(tuple(x.shape))
            watched.dims.append(self._layout.get(x))

        return hook

    def _left(self, module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], result: object) -> None:
        while self._stack and self._stack.pop()[1] is not module:
            pass  # a module that raised, and whose error was caught by its caller, left nothing but its entry
        self._functional.left(result)
        watched, x = self._watched.get(id(module)), first_tensor(args, kwargs)
        if watched is not None and isinstance(result, Tensor) and watched.dims:
            self._consequences.left(watched.located.name, result)
            self._layout.set(result, watched.dims[-1])
        elif isinstance(result, Tensor) and x is not None and result.shape == x.shape and may_be_activation(module):
            name = next(names[0] for names, other in self._modules if other is module)
            if x.is_floating_point() and name:
                self._own.setdefault(id(module), (name, module, x))
        if module is self._model:
            self.returned(result)

    def returned(self, result: object) -> None:
        """Note what the model returned."""
        self._results.update(self._key(tensor) for tensor in tensors_in(result))

    def _key(self, tensor: Tensor) -> tuple[int, int] | None:
        """The memory key of ``tensor``, which is kept alive from now on."""
        self._alive.append(tensor)
        return memory_of(tensor)

    def called(self, call: TorchCall) -> object:
        """Run a torch function, and note what it computes."""
        name = call.name
        inputs = [(tensor, self._layout.get(tensor)) for tensor in call.tensors]
        if inputs and ("loss" in name or "cross_entropy" in name):
            self.returned(inputs[0][0])
        within = None if self._hidden() else self._stack[-1] if self._stack else ("", self._model)
        result = self._functional.run(call, within, self._key)
        if isinstance(result, Tensor) and inputs:
            self._layout.set(result, channel_dim_after(name, inputs, result))
        return result

    def sites(self, wiring_of: Callable[[Located], Wiring | str]) -> list[Site]:
        """The modules that were called; ``wiring_of`` tells the layers around each."""
        called = sorted(
            (watched for watched in self._watched.values() if watched.shapes), key=lambda watched: watched.order
        )
        return [self._site(watched, wiring_of(watched.located)) for watched in called]

    def _site(self, watched: _Watched, wiring: Wiring | str) -> Site:
        """One site; its channels are unknown where calls differ in them."""
        dims = {-1 if dim is None else dim for dim in watched.dims}
        dim = next(iter(dims)) if len(dims) == 1 else -1
        sizes = {shape[dim] for shape in watched.shapes if shape}
        return Site(
            name=watched.located.name,
            current=watched.located.choice,
            shape=watched.shapes[0],
            channels=sizes.pop() if len(sizes) == len(dims) == 1 else None,
            channel_dim=dim,
            uses=len(watched.shapes),
            kept=self._consequences.kept(watched.located.name),
            order=watched.order,
            shared_as=watched.located.names[1:],
            wiring=None if isinstance(wiring, str) else wiring,
            not_gateable=wiring if isinstance(wiring, str) else "",
        )

    def own_activations(self) -> dict[str, tuple[nn.Module, Choice | None]]:
        """Modules of the user's that act like an activation, with what the catalogue has for each, if it has it.

        Run this inside ``undisturbed``.
        """
        found = [entry for entry in self._own.values() if looks_like_activation(entry[1], entry[2])]
        self._own = {id(module): (name, module, x) for name, module, x in found}
        return {name: (module, equal_module(module)) for name, module, _ in found}

    def calls(self) -> dict[FoundCall, bool]:
        """Activation functions called outside of any activation, and whether they made the model's output."""
        return self._functional.calls({name for name, _, _ in self._own.values()}, self._results - {None})

    def uses(self) -> list[tuple[Choice, list[tuple[str, MethodCall]]]]:
        """The modules without weights that are called at several places of the text, with these places."""
        found = []
        for key, places in self._calls.items():
            located = self._watched[key].located
            if len(places) > 1 and None not in places and not any(True for _ in located.module.parameters()):
                found.append((located.choice, [place for place in places if place is not None]))
        return found

    def unused(self) -> list[Unreplaceable]:
        """Activation modules that the run did not call."""
        return [
            Unreplaceable(
                watched.located.name, "unused", f"{watched.located.choice} is not called with this example input"
            )
            for watched in self._watched.values()
            if not watched.shapes
        ]
