"""The way that every search takes: observers are told how it ended."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from autoact.workflows.searching import run_search as search


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

    monkeypatch.setattr(search, "_run", run)
    watching: Any = SimpleNamespace(close=lambda status: heard.append((status, sys.exception())))
    prepared: Any = None
    if error is None:
        search.run_search(prepared, [watching])
    else:
        with pytest.raises(type(error)):
            search.run_search(prepared, [watching])
    assert heard == [(said, error)]
