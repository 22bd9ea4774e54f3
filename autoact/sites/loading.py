"""``load_state_dict(strict=False)`` says nothing of keys that do not fit; where these tell of activations, we do.

A marker (see ``autoact.sites.marker``) makes a strict load fail. A lenient one drops it, and the weights compute
another function: ``LightningModule.load_from_checkpoint(strict=False)``, ``safetensors.torch.load_model(strict=False)``
and ``PyTorchModelHubMixin.from_pretrained`` all end there. torch has no hook for it that sees every module, so its
method is wrapped, once, when ``autoact.sites`` is imported. Nothing else of it changes.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from autoact.sites.marker import assignment_in, is_marker

_WRAPPED = "_autoact_watched"


def watch_lenient_loads() -> None:
    """Let ``nn.Module.load_state_dict(strict=False)`` warn where activations of the weights and of the model differ.

    Example:
        >>> import warnings
        >>> from autoact.sites import apply
        >>> net = lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> with warnings.catch_warnings(record=True) as told:
        ...     warnings.simplefilter("always")
        ...     _ = net().load_state_dict(apply(net(), {"1": "tanh"}).state_dict(), strict=False)
        >>> str(told[0].message)[:72]
        "Sequential computes another function than these weights: '1' was trained"
    """
    inner = nn.Module.load_state_dict
    if getattr(inner, _WRAPPED, False):
        return

    @functools.wraps(inner)
    def load_state_dict(self: nn.Module, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        result = inner(self, state_dict, *args, **kwargs)
        # A strict load has raised; what is left over here is what it was told to drop.
        if told := _told(self, state_dict, result):
            warnings.warn(told, UserWarning, stacklevel=2)
        return result

    setattr(load_state_dict, _WRAPPED, True)
    nn.Module.load_state_dict = load_state_dict  # type: ignore[method-assign]


def _told(model: nn.Module, state_dict: Mapping[str, Any], result: Any) -> str:
    """What is to be said of a load; nothing where no weight was loaded, or none of a place with an activation."""
    missing, unexpected = getattr(result, "missing_keys", ()), getattr(result, "unexpected_keys", ())
    dropped = [key for key in unexpected if is_marker(key) and _has_place(model, key)]
    unsaid = [key for key in missing if is_marker(key)]
    if not (dropped or unsaid) or not set(state_dict).difference(unexpected):
        return ""
    if dropped:
        return _weights_of_others(model, dropped)
    # An adapter or a backbone loads a part; the weights of a whole model say what they belong to.
    return _model_of_others(model, unsaid) if all(map(is_marker, missing)) else ""


def _has_place(model: nn.Module, key: str) -> bool:
    """Whether the model has what a marker's site is part of: the weights of a dropped head are no matter."""
    owner = key.rpartition(".")[0].rpartition(".")[0]
    try:
        model.get_submodule(owner)
    except AttributeError:
        return False
    return True


def _weights_of_others(model: nn.Module, dropped: Iterable[str]) -> str:
    """Weights that were trained with activations that the model does not have."""
    carried = assignment_in(dropped)
    site, choice = next(iter(carried.items()))
    more = f" ({len(carried)} such places)" if len(carried) > 1 else ""
    kind = type(model).__name__
    return (
        f"{kind} computes another function than these weights: {site!r} was trained with {choice}{more}, and "
        f"strict=False drops that. Load into a fresh {kind} with autoact.restore_(model, state_dict, strict=False); a "
        f"Lightning checkpoint with autoact.load_from_checkpoint({kind}, path, strict=False)"
    )


def _model_of_others(model: nn.Module, unsaid: Iterable[str]) -> str:
    """Weights of an unchanged model in a changed one."""
    held = assignment_in(unsaid)
    site, choice = next(iter(held.items()))
    more = f" ({len(held)} such places)" if len(held) > 1 else ""
    kind = type(model).__name__
    return (
        f"{kind} computes another function than these weights: it has {choice} at {site!r}{more}, and the weights were "
        f"trained without. Load them into a fresh {kind} before autoact.apply; to train on from them here, ignore this"
    )
