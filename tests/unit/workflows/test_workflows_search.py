"""The road that every search takes: what it writes down of the code that ran, and how it says that it ended."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

import autoact
from autoact.core.imports import DISTRIBUTION
from autoact.workflows import search as road


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


@pytest.mark.parametrize(
    ("error", "said"), [(RuntimeError("a bug"), "failed"), (KeyboardInterrupt(), "interrupted"), (None, "finished")]
)
def test_whoever_watches_is_told_how_it_ended(
    error: BaseException | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    def run(*_: Any) -> Any:
        if error is not None:
            raise error
        return SimpleNamespace(status="finished")

    monkeypatch.setattr(road, "_run", run)
    watching: Any = SimpleNamespace(close=lambda status: heard.append((status, sys.exception())))
    prepared: Any = None
    if error is None:
        road.run_search(prepared, [watching])
    else:
        with pytest.raises(type(error)):
            road.run_search(prepared, [watching])
    assert heard == [(said, error)]
