"""Dropout as a training setting: ``p`` of the ``nn.Dropout`` layers of a module, set from outside."""

from __future__ import annotations

from numbers import Real
from typing import TypeVar

from torch import nn

from autoact.core.errors import AutoactError

Module = TypeVar("Module", bound=nn.Module)
_KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def set_dropout_(module: Module, p: float) -> Module:
    """Let the network drop a share ``p`` in training, in place: what a recommendation's ``dropout`` says.

    ``p`` replaces that of each ``nn.Dropout`` layer that drops anything; where none does, of all. Other kinds
    (``nn.Dropout2d``, ``nn.AlphaDropout``, subclasses, attention, recurrent layers) and calls of ``F.dropout`` stay as
    they are. Where ``p`` is the largest that is configured, nothing changes. Call it once, on a fresh module.

    Returns:
        The module itself.

    Raises:
        AutoactError: there is no ``nn.Dropout`` layer, or ``p`` is not from 0 to below 1.

    Example:
        >>> set_dropout_(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1)), 0.3)[2]
        Dropout(p=0.3, inplace=False)
    """
    if isinstance(p, bool) or not isinstance(p, Real) or not 0 <= p < 1:
        raise AutoactError(f"dropout={p!r} must be a share from 0 to below 1")
    configured = configured_dropout(module)
    if configured is None:
        raise AutoactError(
            f"dropout={p:g} cannot be set: {type(module).__name__} has no nn.Dropout layer, as the searched network had"
        )
    if p != configured:
        for layer in dropout_layers(module).values():
            layer.p = p
    return module


def dropout_layers(module: nn.Module) -> dict[str, nn.Dropout]:
    """The layers that ``set_dropout_`` changes, by name."""
    every = plain_dropout(module)
    return {name: part for name, part in every.items() if part.p > 0} or every


def plain_dropout(module: nn.Module) -> dict[str, nn.Dropout]:
    """The layers that are ``nn.Dropout`` and nothing more, by name."""
    return {name: part for name, part in module.named_modules() if type(part) is nn.Dropout}


def configured_dropout(module: nn.Module) -> float | None:
    """The largest share that an ``nn.Dropout`` layer drops; None where there is no such layer.

    Example:
        >>> configured_dropout(nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.2)))
        0.2
    """
    return max((float(layer.p) for layer in dropout_layers(module).values()), default=None)


def other_dropout(module: nn.Module) -> list[str]:
    """The layers that drop something and that ``set_dropout_`` leaves alone, each with its kind and its share.

    Example:
        >>> other_dropout(nn.Sequential(nn.Dropout(0.1), nn.Dropout2d(0.2), nn.LSTM(2, 2, 2, dropout=0.5)))
        ['1 (Dropout2d, 0.2)', '2 (LSTM, 0.5)']
    """
    found = []
    for name, part in module.named_modules():
        if isinstance(part, _KINDS):
            share = 0.0 if type(part) is nn.Dropout else part.p
        else:
            share = part.dropout if isinstance(part, nn.MultiheadAttention | nn.RNNBase) else 0.0
        if share:
            found.append(f"{name or 'the model itself'} ({type(part).__name__}, {share:g})")
    return found
