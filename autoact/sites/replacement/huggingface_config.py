"""What a model's configuration says of its activations, and whether the model that it builds has those of this one.

Nothing is imported from ``transformers``: its configurations are known by what they can do, its names of activations
are read where it is loaded.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn

from autoact.sites.replacement.state_dict_marker import is_put_in
from autoact.sites.rewriting.method_rewrite import plain_class

Path = tuple[str, ...]
"""Where a configuration names an activation: ``("text_config", "hidden_act")``."""
_DEPTH, _MOST = 4, 16


def write_activations_(config: object, module: nn.Module) -> bool:
    """Change a configuration so that it builds ``module``; false, and nothing changed, where it cannot say that.

    A place of the configuration (``hidden_act``, ``feed_forward_proj``, one in a part such as ``text_config``) gets the
    name of one activation that was put in, where that makes the model built from it more like this one. So a mixed
    assignment is written where the configuration has a place for each of its parts.
    """
    names, places = _names(module), activation_places(config)
    best = unlike(_built(module, as_saved(config)), module) if names else None
    if best == 0:
        return True
    if best is None or not places:
        return False
    chosen: dict[Path, str] = {}
    # One by one, and at last places that act together only.
    for group in (*([place] for place in places), places):
        for name in names:
            tried = {**chosen, **{place: _named(get(config, place), name) for place in group}}
            left = unlike(_built(module, as_saved(_changed(config, tried))), module)
            if left is not None and left < best:
                best, chosen = left, tried
        if best == 0:
            _write_(config, chosen)
            return True
    return False


def is_read(config: object, module: nn.Module, name: str) -> bool:
    """Whether no model is built of a configuration that has ``name``, which nobody knows, for every activation."""
    places = activation_places(config, derived=True)
    if not places or _built(module, as_saved(config)) is None:
        return False
    try:
        other = copy.deepcopy(config)
        for place in places:
            put(other, place, name)
    except Exception:  # it takes known names alone
        return False
    return _built(module, as_saved(other)) is None


def activation_places(config: object, *, derived: bool = False) -> list[Path]:
    """Where a configuration, or one inside of it, names an activation that ``transformers`` knows.

    With ``derived`` also what it works out itself from other places (``dense_act_fn`` of T5).
    """
    known = _known()
    return list(itertools.islice(_places(config, (), known, derived), _MOST)) if known is not None else []


def _places(config: object, path: Path, known: ModuleType, derived: bool) -> Iterator[Path]:
    given = None if derived else _given(config)
    for name, value in _entries(config):
        if not isinstance(name, str) or name.startswith("_"):
            continue
        if isinstance(value, str):
            if value.rpartition("-")[2] in known.ACT2CLS and (given is None or name in given):
                yield (*path, name)
        elif len(path) < _DEPTH and (isinstance(value, Mapping) or hasattr(value, "model_type")):
            yield from _places(value, (*path, name), known, derived)


def _known() -> ModuleType | None:
    return sys.modules.get("transformers.activations")


def _entries(config: object) -> list[tuple[object, object]]:
    return list((config if isinstance(config, Mapping) else getattr(config, "__dict__", {})).items())


def _given(config: object) -> set[str] | None:
    """The names that a configuration is made from; None where it takes any."""
    if isinstance(config, Mapping):
        return None
    try:
        parameters = list(inspect.signature(type(config)).parameters.values())
    except ValueError:  # a class without a signature
        return None
    free = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    given = {parameter.name for parameter in parameters if parameter.kind not in free}
    if not given:
        return None
    if dataclasses.is_dataclass(config):
        given |= {item.name for item in dataclasses.fields(config)}
    aliases = getattr(config, "attribute_map", None) or {}
    return given | {stored for alias, stored in aliases.items() if alias in given}


def _named(old: str, name: str) -> str:
    """The text that says ``name`` where ``old`` stands: ``gated-tanh`` for ``gated-gelu``."""
    before, dash, _ = old.rpartition("-")
    return f"{before}{dash}{name}"


def get(config: object, place: Sequence[str]) -> Any:
    """What stands at a place."""
    for name in place:
        config = config[name] if isinstance(config, Mapping) else getattr(config, name)
    return config


def put(config: object, place: Path, value: object) -> None:
    """Write a place of a configuration, or of the plain data of one."""
    owner = get(config, place[:-1])
    if isinstance(owner, Mapping):
        owner[place[-1]] = value  # type: ignore[index]
    else:
        setattr(owner, place[-1], value)


def as_saved(config: Any) -> Any:
    """The configuration that a program finds which loads what this one saves; None where it cannot be saved."""
    try:
        if hasattr(config, "to_json_string") and hasattr(type(config), "from_dict"):
            return type(config).from_dict(json.loads(config.to_json_string()))
        return copy.deepcopy(config)
    except Exception:  # a check of its own, a value that JSON does not have
        return None


def _changed(config: object, values: Mapping[Path, str]) -> object:
    """A copy with other values, and with what follows from them; None where it refuses them."""
    try:
        changed = copy.deepcopy(config)
        _write_(changed, values)
    except Exception:  # it takes known names alone
        return None
    return changed


def _write_(config: object, values: Mapping[Path, str]) -> None:
    """Write values, and what the configuration works out from them."""
    for place, value in values.items():
        put(config, place, value)
    for place, derived in _worked_out(config).items():
        put(config, place, derived)


def _worked_out(config: Any) -> dict[Path, object]:
    """The derived places of a configuration with the values that they have in a fresh one."""
    derived = set(activation_places(config, derived=True)) - set(activation_places(config))
    if not derived or not hasattr(config, "to_json_string") or not hasattr(type(config), "from_dict"):
        return {}
    data = json.loads(config.to_json_string())
    for place in derived:
        get(data, place[:-1]).pop(place[-1], None)
    fresh = type(config).from_dict(data)
    return {place: get(fresh, place) for place in derived}


def _names(module: nn.Module) -> list[str]:
    """The names in ``transformers`` of the activations that were put in; none where it lacks one of them."""
    known, names = _known(), list[str]()
    ours = [part for part in module.modules() if is_put_in(part)]
    if known is None:
        return names
    for choice, part in {str(part.choice): part for part in ours}.items():
        # By name first: other names may compute the same ("swish", "gelu_python").
        ordered = sorted(known.ACT2CLS, key=lambda name: (name != choice, name))
        found = next((name for name in ordered if _same(_activation(known.ACT2FN, name), part)), None)
        if found is None:
            return []
        names.append(found)
    return names


def _activation(known: Mapping[str, object], name: str) -> object:
    """The activation of a name; None where it cannot be built here."""
    try:
        return known[name]
    except Exception:  # some need a GPU or a further package
        return None


def _built(module: nn.Module, config: object) -> nn.Module | None:
    """The model that the class builds of a configuration, without weights; None where it builds none."""
    if config is None:
        return None
    try:
        with torch.device("meta"):
            return plain_class(type(module))(config)
    except Exception:  # it does not take this configuration, or needs more than shapes
        return None


def unlike(twin: nn.Module | None, module: nn.Module) -> int | None:
    """At how many places a built model has another function than this one; None without one."""
    if twin is None:
        return None
    leaves = (item for item in module.named_modules() if not any(item[1].children()))
    return sum(not _agree(twin, name, part) for name, part in leaves)


def _agree(twin: nn.Module, name: str, part: nn.Module) -> bool:
    owner, _, attribute = name.rpartition(".")
    try:
        other = getattr(twin.get_submodule(owner), attribute) if name else twin
    except AttributeError:
        return False
    if type(other) is type(part) and repr(other) == repr(part) and not is_put_in(part):
        return True
    return _same(other, part)


def _same(first: object, second: object) -> bool:
    """Whether two functions without weights have the same values, in training as in evaluation."""
    x = torch.linspace(-12.0, 12.0, 487, dtype=torch.float32, device="cpu")
    for training in (True, False):
        results = []
        for function in (first, second):
            if not callable(function):
                return False
            if isinstance(function, nn.Module):
                if any(True for _ in function.parameters()):
                    return False
                function = copy.deepcopy(function).train(training)
            try:
                with torch.no_grad(), torch.random.fork_rng(devices=[]):
                    results.append(function(x.clone()))
            except Exception:  # not made for a vector of numbers
                return False
        if not all(isinstance(y, torch.Tensor) and y.shape == x.shape for y in results):
            return False
        if not torch.allclose(results[0], results[1], rtol=1e-5, atol=1e-6):
            return False
    return True
