"""Which weights consume which activation: a run with a tag on every tensor that says where it comes from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from autoact.activations.normalisation import NormalisationModule
from autoact.sites.tracing.dry_run import copied, run_model, tensors_in, undisturbed
from autoact.sites.tracing.locate import Located, activation_modules, check_model
from autoact.sites.tracing.tensor_tags import (
    NORMALISATIONS,
    RESHAPES,
    CallMode,
    TensorTags,
    TorchCall,
    convolution,
    first_tensor,
)

_MOVE = "transpose permute movedim moveaxis swapaxes swapdims t adjoint squeeze unsqueeze expand expand_as"
_COPY = "contiguous clone detach to float half bfloat16 double type type_as cpu cuda"
_PICK = "__getitem__ select narrow pad constant_pad_nd"
_DROP = "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout"
_MORE = ("", "_with_indices")
_POOL = "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d"
_POOLS = [f"{adaptive}{name}{more}" for adaptive in ("", "adaptive_") for name in _POOL.split() for more in _MORE]
DROPS = frozenset(_DROP.split())
PASSING = RESHAPES.union(_POOLS, DROPS, *(names.split() for names in (_MOVE, _COPY, _PICK)))
"""Functions whose result comes from where their argument comes from.

``mean`` and ``sum`` are left out: they change the variance, so a gain would be wrong behind them.
"""

_AFFINE = {"batch_norm": 3, "instance_norm": 3}
"""Position of the weight among a normalisation's arguments; 2 for the others."""


@dataclass(frozen=True)
class WeightSource:
    """Where the input of a weight comes from.

    Attributes:
        kind: ``site``, ``input`` (the example input itself), ``norm`` (a normalisation) or ``unknown`` (a sum, a
            concatenation, another layer, or several sources).
        site: name of the site where ``kind`` is ``site``.
        fan_in: how many inputs each output of the layer sums over.
        bias: parameter name of the layer's bias, if it has one.
        own_bias: whether that bias belongs to this weight alone, and this weight has no other.
        transposed: groups and strides of a transposed convolution, whose first axis are its inputs.
    """

    kind: str
    site: str | None = None
    fan_in: int = field(default=1, compare=False)
    bias: str | None = field(default=None, compare=False)
    own_bias: bool = field(default=True, compare=False)
    transposed: tuple[int, int] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class WeightGraph:
    """The weights around the activations of a model.

    Attributes:
        consumers: weight of a linear or convolution layer -> the source of what it multiplies.
        producers: site -> the weights that give its inputs their size: of linear and convolution layers, and the affine
            ones of normalisations. Only sites all of whose inputs come from such weights, and only weights whose
            results go nowhere else, are there.
        biases: weight in ``producers`` -> bias of the same layer or normalisation, which no other one has.
        ending: weights in ``consumers`` whose results enter no site as they are.
    """

    consumers: dict[str, WeightSource]
    producers: dict[str, tuple[str, ...]]
    biases: dict[str, str]
    ending: frozenset[str]


def consumers(
    model: nn.Module, example_input: object, *, call: Callable[[], object] | None = None
) -> dict[str, WeightSource]:
    """The weights of linear and convolution layers by name, each with the source of what it multiplies.

    The model runs once, as in ``find_sites``, and is left as it was. Tied weights appear once, under their first name.
    Weights that are computed in the forward (weight norm, adapters), those of recurrent layers and of
    ``nn.MultiheadAttention`` do not appear.

    Raises:
        AutoactError: ``model`` is not a plain module, or its forward raised.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 1))
        >>> {name: source.site or source.kind for name, source in consumers(model, torch.zeros(2, 4)).items()}
        {'0.weight': 'input', '3.weight': '1'}
    """
    return weight_graph(model, example_input, call=call).consumers


