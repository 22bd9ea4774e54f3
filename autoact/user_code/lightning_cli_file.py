"""A configuration file of ``LightningCLI`` as the user's own module, data, callbacks and Trainer arguments."""

from __future__ import annotations

import contextlib
import re
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from torch.optim.lr_scheduler import LRScheduler

from autoact.config.trusted_code import check_trusted, load_trusted
from autoact.core.errors import AutoactError, first_line
from autoact.core.imports import load_reference, optional
from autoact.training.trainer_arguments import trainer_parameters
from autoact.user_code.pytorch_lightning import base_of

SUFFIXES = (".yaml", ".yml", ".json")
# Packages whose classes need no trust: they are what autoact itself runs on.
_KNOWN = ("torch", "lightning", "pytorch_lightning", "torchmetrics")
_SECTIONS = {"module": "model", "datamodule": "data"}
# Arguments of the Trainer that a search decides by itself, and what does.
_OURS = {
    **dict.fromkeys(("accelerator", "devices"), "hardware.device decides"),
    **dict.fromkeys(("num_nodes", "strategy"), "engine decides"),
    **dict.fromkeys(("logger", "profiler", "log_every_n_steps"), "tracking decides"),
    **dict.fromkeys(("default_root_dir", "enable_checkpointing"), "output decides"),
    **dict.fromkeys(("enable_progress_bar", "enable_model_summary", "fast_dev_run"), "searches have their own"),
}


def is_file(reference: str | None) -> bool:
    """Whether ``module=`` or ``datamodule=`` names a file.

    Example:
        >>> is_file("conf/shop.yaml"), is_file("shop:Basket"), is_file(None)
        (True, False, False)
    """
    return reference is not None and reference.lower().endswith(SUFFIXES)


