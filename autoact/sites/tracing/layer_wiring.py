"""Which layers stand around a site: what would have to change its width with it, and whether it can."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.normalisation import NormalisationModule
from autoact.sites.initialise import is_held
from autoact.sites.site import LinearLayer, NormLayer, Wiring
from autoact.sites.tracing.dry_run import tensors_in
from autoact.sites.tracing.locate import Located, modules_with_names
from autoact.sites.tracing.tensor_tags import CallMode, TensorTags, TorchCall, first_tensor
from autoact.sites.tracing.weight_consumers import DROPS

_LAST_AXIS_NORMS = (nn.LayerNorm, nn.RMSNorm, NormalisationModule)
_PASSING_MODULES = (nn.Identity, nn.modules.dropout._DropoutNd)
SCALE_AND_SHIFT = ("weight", "bias")
"""A normalisation's parameters of each channel."""
_READS = frozenset({"numpy", "__array__", "tolist", "item", "__dlpack__"})
"""Functions that take the values out of torch: what is done with them there is not seen."""


@dataclass(eq=False)
class _Stream:
    """The channels that one layer or site gives out, up to where they end.

    Attributes:
        start: the Linear, or the name of the site, that they come from.
        others: anything else that they go into, in words.
    """

    start: nn.Linear | str
    norms: list[nn.Module] = field(default_factory=list)
    linears: list[nn.Linear] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