def weight_graph(model: nn.Module, example_input: object, *, call: Callable[[], object] | None = None) -> WeightGraph:
    """The weights that consume and that produce what goes through activations; arguments as in ``consumers``.

    Raises:
        AutoactError: as ``consumers``.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> weight_graph(model, torch.zeros(2, 4)).producers
        {'1': ('0.weight',)}
    """
    check_model(model)
    example = copied(example_input)
    tracer = _Tracer(model, activation_modules(model), list(tensors_in(example)))
    with undisturbed(model), tracer.watching():
        tracer.returned(run_model(model, example, call))
    return tracer.graph()


class _Tracer(CallMode):
    """Carries sources from tensor to tensor and writes down what each weight meets."""

    def __init__(self, model: nn.Module, located: list[Located], inputs: list[Tensor]) -> None:
        super().__init__()
        self._located = located
        self._normalisations = [part for part in model.modules() if isinstance(part, NormalisationModule)]
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._tags = TensorTags[WeightSource]()
        for tensor in inputs:
            self._tags.set(tensor, WeightSource("input"))
        self.found: dict[str, WeightSource] = {}
        self._makers = TensorTags[str]()
        self._biases: dict[str, set[str | None]] = {}
        self._goes: dict[str, set[str | None]] = {}
        """Producing weight -> the sites that its results enter; None for anything else."""
        self._made: dict[str, set[str | None]] = {}
        """Site -> the producing weights of its inputs; None for inputs of another origin."""
        self._depth = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as hooks:
            for item in self._located:
                entering = self._entering(item.name)
                hooks.enter_context(item.module.register_forward_pre_hook(entering, with_kwargs=True))
                hooks.enter_context(item.module.register_forward_hook(self._leaving(item.name)))
            for module in self._normalisations:
                hooks.enter_context(module.register_forward_pre_hook(self._normalising, with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(self._normalised))
            with self:
                yield

    def graph(self) -> WeightGraph:
        """What was seen."""
        alone = {weight for weight, sites in self._goes.items() if len(sites) == 1 and None not in sites}
        producers = {
            site: tuple(sorted(weight for weight in weights if weight is not None))
            for site, weights in self._made.items()
            if weights <= alone
        }
        made = {weight for weights in producers.values() for weight in weights}
        entering = {weight for weights in self._made.values() for weight in weights}
        served = Counter(bias for biases in self._biases.values() for bias in biases)
        found = {
            weight: replace(source, own_bias=len(self._biases[weight]) == 1 and served[source.bias] == 1)
            for weight, source in self.found.items()
        }
        own = {weight: next(iter(biases)) for weight, biases in self._biases.items() if len(biases) == 1}
        return WeightGraph(
            consumers=found,
            producers=producers,
            biases={
                weight: bias
                for weight, bias in own.items()
                if weight in made and bias is not None and served[bias] == 1
            },
            ending=frozenset(self.found).difference(weight for weight in entering if weight is not None),
        )

    def returned(self, result: object) -> None:
        """Note what the model returned: it goes elsewhere too."""
        for tensor in tensors_in(result):
            self._use(tensor, None)

    def _use(self, tensor: Tensor, site: str | None) -> None:
        if (maker := self._makers.get(tensor)) is not None:
            self._goes.setdefault(maker, set()).add(site)

    def _entering(self, site: str) -> Callable[[nn.Module, tuple[object, ...], dict[str, object]], None]:
        def hook(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            self._depth += 1
            if self._depth == 1 and (x := first_tensor(args, kwargs)) is not None:
                self._made.setdefault(site, set()).add(self._makers.get(x))
                self._use(x, site)

        return hook

    def _leaving(self, site: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def hook(module: nn.Module, args: tuple[object, ...], result: object) -> None:
            self._depth -= 1
            if isinstance(result, Tensor):
                self._tags.set(result, WeightSource("site", site))
                self._makers.set(result, None)

        return hook

    def _normalising(self, module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """What stands in the place of a normalisation is followed as one: weights around it are drawn alike."""
        if not self._depth and (x := first_tensor(args, kwargs)) is not None:
            self._use(x, None)
        self._depth += 1

    def _normalised(self, module: nn.Module, args: tuple[object, ...], result: object) -> None:
        self._depth -= 1
        if not isinstance(result, Tensor) or self._depth:
            return
        weight, bias = (module._parameters[name] for name in ("weight", "bias"))
        maker = self._names.get(id(weight))
        if maker is not None:
            self._note_bias(maker, bias)
        self._tags.set(result, WeightSource("norm"))
        self._makers.set(result, maker)

    def called(self, call: TorchCall) -> object:
        name, x = call.name, call.kwargs.get("input", first_tensor(call.args, call.kwargs))
        source = self._tags.get(x) if isinstance(x, Tensor) else None
        maker = self._makers.get(x) if isinstance(x, Tensor) and name in PASSING else None
        used = call.tensors if name not in PASSING and not self._depth else []
        makers = {made for tensor in used if (made := self._makers.get(tensor)) is not None}
        if name == "linear" or convolution(name):
            maker = self._consume(source or WeightSource("unknown"), call)
        elif name in NORMALISATIONS:
            maker = self._names.get(id(call.argument(_AFFINE.get(name, 2), "weight")))
            if maker is not None:
                self._note_bias(maker, call.argument(_AFFINE.get(name, 2) + 1, "bias"))
        result = call.function(*call.args, **call.kwargs)
        # Some poolings return indices as well.
        first = result[0] if isinstance(result, tuple) and result and name in PASSING else result
        if isinstance(first, Tensor):
            passed = source if name in PASSING else None
            self._tags.set(first, WeightSource("norm") if name in NORMALISATIONS else passed)
            if not self._depth:
                self._makers.set(first, maker)
        if makers and (result is None or next(tensors_in(result), None) is not None):  # a shape is no use
            for made in makers:
                self._goes.setdefault(made, set()).add(None)
        return result

    def _consume(self, source: WeightSource, call: TorchCall) -> str | None:
        """Note that the weight of a call multiplies what comes from ``source``; its name, if it is a parameter."""
        name, bias = self._names.get(id(call.argument(1, "weight"))), call.argument(2, "bias")
        if name is None:
            return None  # not a parameter itself, but computed from one
        known = self.found.get(name, source)
        # A weight that serves several sources has no one gain.
        kept = source if known == source else WeightSource("unknown")
        bias_name = self._note_bias(name, bias)
        self.found[name] = WeightSource(kept.kind, kept.site, _fan_in(call), bias_name, transposed=_transposed(call))
        return name

    def _note_bias(self, weight: str, bias: object) -> str | None:
        """Note the bias that goes with a weight; its name, if it is a parameter."""
        name = self._names.get(id(bias)) if bias is not None else None
        self._biases.setdefault(weight, set()).add(name)
        return name


def _transposed(call: TorchCall) -> tuple[int, int] | None:
    """Groups and steps of a transposed convolution."""
    spatial = convolution(call.name)
    if spatial is None or not spatial[1]:
        return None
    return int(call.argument(6, "groups", 1)), _steps(call, spatial[0])


def _steps(call: TorchCall, spatial: int) -> int:
    """How many places a strided convolution goes on for each output."""
    stride = call.argument(3, "stride", 1)
    return math.prod(stride) if isinstance(stride, list | tuple) else int(stride) ** spatial


def _fan_in(call: TorchCall) -> int:
    """How many inputs an output sums over; on average, for a transposed convolution with strides."""
    spatial, weight = convolution(call.name), call.argument(1, "weight")
    if spatial is None:
        return max(1, weight.shape[-1])
    if not spatial[1]:
        return max(1, weight[0].numel())
    groups, steps = call.argument(6, "groups", 1), _steps(call, spatial[0])
    return max(1, weight.shape[0] // groups * weight[0, 0].numel() // steps)
