from __future__ import annotations

import importlib.metadata

import pytest
import torch

from autoact.activations import entry_points as plugins
from autoact.activations import registry
from autoact.activations.spec import Activation
from autoact.core.errors import AutoactError


class EntryPoint:
    """As much of an entry point as is used."""

    def __init__(self, name: str, found: object) -> None:
        self.name, self.value, self.found, self.loads = name, f"some_package:{name}", found, 0

    def load(self) -> object:
        self.loads += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> object:
    def _install(*entry_points: EntryPoint) -> None:
        def installed(*, group: str) -> list[EntryPoint]:
            assert group == "autoact.activations"
            return list(entry_points)

        monkeypatch.setattr(importlib.metadata, "entry_points", installed)
        plugins.forget()

    return _install


def row(name: str) -> Activation:
    return Activation(name, torch.tanh)


def test_a_row_a_callable_and_several_rows(install: object) -> None:
    install(  # type: ignore[operator]
        EntryPoint("one", row("p_one")),
        EntryPoint("made", lambda: row("p_made")),
        EntryPoint("several", lambda: [row("p_first"), row("p_second")]),
    )
    assert registry.get("p_made").name == "p_made"
    assert registry.names()[-4:] == ["p_one", "p_made", "p_first", "p_second"]


def test_each_is_loaded_once_and_not_for_names_of_the_catalogue(install: object) -> None:
    entry_point = EntryPoint("one", row("p_one"))
    install(entry_point)  # type: ignore[operator]
    registry.get("relu")
    registry.canonical("swish")
    assert entry_point.loads == 0
    registry.names()
    registry.get("p_one")
    registry.names()
    assert entry_point.loads == 1


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (ImportError("no module named x"), r"entry point 'bad' \(some_package:bad\).*ImportError: no module named x"),
        (lambda: 1 / 0, "entry point 'bad'.*ZeroDivisionError"),
        (7, "entry point 'bad'.*TypeError"),
        (lambda: ["relu"], "entry point 'bad'.* gives str: it must give an Activation"),
        (row("relu"), "entry point 'bad'.*'relu' is taken"),
        (Activation("p_soft", lambda x: torch.softmax(x, -1)), "entry point 'bad'.*mixes its inputs"),
    ],
)
def test_a_broken_one_is_named_each_time(install: object, found: object, message: str) -> None:
    install(EntryPoint("good", row("p_good")), EntryPoint("bad", found))  # type: ignore[operator]
    for _ in range(2):
        with pytest.raises(AutoactError, match=message):
            registry.names()
    assert registry.get("p_good").name == "p_good"
    assert registry.get("relu").torch_type is torch.nn.ReLU


def test_a_broken_one_leaves_nothing_behind(install: object) -> None:
    install(EntryPoint("half", lambda: [row("p_fine"), row("relu")]))  # type: ignore[operator]
    for _ in range(2):
        with pytest.raises(AutoactError, match="'relu' is taken"):
            registry.get("p_fine")
