"""Rows by name, with those that installed packages bring; the registry of activations stands for all."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

import pytest
import torch

from autoact.activations import registry
from autoact.activations.spec import Activation
from autoact.core.errors import AutoactError
from autoact.core.registry import Registry

Install = Callable[..., None]


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
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    check, key = registry._check, registry.name_key
    fresh = Registry("activation", "autoact.activations", Activation, registry.ROWS, check=check, key=key)
    monkeypatch.setattr(registry, "ACTIVATIONS", fresh)

    def _install(*entry_points: EntryPoint) -> None:
        def installed(*, group: str) -> list[EntryPoint]:
            assert group == "autoact.activations"
            return list(entry_points)

        monkeypatch.setattr(importlib.metadata, "entry_points", installed)

    return _install


def row(name: str) -> Activation:
    return Activation(name, torch.tanh)


def test_a_row_a_callable_and_several_rows(install: Install) -> None:
    install(
        EntryPoint("one", row("p_one")),
        EntryPoint("made", lambda: row("p_made")),
        EntryPoint("several", lambda: [row("p_first"), row("p_second")]),
    )
    assert registry.get("p_made").name == "p_made"
    assert registry.names()[-4:] == ["p_one", "p_made", "p_first", "p_second"]


def test_each_is_loaded_once_and_not_for_names_of_the_catalogue(install: Install) -> None:
    entry_point = EntryPoint("one", row("p_one"))
    install(entry_point)
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
        (
            ImportError("no module named x"),
            r"entry point 'bad' \(some_package:bad\) of autoact.activations: it cannot be loaded: ImportError: no",
        ),
        (lambda: 1 / 0, "entry point 'bad'.*ZeroDivisionError"),
        (7, "entry point 'bad'.*TypeError"),
        (lambda: ["relu"], "entry point 'bad'.* gives str: it must give an Activation.*; repair or uninstall"),
        (row("relu"), "entry point 'bad'.*'relu' is taken"),
        (Activation("p_soft", lambda x: torch.softmax(x, -1)), "entry point 'bad'.*mixes its inputs"),
    ],
)
def test_a_broken_one_is_named_each_time(install: Install, found: object, message: str) -> None:
    install(EntryPoint("good", row("p_good")), EntryPoint("bad", found))
    for _ in range(2):
        with pytest.raises(AutoactError, match=message):
            registry.names()
    assert registry.get("p_good").name == "p_good"
    assert registry.get("relu").torch_type is torch.nn.ReLU


def test_a_broken_one_leaves_nothing_behind(install: Install) -> None:
    install(EntryPoint("half", lambda: [row("p_fine"), row("relu")]))
    for _ in range(2):
        with pytest.raises(AutoactError, match="'relu' is taken"):
            registry.get("p_fine")


def test_added_rows_can_be_replaced_and_removed_and_autoacts_own_cannot() -> None:
    rows = Registry("activation", "autoact.nothing", Activation, [row("own")])
    rows.add(row("mine"))
    with pytest.raises(AutoactError, match=r"activation name 'mine' is taken by 'mine': .*pass replace=True"):
        rows.add(row("mine"))
    again = row("mine")
    rows.add(again, replace=True)
    assert rows["mine"] is again and list(rows) == ["own", "mine"] and len(rows) == 2
    for refused in (lambda: rows.add(row("own"), replace=True), lambda: rows.remove("own")):
        with pytest.raises(AutoactError, match=r"'own'.*autoact's own"):
            refused()
    rows.remove("mine")
    assert list(rows) == ["own"] and rows.get("mine") is None
    with pytest.raises(AutoactError, match=r"unknown activation 'mine'.*Allowed: own .install the package"):
        rows.find("mine", advice="install the package")


def test_a_row_that_can_be_called_is_a_row(install: Install) -> None:
    class Called(Activation):
        def __call__(self) -> object:
            raise AssertionError("a row is not called")

    install(EntryPoint("one", Called("p_call", torch.tanh)))
    assert registry.get("p_call").name == "p_call"
