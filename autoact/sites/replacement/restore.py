"""Load weights together with the activations that they were trained with."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from autoact.activations import registry
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites.discovery.find import find_sites
from autoact.sites.replacement.apply import apply_
from autoact.sites.replacement.save_pretrained import keep_config_true_
from autoact.sites.replacement.state_dict_marker import assignment_in, mark_
from autoact.sites.site import Site, Sites

# Where training loops put the weights in a checkpoint.
_INNER = ("state_dict", "model_state_dict", "model")
# What wrappers put before the names of weights.
_WRAPPERS = {"module.": "DataParallel or DistributedDataParallel", "_orig_mod.": "torch.compile"}


def restore_(
    model: nn.Module, state_dict: Mapping[str, Tensor | object], *, example_input: object = None, strict: bool = True
) -> nn.Module:
    """Put the activations that saved weights belong to into a fresh model, then load the weights, in place.

    Args:
        model: as the class makes it; sites that hold the activation already are left alone.
        state_dict: of a model that ``apply`` changed, or of an unchanged one.
        example_input: as in ``find_sites``; needed where an activation has weights per channel or is gated, or stands
            for a functional call.
        strict: as in ``load_state_dict``.

    Returns:
        ``model``.

    Raises:
        AutoactError: sites that the model does not have, or something else than a model's weights.
        RuntimeError: weights that do not fit, as ``load_state_dict`` raises it.

    Example:
        >>> from autoact.sites import apply
        >>> net = lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> trained = apply(net(), {"1": "tanh"})
        >>> restore_(net(), trained.state_dict())[1]
        ActivationModule(tanh)
        >>> net().load_state_dict(trained.state_dict())
        Traceback (most recent call last):
        ...
        RuntimeError: Error(s) in loading state_dict for Sequential:
            Unexpected key(s) in state_dict: "1.autoact:tanh"...
    """
    _check_weights(model, state_dict)
    carried = assignment_in(state_dict)
    present = assignment_in(model.state_dict())
    missing = {site: choice for site, choice in carried.items() if present.get(site) != choice}
    if missing:
        put_carried_(model, missing, example_input)
    model.load_state_dict(_with_versions(model, state_dict), strict=strict)
    return model


def _check_weights(model: nn.Module, state_dict: object) -> None:
    """Refuse what holds weights, and is not the weights.

    Raises:
        AutoactError: a file, a whole checkpoint, or weights whose names a wrapper changed.
    """
    if not isinstance(state_dict, Mapping):
        given = (
            f"the file {str(state_dict)!r}" if isinstance(state_dict, str | os.PathLike) else type(state_dict).__name__
        )
        raise AutoactError(
            f"restore_ takes weights, not {given}: torch.load(file, weights_only=True) or "
            "safetensors.torch.load_file(file) reads them"
        )
    inner = next((name for name in _INNER if isinstance(state_dict.get(name), Mapping)), None)
    if inner is not None and not any(isinstance(value, Tensor) for value in state_dict.values()):
        raise AutoactError(f"this is a whole checkpoint: give the weights in it, checkpoint[{inner!r}]")
    wrapper = next((w for w in _WRAPPERS if state_dict and all(key.startswith(w) for key in state_dict)), None)
    if wrapper is not None and not any(key.startswith(wrapper) for key in model.state_dict()):
        raise AutoactError(
            f"every name in these weights begins with {wrapper!r}, from {_WRAPPERS[wrapper]}: give them without, "
            f"{{key.removeprefix({wrapper!r}): value for key, value in weights.items()}}"
        )


def _with_versions(model: nn.Module, state_dict: Mapping[str, object]) -> Mapping[str, object]:
    """The weights with the versions of the modules that wrote them, which torch keeps beside the keys.

    Files of safetensors have none. Some classes (torchvision's MNASNet) refuse weights without: those get the
    versions that they write themselves; torch's own modules read such weights as they always have.
    """
    if getattr(state_dict, "_metadata", None) is not None:
        return state_dict
    weights = OrderedDict(state_dict)
    weights._metadata = {  # type: ignore[attr-defined]
        name: {"version": part._version}
        for name, part in model.named_modules()
        if not type(part).__module__.startswith("torch.")
    }
    return weights


def put_carried_(model: nn.Module, carried: Mapping[str, Choice], example_input: object) -> None:
    """Put activations in that the weights name for every place of a shared module: once where all of them agree.

    Where they do not, or where a name is that of one use, each use has its own.
    """
    sites = _sites(model, carried, example_input)
    named = [{carried.get(name) for name in site.names} for site in sites]
    if any(len(choices) > 1 for choices in named) or any(name not in sites for name in carried):
        sites = _sites(model, carried, example_input, per_use=True)
    once = {sites[name].name if name in sites else name: choice for name, choice in carried.items()}
    apply_(model, once, example_input=example_input, sites=sites, as_modules=True)
    # A class that has the activation by itself now (by its configuration) would not take the weights' marker.
    present = assignment_in(model.state_dict())
    alone = {name: choice for name, choice in carried.items() if name not in present}
    for name, choice in alone.items():
        mark_(model.get_submodule(name), choice)
    if alone:
        keep_config_true_(model)


def _sites(model: nn.Module, carried: Mapping[str, Choice], example_input: object, *, per_use: bool = False) -> Sites:
    """The sites of a model, and those that only the weights name."""
    wanted = registry.any_normalisation(carried.values())
    sites = find_sites(model, example_input, per_use=per_use, normalisations=wanted)
    if example_input is not None:
        return sites
    return Sites([*sites, *_unrecognised(model, carried, sites)], sites.unreplaceable)


def _unrecognised(model: nn.Module, carried: Mapping[str, Choice], sites: Sites) -> list[Site]:
    """Sites at modules that are known for activations by running them alone: the weights say that they are.

    ``transformers`` has its own classes of activations, for instance.
    """
    named: dict[int, list[str]] = {}
    for name, part in model.named_modules(remove_duplicate=False):
        plain = not any(True for _ in (*part.children(), *part.parameters()))
        if name in carried and name not in sites and plain:
            named.setdefault(id(part), []).append(name)
    # What stands there is not known; that it is another activation is all that matters.
    return [
        Site(first, Choice("tanh" if carried[first].name == "relu" else "relu"), shared_as=tuple(others))
        for first, *others in named.values()
    ]
