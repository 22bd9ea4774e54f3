"""Flags that the configured verbs share, as Hydra users expect them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoact.config.compose import compose, resolve
from autoact.config.tree import GROUPS, options
from autoact.core.errors import AutoactError, unknown

FLAGS = """flags:
  --help, -h             this text
  --cfg job              print the composed configuration and stop
  --resolve              with --cfg: resolve interpolations
  --package, -p KEY      with --cfg: print one sub-tree
  --config-dir, -cd DIR  add your own groups (DIR/task/mine.yaml, ...); may be repeated
  --config-name, -cn N   another primary configuration
"""


@dataclass
class Options:
    """What stood on the command line.

    Attributes:
        overrides: ``key=value`` and the like.
        flags: flag -> value.
        config_dirs: folders of the user's own groups.
    """

    overrides: list[str] = field(default_factory=list)
    flags: dict[str, str] = field(default_factory=dict)
    config_dirs: list[str] = field(default_factory=list)

    def command(self) -> dict[str, Any]:
        """What was said, for the same search to be taken up again from anywhere."""
        return {
            "overrides": self.overrides,
            "config_dirs": [str(Path(folder).resolve()) for folder in self.config_dirs],
            "config_name": self.flags.get("--config-name", "config"),
        }

    def config(self) -> Any:
        """The composed configuration."""
        return compose(self.overrides, self.config_dirs, self.flags.get("--config-name", "config"))


_SHORT = {"-h": "--help", "-c": "--cfg", "-p": "--package", "-cd": "--config-dir", "-cn": "--config-name"}
_VALUED = ("--cfg", "--package", "--config-dir", "--config-name")
_PLAIN = ("--help", "--resolve")


def read(arguments: Sequence[str], own: Sequence[str] = (), valued: Sequence[str] = ()) -> Options:
    """Split flags from overrides.

    Args:
        arguments: after the verb.
        own: further flags of the verb, without values.
        valued: further flags of the verb, with a value each.

    Raises:
        AutoactError: an unknown flag, or a flag without its value.
    """
    found, rest = Options(), list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            if "=" not in word and not word.startswith("~"):
                raise AutoactError(f"cannot read {word!r}: settings are given as key=value")
            found.overrides.append(word)
            continue
        name, separator, value = word.partition("=")
        name = _SHORT.get(name, name)
        if name in (*_PLAIN, *own):
            found.flags[name] = "yes"
        elif name in (*_VALUED, *valued):
            if not separator and not rest:
                raise AutoactError(f"{name} needs a value")
            value = value if separator else rest.pop(0)
            if name == "--config-dir":
                found.config_dirs.append(value)
            else:
                found.flags[name] = value
        else:
            raise unknown("flag", name, [*_VALUED, *_PLAIN, *own, *valued])
    return found


def answered(found: Options, usage: str) -> bool:
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


def _print_config(found: Options) -> None:
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
