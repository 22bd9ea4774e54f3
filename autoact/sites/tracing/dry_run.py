"""Run a model on an example input and leave no trace in it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from autoact.core.errors import AutoactError
from autoact.core.value_holders import Batch, changed_inside, held_in


def run_model(model: nn.Module, example_input: object, call: Callable[[], object] | None) -> object:
    """One forward; ``call`` says how, otherwise ``example_input`` is passed as the model expects it.

    A tensor is the one argument, a tuple or list holds positional arguments, a mapping keyword arguments; anything
    else is passed as it is.

    Raises:
        AutoactError: the forward raised; the cause is attached.
    """
    lazy = [name for name, parameter in model.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise AutoactError(f"the parameter {lazy[0]} is not initialised yet (lazy module): run the model once first")
    try:
        # A compiled part shows nothing of its inside: it runs as the Python that it was made of.
        compiled = any(is_compiled(part) for part in model.modules())
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            if call is not None:
                return call()
            if isinstance(example_input, Mapping):
                return model(**example_input)
            if isinstance(example_input, list | tuple):
                return model(*example_input)
            return model(example_input)
    except Exception as error:
        lines = str(error).strip().splitlines()
        cause = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        advice = (
            "the function passed as call must run the model"
            if call is not None
            else "pass an example_input that model(example_input) accepts: a tensor, a tuple of positional arguments "
            "or a dict of keyword arguments"
        )
        raise AutoactError(f"the model's forward raised {cause}; {advice}") from error


def is_compiled(module: nn.Module) -> bool:
    """Whether ``torch.compile`` was called on a module itself, or on the ``forward`` of its class."""
    given = (hasattr(module, "_orig_mod"), getattr(module, "_compiled_call_impl", None) is not None)
    return any(given) or hasattr(module.forward, "_torchdynamo_orig_callable")


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; training flags, buffers and random states are put back afterwards."""
    training = [(module, module.training) for module in model.modules()]
    plain = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    buffers = [(module, dict(module._buffers)) for module in plain]
    kept = [(b, b.clone()) for _, own in buffers for b in own.values() if b is not None]
    state = random.getstate()
    cuda = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=cuda), torch.no_grad():
        try:
            for module, _ in training:
                module.training = False
            yield
        finally:
            for module, flag in training:
                module.training = flag
            for module, own in buffers:
                module._buffers.clear()
                module._buffers.update(own)
            for buffer, value in kept:
                # A write counts as a change even where the values are equal, so only what differs is written.
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
            random.setstate(state)


def copied(example_input: Batch) -> Batch:
    """The example with its tensors cloned: an in-place activation must not write into the user's data."""
    return changed_inside(example_input, lambda value: value.clone() if isinstance(value, Tensor) else value)


def tensors_in(result: object) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists, mappings, dataclass instances and batches of graphs (``to_dict``).

    Example:
        >>> len(list(tensors_in({"logits": torch.zeros(1), "hidden": (torch.zeros(1), None)})))
        2
    """
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from tensors_in(value)
    elif isinstance(result, list | tuple):
        for value in result:
            yield from tensors_in(value)
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        for item in dataclasses.fields(result):
            yield from tensors_in(getattr(result, item.name))
    elif values := held_in(result):
        yield from tensors_in(values)


def memory_of(tensor: Tensor) -> tuple[int, int] | None:
    """A key that views of one memory share until something writes into it; None where there is no plain memory.

    The version counter is shared by views and grows with every in-place write, so ``x.squeeze(-1)`` has the key of
    ``x``, and ``x += y`` changes it. Compare keys only while the tensors are alive: ids are used again.
    """
    if tensor.layout is not torch.strided or tensor.is_nested:
        return None
    return tensor.untyped_storage()._cdata, version_of(tensor)


def version_of(tensor: Tensor) -> int:
    """How often the tensor's memory was written in place; always 0 for inference tensors, which do not count."""
    return 0 if tensor.is_inference() else tensor._version
