"""What a test registers is gone after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoact.activations import entry_points, registry


@pytest.fixture(autouse=True)
def _registry_as_found() -> Iterator[None]:
    table = registry._table
    rows, by_key, done = dict(table.rows), dict(table.by_key), set(entry_points._done)
    yield
    table.rows, table.by_key = rows, by_key
    entry_points._done.clear()
    entry_points._done.update(done)
    entry_points.forget()
