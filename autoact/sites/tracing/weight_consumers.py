"""Which weights consume which activation: a run with a tag on every tensor that says where it comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn

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


@dataclass(frozen=True)
class WeightSource:
    """Where the input of a weight comes from.

    Attributes:
        kind: ``site``, ``input`` (the example input itself), ``norm`` (a normalisation) or ``unknown`` (a sum, a
            concatenation, another layer, or several sources).
        site: name of the site where ``kind`` is ``site``.
        fan_in: how many inputs each output of the layer sums over.
        bias: parameter name of the layer's bias, if it has one.
    """

    kind: str
    site: str | None = None
    fan_in: int = field(default=1, compare=False)
    bias: str | None = field(default=None, compare=False)


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
    check_model(model)
    example = copied(example_input)
    tracer = _Tracer(model, activation_modules(model), list(tensors_in(example)))
    with undisturbed(model), tracer.watching():
        run_model(model, example, call)
    return tracer.found


class _Tracer(CallMode):
    """Carries sources from tensor to tensor and writes down what each weight meets."""

    def __init__(self, model: nn.Module, located: list[Located], inputs: list[Tensor]) -> None:
        super().__init__()
        self._located = located
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._tags = TensorTags[WeightSource]()
        for tensor in inputs:
            self._tags.set(tensor, WeightSource("input"))
        self.found: dict[str, WeightSource] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as hooks:
            for item in self._located:
                hooks.enter_context(item.module.register_forward_hook(self._leaving(item.name)))
            with self:
                yield

    def _leaving(self, site: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def hook(module: nn.Module, args: tuple[object, ...], result: object) -> None:
            if isinstance(result, Tensor):
                self._tags.set(result, WeightSource("site", site))

        return hook

    def called(self, call: TorchCall) -> object:
        name, x = call.name, call.kwargs.get("input", first_tensor(call.args, call.kwargs))
        source = self._tags.get(x) if isinstance(x, Tensor) else None
        if name == "linear" or convolution(name):
            self._consume(source or WeightSource("unknown"), call)
        result = call.function(*call.args, **call.kwargs)
        # Some poolings return indices as well.
        first = result[0] if isinstance(result, tuple) and result and name in PASSING else result
        if isinstance(first, Tensor):
            passed = source if name in PASSING else None
            self._tags.set(first, WeightSource("norm") if name in NORMALISATIONS else passed)
        return result

    def _consume(self, source: WeightSource, call: TorchCall) -> None:
        """Note that the weight of a call multiplies what comes from ``source``."""
        name, bias = self._names.get(id(call.argument(1, "weight"))), call.argument(2, "bias")
        if name is None:
            return  # not a parameter itself, but computed from one
        known = self.found.get(name, source)
        # A weight that serves several sources has no one gain.
        kept = source if known == source else WeightSource("unknown")
        bias_name = self._names.get(id(bias)) if bias is not None else None
        self.found[name] = WeightSource(kept.kind, kept.site, _fan_in(call), bias_name)


def _fan_in(call: TorchCall) -> int:
    """How many inputs an output sums over; on average, for a transposed convolution with strides."""
    spatial, weight = convolution(call.name), call.argument(1, "weight")
    if spatial is None:
        return max(1, weight.shape[-1])
    if not spatial[1]:
        return max(1, weight[0].numel())
    stride, groups = call.argument(3, "stride", 1), call.argument(6, "groups", 1)
    steps = math.prod(stride) if isinstance(stride, list | tuple) else int(stride) ** spatial[0]
    return max(1, weight.shape[0] // groups * weight[0, 0].numel() // steps)
