"""Compose the configuration with Hydra; every mistake becomes one line with the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from autoact.config.schema import FREE, Config
from autoact.core.errors import AutoactError, nearest, unknown

GROUPS = (
    "task",
    "data",
    "recipe",
    "candidates",
    "space",
    "objectives",
    "hardware",
    "search",
    "confirm",
    "tracking",
)


def conf_dir() -> Path:
    """The folder of the configuration tree: inside the installed package, or beside it in a checkout."""
    import autoact.conf

    return Path(str(autoact.conf.__file__)).resolve().parent


def options(group: str, extra: Sequence[str] = ()) -> list[str]:
    """The choices of a group, in the packaged tree and in the user's own folders."""
    folders = [conf_dir(), *map(Path, extra)]
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def compose(overrides: Sequence[str], config_dirs: Sequence[str] = (), config_name: str = "config") -> Any:
    """The composed configuration, as an OmegaConf object.

    Args:
        overrides: as on a Hydra command line: ``task=churn``, ``search.trials=20``, ``+key=value``, ``~key``.
        config_dirs: folders of the user's own groups, searched first.
        config_name: the primary configuration.

    Raises:
        AutoactError: an unknown group, choice or key, a wrong type, a syntax error.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    for folder in config_dirs:
        if not Path(folder).is_dir():
            raise AutoactError(f"--config-dir: no such folder: {folder!r}")
    ConfigStore.instance().store("schema", node=Config)
    path = [f"file://{Path(folder).resolve()}" for folder in config_dirs]
    for text in overrides:
        key, _, value = text.partition("=")
        # The task group is optional, so that Hydra itself passes over an unknown task.
        if key == "task" and value and value not in (known := options("task", config_dirs)):
            raise unknown("task", value, known, advice="your own groups: --config-dir")
    given = [_free(text) for text in overrides]
    if path:
        given.append(f"hydra.searchpath=[{','.join(path)}]")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = hydra_compose(config_name, overrides=given)
    except (HydraException, OmegaConfBaseException) as error:
        raise _one_line(error, overrides, config_dirs) from error
    for key in _all_keys(config):
        if key not in _KEYS and not any(key == tree or key.startswith(f"{tree}.") for tree in FREE):
            raise _unknown_key(key)
    return config


def _free(override: str) -> str:
    """Let sub-trees that take any key be set without a plus sign."""
    key = override.partition("=")[0]
    if "=" in override and any(key.startswith(f"{tree}.") for tree in FREE):
        return f"++{override}"
    return override


def settings(config: Any) -> Config:
    """The typed record of a composed configuration.

    Raises:
        AutoactError: a value of the wrong type, or one that is missing.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        found = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise _one_line(error, (), ()) from error
    assert isinstance(found, Config)
    found.search.check()
    found.tracking.check()
    return found


def _one_line(error: Exception, overrides: Sequence[str], config_dirs: Sequence[str]) -> AutoactError:
    """The user's mistake behind one of Hydra's errors."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for one in chain:
        if isinstance(one, AutoactError):
            return one
    text = "\n".join(str(one) for one in chain)
    choice = re.search(r"(?:Could not find|In '.*?': Could not find) '([\w-]+)/([^']+)'", text)
    if choice:
        return unknown(choice[1], choice[2], options(choice[1], config_dirs))
    group = re.search(r"Could not override '([^']+)'\.\s*No match in the defaults list", text)
    if group:
        return unknown("configuration group", group[1].partition("=")[0], GROUPS)
    key = re.search(r"full_key: (\S+)", text)
    if "not in" in text and key and key[1]:
        return _unknown_key(key[1])
    if key and key[1]:
        reason = str(chain[-1]).splitlines()[0]
        given = next((o for o in overrides if o.partition("=")[0].lstrip("+~") == key[1]), key[1])
        return AutoactError(f"{given}: {reason}")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return AutoactError(f"{lines[0]}{'' if len(lines) < 2 or overrides == () else ' ' + lines[1]}")


def _unknown_key(key: str) -> AutoactError:
    """An error that names the allowed keys beside an unknown one."""
    from omegaconf import OmegaConf

    node: Any = OmegaConf.structured(Config)
    parent, _, last = key.rpartition(".")
    for part in filter(None, parent.split(".")):
        node = node[part]
    allowed = [f"{parent}.{name}" if parent else str(name) for name in node]
    leaves = {name.rpartition(".")[2] for name in _KEYS}
    best = (nearest(last, {*leaves, *map(str, node)}, count=1) or [""])[0]
    if best not in node:
        close = [name for name in _KEYS if best and name.rpartition(".")[2] == best]
        if close:
            return AutoactError(f"unknown key {key!r}: did you mean {' or '.join(close)}?")
    return unknown("key", key, allowed)


def _all_keys(node: Any, prefix: str = "") -> list[str]:
    """Every leaf key of a configuration, dotted."""
    from omegaconf import DictConfig

    keys = []
    for name in node:
        full = f"{prefix}{name}"
        child = node._get_node(name)
        deep = isinstance(child, DictConfig) and not child._is_none() and full not in FREE
        keys += _all_keys(child, f"{full}.") if deep else [full]
    return keys


def _schema_keys(record: Any, prefix: str = "") -> list[str]:
    """Every leaf key of the schema, dotted."""
    hints = get_type_hints(record)
    keys: list[str] = []
    for field in fields(record):
        kind = hints[field.name]
        keys += _schema_keys(kind, f"{prefix}{field.name}.") if is_dataclass(kind) else [f"{prefix}{field.name}"]
    return keys


_KEYS = _schema_keys(Config)
