"""Imports go down only: the floors of autoact, held by reading every file's imports."""

import ast
import graphlib
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import autoact

ROOT = Path(__file__).resolve().parents[2]

# From the ground up. Folders of one floor do not import each other.
FLOORS = [
    {"core"},
    {"activations"},
    {"sites", "latency", "data"},
    {"space", "tasks", "recommendation"},
    {"training"},
    {"engines"},
    {"study"},
    {"report"},
    {"tracking"},
    {"config"},
    {"user_code"},
    {"workflows"},
    {"integrations"},
    {"cli"},
]
FLOOR = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}

# Where a library may be imported at all, anywhere in a file.
HOMES = {
    "torch": set(FLOOR) - {"core", "space", "report"},
    "lightning": {"data", "training", "tracking", "user_code", "workflows", "integrations"},
    "torchmetrics": {"training"},
    "optuna": {"space", "study", "tracking", "workflows", "integrations"},
    "sqlalchemy": {"study", "tracking"},
    "grpc": {"study"},
    "filelock": {"study"},
    "ray": {"engines"},
    "loky": {"engines"},
    "cloudpickle": {"engines"},
    "mlflow": {"tracking", "cli"},
    "safetensors": {"tracking"},
    "hydra": {"config", "integrations", "cli"},
    "omegaconf": {"config", "workflows", "integrations", "cli"},
    "rich": {"report", "cli"},
    "yaml": {"recommendation", "config", "tracking", "user_code", "workflows"},
    "numpy": set(FLOOR) - {"core", "activations", "sites", "recommendation"},
}
# These folders import nothing but the standard library and what is named: they are what production training needs.
LIGHT = {
    "core": set(),
    "activations": {"torch"},
    "sites": {"torch"},
    "latency": {"torch", "numpy"},
    "recommendation": {"torch", "yaml"},
}


class Found(NamedTuple):
    """One import: the dotted name as written, and the line that holds it."""

    name: str
    line: int


