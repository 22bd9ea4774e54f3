"""The activation of torch's transformer layers: an attribute that holds a function or a module, and a fused fast path.

In evaluation ``nn.TransformerEncoderLayer`` computes in one fused kernel what it was built with, whatever stands in its
``activation``, ``norm1`` and ``norm2``. ``nn.TransformerDecoderLayer`` forgets an activation that is a module when it
is copied or pickled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeGuard, TypeVar

import torch.nn.functional as F
from torch import nn

from autoact.sites.user_hooks import take_gradient_hooks_

ModuleT = TypeVar("ModuleT", bound=nn.Module)
Layer = nn.TransformerEncoderLayer | nn.TransformerDecoderLayer


def is_layer(module: object) -> TypeGuard[Layer]:
    """Whether this is one of torch's transformer layers."""
    return isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer)


def hold_(layer: Layer, activation: Callable[..., object]) -> None:
    """Let a layer compute ``activation``, in training and evaluation, and after copying and pickling.

    Example:
        >>> layer = nn.TransformerEncoderLayer(4, 1, 8)
        >>> hold_(layer, nn.Tanh())
        >>> layer.activation, layer.activation_relu_or_gelu
        (Tanh(), 0)
    """
    if isinstance(activation, nn.Module):
        vars(layer).pop("activation", None)
        layer._modules["activation"] = activation
        if isinstance(layer, nn.TransformerDecoderLayer):
            # Its __setstate__ looks among plain attributes alone, and puts F.relu there where it finds none.
            vars(layer)["activation"] = activation
    else:
        layer._modules.pop("activation", None)
        vars(layer)["activation"] = activation
    fuse_(layer)


def fuse_(layer: Layer) -> None:
    """Let an encoder layer take its fused path where this computes what the layer holds, and there alone.

    Example:
        >>> layer = nn.TransformerEncoderLayer(4, 1, 8)
        >>> layer.norm1 = nn.Identity()
        >>> fuse_(layer)
        >>> layer.activation_relu_or_gelu
        0
    """
    if isinstance(layer, nn.TransformerEncoderLayer):
        activation = layer.activation
        relu = activation is F.relu or isinstance(activation, nn.ReLU)
        gelu = activation is F.gelu or isinstance(activation, nn.GELU)
        plain = all(isinstance(norm, nn.LayerNorm) for norm in (layer.norm1, layer.norm2))
        layer.activation_relu_or_gelu = 0 if not plain else 1 if relu else 2 if gelu else 0


def fast_paths(model: nn.Module) -> dict[nn.TransformerEncoder, bool]:
    """The encoders in a model, and whether each may turn padded batches into nested tensors."""
    return {part: part.use_nested_tensor for part in model.modules() if isinstance(part, nn.TransformerEncoder)}


def settle_(model: nn.Module) -> None:
    """Switch nested tensors off where a layer has lost its fused path: no other path of it takes them."""
    for encoder in fast_paths(model):
        layers = [layer for layer in encoder.layers if isinstance(layer, nn.TransformerEncoderLayer)]
        if not all(layer.activation_relu_or_gelu for layer in layers):
            encoder.use_nested_tensor = False


def mend_copy_(model: nn.Module, copied: nn.Module) -> None:
    """Give the decoder layers of a copy back the activation modules that torch's copying replaced by ReLU."""
    for one, other in zip(model.modules(), copied.modules(), strict=True):
        if isinstance(one, nn.TransformerDecoderLayer) and "activation" in one._modules:
            hold_(other, other._modules["activation"])  # type: ignore[arg-type]


def copied_model(model: ModuleT) -> ModuleT:
    """A deep copy that computes what the model does; ``copy.deepcopy`` alone makes ReLU of some activations."""
    copied = copy.deepcopy(model)
    mend_copy_(model, copied)
    take_gradient_hooks_(copied, model)
    return copied
