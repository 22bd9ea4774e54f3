"""Copies of a part of a model: averaged weights and teachers keep the activations of what they are copied from."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites.discovery.recognise import equal_module
from autoact.sites.initialise import is_held
from autoact.sites.site import Site, Sites
from autoact.sites.tracing.dry_run import undisturbed
from autoact.sites.tracing.locate import activation_modules, modules_with_names, normalisation_modules
from autoact.sites.weight_rules import Change

_DEPTH = 2
# Attributes of modules that hold no copy which is ever run: ``save_hyperparameters`` keeps one of its arguments to log.
_NEVER_RUN = ("_modules", "_trainer", "_fabric", "_parameters", "_buffers", "_hparams_initial")


def with_twins(model: nn.Module, sites: Sites) -> Sites:
    """The sites, with those of copies that the run did not call, each tied to the site that it is a copy of.

    A part is a copy of another where both are of one class and hold parameters of the same names and shapes, and either
    the run calls only one of the two (an average that validates, a net that only trains), or one is frozen and holds
    the other's values (a teacher that runs beside it). Layers that are alike and all run are no copies. Neither of the
    two can change its width.
    """
    found: dict[str, Site] = {site.name: site for site in sites}
    twins: list[Site] = []
    located = [*activation_modules(model), *normalisation_modules(model)]
    present = {name: item.choice for item in located for name in item.names}
    for copied, original in _pairs(model, sites):
        mine = [site for site in sites if _inside(site.name, original) and not site.twin_of]
        other = {site.name: _moved(site.name, original, copied) for site in mine}
        present |= _acting(model, [other[s.name] for s in mine if not s.call and other[s.name] not in present])
        if any(present.get(other[s.name], s.current) != s.current or (not s.call and other[s.name] not in present)
               for s in mine):  # fmt: skip
            continue  # built alike, with other activations: not meant to be the same
        for site in mine:
            why = f"{copied} is a copy of {original or 'it'}, and both have to keep their widths"
            found[site.name] = dataclasses.replace(site, wiring=None, not_gateable=why)
            twin = dataclasses.replace(
                found.pop(other[site.name], site),
                name=other[site.name],
                shared_as=tuple(_moved(n, original, copied) for n in site.shared_as if _inside(n, original)),
                wiring=None,
                not_gateable=why,
                twin_of=site.name,
                order=len(sites) + len(twins),
            )
            twins.append(twin)
    twins = _to_the_first(twins)
    names = {name for twin in twins for name in twin.names}
    return Sites([*found.values(), *twins], [item for item in sites.unreplaceable if item.name not in names])


def _to_the_first(twins: list[Site]) -> list[Site]:
    """A copy of a copy is one of the first: an average of a net that holds a teacher of its own."""
    of = {twin.name: twin.twin_of for twin in twins}

    def first(name: str) -> str:
        while name in of:
            name = of[name]
        return name

    return [dataclasses.replace(twin, twin_of=first(twin.twin_of)) for twin in twins]


def _acting(model: nn.Module, names: Sequence[str]) -> dict[str, Choice]:
    """Modules of the user's own that the run did not call, and that compute an activation."""
    found: dict[str, Choice] = {}
    parts = dict(model.named_modules(remove_duplicate=False))
    for name in [name for name in names if name in parts]:
        with undisturbed(parts[name]):
            choice = equal_module(parts[name])
        if choice is not None:
            found[name] = choice
    return found


def copies_told(sites: Sites) -> tuple[str, ...]:
    """A line for each copy, saying what it is a copy of."""
    pairs = dict.fromkeys(parts_of(twin) for twin in sites if twin.twin_of)
    return tuple(
        f"{original} and {copied} are copies of each other: both get the same activations" for original, copied in pairs
    )


def check_hidden_copies(model: nn.Module, sites: Sites) -> None:
    """Refuse a copy of a searched part that is no submodule: it would keep its activations.

    Raises:
        AutoactError: names where it is held, and what to do.
    """
    known = {id(module) for module in model.modules()}
    searched = [m for names, m in modules_with_names(model) if any(_inside(s.name, names[0]) for s in sites) and m]
    signatures = {sign: part for part in searched if part is not model and (sign := _signature(part)) is not None}
    for path, module in model.named_modules():
        for key, value in vars(module).items():
            if key in _NEVER_RUN:
                continue
            for held in _modules_in(value, _DEPTH):
                if any(id(part) not in known and _signature(part) in signatures for part in held.modules()):
                    where = f"{path}.{key}".lstrip(".")
                    raise AutoactError(
                        f"{where} holds a copy of a part whose activations are searched, and is no submodule: the copy "
                        f"would keep its own. Assign it as a submodule (an attribute, nn.ModuleList, nn.ModuleDict), "
                        "or make the copy in on_fit_start"
                    )


