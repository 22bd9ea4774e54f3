"""What becomes of each activation's result in one run: whether layers with weights read it, or its range is relied on.

Everything that torch runs is followed from memory to memory, so that no rewriting of a result (a slice, a clamp, a new
shape, an entry of a dict or of a distribution) hides where it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from autoact.sites._compat_torch import DisableTorchFunction, DispatchMode, OpOverload
from autoact.sites.site import OUTPUT
from autoact.sites.tracing.dry_run import tensors_in

GATE = "its range is used: it is a gate, whose result multiplies another path"
SCALE = "its range is used: its result scales random numbers"
PARAMETERS = "its range is used: it is computed from parameters alone"

# Sums over an axis of what they are given; with weights they make a layer.
_CONTRACTIONS = frozenset(
    {
        "mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "linear", "matmul", "convolution",
        "_convolution", "mkldnn_convolution", "miopen_convolution", "cudnn_convolution", "mkldnn_linear",
        "embedding", "embedding_bag", "_embedding_bag", "mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn", "lstm",
        "gru", "rnn_tanh", "rnn_relu", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell", "bilinear", "_trilinear",
        "_native_multi_head_attention", "_transformer_encoder_layer_fwd", "_addmm_activation",
    }
)  # fmt: skip
_PRODUCTS = frozenset({"mul", "mul_", "bmm", "addcmul", "addcmul_", "lerp", "lerp_"})
_NOISE = frozenset({"randn", "randn_like", "normal", "normal_", "normal_functional"})
# What these give depends on no number that they are given.
_FRESH = frozenset(
    {
        "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros", "new_ones",
        "new_empty", "new_full", "new_empty_strided", "zero_", "fill_", "normal_", "uniform_", "bernoulli_",
    }
)  # fmt: skip

Root = tuple[int, int, int]
"""A tensor that a layer gave, and which part of its memory: two halves of one are two paths."""


@dataclass(frozen=True)
class _Origin:
    """Where the numbers in a piece of memory come from.

    Attributes:
        sites: activations from which no layer with weights separates them.
        roots: results of layers, and inputs, that they were computed from since.
    """

    sites: frozenset[str] = frozenset()
    roots: frozenset[Root] = frozenset()
    weights: bool = False
    noise: bool = False

    def __or__(self, other: _Origin) -> _Origin:
        return _Origin(
            self.sites | other.sites,
            self.roots | other.roots,
            self.weights or other.weights,
            self.noise or other.noise,
        )

    @property
    def only_weights(self) -> bool:
        """Whether it depends on parameters and on nothing that was computed from the input."""
        return self.weights and not self.roots and not self.sites


_NOTHING = _Origin()


@dataclass
class _Use:
    """What is known of one activation.

    Attributes:
        bounded: whether its values lie between two numbers: only then a product can rely on them.
        roots: what its inputs were computed from.
        before: activations that its last input came from directly.
        on_weights: how many of the calls were on parameters alone.
    """

    bounded: bool
    roots: set[Root] = field(default_factory=set)
    before: frozenset[str] = frozenset()
    calls: int = 0
    on_weights: int = 0


class Consequences(DispatchMode):
    """Follows activations' results through one run; ``inside`` tells whether torch is running a part of one."""

    def __init__(self, model: nn.Module, inputs: Iterable[Tensor], inside: Callable[[], bool]) -> None:
        super().__init__()
        self._inside = inside
        self._origins: dict[int, tuple[object, _Origin]] = {}
        self._uses: dict[str, _Use] = {}
        self._followed: set[str] = set()
        self._relied: dict[str, str] = {}
        self._count = 0
        for parameter in model.parameters():
            if not is_lazy(parameter):
                self._set(parameter, _Origin(weights=True))
        for tensor in inputs:
            if tensor.is_floating_point() or tensor.is_complex():
                self._set(tensor, _Origin(roots=frozenset({self._root()})))

    def entering(self, site: str, x: Tensor, *, bounded: bool) -> None:
        """An activation is called with ``x``."""
        use, origin = self._uses.setdefault(site, _Use(bounded)), self._origin(x)
        use.calls += 1
        use.on_weights += origin.only_weights
        use.roots |= origin.roots
        use.before = origin.sites

    def left(self, site: str, result: Tensor) -> None:
        """It returned ``result``."""
        use = self._uses[site]
        self._set(result, _Origin(use.before | {site}, frozenset(use.roots) | {self._root()}))

    def kept(self, site: str) -> str:
        """Why the activation at a site is better left as it is; empty where a search may change it."""
        use = self._uses.get(site)
        if use is None:
            return ""
        if use.calls == use.on_weights:
            return PARAMETERS
        if site in self._relied:
            return self._relied[site]
        return "" if site in self._followed else OUTPUT

    def ran(self, function: OpOverload, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Follow where the results come from."""
        with DisableTorchFunction():  # what is asked of tensors here is no step of the model
            return self._run(function, args, kwargs)

    def _run(self, function: OpOverload, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        name = function.overloadpacket.__name__
        given = [tensor for tensor in tensors_in([*args, *kwargs.values()]) if _counts(tensor)]
        origins = [self._origin(tensor) for tensor in given]
        if not self._inside():
            if _is_layer(name, origins):
                for origin in origins:
                    self._followed |= origin.sites
                origins = [_Origin(roots=frozenset({self._root()}))]
            elif name in _PRODUCTS:
                self._product(origins[1:] if name.startswith("addcmul") else origins)
            elif name in _NOISE:  # drawn with a spread that was computed
                self._relied |= {site: SCALE for site in _sites_of(origins) if site not in self._relied}
        result = function(*args, **kwargs)
        if name in _FRESH:
            origins = []
        whole = _Origin(noise=name in _NOISE)
        for origin in origins:
            whole |= origin
        written = function._schema.is_mutable
        memories = {_memory(tensor) for tensor in given}
        for tensor in tensors_in(result):
            if not _counts(tensor) or (_memory(tensor) in memories and not written):
                continue  # another look at the same memory
            self._set(tensor, whole | self._origin(tensor) if written and name not in _FRESH else whole)
        return result

    def _product(self, origins: list[_Origin]) -> None:
        """Note the activations whose results multiply something that they were not computed from."""
        for place, origin in enumerate(origins):
            others = [other for k, other in enumerate(origins) if k != place]
            for site in origin.sites:
                use = self._uses[site]
                if any(other.noise and not other.roots for other in others):
                    self._relied.setdefault(site, SCALE)
                paths = [other.roots for other in others if other.roots]
                if use.bounded and any(path.isdisjoint(use.roots) and site not in _sites_of(others) for path in paths):
                    self._relied.setdefault(site, GATE)

    def _root(self) -> Root:
        self._count += 1
        return (self._count, 0, 0)

    def _origin(self, tensor: Tensor) -> _Origin:
        """Where a tensor comes from; a part of a piece of memory is a path of its own."""
        noted = self._origins.get(_memory(tensor))
        if noted is None:
            return _NOTHING
        origin, size = noted[1], tensor.untyped_storage().nbytes() // max(1, tensor.element_size())
        if tensor.numel() >= size or not origin.roots:
            return origin
        part = (int(tensor.storage_offset()), tensor.numel())
        roots = frozenset((root, *part) for root, *_ in origin.roots)
        return _Origin(origin.sites, roots, origin.weights, origin.noise)

    def _set(self, tensor: Tensor, origin: _Origin) -> None:
        """Note where the memory of a tensor comes from; it is kept, since its address is used again."""
        self._origins[_memory(tensor)] = (tensor.untyped_storage(), origin)


def _is_layer(name: str, origins: Iterable[_Origin]) -> bool:
    """Whether a function is a layer with weights: a sum over an axis with parameters, or a convolution of any kind."""
    return "convolution" in name or (name in _CONTRACTIONS and any(origin.only_weights for origin in origins))


def _sites_of(origins: Iterable[_Origin]) -> frozenset[str]:
    return frozenset().union(*(origin.sites for origin in origins))


def _counts(tensor: Tensor) -> bool:
    """Whether a tensor holds numbers whose way can be followed."""
    plain = tensor.layout is torch.strided and not tensor.is_nested
    return plain and (tensor.is_floating_point() or tensor.is_complex())


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
