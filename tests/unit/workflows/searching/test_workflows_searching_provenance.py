"""What is written down of the code that ran."""

from __future__ import annotations

import pytest

import autoact
from autoact.core.imports import DISTRIBUTION
from autoact.workflows.searching import provenance


def test_the_version_is_that_of_the_code_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever pip has installed under a name like ours, and where it has nothing: a checkout runs without."""
    asked = []

    def version(name: str) -> str:
        asked.append(name)
        if name == "mlflow":
            raise provenance.PackageNotFoundError(name)
        return "0.0.3"

    monkeypatch.setattr(provenance, "version", version)
    found = provenance.packages()
    assert found[DISTRIBUTION] == autoact.__version__ and found["torch"] == "0.0.3" and "mlflow" not in found
    assert "autoact" not in {*asked, *found} and DISTRIBUTION not in asked
