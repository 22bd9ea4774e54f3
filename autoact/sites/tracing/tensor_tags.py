"""What a tensor is known to be while a model runs: tags on tensors, and which functions keep which tag."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor
from torch.overrides import TorchFunctionMode

from autoact.sites.tracing.dry_run import tensors_in, version_of

T = TypeVar("T")

NORMALISATIONS = frozenset({"layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm"})
RESHAPES = frozenset({"flatten", "reshape", "view", "unflatten", "reshape_as", "view_as", "_unsafe_view", "ravel"})
_MOVES = frozenset({"transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "t", "adjoint", "__get__"})
_MIXES = frozenset({"linear", "matmul", "__matmul__", "__rmatmul__", "bmm", "baddbmm", "einsum", "tensordot", "roll"})
_CLEARS_LAYOUT = _MOVES | _MIXES | {"layer_norm", "rms_norm", "embedding", "squeeze", "unsqueeze"}
_CONVOLUTION = re.compile(r"^conv(_transpose)?([123])d$")
_CHANNEL_NORMS = frozenset({"batch_norm", "instance_norm", "group_norm"})


class TensorTags(Generic[T]):
    """Tags on tensor objects; a tag is lost when the tensor's memory is written in place after tagging.

    Tagged tensors are kept alive, because Python gives the id of a dead object to the next one.

    Example:
        >>> import torch
        >>> tags, x = TensorTags[str](), torch.zeros(2)
        >>> tags.set(x, "input")
        >>> tags.get(x)
        'input'
        >>> _ = x.add_(1)
        >>> tags.get(x) is None
        True
    """

    def __init__(self) -> None:
        self._tagged: dict[int, tuple[Tensor, int, T]] = {}

    def set(self, tensor: Tensor, tag: T | None) -> None:
        """Tag ``tensor``, or remove its tag with None."""
        if tag is None:
            self._tagged.pop(id(tensor), None)
        else:
            self._tagged[id(tensor)] = (tensor, version_of(tensor), tag)

    def get(self, tensor: Tensor) -> T | None:
        """The tag of ``tensor``; None if it has none or was written since."""
        tagged = self._tagged.get(id(tensor))
        return tagged[2] if tagged is not None and tagged[1] == version_of(tensor) else None


def name_of(function: object) -> str:
    """The name of a torch function without the in-place underscore: ``relu`` for ``torch.relu_``."""
    name = str(getattr(function, "__name__", ""))
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


@dataclass(frozen=True)
class TorchCall:
    """A call of a torch function, as ``__torch_function__`` gets it."""

    function: Callable[..., object]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]

    @property
    def name(self) -> str:
        """The name of the function: see ``name_of``."""
        return name_of(self.function)

    @property
    def named_in_place(self) -> bool:
        """Whether its name says that it writes into its input: ``x.relu_()``."""
        return self.name != getattr(self.function, "__name__", "")

    def argument(self, position: int, name: str, default: object = None) -> Any:
        """An argument, whichever way it was given."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among its arguments, in their order."""
        return list(tensors_in([*self.args, *self.kwargs.values()]))


class CallMode(TorchFunctionMode):
    """Hands each call of a torch function inside the block to ``called``, which runs it."""

    def __torch_function__(
        self,
        function: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        return self.called(TorchCall(function, args, kwargs or {}))

    def called(self, call: TorchCall) -> object:
        """Run a call and note what there is to note; the result is what the model gets."""
        raise NotImplementedError


def first_tensor(args: Sequence[object], kwargs: Mapping[str, object]) -> Tensor | None:
    """The tensor that a function or a module works on: its first argument that holds one."""
    return next(tensors_in([*args, *kwargs.values()]), None)


def convolution(name: str) -> tuple[int, bool] | None:
    """Spatial dimensions of a convolution, and whether it is transposed; None for other functions.

    Example:
        >>> convolution("conv_transpose2d"), convolution("linear")
        ((2, True), None)
    """
    match = _CONVOLUTION.match(name)
    return (int(match.group(2)), match.group(1) is not None) if match else None


def channel_dim_after(name: str, inputs: Sequence[tuple[Tensor, int | None]], result: Tensor) -> int | None:
    """The channel dimension of ``result`` if a convolution laid it out, else None (features come last).

    Convolutions, batch, instance and group norms set it; whatever keeps the number of dimensions keeps it; moving
    dimensions or mixing features ends it. Reshaping keeps it where all dimensions up to the channels stay as they are.
    """
    spatial = convolution(name)
    if spatial is not None:
        return result.ndim - spatial[0] - 1  # 0 for a convolution without a batch dimension
    if name in _CHANNEL_NORMS:
        return 1 if result.ndim >= 3 else None
    if name in _CLEARS_LAYOUT:
        return None
    for tensor, dim in inputs:
        if dim is None or result.ndim < 3:
            continue
        if name in RESHAPES:
            lead = dim + 1
            return dim if result.ndim > lead and result.shape[:lead] == tensor.shape[:lead] else None
        if result.ndim == tensor.ndim:
            return dim
    return None