def imports_of(source, *, typing=True):
    """Every import in a source text, lazy ones too, and modules named by literals in ``import_module`` and the like."""
    tree = ast.parse(source)
    skipped = set() if typing else {id(node) for block in _typing_blocks(tree) for node in ast.walk(block)}
    found = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [Found(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            found += [Found(f"{start}.{alias.name}" if start else alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__", "optional"):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                found.append(Found(name.value, node.lineno))
    return found


def _typing_blocks(tree):
    """The bodies of ``if TYPE_CHECKING``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from node.body


def _called(call):
    """The last part of the name of what is called."""
    return ast.unparse(call.func).rpartition(".")[2]


def home_of(name, modules):
    """The longest module that a dotted name lies in."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (module := ".".join(parts[:length])) in modules:
            return module
    return None


def problems(sources):
    """What is wrong with the imports of ``{module: source}``; packages are named like their folder."""
    wrong, graph = [], {}
    for module, source in sources.items():
        folder = _folder(module)
        arrows = graph.setdefault(module, set())
        for name, line in imports_of(source, typing=module != "autoact"):
            where = f"{module}:{line} imports {name}"
            if name.startswith("."):
                wrong.append(f"{where}: relative")
                continue
            top = name.partition(".")[0]
            if top != "autoact":
                wrong += [f"{where}: {reason}" for reason in _third_party(folder, top)]
                continue
            target = home_of(name, sources)
            wrong += [f"{where}: {reason}" for reason in _arrow(module, name, target)]
            if target not in (None, "autoact"):
                arrows.add(target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        wrong.append(f"cycle: {' <- '.join(error.args[1])}")
    return wrong


def _folder(module):
    """The floor's folder of a module; the package's own files (``__init__``, ``__main__``) have none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else None


def _third_party(folder, top):
    """Why a folder may not import a library."""
    if folder in HOMES.get(top, {folder}):
        if folder in LIGHT and top not in LIGHT[folder] and not _standard(top):
            yield f"{folder} may import {', '.join(sorted(LIGHT[folder])) or 'the standard library'} only"
    elif folder is not None:
        yield f"{top} is imported in {', '.join(sorted(HOMES[top]))} only"


def _standard(top):
    """Whether a package is in the standard library."""
    return top in sys.stdlib_module_names


def _arrow(module, name, target):
    """Why an import inside of autoact is wrong."""
    if name.split(".")[1:2] == ["recipes"]:
        yield "recipes are leaves: nothing in autoact imports them"
    elif name.split(".")[1:2] == ["conf"]:
        return  # the folder of the configuration tree, without code
    elif target == "autoact" or target is None:
        if name not in ("autoact", "autoact.__version__"):
            yield "the public face is for users: import from the file that holds it"
    elif _folder(module) is not None and _folder(module) != _folder(target):
        here, there = FLOOR[_folder(module)], FLOOR[_folder(target)]
        if there >= here:
            yield f"{_folder(target)} is not below {_folder(module)}"


def read_package():
    """Module name -> source of every file of autoact."""
    sources = {}
    for file in sorted((ROOT / "autoact").rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text(encoding="utf-8")
    return sources


def test_every_folder_has_a_floor():
    folders = {p.name for p in (ROOT / "autoact").iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == set(FLOOR)


def test_imports_go_down_only():
    assert problems(read_package()) == []


def test_recipes_use_the_public_face_only():
    files = sorted((ROOT / "recipes").rglob("*.py"))
    assert len(files) > 2
    assert [wrong for file in files for wrong in recipe_problems(file.read_text(encoding="utf-8"), file.name)] == []


def recipe_problems(source, name):
    """What a recipe imports beside autoact's public names and other recipes."""
    for found in imports_of(source):
        parts = found.name.split(".")
        if parts[0] == "autoact" and parts[1:2] not in ([], ["recipes"]) and parts[1:] not in _public():
            yield f"{name}:{found.line} imports {found.name}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "autoact":
            used = [node.attr]
            if used not in _public():
                yield f"{name}:{node.lineno} uses autoact.{node.attr}"


def _public():
    """The public names."""
    return [[name] for name in autoact.__all__]


BASE = {
    "autoact": "",
    "autoact.core.errors": "",
    "autoact.sites.discovery.find": "",
    "autoact.data.preparation.split": "",
}


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("autoact.core.trial", "from autoact.sites.discovery.find import x", "sites is not below core"),
        (
            "autoact.sites.replacement.apply",
            "def f():\n    import autoact.data.preparation.split",
            "data is not below sites",
        ),
        (
            "autoact.core.trial",
            "if TYPE_CHECKING:\n    from autoact.sites.discovery.find import x",
            "sites is not below core",
        ),
        ("autoact.core.trial", "import torch", "torch is imported in"),
        ("autoact.core.trial", "def f():\n    import requests", "the standard library only"),
        ("autoact.sites.replacement.apply", "import numpy as np", "numpy is imported in"),
        ("autoact.study.search", "import mlflow.pytorch", "mlflow is imported in cli, tracking only"),
        ("autoact.study.search", "optional('mlflow', wanted_for='x')", "mlflow is imported in"),
        ("autoact.space.search_space", "from lightning import Trainer", "lightning is imported in"),
        ("autoact.training.session", "import optuna", "optuna is imported in"),
        ("autoact.workflows.searching.run_search", "from autoact.recipes.tabular import T", "recipes are leaves"),
        ("autoact.workflows.searching.run_search", "importlib.import_module('autoact.recipes')", "recipes are leaves"),
        ("autoact.workflows.searching.run_search", "from autoact import search", "the public face is for users"),
        ("autoact.workflows.searching.run_search", "from . import plan", "relative"),
    ],
)
def test_the_checker_sees_it(module, source, message):
    wrong = problems({**BASE, module: source})
    assert len(wrong) == 1 and message in wrong[0]


def test_the_checker_sees_cycles():
    first, second = (
        "from autoact.sites.discovery.find import x",
        "def f():\n    from autoact.sites.replacement.apply import y",
    )
    wrong = problems({**BASE, "autoact.sites.replacement.apply": first, "autoact.sites.discovery.find": second})
    assert len(wrong) == 1 and wrong[0].startswith("cycle: ") and "autoact.sites.replacement.apply" in wrong[0]


def test_the_checker_lets_good_imports_pass():
    good = "import json\nimport torch\nfrom autoact.core.errors import E\nfrom autoact.sites.discovery.find import x"
    assert problems({**BASE, "autoact.sites.replacement.apply": good}) == []
    assert problems({**BASE, "autoact": "if TYPE_CHECKING:\n    from autoact.sites.discovery.find import x"}) == []


@pytest.mark.parametrize(
    "source", ["from autoact.sites import apply", "import autoact\nautoact.sites", "from autoact import conf"]
)
def test_the_checker_sees_private_names_in_recipes(source):
    assert len(list(recipe_problems(source, "mine.py"))) == 1


def test_the_checker_lets_public_names_in_recipes_pass():
    good = "import autoact\nfrom autoact import apply\nfrom autoact.recipes.tabular import T\nautoact.initialise_"
    assert list(recipe_problems(good, "mine.py")) == []
