"""Whether a model computes the same with other modules in it: outputs and gradients, in evaluation and in training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoact.core.errors import AutoactError, first_line
from autoact.core.value_holders import Batch, changed_inside
from autoact.sites.tracing.dry_run import copied, run_model, tensors_in, undisturbed, version_of
from autoact.sites.tracing.locate import Located

_SEED = 20
_JITTER = 0.01
_MODES = {False: "evaluation", True: "training"}


@dataclass(frozen=True)
class Written:
    """Whether the model writes into what an activation was given, or what it returned, later in the same forward."""

    input: bool = False
    output: bool = False


@dataclass(frozen=True)
class _Pass:
    outputs: list[Tensor]
    gradients: dict[str, Tensor | None]


class SelfCheck:
    """What a model computes now, to be compared with what it computes with stand-ins in it.

    In each mode the model runs forward and backward, with the random numbers of one seed. What the model gives in no
    two runs alike, or cannot do at all (a batch norm does not train on one row), is not compared. Weights, gradients,
    buffers, plain attributes and random states are as before.

    The example is shaken a little, for at the kink of an activation (zeros in, zeros out) functions of equal values
    have different gradients: ``clamp(min=0)`` and ``relu`` at 0.

    Attributes:
        modes: the modes in which the model can be compared, e.g. ``("evaluation", "training")``.
        written: what was written into after each of the modules that the last comparison watched, by name.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> check = SelfCheck(model, torch.zeros(2, 4), None)
        >>> model[1] = nn.Tanh()
        >>> check.difference()
        'outputs in evaluation mode differ'
    """

    def __init__(self, model: nn.Module, example_input: object, call: Callable[[], object] | None) -> None:
        self._model, self._call = model, call
        self.written: dict[str, Written] = {}
        self._example = example_input
        if call is None:
            self._example = _shaken(example_input)
            if self._try(False, gradients=False) is None:
                self._example = example_input
        self._before: dict[tuple[bool, bool], _Pass] = {}
        for training in _MODES:
            for gradients in (True, False):
                one, two = self._try(training, gradients), self._try(training, gradients)
                if one is not None and two is not None and not _unlike(one, two):
                    self._before[training, gradients] = one
                    break

    @property
    def modes(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(_MODES[training] for training, _ in self._before)

    def difference(self, watched: Sequence[Located] = ()) -> str:
        """What differs from the model as it was, in words; empty where nothing does; ``written`` is of ``watched``."""
        self.written = {}
        for (training, gradients), before in self._before.items():
            try:
                now = self._pass(training, gradients, watched)
            except AutoactError as error:
                return f"in {_MODES[training]} mode {str(error).rpartition('; ')[0]}"
            except RuntimeError as error:  # backward refuses what was written over
                return f"in {_MODES[training]} mode backward raises {first_line(error)}"
            if what := _unlike(before, now):
                return f"{what} in {_MODES[training]} mode differ"
        return ""

    def _try(self, training: bool, gradients: bool) -> _Pass | None:
        """A pass; None where the model cannot do it."""
        try:
            return self._pass(training, gradients)
        except (AutoactError, RuntimeError):
            return None

    def _pass(self, training: bool, gradients: bool, watched: Sequence[Located] = ()) -> _Pass:
        """Run forward and, with ``gradients``, backward.

        Raises:
            AutoactError: the forward raises.
            RuntimeError: the backward does.
        """
        model = self._model
        with undisturbed(model), _attributes_kept(model), torch.set_grad_enabled(gradients):
            torch.default_generator.manual_seed(_SEED)
            for index in {tensor.device.index for tensor in model.parameters() if tensor.is_cuda}:
                torch.cuda.default_generators[index].manual_seed(_SEED)
            random.seed(_SEED)
            for module in model.modules():
                module.training = training
            with _watching(watched) as calls:
                result = run_model(model, copied(self._example), self._call)
            for name, noted in calls.items():
                before = self.written.get(name, Written())
                self.written[name] = Written(
                    before.input or any(version_of(x) != version for x, version, _, _ in noted),
                    before.output or any(version_of(y) != version for _, _, y, version in noted),
                )
            outputs = list(tensors_in(result))
            found = _gradients(model, outputs) if gradients else {}
            return _Pass([tensor.detach().clone() for tensor in outputs], found)


_Call = tuple[Tensor, int, Tensor, int]
"""Input and output of a call, each with its version right after it."""


@contextmanager
def _watching(watched: Sequence[Located]) -> Iterator[dict[str, list[_Call]]]:
    """Note what modules are given and return; they work on copies, so that what is written later harms no backward."""
    calls: dict[str, list[_Call]] = {}
    given: dict[int, Tensor] = {}

    def before(module: nn.Module, args: tuple[object, ...]) -> object:
        if not args or not isinstance(args[0], Tensor):
            return None
        given[id(module)] = args[0]
        return (args[0].clone(), *args[1:])

    def after(name: str) -> Callable[[nn.Module, object, object], object]:
        def hook(module: nn.Module, _args: object, result: object) -> object:
            x = given.pop(id(module), None)
            if x is None or not isinstance(result, Tensor):
                return None
            y = result.clone()
            calls.setdefault(name, []).append((x, version_of(x), y, version_of(y)))
            return y

        return hook

    with ExitStack() as hooks:
        for item in watched:
            hooks.enter_context(item.module.register_forward_pre_hook(before))
            hooks.enter_context(item.module.register_forward_hook(after(item.name)))
        yield calls


@contextmanager
def _attributes_kept(model: nn.Module) -> Iterator[None]:
    """Put plain attributes back: a counter of training steps, a cached mask."""
    attributes = [
        (module, dict(vars(module))) for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        yield
    finally:
        for module, values in attributes:
            now = vars(module)
            for name in [name for name in now if name not in values]:
                del now[name]
            now.update(values)


def _gradients(model: nn.Module, outputs: list[Tensor]) -> dict[str, Tensor | None]:
    """The gradient of each weight, for one fixed weighing of all outputs; empty where nothing has a gradient."""
    wanted = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    losses = [_weighed(tensor) for tensor in outputs if tensor.requires_grad]
    if not wanted or not losses:
        return {}
    found = torch.autograd.grad(losses, list(wanted.values()), allow_unused=True)
    return dict(zip(wanted, found, strict=True))


def _weighed(tensor: Tensor) -> Tensor:
    """A weighted mean: a plain one is constant behind a softmax."""
    values = tensor.real if tensor.is_complex() else tensor
    weights = torch.linspace(-1, 1, max(values.numel(), 1), dtype=torch.float64, device=values.device)
    return (values.reshape(-1) * weights.to(values.dtype)).mean()


def _unlike(one: _Pass, other: _Pass) -> str:
    """What differs between two passes; empty where nothing does."""
    if len(one.outputs) != len(other.outputs) or not all(map(close, one.outputs, other.outputs)):
        return "outputs"
    # The weight of one layer tells how small a number is; alone it may be all rounding.
    scale = max((_size(gradient) for gradient in one.gradients.values() if gradient is not None), default=0.0)
    for name, gradient in one.gradients.items():
        now = other.gradients.get(name)
        if gradient is None or now is None:
            if _size(gradient) or _size(now):
                return "gradients"
        elif not close(gradient, now, scale):
            return "gradients"
    return ""


def _size(tensor: Tensor | None) -> float:
    if tensor is None or tensor.is_meta or tensor.numel() == 0:
        return 0.0
    values = tensor.coalesce().values() if tensor.is_sparse else tensor
    return float(values.detach().abs().nan_to_num(0, 0, 0).max()) if values.numel() else 0.0


def close(a: Tensor, b: Tensor, scale: float | None = None) -> bool:
    """Whether two results are equal up to the rounding of their type at the size ``scale``, or that of ``b``."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    a, b = (part.to_dense() if part.layout is not torch.strided and not part.is_nested else part for part in (a, b))
    if not (a.is_floating_point() or a.is_complex()) or a.numel() == 0 or a.is_meta:
        return a.is_meta or torch.equal(a, b)
    tolerance = torch.finfo(a.dtype).eps ** 0.5
    scale = _size(b) if scale is None else scale
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _shaken(example_input: Batch) -> Batch:
    """The example with a little noise on its floating-point tensors."""
    generator = torch.Generator().manual_seed(_SEED)

    def shake(value: object) -> object:
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.is_meta or value.numel() == 0:
            return value
        spread = float(value.detach().float().nan_to_num(0, 0, 0).std(correction=0)) or 1 / _JITTER
        noise = torch.randn(value.shape, generator=generator).to(value)
        return value.detach() + _JITTER * spread * noise

    return changed_inside(example_input, shake)
