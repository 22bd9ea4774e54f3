"""A configuration file of ``LightningCLI`` as the user's own module, data, callbacks and Trainer arguments."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import yaml

from autoact.config.references import check_trusted
from autoact.core.errors import AutoactError, first_line
from autoact.core.lazy import optional
from autoact.faces.adopted import base_of
from autoact.tasks.metrics import load_reference
from autoact.training.trainer_arguments import trainer_parameters

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
            said = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise AutoactError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        except yaml.YAMLError as error:
            raise AutoactError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
        if isinstance(said, Mapping) and isinstance(said.get("fit"), Mapping):
            said = said["fit"]  # of the subcommand
        if not isinstance(said, Mapping):
            raise AutoactError(f"{file} holds no sections: LightningCLI's files have model:, data: and trainer:")
        self.said: dict[str, Any] = dict(said)
        for where, reference in _classes(self.said):
            if reference.partition(".")[0] not in _KNOWN:
                check_trusted(reference, f"{file}: {where}", trust)

    def maker(self, key: str, arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """A function that makes fresh objects.

        Args:
            key: ``module`` or ``datamodule``.
            arguments: of the class; they come before those in the file.

        Raises:
            AutoactError: the file has no such section, or its class or arguments do not fit.
        """
        name = _SECTIONS[key]
        kind: Any = lightning.LightningModule if key == "module" else lightning.LightningDataModule
        section = self.said if "class_path" in self.said else self.said.get(name)
        if not isinstance(section, Mapping) or "class_path" not in section:
            raise AutoactError(
                f"{key}={self.file}: its section {name}: names no class_path: add it, or give the class itself, "
                f"{key}=package.module:Class, and its arguments as {key}_arguments.NAME=VALUE"
            )
        given = {**section, "init_args": {**(section.get("init_args") or {}), **arguments}}
        make = self._maker(kind, name, given, f"{key}={self.file}")
        return self._with_optimizer(make) if key == "module" and self.said.get("optimizer") else make

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

        Args:
            serves: what it is given for: ``module``, ``datamodule`` or both.
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
        """The section of the Trainer."""
        return dict(self.said.get("trainer") or {})

    def _maker(self, kind: Any, name: str, said: Any, where: str) -> Callable[[], Any]:
        """A function that makes what ``class_path`` and ``init_args`` say.

        Raises:
            AutoactError: they do not fit.
        """
        parser = self._reader.ArgumentParser(exit_on_error=False)
        if isinstance(said, Mapping) and isinstance(said.get("class_path"), str):
            module, _, own = said["class_path"].rpartition(".")
            kind = base_of(load_reference(f"{module}:{own}", where), kind)
        parser.add_subclass_arguments(kind, name, required=True)
        try:
            read = parser.parse_object({name: said})
        except self._reader.ArgumentError as error:
            text = " ".join(str(error).split())  # of all types that a value may have, the class is the one meant
            told = re.search(r"Problem with given class_path .*?(?= - Expected | - Import |$)", text)
            raise AutoactError(f"{where}: {told.group() if told else text}") from error

        # Earlier versions of jsonargparse have its older name alone.
        instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes

        def make() -> Any:
            try:
                return instantiate(read)[name]
            except (TypeError, ValueError) as error:
                raise AutoactError(f"{where}: {first_line(error)}") from error

        return make

    def _with_optimizer(self, make: Callable[[], Any]) -> Callable[[], Any]:
        """Modules whose optimiser, and schedule, the file names, as ``LightningCLI`` gives them."""
        from lightning.pytorch.cli import LightningCLI, instantiate_class

        first, second = self.said["optimizer"], self.said.get("lr_scheduler")

        def configure_optimizers(self: Any) -> Any:
            optimizer = instantiate_class(self.parameters(), first)
            return LightningCLI.configure_optimizers(
                self, optimizer, instantiate_class(optimizer, second) if second else None
            )

        def made() -> Any:
            module = make()
            module.configure_optimizers = types.MethodType(configure_optimizers, module)
            return module

        return made


def _classes(said: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every class that a file names, and where."""
    items = said.items() if isinstance(said, Mapping) else enumerate(said) if isinstance(said, list) else ()
    for key, value in items:
        place = f"{where}.{key}".lstrip(".")
        if key == "class_path" and isinstance(value, str):
            yield place, value
        yield from _classes(value, place)
