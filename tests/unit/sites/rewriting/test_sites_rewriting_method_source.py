"""The text of a class: where it is not at hand, or is not what runs, calls are told and nothing is rewritten."""

import pickle
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.core.errors import AutoactError
from autoact.sites import apply, find_sites
from autoact.sites.rewriting import method_rewrite, method_source

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc(x)) + 1


def changed() -> nn.Module:
    return apply(Base(), {"forward_relu_1": "tanh"}, example_input=X)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What was read of this file, and made of it, is forgotten before and after each test."""
    method_rewrite._made.clear()  # classes live until the collector comes by
    method_source._definition.cache_clear()
    method_source.calls_in.cache_clear()
    yield
    method_source._definition.cache_clear()
    method_source.calls_in.cache_clear()


def test_a_class_with_its_source_is_rewritten() -> None:
    assert find_sites(Base(), X).names == ("forward_relu_1",)
    assert torch.equal(pickle.loads(pickle.dumps(model := changed()))(X), model(X))


def test_a_class_without_its_source_is_told() -> None:
    names: dict[str, type[nn.Module]] = {}
    text = "class Made(nn.Module):\n  def forward(self, x):\n    return F.relu(self.fc(x)) + 1\n"
    exec(compile(text, "<made>", "exec"), {"nn": nn, "F": F, "__name__": "made"}, names)
    model = names["Made"]()
    model.fc = nn.Linear(4, 4)
    assert "source of <made> is not at hand" in find_sites(model, X).unreplaceable[0].reason


def test_modules_made_by_fx_are_told() -> None:
    traced = torch.fx.symbolic_trace(Base())
    found = find_sites(traced, X)
    assert (found.names, len(found.unreplaceable)) == ((), 1)
    assert "torch.fx made it" in found.unreplaceable[0].reason


def test_a_pickle_needs_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    written = pickle.dumps(changed())
    monkeypatch.setattr("autoact.sites.rewriting.method_source.linecache.getlines", lambda name: [])
    monkeypatch.setattr("autoact.sites.rewriting.method_rewrite._made", weakref.WeakKeyDictionary())
    with pytest.raises(AutoactError, match="needs the source of its class"):
        pickle.loads(written)


def test_a_source_that_is_not_what_runs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        Path(__file__)
        .read_text(encoding="utf-8")
        .replace("return F.relu(self.fc(x)) + 1", "return F.relu(self.fc(x)) + 7")
    )
    monkeypatch.setattr(
        "autoact.sites.rewriting.method_source.linecache.getlines", lambda name, *_: lines.splitlines(keepends=True)
    )
    monkeypatch.setattr(
        "autoact.sites.rewriting.method_rewrite._made", weakref.WeakKeyDictionary()
    )  # classes of earlier tests
    found = find_sites(Base(), X)
    assert (found.names, len(found.unreplaceable)) == ((), 1)
