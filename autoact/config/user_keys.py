"""The keys that the user set: on the command line, or in a file of the user's own. The packaged groups set none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoact.config.effective_keys import Given
from autoact.config.groups import GROUPS, conf_dir, search_path
from autoact.config.key_names import KEYS
from autoact.config.override_syntax import read_value
from autoact.config.schema import FREE


def given(overrides: Sequence[str], config_dirs: Sequence[str] = (), config_name: str = "config") -> list[Given]:
    """The keys that were set, each with where.

    Example:
        >>> [(one.key, one.keys) for one in given(["search.trials=3", "data=openml", "~trainer.x"])]
        [('search.trials', ()), ('data', ('data.source', 'data.openml_id'))]
    """
    found = [one for text in overrides for one in _from_word(text, config_dirs)]
    return [*found, *(_from_files(overrides, config_dirs, config_name) if config_dirs else ())]


def _from_word(text: str, config_dirs: Sequence[str]) -> list[Given]:
    """The keys that one word of the command line sets."""
    key, separator, value = text.partition("=")
    plain = key.lstrip("+")
    if not separator or key.startswith("~"):
        return []
    if plain == "candidates" and value.lstrip().startswith("["):
        return [Given("space.candidates", text)]
    read = read_value(value)
    if isinstance(read, Mapping) and plain not in FREE and plain not in KEYS:
        return [Given(leaf, text) for leaf in _leaves(read, f"{plain}.")]
    if plain in GROUPS:
        chosen = read if isinstance(read, list) else [read]
        keys = [leaf for one in chosen for leaf in _choice(plain, str(one), config_dirs)]
        return [Given(plain, text, keys=tuple(keys))] if keys else []
    return [Given(_whole(plain), text)]


def _choice(group: str, name: str, config_dirs: Sequence[str]) -> list[str]:
    for folder in (*map(Path, config_dirs), conf_dir()):
        file = folder / group / f"{name.removesuffix('.yaml')}.yaml"
        if file.is_file():
            return _keys_of(file, group.replace("/", "."))
    return []


def _keys_of(file: Path, package: str) -> list[str]:
    """The keys that a file sets, below its package."""
    import yaml

    text = file.read_text(encoding="utf-8")
    header = re.search(r"^#\s*@package\s+(\S+)", text, re.MULTILINE)
    package = header[1] if header else package
    package = "" if package == "_global_" else package
    node = yaml.safe_load(text) or {}
    if not isinstance(node, Mapping):
        return []
    return _leaves({key: value for key, value in node.items() if key != "defaults"}, f"{package}." if package else "")


def _from_files(overrides: Sequence[str], config_dirs: Sequence[str], config_name: str) -> list[Given]:
    """The keys that the user's own files set, as Hydra takes them up."""
    from autoact.config.compose import chosen_files

    folders = [folder for folder in search_path(config_dirs, config_name) if folder != conf_dir()]
    found = []
    for name, package in chosen_files(overrides, config_dirs, config_name):
        file = next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)
        if file is not None:
            found += [Given(key, f"{key} (set in {name}.yaml)", file=True) for key in _keys_of(file, package)]
    return found


def _leaves(node: Mapping[str, object], prefix: str) -> list[str]:
    """Every leaf key of a tree, dotted; a free sub-tree is one."""
    keys: list[str] = []
    for name, value in node.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping) and _whole(full) == full and full not in FREE:
            keys += _leaves(value, f"{full}.")
        else:
            keys.append(_whole(full))
    return list(dict.fromkeys(keys))


def _whole(key: str) -> str:
    """The free sub-tree that a key lies in, else the key.

    Example:
        >>> _whole("trainer.max_epochs"), _whole("search.trials")
        ('trainer', 'search.trials')
    """
    return next((tree for tree in FREE if key == tree or key.startswith(f"{tree}.")), key)
