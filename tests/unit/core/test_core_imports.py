"""Optional imports."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from autoact.core.errors import AutoactError
from autoact.core.imports import DISTRIBUTION, load_reference, optional

ROOT = Path(__file__).resolve().parents[3]


def test_what_is_there_is_imported():
    assert optional("json", wanted_for="a test") is json


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({}, "pip install no_such_package"),
        ({"install": "other[x]"}, r"pip install other\[x\]"),
        ({"extra": "x"}, r"pip install '\.\[x\]' in a checkout of autoact$"),
    ],
)
@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inside"])
def test_what_is_missing_is_named_with_how_to_get_it(module, arguments, advice):
    with pytest.raises(AutoactError, match=f"drawing needs the package no_such_package: {advice}"):
        optional(module, wanted_for="drawing", **arguments)


def test_a_package_that_is_itself_broken_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "broken_optional.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        optional("broken_optional", wanted_for="a test")
    sys.modules.pop("broken_optional", None)


def test_the_distribution_is_not_the_strangers():
    """``autoact`` on the public index is another project: neither we nor any advice of ours may ask pip for it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == DISTRIBUTION != "autoact"
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert not [one for one in asked if re.match(r"autoact\b", one)]
    assert "urls" not in project or "pypi.org/project/autoact/" not in str(project["urls"])


def test_no_text_advises_to_install_the_stranger():
    folders = [ROOT / name for name in ("autoact", "conf", "recipes", "docs", "benchmarks")]
    files = [ROOT / "README.md", ROOT / "Makefile", *(f for folder in folders for f in folder.rglob("*.*"))]
    wrong = re.compile(
        r"pip install (?:-\S+ )*['\"]?autoact(?![\w-])|(?<![\w-])autoact\[[a-z]+[\],]|pypi\.org/project/autoact/"
    )
    texts = {file: file.read_text(encoding="utf-8") for file in files if file.suffix in ("", ".md", ".py", ".yaml")}
    assert len(texts) > 200
    assert not {str(file.relative_to(ROOT)): found[0] for file, text in texts.items() if (found := wrong.search(text))}
    for text in ("pip install 'autoact[onnx]'", "pip install autoact\n", "pip install -U autoact", "autoact[ray]"):
        assert wrong.search(text)
    for text in ("pip install '.[onnx]' in a checkout of autoact", "pip install torch-autoact", "torch-autoact[ray]"):
        assert not wrong.search(text)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("math", "must have the form package.module:name"),
        (":hypot", "must have the form"),
        ("math:", "must have the form"),
        ("no_such_module_1:f", "no module named 'no_such_module_1'"),
        ("math:hypott", "the module 'math' has no 'hypott': did you mean hypot"),
    ],
)
def test_references_that_lead_nowhere(reference, message):
    with pytest.raises(AutoactError, match=message):
        load_reference(reference, "metric")


def test_a_reference_reaches_into_classes():
    assert load_reference("collections:OrderedDict.fromkeys", "metric")([1]) == {1: None}


def test_a_broken_module_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "broken_metric_module.py").write_text("import no_such_module_2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_module_2"):
        load_reference("broken_metric_module:f", "metric")
    sys.modules.pop("broken_metric_module", None)