class WiringTracer(CallMode):
    """Follows channels through one run, from Linear layers to sites and from sites to Linear layers.

    Dropout, identities and normalisations that can be resized are passed through. Everything else ends a stream:
    a site whose stream ends so cannot change its width.
    """

    def __init__(self, model: nn.Module, located: list[Located]) -> None:
        super().__init__()
        self._sites = {id(item.module): item for item in located}
        self._names = {id(module): names for names, module in modules_with_names(model)}
        self._modules = [module for _, module in modules_with_names(model)]
        self._owners = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
        self._streams = TensorTags[_Stream]()
        self._origins: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self._calls: Counter[int] = Counter()
        self._order: dict[int, int] = {}
        self._into: dict[str, _Stream | str] = {}
        self._out: dict[str, _Stream] = {}
        self._inside: list[tuple[_Stream | None, str]] = []
        scripted = any(isinstance(module, torch.jit.ScriptModule) for module in self._modules)
        self._blind = "a part of the model is scripted: what happens in it is not seen" if scripted else ""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Attach hooks to the layers that matter, and remove them afterwards."""
        with ExitStack() as hooks:
            for module in self._modules:
                if id(module) in self._sites or _is_plain(module):
                    hooks.enter_context(module.register_forward_pre_hook(self._entering, with_kwargs=True))
                    hooks.enter_context(module.register_forward_hook(self._left, with_kwargs=True))
            with self:
                yield
            if self._inside:
                self._blind = "a layer raised an error that the model caught: what happened then is not seen"

    def _entering(self, module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """A hook that runs before a layer: an in-place one overwrites its input, so the stream is looked up now."""
        x = first_tensor(args, kwargs)
        stream = self._streams.get(x) if x is not None else None
        self._inside.append((stream, self._origin(x)))
        self._calls[id(module)] += 1
        self._order.setdefault(id(module), len(self._order))

    def _left(self, module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], result: object) -> None:
        stream, origin = self._inside.pop()
        if self._inside:
            return  # a part of a site
        described = f"{type(module).__name__} {self._name(module)!r}"
        ending, going_on = stream or _Stream(origin), None  # what comes from elsewhere ends unseen
        if not isinstance(result, Tensor):
            ending.others.append(described)
            return
        site = self._sites.get(id(module))
        if site is not None:
            ending.sites.append(site.name)
            self._into[site.name] = stream or origin
            going_on = self._out[site.name] = _Stream(site.name)
        elif isinstance(module, nn.Linear):
            ending.linears.append(module)
            going_on = _Stream(module)
        elif isinstance(module, _PASSING_MODULES):
            going_on, described = stream, origin
        elif stream is not None and _on_last_axis(module, result):
            stream.norms.append(module)
            going_on = stream
        else:
            ending.others.append(described)
        self._streams.set(result, going_on)
        self._origins[id(result)] = (weakref.ref(result), described)

    def called(self, call: TorchCall) -> object:
        """Run a torch function, and follow the channels through it."""
        if self._inside:
            return call.function(*call.args, **call.kwargs)
        name, tensors = call.name, call.tensors
        streams = [stream for tensor in tensors if (stream := self._streams.get(tensor)) is not None]
        result = call.function(*call.args, **call.kwargs)
        results = list(tensors_in(result))
        if isinstance(result, Tensor) and name in DROPS and len(streams) == 1 and result.shape == tensors[0].shape:
            self._streams.set(result, streams[0])
        elif results or result is None or name in _READS:  # a shape or a flag that is read is no use of the channels
            for stream in streams:
                stream.others.append(_described(name))
        for tensor in results:
            self._origins[id(tensor)] = (weakref.ref(tensor), _described(name))
        return result

    def returned(self, result: object) -> None:
        """Note what the model returned."""
        for tensor in tensors_in(result):
            if (stream := self._streams.get(tensor)) is not None:
                stream.others.append("the model's result")

    def _origin(self, x: Tensor | None) -> str:
        noted = self._origins.get(id(x))
        return noted[1] if noted is not None and noted[0]() is x else "the model's input"

    def _name(self, module: nn.Module) -> str:
        return self._names[id(module)][0]

    def wiring_of(self, item: Located) -> Wiring | str:
        """The layers around a site, or why they cannot change their width, in one line."""
        return self._blind or self._shared(item.module, item.names, "it") or self._traced(item)

    def _traced(self, item: Located) -> Wiring | str:
        into, out = self._into.get(item.name), self._out.get(item.name)
        if into is None or out is None:
            return "it is not called with this example input"
        if isinstance(into, str) or isinstance(into.start, str):
            origin = into if isinstance(into, str) else f"the activation {into.start!r}"
            return f"its input comes from {origin}, and only the width of a plain nn.Linear can change"
        producer, consumers = into.start, out.linears
        others = dict.fromkeys([*into.others, *(self._name(module) for module in into.linears)])
        if others or len(into.sites) != 1:
            where = ", ".join(others) or "two activations"
            return f"the output of {self._name(producer)!r} goes into {where} as well"
        ends = [*out.others, *(f"the activation {name!r}" for name in out.sites)]
        if ends or not consumers:
            return f"its output goes into {ends[0] if ends else 'nothing'}, not into plain nn.Linear layers alone"
        parts = [producer, *consumers, *into.norms, *out.norms]
        problems = [self._problem(module) for module in parts]
        if any(problems):
            return next(filter(None, problems))
        return Wiring(
            producer=self._linear(producer),
            consumers=tuple(self._linear(module) for module in consumers),
            before=tuple(map(self._norm, into.norms)),
            after=tuple(map(self._norm, out.norms)),
            width=producer.out_features // registry.pieces(item.choice),
        )

    def _problem(self, module: nn.Module) -> str:
        """Why a layer cannot be resized; empty where it can."""
        shared = self._shared(module, self._names[id(module)], repr(self._name(module)))
        if shared:
            return shared
        if any(self._owners[id(parameter)] > 1 for parameter in module.parameters()):
            return f"the weights of {self._name(module)!r} are shared with another layer"
        fixed = [parameter for parameter in module.parameters() if is_held(parameter)]
        if fixed:
            why = "loaded" if all(parameter.requires_grad for parameter in fixed) else "frozen"
            return f"the weights of {self._name(module)!r} are {why}"
        return ""

    def _shared(self, module: nn.Module, names: tuple[str, ...], subject: str) -> str:
        """Why a module with several names or calls cannot be resized; empty otherwise."""
        if len(names) > 1:
            return f"{subject} stands at several places: {', '.join(names)}"
        calls = self._calls[id(module)]
        return f"{subject} is called {calls} times in one forward" if calls > 1 else ""

    def _linear(self, module: nn.Linear) -> LinearLayer:
        return LinearLayer(
            self._name(module),
            module.in_features,
            module.out_features,
            module.bias is not None,
            self._order[id(module)],
        )

    def _norm(self, module: nn.Module) -> NormLayer:
        return NormLayer(self._name(module), sum(module._parameters.get(name) is not None for name in SCALE_AND_SHIFT))


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is a layer whose width can be changed, or one that does not mind."""
    kinds: tuple[type[nn.Module], ...] = (nn.Linear, nn.BatchNorm1d, *_LAST_AXIS_NORMS)
    if isinstance(module, _PASSING_MODULES):
        return type(module).__module__.startswith("torch.nn.")
    if "forward" in vars(module) or hasattr(module, "parametrizations"):
        return False
    if not any(isinstance(module, kind) and type(module).forward is kind.forward for kind in kinds):
        return False
    # Old-style weight and spectral norms keep the weight elsewhere and compute it in a hook.
    return not isinstance(module, nn.Linear) or "weight" in module._parameters


def _on_last_axis(module: nn.Module, x: Tensor) -> bool:
    """Whether a normalisation has one set of weights along the last axis of ``x``, and nothing else."""
    if isinstance(module, _LAST_AXIS_NORMS):
        return len(module.normalized_shape) == 1
    return isinstance(module, nn.BatchNorm1d) and x.dim() == 2


def _described(name: str) -> str:
    return "a linear map that is no plain nn.Linear" if name == "linear" else f"{name.strip('_') or 'a function'}()"
