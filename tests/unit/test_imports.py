"""What the contracts of import-linter (``pyproject.toml``) cannot say: names in strings, and what is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import autoact

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What imports a module by a string that is written out.
DISTRIBUTIONS = packages_distributions()
BY_STRING = ("import_module", "__import__", "optional")


def imported(source: str) -> Iterator[str]:
    """Every dotted name that a source text imports, those that it names in a string too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_STRING:
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def undeclared(source: str, declared: set[str]) -> set[str]:
    """The packages that a source text imports and that no group of ``pyproject.toml`` declares (_typeshed aside)."""
    tops = {name.partition(".")[0] for name in imported(source)} - sys.stdlib_module_names - {"autoact", "_typeshed"}
    return {top for top in tops if not {normal(name) for name in DISTRIBUTIONS.get(top, [top])} & declared}


def normal(requirement: str) -> str:
    """The name in a requirement, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def declared(*extras: str) -> set[str]:
    """What ``pyproject.toml`` declares, with some extras."""
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return {normal(requirement) for group in groups for requirement in group}


@pytest.mark.parametrize("folder", ["autoact", "recipes"])
def test_every_import_is_declared(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert len(files) > 2
    known = declared("ray", "grpc", "onnx", "cli", "hub")
    missing = {str(file.relative_to(ROOT)): undeclared(file.read_text("utf-8"), known) for file in files}
    assert {file: names for file, names in missing.items() if names} == {}


def test_an_import_that_is_not_declared_is_seen() -> None:
    assert undeclared("def f():\n    import scipy.special", {"numpy"}) == {"scipy"}
    assert undeclared("optional('grpc', wanted_for='x')", {"grpcio"}) == set()
    assert undeclared("importlib.import_module('grpc')", {"numpy"}) == {"grpc"}


def test_nothing_in_autoact_names_a_recipe_to_import() -> None:
    names = [name for file in (ROOT / "autoact").rglob("*.py") for name in imported(file.read_text("utf-8"))]
    assert [name for name in names if name.startswith(("autoact.recipes", "recipes"))] == []


def test_recipes_use_public_names_only() -> None:
    for file in sorted((ROOT / "recipes").rglob("*.py")):
        used = set(re.findall(r"\bautoact\.(?!recipes\b)(\w+)", file.read_text("utf-8")))
        used |= set(re.findall(r"from autoact import (\w+)", file.read_text("utf-8")))
        assert used <= set(autoact.__all__), file


def test_floors_are_numbered_as_in_the_contract() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in tool["contracts"] if contract["type"] == "layers")
    numbered = [f"{number} {layer.replace(' |', ',')}" for number, layer in enumerate(reversed(layers), start=1)]
    page = " ".join((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split())
    assert "; ".join(numbered) + "." in page
    for number, layer in enumerate(reversed(layers), start=1):
        for folder in layer.split(" | "):
            said = re.match(r'"""Floor (\d+):', (ROOT / "autoact" / folder / "__init__.py").read_text(encoding="utf-8"))
            assert said is None or int(said[1]) == number, folder
