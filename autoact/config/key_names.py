"""The keys of a configuration: those of the schema, those of a composed one, and the nearest to a wrong one."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

from autoact.config.schema import FREE, Config
from autoact.core.errors import AutoactError, nearest, unknown

# Keys under the names of the last release: they work for one more.
RENAMED = {"incumbent": "production_model"}


def renamed(override: str) -> str:
    """One override under the key's name of today; a line on standard error says it where that is another one.

    Example:
        >>> renamed("production_model=old.csv"), renamed("search.trials=3")
        ('production_model=old.csv', 'search.trials=3')
    """
    key, separator, value = override.partition("=")
    new = RENAMED.get(key.lstrip("+"))
    if new is None:
        return override
    print(f"autoact: {key}= is {new}= now; the old key works for one more release", file=sys.stderr)
    return f"{new}{separator}{value}"


def is_free(key: str) -> bool:
    """Whether a key lies in a sub-tree that takes any key, or is one.

    Example:
        >>> is_free("trainer.max_epochs"), is_free("trainer"), is_free("search.trials")
        (True, True, False)
    """
    return any(key == tree or key.startswith(f"{tree}.") for tree in FREE)


def refuse_unknown(config: Any) -> None:
    """Refuse keys of a composed configuration that the schema does not have.

    Raises:
        AutoactError: names the key and the nearest ones.
    """
    for key in _leaves(config):
        if key not in KEYS and not is_free(key):
            raise unknown_key(key)


def unknown_key(key: str) -> AutoactError:
    """An error that names the allowed keys beside an unknown one."""
    from omegaconf import DictConfig, OmegaConf

    if key in RENAMED:
        return AutoactError(f"unknown key {key!r}: it is called {RENAMED[key]} now")
    node: Any = OmegaConf.structured(Config)
    parent, _, last = key.rpartition(".")
    parents = parent.split(".") if parent else []
    for depth, part in enumerate(parents):
        if part not in node or not isinstance(node._get_node(part), DictConfig):
            return unknown_key(".".join(parents[: depth + 1]))
        node = node[part]
    allowed = [f"{parent}.{name}" if parent else str(name) for name in node]
    leaves = {name.rpartition(".")[2] for name in KEYS}
    best = (nearest(last, {*leaves, *map(str, node)}, count=1) or [""])[0]
    if best not in node:
        close = [name for name in KEYS if best and name.rpartition(".")[2] == best]
        if close:
            return AutoactError(f"unknown key {key!r}: did you mean {' or '.join(close)}?")
    return unknown("key", key, allowed)


def _leaves(node: Any, prefix: str = "") -> list[str]:
    from omegaconf import DictConfig

    keys = []
    for name in node:
        full = f"{prefix}{name}"
        child = node._get_node(name)
        deep = isinstance(child, DictConfig) and not child._is_none() and full not in FREE
        keys += _leaves(child, f"{full}.") if deep else [full]
    return keys


def _schema_keys(record: DataclassInstance | type[DataclassInstance], prefix: str = "") -> dict[str, object]:
    """Every leaf key of the schema, dotted, with its type."""
    hints = get_type_hints(record)
    keys: dict[str, object] = {}
    for field in fields(record):
        kind, name = hints[field.name], f"{prefix}{field.name}"
        keys |= _schema_keys(kind, f"{name}.") if is_dataclass(kind) else {name: kind}
    return keys


KEYS = _schema_keys(Config)
