"""Flags that the configured verbs share, as Hydra users expect them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoact.config.command_words import CommandWords
from autoact.config.compose import resolve
from autoact.config.groups import GROUPS, options
from autoact.config.key_names import KEYS, renamed
from autoact.core.errors import AutoactError, nearest, unknown
from autoact.core.override_text import in_shell

FLAGS = """flags:
  --help, -h             this text
  --cfg job              print the composed configuration and stop
  --resolve              with --cfg: resolve interpolations
  --package, -p KEY      with --cfg: print one sub-tree
  --config-dir, -cd DIR  add your own groups (DIR/task/mine.yaml, ...); may be repeated
  --config-name, -cn N   another primary configuration
"""


@dataclass
class ConfigArguments(CommandWords):
    """What stood on the command line.

    Attributes:
        flags: flag -> value.
    """

    flags: dict[str, str] = field(default_factory=dict)


_SHORT = {"-h": "--help", "-c": "--cfg", "-p": "--package", "-cd": "--config-dir", "-cn": "--config-name"}
_VALUED = ("--cfg", "--package", "--config-dir", "--config-name")
_PLAIN = ("--help", "--resolve")
# What has to be said of a file beside its path.
_FILES: dict[str, tuple[str, ...]] = {
    ".csv": (),
    ".tsv": (r"data.delimiter='\t'",),
    ".parquet": ("data=parquet",),
    ".npz": ("data=npz",),
}


def read(
    arguments: Sequence[str],
    own: Sequence[str] = (),
    valued: Sequence[str] = (),
    *,
    configured: bool = True,
    keys: Sequence[str] = (),
) -> ConfigArguments:
    """Split flags from overrides.

    Args:
        arguments: after the verb.
        own: further flags of the verb, without values.
        valued: further flags of the verb, with a value each.
        configured: whether the verb takes the whole configuration, and its flags.
        keys: the keys that it takes otherwise.

    Raises:
        AutoactError: an unknown flag, a flag without its value, or a word that is no setting.
    """
    found, rest = ConfigArguments(), list(arguments)
    with_value, plain = (*(_VALUED if configured else ()), *valued), (*(_PLAIN if configured else _PLAIN[:1]), *own)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            if "=" not in word and not word.startswith("~"):
                raise bare_word(word, keys)
            if not configured and word.partition("=")[0] not in keys:
                raise unknown("key", word.partition("=")[0], keys)
            found.overrides.append(renamed(word))
            continue
        name, separator, value = word.partition("=")
        name = _SHORT.get(name, name)
        if name in plain:
            found.flags[name] = "yes"
        elif name in with_value:
            if not separator and not rest:
                raise AutoactError(f"{name} needs a value")
            value = value if separator else rest.pop(0)
            if name == "--config-dir":
                found.config_dirs.append(value)
            elif name == "--config-name":
                found.config_name = value
            else:
                found.flags[name] = value
        else:
            raise unknown("flag", name, [*with_value, *plain])
    return found


def bare_word(word: str, keys: Sequence[str] = ()) -> AutoactError:
    """The error for a word that is no ``key=value``, with the setting that it may have been meant for.

    The setting is one of ``keys``, which the verb takes, or any of the configuration.

    Example:
        >>> print(bare_word("churn"))
        cannot read 'churn': settings are given as key=value; did you mean task=churn?
        >>> print(bare_word("new.csv"))
        cannot read 'new.csv': settings are given as key=value; did you mean data.path=new.csv?
    """
    said = f"cannot read {word!r}: settings are given as key=value"
    if keys:
        return AutoactError(f"{said}; allowed are {', '.join(f'{key}=...' for key in keys)}")
    meant = meant_by(word)
    return AutoactError(f"{said}; did you mean {meant}?" if meant else said)


def meant_by(word: str) -> str:
    """The setting that a bare word may have been meant for; empty where none comes to mind.

    Example:
        >>> meant_by("my_pkg.models:Net"), meant_by("recommended.yaml"), meant_by("chrun")
        ('module=my_pkg.models:Net', 'recommendation=recommended.yaml (read by confirm, check and train)', 'task=churn')
    """
    ending = Path(word).suffix.lower()
    if word.startswith(("models:/", "runs:/")) or ending in (".yaml", ".yml"):
        return f"{in_shell(f'recommendation={word}')} (read by confirm, check and train)"
    if ending in _FILES:
        return " ".join([*_FILES[ending], in_shell(f"data.path={word}")])
    key, separator, value = word.partition(":")
    if separator and key in KEYS:
        return in_shell(f"{key}={value.strip()}")
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", word):
        return f"module={word}"
    for group in GROUPS:
        if word in options(group):
            return f"{group}={word}"
    near = nearest(word, options("task"), count=1)
    if near:
        return f"task={near[0]}"
    return f"{word}=..." if word in KEYS else ""


def answered(found: ConfigArguments, usage: str) -> bool:
    """Whether ``--help`` or ``--cfg`` asked for something that is now printed."""
    if "--help" in found.flags:
        print(usage)
        print("groups (choose with group=choice):")
        for group in GROUPS:
            print(f"  {group + ':':<13}{', '.join(options(group, found.config_dirs))}")
        print(f"\n{FLAGS}", end="")
        return True
    if "--cfg" in found.flags:
        _print_config(found)
        return True
    return False


def _print_config(found: ConfigArguments) -> None:
    """Print the composed configuration as YAML."""
    from omegaconf import OmegaConf

    if found.flags["--cfg"] not in ("job", "all"):
        raise unknown("--cfg", found.flags["--cfg"], ["job", "all"])
    config = found.config()
    if "--resolve" in found.flags:
        resolve(config)
    package = found.flags.get("--package")
    if package:
        parent, _, last = package.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        if not OmegaConf.is_dict(node) or last not in list(node):
            raise unknown("--package", package, list(node) if OmegaConf.is_dict(node) else list(config))
        config = OmegaConf.create({package: node._get_node(last)})
    print(OmegaConf.to_yaml(config), end="")
