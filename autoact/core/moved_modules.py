"""Modules under the names of the last release: they work for one more, with a warning that says the new name."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from types import ModuleType

# What users' own files name: code that imports, Hydra's ``_target_``, and pages of the last release's docs.
MOVED = {
    "autoact.core.choice": "autoact.core.assignment",
    "autoact.core.records": "autoact.core.trial",
    "autoact.data.saved": "autoact.data.preprocessing_file",
    "autoact.faces": "autoact.workflows",
    "autoact.faces.check": "autoact.workflows.checking.measure_again",
    "autoact.faces.export": "autoact.workflows.export",
    "autoact.faces.foreign": "autoact.user_code.lightning_task",
    "autoact.faces.hydra": "autoact.integrations.hydra",
    "autoact.faces.lightning": "autoact.integrations.lightning.callback",
    "autoact.faces.load": "autoact.workflows.load_recommendation",
    "autoact.faces.optuna": "autoact.integrations.optuna",
    "autoact.faces.predict": "autoact.workflows.models.score_rows",
    "autoact.faces.pretrained": "autoact.integrations.huggingface",
    "autoact.faces.search": "autoact.workflows.search",
    "autoact.faces.sklearn": "autoact.integrations.sklearn.estimators",
    "autoact.faces.train": "autoact.workflows.models.train_recommended",
    "autoact.space.space": "autoact.space.search_space",
    "autoact.timing": "autoact.latency",
    "autoact.timing.settings": "autoact.latency.hardware",
}


class MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the module of today under its old name; both names are one module.

    An old package is a module of its own, which hands on the names of the new one: what is imported from it would else
    become an attribute of the new package.

    Example:
        >>> MovedModules().find_spec("autoact.timing.settings").name
        'autoact.timing.settings'
        >>> MovedModules().find_spec("autoact.core.errors")
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for an old name; None for every other one."""
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module of today, imported under its own name; for a package, one that hands its names on."""
        new = MOVED[spec.name]
        warnings.warn(f"{spec.name} is {new} now; the old name works for one more release", FutureWarning, stacklevel=2)
        module = importlib.import_module(new)
        if hasattr(module, "__path__"):
            package = ModuleType(spec.name, module.__doc__)
            vars(package).update(__path__=[], __getattr__=partial(getattr, module))
            spec.loader_state = spec
            return package
        # The import system is about to write the old name's into the module.
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already: only what the import system wrote into it is put back."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def find_moved_modules() -> None:
    """Let old names be imported. They come first, since an old package's new home has files of its own.

    Example:
        >>> find_moved_modules()
        >>> sum(isinstance(finder, MovedModules) for finder in sys.meta_path)
        1
    """
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())
