"""Which modules of a model are activations, under which names, and how one is put in another's place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from autoact.activations.modules import recognise
from autoact.activations.normalisation import recognise_normalisation
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites.tracing.torch_transformer import fuse_, hold_, is_layer, settle_


@dataclass(frozen=True)
class Located:
    """An activation module in a model, by its dotted names, the first of which is the site's, and what it computes."""

    names: tuple[str, ...]
    module: nn.Module
    choice: Choice

    @property
    def name(self) -> str:
        """The site's name."""
        return self.names[0]


def check_model(model: object) -> None:
    """Refuse a model whose activations cannot be found by walking its modules.

    Raises:
        AutoactError: not a module, compiled or scripted.
    """
    if not isinstance(model, nn.Module):
        raise AutoactError(f"the model must be a torch.nn.Module instance, not {_described(model)}")
    if isinstance(model, torch.jit.ScriptModule):
        raise AutoactError("a scripted model cannot be changed: give the model before torch.jit.script or trace")
    if hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None:
        raise AutoactError("a compiled model cannot be changed: give the model before torch.compile")


def modules_with_names(model: nn.Module) -> list[tuple[tuple[str, ...], nn.Module]]:
    """Every module object once, with all its names; parents before children.

    Example:
        >>> act = nn.ReLU()
        >>> [names for names, _ in modules_with_names(nn.Sequential(act, act))]
        [('',), ('0', '1')]
    """
    names: dict[int, list[str]] = {}
    modules: dict[int, nn.Module] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(id(module), []).append(name)
        modules[id(module)] = module
    return [(tuple(names[key]), module) for key, module in modules.items()]


def activation_modules(model: nn.Module) -> list[Located]:
    """The activation modules that may be sites, in the order of definition.

    ``nn.Identity`` is a placeholder far more often than an activation, so it is left out; the catalogue's own identity
    module is kept. Parts of an activation module belong to it.
    """
    found: list[Located] = []
    inside: set[int] = set()
    for names, module in modules_with_names(model):
        if id(module) in inside or isinstance(module, nn.Identity):
            continue
        choice = recognise(module)
        if choice is not None:
            found.append(Located(names, module, choice))
            inside.update(id(part) for part in module.modules())
    return found


def normalisation_modules(model: nn.Module) -> list[Located]:
    """The normalisations that may be sites, and what stands in the place of one, in the order of definition.

    Example:
        >>> [item.name for item in normalisation_modules(nn.Sequential(nn.LayerNorm(2), nn.ReLU(), nn.RMSNorm(2)))]
        ['0', '2']
    """
    pairs = [(names, module, recognise_normalisation(module)) for names, module in modules_with_names(model)]
    return [Located(names, module, choice) for names, module, choice in pairs if choice is not None]


def put(model: nn.Module, names: tuple[str, ...], module: nn.Module) -> None:
    """Register ``module`` under each of ``names``, where another module stands now.

    Fused paths that would go on computing another activation are switched off.
    """
    for name in names:
        parent, _, attribute = name.rpartition(".")
        holder = model.get_submodule(parent)
        if is_layer(holder) and attribute == "activation":
            hold_(holder, module)
            settle_(model)
        else:
            setattr(holder, attribute, module)
            if is_layer(holder):
                fuse_(holder)
                settle_(model)


def _described(thing: object) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