class CliFile:
    """What a file for ``LightningCLI`` says: ``model``, ``data``, ``optimizer``, ``lr_scheduler`` and ``trainer``.

    Args:
        file: YAML, as it is given to ``LightningCLI`` by ``--config``, or saved by it beside a run.
        trust: packages whose code may run.

    Raises:
        AutoactError: it cannot be read, ``jsonargparse`` is not installed, or a class in it is not trusted.
    """

    def __init__(self, file: str, trust: Sequence[str]) -> None:
        self.file = file
        # What LightningCLI reads its files with.
        self._reader = optional("jsonargparse", wanted_for=file, extra="cli")
        try:
            said = self._reader.get_loader("yaml")(Path(file).read_text(encoding="utf-8"))  # 1e-3 is a number there
        except (OSError, UnicodeDecodeError) as error:
            raise AutoactError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        except yaml.YAMLError as error:
            raise AutoactError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
        if isinstance(said, Mapping) and isinstance(said.get("fit"), Mapping):
            said = said["fit"]  # of the subcommand
        if not isinstance(said, Mapping):
            raise AutoactError(f"{file} holds no sections: LightningCLI's files have model:, data: and trainer:")
        self.said: dict[str, Any] = dict(said)
        self._trust = trust
        for where, reference in _classes(self._read()):
            if "." in reference:
                self._check_trusted(reference, where)

    def maker(self, key: str, arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """A function that makes fresh objects.

        ``arguments`` of the class come before those in the file.

        Raises:
            AutoactError: the file has no such section, or its class or arguments do not fit.
        """
        name = _SECTIONS[key]
        kind: Any = lightning.LightningModule if key == "module" else lightning.LightningDataModule
        given = self._section(key, name, dict(arguments))
        make = self._maker(kind, name, given, f"{key}={self.file}")
        return self._with_optimizer(make) if key == "module" and self.said.get("optimizer") else make

    def _section(self, key: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The section of a class as ``class_path`` and ``init_args``, with the arguments of the command line.

        Where a script gives the class to ``LightningCLI`` itself, the section holds the arguments and nothing else.

        Raises:
            AutoactError: neither names the class.
        """
        section = self.said if "class_path" in self.said else self.said.get(name)
        if isinstance(section, str):
            section = {"class_path": section}
        section = dict(section or {}) if isinstance(section, Mapping) or section is None else {}
        named = "class_path" in section
        path = arguments.pop("class_path", section.get("class_path"))
        if not isinstance(path, str):
            raise AutoactError(
                f"{key}={self.file}: its section {name}: names no class: give the one that your script gives to "
                f"LightningCLI, {key}_arguments.class_path=package.module.Class"
            )
        path = path.replace(":", ".")
        if "." in path:
            self._check_trusted(path, f"{key}_arguments.class_path")
        others = {"dict_kwargs": section["dict_kwargs"]} if named and section.get("dict_kwargs") else {}
        inner = (section.get("init_args") or {}) if named else section
        return {"class_path": path, "init_args": {**inner, **arguments}, **others}

    def callbacks(self) -> list[Callable[[], Any]]:
        """Functions that make the Trainer's callbacks."""
        named = self._trainer().get("callbacks") or []
        several = named if isinstance(named, list) else [named]
        where = f"{self.file}: trainer.callbacks"
        return [self._maker(lightning.Callback, "callback", one, where) for one in several]

    def trainer(self) -> dict[str, Any]:
        """Arguments of the Trainer that differ from its own defaults, and that a search does not decide by itself."""
        known = trainer_parameters()
        return {
            name: value
            for name, value in self._trainer().items()
            if name != "callbacks" and name not in _OURS and (name not in known or value != known[name].default)
        }

    def notes(self, serves: Collection[str]) -> list[str]:
        """What the file says and nothing here reads, a line each.

        It is given for what it ``serves``: ``module``, ``datamodule`` or both.
        """
        known, found, read = trainer_parameters(), list[str](), {"class_path", "init_args", "seed_everything"}
        if "module" in serves:
            read |= {"model", "optimizer", "trainer"} | ({"lr_scheduler"} if self.said.get("optimizer") else set())
            found = [
                f"{self.file}: trainer.{name}={value} is not used: {_OURS[name]}"
                for name, value in self._trainer().items()
                if name in _OURS and value not in (known[name].default, None, "auto", 1)
            ]
        read |= {"data"} if "datamodule" in serves else set()
        seed = self.said.get("seed_everything")
        if type(seed) is int:
            found.append(f"{self.file}: seed_everything={seed} is not used: search.seed={seed} sets the search's")
        others = [name for name, value in self.said.items() if name not in read and value is not None]
        return found + ([f"{self.file}: {', '.join(others)} is not used"] if others else [])

    def _trainer(self) -> dict[str, Any]:
        return dict(self.said.get("trainer") or {})

    def _check_trusted(self, reference: str, where: str) -> None:
        """Refuse a class of a package that is not trusted."""
        if reference.partition(".")[0] not in _KNOWN:
            check_trusted(reference, f"{self.file}: {where}", self._trust)

    def _read(self) -> dict[str, object]:
        """What of the file is made in a search: its loggers, for example, are not."""
        if "class_path" in self.said:
            return self.said
        made = {name: value for name, value in self._trainer().items() if name not in _OURS}
        return {name: self.said.get(name) for name in ("model", "data", "optimizer", "lr_scheduler")} | {
            "trainer": made
        }

    def _maker(self, kind: Any, name: str, said: Any, where: str) -> Callable[[], Any]:
        """A function that makes what ``class_path`` and ``init_args`` say.

        Raises:
            AutoactError: they do not fit.
        """
        parser, read = self._parsed(kind, name, said, where)
        # Earlier versions of jsonargparse have its older name alone.
        instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes

        def make() -> object:
            try:
                return instantiate(read)[name]
            except (TypeError, ValueError) as error:
                raise AutoactError(f"{where}: {_reason(error)}") from error

        return make

    def _parsed(self, kind: Any, name: str, said: Any, where: str, **options: Any) -> tuple[Any, Any]:
        """A parser of one class, and what it read; ``options`` are those of its ``add_subclass_arguments``.

        Raises:
            AutoactError: the class, or its arguments, do not fit.
        """
        parser = self._reader.ArgumentParser(exit_on_error=False)
        said = {"class_path": said} if isinstance(said, str) else said
        if isinstance(said, Mapping) and isinstance(said.get("class_path"), str):
            named = self._class(said["class_path"], kind, where)
            said = (
                {**said, "class_path": f"{named.__module__}.{named.__qualname__}"} if isinstance(named, type) else said
            )
            kind = base_of(named, kind) if isinstance(kind, type) else kind
        parser.add_subclass_arguments(kind, name, required=True, **options)
        try:
            return parser, parser.parse_object({name: said})
        except self._reader.ArgumentError as error:
            reason, key = _reason(error), next((k for k, section in _SECTIONS.items() if section == name), None)
            # LightningCLI's own scripts link arguments to others: no file says those.
            more = f": give them as {key}_arguments.NAME=VALUE" if key and "are required" in reason else ""
            raise AutoactError(f"{where}: {reason}{more}") from error

    def _class(self, path: str, kind: Any, where: str) -> Any:
        """The class of a ``class_path``: with its package, or by its name alone, as LightningCLI takes it.

        Raises:
            AutoactError: there is none, or the name says no single one.
        """
        module, _, own = path.rpartition(".")
        if module:
            return load_reference(f"{module}:{own}", where)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        found = _by_name(own, kinds)
        if not found:
            # The class may lie in a module that nothing has imported: LightningCLI's script does that.
            for package in self._trust:
                with contextlib.suppress(AutoactError):
                    load_trusted(f"{package}:__name__", where, self._trust)
            found = _by_name(own, kinds)
        if len(found) != 1:
            among = f" one of {', '.join(sorted(found))}" if found else " package.module.Class"
            raise AutoactError(f"{where}: class_path={own} does not say which class is meant: write it whole,{among}")
        (whole, named), *_ = found.items()
        self._check_trusted(whole, where)
        return named

    def _with_optimizer(self, make: Callable[[], Any]) -> Callable[[], Any]:
        """Modules whose optimiser, and schedule, the file names, as ``LightningCLI`` gives them.

        Raises:
            AutoactError: they do not fit.
        """
        from lightning.pytorch.cli import LightningCLI, ReduceLROnPlateau, instantiate_class

        kinds = {"optimizer": torch.optim.Optimizer, "lr_scheduler": (ReduceLROnPlateau, LRScheduler)}
        read: dict[str, Any] = {}
        for (name, kind), given in zip(kinds.items(), ("params", "optimizer"), strict=True):
            if self.said.get(name):
                options = {"instantiate": False, "fail_untyped": False, "skip": {given}}
                _, found = self._parsed(kind, name, self.said[name], f"{self.file}: {name}", **options)
                read[name] = found.as_dict()[name]

        def configure_optimizers(self: Any) -> Any:
            optimizer = instantiate_class(self.parameters(), read["optimizer"])
            schedule = read.get("lr_scheduler")
            return LightningCLI.configure_optimizers(
                self, optimizer, instantiate_class(optimizer, schedule) if schedule else None
            )

        def made() -> Any:
            module = make()
            module.configure_optimizers = types.MethodType(configure_optimizers, module)
            return module

        return made


def _reason(error: Exception) -> str:
    """What jsonargparse says in many lines, in one: of all types that a value may have, the class is the one meant."""
    text = " ".join(str(error).split())
    found = re.search(
        r"(Problem with given class_path |(?<=Errors: - )).*?(?= - Expected | - Import | Given value|$)", text
    )
    return found.group() if found else first_line(error)


def _by_name(name: str, kinds: Sequence[type]) -> dict[str, type]:
    """The classes of a name that are derived from the first of ``kinds`` with any, by their whole names.

    Example:
        >>> list(_by_name("Adam", [torch.optim.Optimizer]))
        ['torch.optim.adam.Adam']
    """
    twins = [getattr(sys.modules.get("pytorch_lightning"), kind.__name__, None) for kind in kinds]
    for kind in [*kinds, *filter(None, twins)]:
        below, seen = [kind], set[type]()
        while below:
            one = below.pop()
            if one not in seen:
                seen.add(one)
                below += type.__subclasses__(one)
        found = {f"{one.__module__}.{one.__qualname__}": one for one in seen if one.__name__ == name}
        if found:
            return found
    return {}


def _classes(said: object, where: str = "") -> Iterator[tuple[str, str]]:
    """Every class that a file names, and where."""
    items = said.items() if isinstance(said, Mapping) else enumerate(said) if isinstance(said, list) else ()
    for key, value in items:
        place = f"{where}.{key}".lstrip(".")
        if key == "class_path" and isinstance(value, str):
            yield place, value
        yield from _classes(value, place)
