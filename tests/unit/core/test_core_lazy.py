"""Optional imports."""

from __future__ import annotations

import json
import sys

import pytest

from autoact.core.errors import AutoactError
from autoact.core.lazy import optional


def test_what_is_there_is_imported():
    assert optional("json", wanted_for="a test") is json


@pytest.mark.parametrize(
    ("arguments", "advice"), [({}, "pip install no_such_package"), ({"install": "other[x]"}, r"pip install other\[x\]")]
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