def scaled(model: nn.Module, sites: Sites, changes: Mapping[str, Change]) -> dict[str, Change]:
    """The changes of the weights that may be scaled: frozen ones stay, equal copies of a weight stay equal to it."""
    parameters = dict(model.named_parameters())
    pairs = dict.fromkeys(parts_of(site) for site in sites if site.twin_of)
    found: dict[str, Change] = {}
    for name, change in changes.items():
        moved = {
            _moved(name, *pair): change.renamed(functools.partial(_moved, original=pair[0], copied=pair[1]))
            for pair in pairs
            if _inside(name, pair[0])
        }
        moved = {copied: its for copied, its in moved.items() if copied in parameters}
        equal = {copied: its for copied, its in moved.items() if _equal(parameters[copied], parameters[name])}
        if not all(is_held(parameters[n]) for n in (name, *equal)):
            found |= {name: change} | equal
        found |= {n: its for n, its in moved.items() if n not in equal and not is_held(parameters[n])}
    return found


def parts_of(twin: Site) -> tuple[str, str]:
    """The part that a twin's site lies in, and its copy: what differs of the two names.

    Example:
        >>> from autoact.core.assignment import Choice
        >>> parts_of(Site("ema.block.act", Choice("relu"), twin_of="net.block.act"))
        ('net', 'ema')
    """
    one, other = twin.twin_of.split("."), twin.name.split(".")
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return ".".join(one), ".".join(other)


def _pairs(model: nn.Module, sites: Sites) -> Iterator[tuple[str, str]]:
    """Paths of a copy and of what it is a copy of; outermost ones only."""
    parts: dict[tuple[object, ...], list[tuple[str, nn.Module]]] = {}
    for names, module in modules_with_names(model):
        if (sign := _signature(module)) is not None and names[0] and names[0] not in sites:
            parts.setdefault(sign, []).append((names[0], module))
    alike = [(path, module, sign) for sign, group in parts.items() if len(group) > 1 for path, module in group]
    done: list[str] = []
    for path, module, sign in sorted(alike, key=lambda item: item[0].count(".")):
        if any(_inside(path, other) for other in done):
            continue
        called = _called(path, sites)
        others = [
            (other, part)
            for other, part in parts[sign]
            if part is not module
            and not _inside(other, path)
            and not _inside(path, other)
            and other not in done
            and _called(other, sites)
        ]
        equal = [(other, part) for other, part in others if _same_values(module, part)]
        if called:  # both run: a frozen one that holds the values of another
            others = [(o, p) for o, p in equal if _frozen(module) and not _frozen(p)]
        elif len(others) > 1:
            others = equal
        if len(others) == 1:
            done.append(path)
            yield path, others[0][0]


def _signature(module: nn.Module) -> tuple[object, ...] | None:
    """Equal for parts of one class that hold the same; None for those without parameters."""
    kind = type(module)
    shapes = tuple((name, tuple(p.shape)) for name, p in module.named_parameters())
    if not shapes or any(nn.parameter.is_lazy(p) for p in module.parameters()):
        return None
    return f"{kind.__module__}.{kind.__qualname__}", shapes


def _called(path: str, sites: Sites) -> bool:
    return any(_inside(name, path) for site in sites for name in site.names)


def _frozen(module: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in module.parameters())


def _same_values(one: nn.Module, other: nn.Module) -> bool:
    """Whether two parts hold equal parameters, each its own."""
    pairs = list(zip(one.parameters(), other.parameters(), strict=True))
    return all(a is not b and _equal(a, b) for a, b in pairs)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.device == other.device and torch.equal(one.detach(), other.detach())


def _inside(name: str, part: str) -> bool:
    return name.startswith(f"{part}.") or part == ""


def _moved(name: str, original: str, copied: str) -> str:
    return f"{copied}{name.removeprefix(original)}"


def _modules_in(value: object, depth: int) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif depth and isinstance(value, Mapping):
        for item in value.values():
            yield from _modules_in(item, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for item in value:
            yield from _modules_in(item, depth - 1)
    elif depth and type(value).__module__ != "builtins" and isinstance(getattr(value, "__dict__", None), dict):
        yield from _modules_in(vars(value), depth - 1)
