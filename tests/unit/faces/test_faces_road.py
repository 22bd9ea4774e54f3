"""The road that every search takes: what it writes down of the code that ran."""

from __future__ import annotations

import pytest

import autoact
from autoact.core.lazy import DISTRIBUTION
from autoact.faces import road


def test_the_version_is_that_of_the_code_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever pip has installed under a name like ours, and where it has nothing: a checkout runs without."""
    asked = []

    def version(name: str) -> str:
        asked.append(name)
        if name == "mlflow":
            raise road.PackageNotFoundError(name)
        return "0.0.3"

    monkeypatch.setattr(road, "version", version)
    found = road.packages()
    assert found[DISTRIBUTION] == autoact.__version__ and found["torch"] == "0.0.3" and "mlflow" not in found
    assert "autoact" not in {*asked, *found} and DISTRIBUTION not in asked
