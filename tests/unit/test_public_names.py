"""The public names: said once, importable, and enough to write down every type that stands in a public signature."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator

import lightning
import pytest
import torch

import autoact
from autoact.tracking.store import Store

PUBLIC = {name: getattr(autoact, name) for name in autoact.__all__}
# What modules that import torch, or a search's result, late name in their annotations.
LATE = {
    "nn": torch.nn,
    "torch": torch,
    "LightningDataModule": lightning.LightningDataModule,
    "SearchResult": autoact.SearchResult,
}


def types_in(annotation: object) -> Iterator[type]:
    """Every type of autoact's that an annotation names."""
    if isinstance(annotation, list | tuple):
        for one in annotation:
            yield from types_in(one)
    elif isinstance(annotation, typing.TypeVar):
        yield from types_in(annotation.__bound__)
    elif isinstance(annotation, type) and annotation.__module__.startswith("autoact."):
        yield annotation
    for one in typing.get_args(annotation):
        yield from types_in(one)


def signatures(name: str, value: object) -> Iterator[tuple[str, object]]:
    """A public function, or the fields and the public methods of a class."""
    if not inspect.isclass(value):
        yield name, value
        return
    yield name, value
    for attribute, member in vars(value).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(function) and (not attribute.startswith("_") or attribute == "__init__"):
            yield f"{name}.{attribute}", function


def unnameable(name: str, value: object, public: set[object]) -> list[str]:
    """The types in a public signature that nobody can import from ``autoact``."""
    found = []
    for where, function in signatures(name, value):
        for parameter, annotation in typing.get_type_hints(function, localns=LATE).items():
            if not parameter.startswith("_"):
                found += [f"{where}({parameter}): {one}" for one in types_in(annotation) if one not in public]
    return found


@pytest.mark.parametrize("name", [name for name in PUBLIC if callable(PUBLIC[name])])
def test_every_type_of_a_public_signature_is_public(name: str) -> None:
    classes: set[object] = {value for value in PUBLIC.values() if inspect.isclass(value)}
    assert unnameable(name, PUBLIC[name], classes) == []


def test_a_type_that_is_not_public_is_seen() -> None:
    def function(stores: list[Store] | None) -> None: ...

    assert len(unnameable("function", function, set())) == 1


def test_names_that_there_are_not_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'autoact' has no attribute 'serach'"):
        _ = getattr(autoact, "serach")  # noqa: B009
    assert dir(autoact) == sorted(autoact.__all__)


def test_the_functions_of_the_command_line_are_there() -> None:
    verbs = {"search", "plan", "confirm", "check", "train", "predict", "export", "promote", "rollback", "measure"}
    assert all(inspect.isfunction(PUBLIC[verb]) for verb in verbs)


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, autoact; print(sorted({'torch', 'pandas', 'lightning', 'mlflow', 'optuna'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
