"""What holds or looks like an activation and cannot be replaced: never missed in silence."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from autoact.activations.modules import recognise
from autoact.activations.normalisation import NormalisationModule
from autoact.sites.site import Unreplaceable
from autoact.sites.tracing.locate import Located, modules_with_names
from autoact.sites.tracing.torch_transformer import is_layer

_SOFTMAX = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_ACTIVATIONS_IN_TORCH = "torch.nn.modules.activation"


def unreplaceable_in(model: nn.Module, located: Iterable[Located]) -> list[Unreplaceable]:
    """What the modules alone show, without running the model."""
    skipped = {id(part) for item in located for part in item.module.modules()}
    found: list[Unreplaceable] = []
    for names, module in modules_with_names(model):
        kind, reason = _judged(module)
        if kind and id(module) not in skipped:
            if kind == "scripted":
                skipped.update(id(part) for part in module.modules())
            name = f"{names[0]}.activation".lstrip(".") if kind == "transformer" else names[0]
            found.append(Unreplaceable(name, kind, reason))
    return found


def _judged(module: nn.Module) -> tuple[str, str]:
    """Kind and reason if the type of ``module`` is known to be unreplaceable, else two empty texts."""
    label = type(module).__name__
    if isinstance(module, _SOFTMAX):
        return "softmax", f"{label} normalises across elements: it is not pointwise"
    if isinstance(module, nn.GLU):
        return "gated", f"{label} is gated: it halves its input"
    if isinstance(module, _RECURRENT):
        return "recurrent", f"{label} holds its activations inside a fused kernel"
    if isinstance(module, nn.MultiheadAttention):
        return "attention", f"{label} holds a softmax inside a fused kernel"
    if is_layer(module) and not isinstance(module.activation, nn.Module):
        called = getattr(module.activation, "__name__", repr(module.activation))
        return "transformer", f"{label} calls the function {called}, which is not in the catalogue"
    if isinstance(module, torch.jit.ScriptModule):
        return "scripted", f"{label} is scripted: give the model before torch.jit.script or trace"
    in_torch = type(module).__module__ == _ACTIVATIONS_IN_TORCH
    if in_torch and recognise(module) is None:
        return "unknown", f"{label} is not in the catalogue in this form: autoact.register it"
    return "", ""


def may_be_activation(module: nn.Module) -> bool:
    """Whether a module is worth a closer look: not one of torch's or autoact's, and without submodules."""
    known = type(module).__module__.startswith("torch.") or isinstance(module, NormalisationModule)
    return not known and not any(True for _ in module.children())


def looks_like_activation(module: nn.Module, example: Tensor) -> bool:
    """Whether ``module`` acts on each number alone, and not linearly; tried on random numbers shaped like ``example``.

    The one linear function that counts is the identity of a class that is called an activation, such as transformers'
    ``LinearActivation``: somebody chose it.

    Shuffling the input of a pointwise function shuffles its output; normalisations, positional encodings and poolings
    do not behave so. Dropout in evaluation, identities and scalings are linear. Draws from torch's default generator
    and may write buffers: call it inside ``undisturbed``.
    """
    # Whole multiples of 1/8 are exact in every floating type, so doubling and negating add no rounding.
    z = torch.randint(-24, 25, example.shape, device=example.device).to(example.dtype) / 8
    order = torch.randperm(z.numel(), device=z.device)
    shuffled = z.flatten()[order].reshape(z.shape)
    try:
        y, y_shuffled = module(z.clone()), module(shuffled.clone())
        y_negated, y_doubled = module(-z), module(2 * z)
    except Exception:  # it accepts some inputs only, which no activation does
        return False
    if not all(isinstance(r, Tensor) and r.shape == z.shape for r in (y, y_shuffled, y_negated, y_doubled)):
        return False
    pointwise = _close(y.flatten()[order].reshape(z.shape), y_shuffled)
    linear = _close(y_negated, -y) and _close(y_doubled, 2 * y)
    chosen = type(module).__name__.endswith("Activation") and torch.equal(y, z)
    return pointwise and (chosen or not linear)


def _close(a: Tensor, b: Tensor) -> bool:
    """Equality up to the rounding of half precision types."""
    return torch.allclose(a.float(), b.float(), rtol=2e-2, atol=1e-3, equal_nan=True)
