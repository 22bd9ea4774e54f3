"""Compose the configuration with Hydra; every mistake becomes one line with the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_args

from autoact.config.error_messages import one_line
from autoact.config.groups import GROUPS, options, search_path
from autoact.config.key_names import KEYS, refuse_unknown
from autoact.config.override_syntax import read_override
from autoact.config.schema import FREE, Config
from autoact.config.trusted_code import import_plugins
from autoact.core.errors import AutoactError
from autoact.core.override_text import quoted
from autoact.data.settings import BRING_THEIR_DATA, source_of


def compose(overrides: Sequence[str], config_dirs: Sequence[str] = (), config_name: str = "config") -> Any:
    """The composed configuration, as an OmegaConf object.

    Args:
        overrides: as on a Hydra command line: ``task=churn``, ``search.trials=20``, ``+key=value``, ``~key``.
        config_dirs: folders of the user's own groups; a file with the name of one of autoact's is refused, unless the
            folder holds the primary configuration too and so is a tree of its own.
        config_name: the primary configuration.

    Raises:
        AutoactError: an unknown group, choice or key, a wrong type, a syntax error.
    """
    from hydra import compose as hydra_compose

    config = _with_hydra(overrides, config_dirs, config_name, lambda given: hydra_compose(config_name, given))
    refuse_unknown(config)
    _read_own_file(config, overrides)
    return config


def _read_own_file(config: Any, overrides: Sequence[str]) -> None:
    """Where the user gives ``data.path`` and no source, the file is read in the place of the set that comes along."""
    from omegaconf import OmegaConf

    data = config.data
    if OmegaConf.is_missing(data, "path") or data.path is None or data.source not in BRING_THEIR_DATA:
        return
    if any(re.match(r"\+*data(\.source=|=(?!\s*\{)|=.*\bsource\b)", text) for text in overrides):
        return
    if data.source == "sklearn" and data.target is None:
        data.target = "target"  # scikit-learn's own name
    data.source = source_of(data.path)


def chosen_files(
    overrides: Sequence[str], config_dirs: Sequence[str], config_name: str = "config"
) -> list[tuple[str, str]]:
    """The files that make up a configuration, without ``.yaml``, each with the package that its keys lie in."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    def files(given: list[str]) -> Any:
        loader = GlobalHydra.instance().config_loader()
        return loader.compute_defaults_list(config_name, given, RunMode.RUN).defaults

    found = _with_hydra(overrides, config_dirs, config_name, files)
    return [(one.config_path, one.package or "") for one in found if one.config_path is not None]


def _with_hydra(
    overrides: Sequence[str], config_dirs: Sequence[str], config_name: str, ask: Callable[[list[str]], Any]
) -> Any:
    """What Hydra answers about these overrides; its errors become one line."""
    import yaml
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    first, *others = search_path(config_dirs, config_name)
    choices = {group: partial(options, group, config_dirs) for group in GROUPS}
    given = [read_override(text, KEYS, FREE, choices) for text in overrides]
    if others:
        given.append(f"hydra.searchpath=[{','.join(quoted(f'file://{folder}') for folder in others)}]")
    ConfigStore.instance().store("schema", node=Config)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(first), version_base="1.3"):
            return ask(given)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise one_line(error, overrides, config_dirs) from error


def settings(config: Any) -> Config:
    """The typed record of a composed configuration.

    Raises:
        AutoactError: a value of the wrong type, one that is missing, one that the settings of a group refuse, or a
            plugin that cannot be imported.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        import_plugins(list(config.plugins), list(config.trust))
        _refuse_empty(config)
        found = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise one_line(error) from error
    assert isinstance(found, Config)
    return found


def _refuse_empty(config: Any) -> None:
    """Refuse text without a character where it would be taken for nothing said.

    Raises:
        AutoactError: names the key.
    """
    from omegaconf import OmegaConf

    for key, kind in KEYS.items():
        if str in (kind, *get_args(kind)) and key not in _MAY_BE_EMPTY and OmegaConf.select(config, key) == "":
            raise AutoactError(f"{key}= is empty: give a value, or leave it out")


# Text whose absence is said by no character.
_MAY_BE_EMPTY = ("data.label_strip",)


def resolve(config: Any) -> None:
    """Replace every interpolation of a composed configuration by its value.

    Raises:
        AutoactError: one that names nothing.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise one_line(error) from error
