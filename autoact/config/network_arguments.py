"""The networks that ``space.arguments`` makes: combinations of arguments of a recipe, or of a module of one's own."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from autoact.config.schema import Config
from autoact.config.trusted_code import load_trusted
from autoact.core.errors import AutoactError, unknown

# Networks that a search chooses from, at most.
MOST_NETWORKS = 24

OF_DATA = ("numbers", "class_counts")
"""Arguments that a recipe may take and gets from the prepared data: the attributes of ``PreparedData`` of that name."""


class Argument(NamedTuple):
    """An argument that a class takes.

    Attributes:
        kind: its declared type; None where none is.
        default: its value unless given; ``inspect.Parameter.empty`` where it has to be given.
    """

    kind: Any
    default: Any


def arguments_taken(made: Any) -> dict[str, Argument]:
    """The arguments that a class or function takes beside inputs and outputs; empty where it does not tell.

    Example:
        >>> def network(inputs, outputs, width: int = 64): ...
        >>> arguments_taken(network)
        {'width': Argument(kind=<class 'int'>, default=64)}
    """
    found: dict[str, Argument] = {}
    for base in inspect.getmro(made) if inspect.isclass(made) else (made,):
        function = base.__dict__.get("__init__") if inspect.isclass(base) else base
        if function is None:
            continue
        parameters = inspect.signature(function).parameters.values()
        types = _types(function)
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        found = {p.name: Argument(types.get(p.name), p.default) for p in named} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return {name: one for name, one in found.items() if name not in ("self", "inputs", "outputs")}
    return {}


def _types(function: Any) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # names that exist for type checkers alone
        return {}


def arguments_key(config: Config) -> str:
    """The key of the network's arguments.

    Example:
        >>> arguments_key(Config()), arguments_key(Config(module="mine:Net"))
        ('recipe.arguments', 'module_arguments')
    """
    return "recipe.arguments" if config.module is None else "module_arguments"


def network_arguments(config: Config) -> dict[str, Any]:
    """The arguments of the network that are set, by name."""
    return dict(config.recipe.arguments if config.module is None else config.module_arguments)


def with_arguments(config: Config, arguments: Mapping[str, Any]) -> Config:
    """The same configuration with these among the network's arguments.

    Example:
        >>> with_arguments(Config(), {"width": 32}).recipe.arguments
        {'width': 32}
    """
    whole = {**network_arguments(config), **arguments}
    if config.module is not None:
        return replace(config, module_arguments=whole)
    return replace(config, recipe=replace(config.recipe, arguments=whole))


def networks(config: Config) -> list[dict[str, Any]]:
    """The values of the arguments that ``space.arguments`` names, for each network; those as configured come first.

    Raises:
        AutoactError: an argument that the network does not take, fewer than two values of one, or too many networks.

    Example:
        >>> from autoact.space.settings import SpaceSettings
        >>> networks(Config(space=SpaceSettings(arguments={"width": [32, 64], "depth": [1, 3]})))
        [{'width': 64, 'depth': 3}, {'width': 32, 'depth': 1}, {'width': 32, 'depth': 3}, {'width': 64, 'depth': 1}]
        >>> networks(Config(space=SpaceSettings(arguments={"widht": [32, 64]})))
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown argument of space.arguments 'widht': did you mean width? Allowed: ...
    """
    key, given, taken = arguments_key(config), network_arguments(config), _taken(config)
    choices: dict[str, list[Any]] = {}
    configured: dict[str, Any] = {}
    for name, values in config.space.arguments.items():
        if taken and name not in taken:
            raise unknown("argument of space.arguments", name, sorted(taken), advice=f"{key}.NAME=VALUE sets one")
        choices[name] = _different(name, values, key)
        configured[name] = given.get(name, taken[name].default if name in taken else inspect.Parameter.empty)
        if configured[name] is inspect.Parameter.empty:
            raise AutoactError(f"space.arguments.{name}: what it is as configured is not known: give {key}.{name}, too")
    _check_number(prod(map(len, choices.values())))
    every = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    found = [configured, *(one for one in every if one != configured)]
    _check_number(len(found))
    return found


def _taken(config: Config) -> dict[str, Argument]:
    """The arguments that the network's class takes; empty where it does not tell, as a file of LightningCLI."""
    if config.module is not None and Path(config.module).suffix in (".yaml", ".yml"):
        return {}
    reference = (config.recipe.module, "recipe.module") if config.module is None else (config.module, "module")
    taken = arguments_taken(load_trusted(*reference, config.trust))
    return {name: one for name, one in taken.items() if name not in OF_DATA}


def _different(name: str, values: Any, key: str) -> list[Any]:
    if not isinstance(values, list | tuple):
        raise AutoactError(f"space.arguments.{name}={values!r} must be a list of two values or more, such as [64, 128]")
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    if len(found) < 2:
        one = found[0] if found else "VALUE"
        raise AutoactError(
            f"space.arguments.{name}={list(values)} leaves nothing to choose from: give two different values or more, "
            f"or {key}.{name}={one}"
        )
    return found


def _check_number(count: int) -> None:
    if count > MOST_NETWORKS:
        raise AutoactError(
            f"space.arguments makes {count} networks with the one as configured, {MOST_NETWORKS} at most: "
            "give fewer arguments or fewer values of them"
        )
