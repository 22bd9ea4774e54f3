"""What a test registers is gone after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoact.activations import plugins, registry


@pytest.fixture(autouse=True)
def _registry_as_found() -> Iterator[None]:
    table = registry._table
    rows, by_key, done = dict(table.rows), dict(table.by_key), set(plugins._done)
    yield
    table.rows, table.by_key = rows, by_key
    plugins._done.clear()
    plugins._done.update(done)
    plugins.forget()
