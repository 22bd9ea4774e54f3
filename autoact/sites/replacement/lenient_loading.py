"""``load_state_dict(strict=False)`` says nothing of keys that do not fit; where these tell of activations, we do.

A marker (see ``autoact.sites.replacement.state_dict_marker``) makes a strict load fail. A lenient one drops it, and the
weights compute another function: ``LightningModule.load_from_checkpoint(strict=False)``,
``safetensors.torch.load_model(strict=False)`` and ``PyTorchModelHubMixin.from_pretrained`` all end there. torch has no
hook for it that sees every module, so its method is wrapped, once, when ``autoact.sites`` is imported. Nothing else of
it changes.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping

from torch import nn

from autoact.activations.fingerprint import function_key
from autoact.activations.modules import recognise
from autoact.core.errors import AutoactError
from autoact.sites.replacement.state_dict_marker import MARKER, assignment_in, is_marker

_WRAPPED = "_autoact_watched"


def watch_lenient_loads() -> None:
    """Let ``nn.Module.load_state_dict(strict=False)`` warn where activations of the weights and of the model differ.

    Example:
        >>> import warnings
        >>> from autoact.sites import apply
        >>> net = lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     _ = net().load_state_dict(apply(net(), {"1": "tanh"}).state_dict(), strict=False)
        >>> str(caught[0].message)[:72]
        "Sequential computes another function than these weights: '1' was trained"
    """
    inner = nn.Module.load_state_dict
    if getattr(inner, _WRAPPED, False):
        return

    @functools.wraps(inner)
    def load_state_dict(self: nn.Module, state_dict: Mapping[str, object], *args: bool, **kwargs: bool) -> object:
        result = inner(self, state_dict, *args, **kwargs)
        # A strict load has raised; what is left over here is what it was told to drop.
        if warning := _warning(self, state_dict, result):
            warnings.warn(warning, UserWarning, stacklevel=2)
        return result

    setattr(load_state_dict, _WRAPPED, True)
    nn.Module.load_state_dict = load_state_dict  # type: ignore[method-assign]


def _warning(model: nn.Module, state_dict: Mapping[str, object], result: object) -> str:
    """What is to be said of a load; nothing where no weight was loaded, or none of a place with an activation."""
    missing, unexpected = getattr(result, "missing_keys", ()), getattr(result, "unexpected_keys", ())
    dropped = [key for key in unexpected if is_marker(key) and _computes_another(model, key)]
    unsaid = [key for key in missing if is_marker(key)]
    if not (dropped or unsaid) or not set(state_dict).difference(unexpected):
        return ""
    kind = type(model).__name__
    if dropped:
        return (
            f"{kind} computes another function than these weights: {_trained(dropped)}, and strict=False drops that. "
            f"Load into a fresh {kind} with autoact.restore_(model, state_dict, strict=False); a Lightning checkpoint "
            f"with autoact.load_from_checkpoint({kind}, path, strict=False)"
        )
    if not all(map(is_marker, missing)):  # an adapter or a backbone; only whole weights say what they belong to
        return ""
    return (
        f"{kind} computes another function than these weights: {_trained(unsaid, has=True)}, and the weights were "
        f"trained without. Load them into a fresh {kind} before autoact.apply; to train on from them here, ignore this"
    )


def _computes_another(model: nn.Module, key: str) -> bool:
    """Whether the model has what a marker's site is part of, and no such activation there by itself.

    The weights of a head that was dropped are no matter.
    """
    site = key.rpartition(".")[0]
    try:
        model.get_submodule(site.rpartition(".")[0])
    except AttributeError:
        return False
    try:
        found = recognise(model.get_submodule(site))
        return found is None or function_key(found) != function_key(assignment_in([key])[site])
    except (AttributeError, AutoactError):  # a call in a method; an activation that is not registered here
        return True


def _trained(keys: list[str], *, has: bool = False) -> str:
    """The first of some markers, and how many there are: ``'1' was trained with tanh (2 such places)``."""
    site, _, name = keys[0].rpartition(".")
    try:
        name = str(assignment_in(keys[:1])[site])
    except AutoactError:
        name = name.removeprefix(MARKER)
    more = f" ({len(keys)} such places)" if len(keys) > 1 else ""
    return f"it has {name} at {site!r}{more}" if has else f"{site!r} was trained with {name}{more}"
