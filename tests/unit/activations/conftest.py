"""What a test registers is gone after it."""

from __future__ import annotations

import pytest

from autoact.activations import registry
from autoact.core.registry import Registry


@pytest.fixture(autouse=True)
def _registry_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    before = registry.ACTIVATIONS
    fresh = Registry(
        before.what,
        before.group,
        registry.Activation,
        (*registry.ROWS, *registry.NORMALISATIONS),
        check=registry._check,
        key=registry.name_key,
    )
    monkeypatch.setattr(registry, "ACTIVATIONS", fresh)
