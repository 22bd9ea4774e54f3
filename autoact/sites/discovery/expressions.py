"""Follow a running model number by number: which results are a function of one earlier tensor, and which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from autoact.sites.discovery.recognise import FUNCTIONS
from autoact.sites.tracing.dry_run import tensors_in
from autoact.sites.tracing.tensor_tags import TensorTags, TorchCall

_LINEAR = ("neg", "add", "sub", "subtract", "rsub", "__rsub__", "mul", "multiply", "div", "divide", "true_divide")
_PRODUCTS = frozenset({"mul", "multiply", "div", "divide", "true_divide"})
_CASTS = frozenset({"to", "float", "double", "half", "bfloat16", "type_as", "contiguous", "clone"})
_BENDING = """
    abs absolute exp exp2 expm1 log log1p log2 sqrt rsqrt square pow __rpow__ reciprocal __rdiv__ sin cos tan sinh cosh
    asin acos atan arctan asinh acosh atanh erf erfc special_erf special_expit sign clamp clamp_min clamp_max clip
    maximum minimum max min fmax fmin where masked_fill logaddexp gt ge lt le heaviside
"""
_BENDS = FUNCTIONS | frozenset(_BENDING.split())
_POINTWISE = _BENDS | _CASTS | frozenset(_LINEAR)
_MAKING = "zeros zeros_like ones ones_like full full_like new_zeros new_ones new_full tensor as_tensor scalar_tensor"
_MAKES = frozenset(_MAKING.split())
_RANDOM = "rand randn rand_like randn_like uniform exponential normal bernoulli empty empty_like"
_NOISE = frozenset(_RANDOM.split())
_LONGEST = 30
_MOST_LEAVES = 6


@dataclass(frozen=True)
class Expression:
    """What a result is of one earlier tensor.

    Attributes:
        function: computes the result of it, or of any other numbers.
        ops: the calls it is made of, numbered in the order of the run.
        bends: whether it holds a call that is not linear.
    """

    leaf: Tensor
    function: Callable[[Tensor], Tensor]
    ops: frozenset[int] = frozenset()
    bends: bool = False

    @property
    def leaf_id(self) -> int:
        """What tells the leaf from other tensors while it is alive."""
        return id(self.leaf)


@dataclass(frozen=True)
class Step:
    """A call of a pointwise function.

    Attributes:
        number: in the order of the run.
        expressions: what its result is of earlier tensors, the earliest first; those alone that are not linear.
        first: whether nothing before it in these expressions is not linear.
    """

    number: int
    expressions: tuple[Expression, ...]
    first: bool


class Expressions:
    """Follows a run: have each torch function that it calls run by ``run``.

    Example:
        >>> layer, x = nn.Linear(3, 3), torch.randn(2, 3)
        >>> follow = Expressions(layer)
        >>> y, _ = follow.run(TorchCall(nn.functional.linear, (x, layer.weight), {}))
        >>> gate, step = follow.run(TorchCall(torch.sigmoid, (y,), {}))
        >>> result, step = follow.run(TorchCall(torch.mul, (y, gate), {}))
        >>> step.expressions[0].leaf is y, torch.allclose(step.expressions[0].function(x), nn.functional.silu(x))
        (True, True)
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters = {id(tensor) for tensor in model.parameters()}
        self._buffers = {id(tensor) for tensor in model.buffers()}
        self._kinds = TensorTags[str]()
        self._made = TensorTags[float]()
        self._expressions = TensorTags[tuple[Expression, ...]]()
        self._pending = TensorTags[frozenset[int]]()
        self._noise = TensorTags[bool]()
        self._count = 0
        self.reaching_weights: set[int] = set()

    def run(self, call: TorchCall) -> tuple[object, Step | None]:
        """Call a function; its result, and the step where it is pointwise and bends what came through weights."""
        # What is known of the arguments is asked for first: the function may write into them.
        name, inputs = call.name, call.tensors
        if name == "broadcast_tensors":  # each result is its own argument, in another shape
            shape = torch.broadcast_shapes(*(x.shape for x in inputs))
            return tuple(self.run(TorchCall(torch.broadcast_to, (x, shape), {}))[0] for x in inputs), None
        inputs = inputs[:1] if name in _CASTS else inputs  # x.to(y) has none of the numbers of y
        kinds = {self._kind(tensor) for tensor in inputs}
        constants = {id(x): number for x in inputs if (number := self._constant(x)) is not None}
        pending = [(x.numel(), steps) for x in inputs if (steps := self._pending.get(x))]
        operands = [x for x in inputs if id(x) not in constants]
        known = [
            {e.leaf_id: e for e in (self._expressions.get(x) or ())} | {id(x): Expression(x, lambda z: z)}
            for x in operands
        ]
        drawn = [self._noise.get(x) is not None for x in inputs]
        result = call.function(*call.args, **call.kwargs)
        if name == "__setitem__":
            return result, self._set_where(call.args, kinds, known)
        if name in _MAKES and isinstance(result, Tensor):
            self._note_made(name, result)
            return result, None
        if isinstance(result, Tensor) and _is_noise(call, kinds):
            self._note_noise(result)
            return result, None
        if "own" in kinds:
            self.reaching_weights.update(*(steps for _, steps in pending))
        if any(drawn) and name in _PRODUCTS:
            pending = []  # what scales random numbers is no activation, whatever reads them
        for made in tensors_in(result):
            self._kinds.set(made, _kind_of_result(kinds))
            self._noise.set(made, True if drawn and all(drawn) else None)
            kept = [steps for numel, steps in pending if numel == made.numel()]
            self._pending.set(made, frozenset[int]().union(*kept) if kept else None)
        if not isinstance(result, Tensor) or name not in _POINTWISE or not operands or "out" in call.kwargs:
            return result, None
        if any(x.shape != result.shape for x in operands):
            return result, None
        step = self._step(_Repeated(call, constants), operands, known, result)
        return result, step if step.expressions and _kind_of_result(kinds) == "weighted" else None

    def forget(self, result: object) -> None:
        """Let what a module returned be a tensor to start from: what it computes inside is its own."""
        for tensor in tensors_in(result):
            self._expressions.set(tensor, None)

    def _set_where(self, args: Sequence[Any], kinds: set[str], known: list[dict[int, Expression]]) -> Step | None:
        """The step of ``x[x < 0] = 0``, which is listed and never replaced: a statement makes no result."""
        x, where = args[0], args[1]
        self._kinds.set(x, _kind_of_result(kinds))
        if not (isinstance(where, Tensor) and where.dtype is torch.bool and id(x) in known[1]):
            return None
        self._count += 1
        mask, value = known[1][id(x)].function, args[2]
        bent = Expression(
            x,
            lambda z: torch.where(mask(z), torch.as_tensor(value, dtype=z.dtype), z),
            known[1][id(x)].ops | {self._count},
            bends=True,
        )
        self._pending.set(x, frozenset({self._count}))
        return Step(self._count, (bent,), first=True) if _kind_of_result(kinds) == "weighted" else None

    def _kind(self, tensor: Tensor) -> str:
        """What a tensor comes from: weights alone, data alone, both, or neither (a constant)."""
        if id(tensor) in self._parameters:
            return "own"
        if id(tensor) in self._buffers:
            return "constant"
        return self._kinds.get(tensor) or "data"

    def _note_made(self, name: str, result: Tensor) -> None:
        self._kinds.set(result, "constant")
        if result.numel() and not result.is_meta and (name not in ("tensor", "as_tensor") or result.numel() == 1):
            self._made.set(result, float(result.flatten()[0]))

    def _note_noise(self, result: Tensor) -> None:
        """Note a tensor of random numbers: they come from no weights, whatever gave their shape."""
        self._kinds.set(result, "constant")
        self._noise.set(result, True)
        self._pending.set(result, None)
        self._expressions.set(result, None)

    def _step(
        self, call: _Repeated, operands: list[Tensor], known: list[dict[int, Expression]], result: Tensor
    ) -> Step:
        """The step that a call is; its result is tagged."""
        self._count += 1
        name = call.call.name
        number, bends, made = self._count, name in _BENDS, []
        shared = [key for key in known[0] if all(key in choice for choice in known)]
        if len(shared) > _MOST_LEAVES:
            shared = [*shared[: _MOST_LEAVES // 2], *shared[-_MOST_LEAVES // 2 :]]
        for key in shared:
            parts = {id(x): choice[key] for x, choice in zip(operands, known, strict=True)}
            ops = frozenset({number}).union(*(part.ops for part in parts.values()))
            product = name in _PRODUCTS and len(operands) > 1
            bent = bends or product or any(part.bends for part in parts.values())
            if len(ops) <= _LONGEST:
                made.append(Expression(known[0][key].leaf, call.on_other_numbers(parts), ops, bent))
        # What is written into its own input leaves no leaf that can be read again.
        self._expressions.set(result, None if call.in_place else tuple(made))
        if not result.is_floating_point():
            return Step(number, (), False)
        if bends:
            self._pending.set(result, (self._pending.get(result) or frozenset()) | {number})
        first = bends and not any(e.bends for choice in known for e in choice.values())
        return Step(number, tuple(e for e in made if e.bends), first)

    def _constant(self, x: Tensor) -> float | None:
        """The number that a tensor is everywhere, if it is known to be one."""
        if self._made.get(x) is not None:
            return self._made.get(x)
        if x.numel() == 1 and not x.is_meta and (id(x) in self._buffers or (x.dim() == 0 and self._kind(x) == "data")):
            return float(x)
        return None


@dataclass(frozen=True)
class _Repeated:
    """A call, and which of its tensors are the same number everywhere (by id)."""

    call: TorchCall
    constants: dict[int, float]

    @property
    def in_place(self) -> bool:
        return self.call.named_in_place or bool(self.call.kwargs.get("inplace"))

    def on_other_numbers(self, parts: Mapping[int, Expression]) -> Callable[[Tensor], Tensor]:
        """The call as a function of the leaf of ``parts``; constants are numbers, and no type is changed."""
        if self.call.name in _CASTS:
            return next(iter(parts.values())).function
        functions = {key: part.function for key, part in parts.items()}

        def other(value: object, z: Tensor) -> object:
            if id(value) in functions:
                made = functions[id(value)](z)
                return made.clone() if self.in_place else made
            return torch.full_like(z, self.constants[id(value)]) if id(value) in self.constants else value

        function = cast("Callable[..., Tensor]", self.call.function)
        return lambda z: function(
            *(other(a, z) for a in self.call.args), **{k: other(a, z) for k, a in self.call.kwargs.items()}
        )


def _is_noise(call: TorchCall, kinds: set[str]) -> bool:
    """Whether a function's result depends on no number that it is given: random numbers, or room for them."""
    # x.normal_() forgets x; torch.normal(mean, deviation) does not
    name, written = call.name, call.named_in_place
    return name in _NOISE and (written or name.endswith("_like") or not kinds & {"own", "weighted"})


def _kind_of_result(kinds: set[str]) -> str:
    if "weighted" in kinds or {"own", "data"} <= kinds:
        return "weighted"
    return "data" if "data" in kinds or not kinds else "own" if "own" in kinds else "constant"
