"""Weights that were loaded are neither scaled nor drawn anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.sites import DoesNotFitError
from autoact.training.lightning_session import SessionOptions, build_module
from autoact.training.population.member import Member
from autoact.training.preflight.loaded_weights import loaded_note, loaded_weights
from autoact.training.state.random_state import random_state, same_random_state

LOADED = torch.randn(4, 4, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def loads(net) -> type:
    class Loads(net):
        def __init__(self) -> None:
            super().__init__()
            self.second.load_state_dict({"weight": LOADED, "bias": torch.zeros(4)})

    return Loads


def test_what_no_seed_changes_is_loaded(tiny, net, loads):
    before = random_state()
    assert loaded_weights(tiny(net)) == frozenset()
    assert loaded_weights(tiny(loads)) == {"second.weight"}
    assert same_random_state(before, random_state())


def test_a_constant_is_drawn(tiny, net):
    class Zeros(net):
        def __init__(self) -> None:
            super().__init__()
            torch.nn.init.zeros_(self.second.weight)

    assert loaded_weights(tiny(Zeros)) == frozenset()


@pytest.mark.parametrize(
    "build",
    [
        lambda task, candidate: build_module(task, candidate, rescale=True),
        lambda task, candidate: Member(0, candidate, task, SessionOptions()).module,
    ],
)
def test_it_keeps_its_values(tiny, net, loads, build):
    candidate = Candidate(Assignment({"act1": "tanh", "act2": "tanh"}))
    module: Any = build(tiny(loads), candidate)
    assert torch.equal(module.second.weight, LOADED)
    assert not torch.equal(build(tiny(net), candidate).second.weight, LOADED)
    assert module.second.weight.requires_grad
    assert vars(module.second.weight) == {}, "no trace of it"


def test_its_width_stays(tiny, loads):
    with pytest.raises(DoesNotFitError, match=r"the weights of 'second' are loaded$"):
        build_module(tiny(loads), Candidate(Assignment({"act1": "swiglu"})), rescale=True)


def test_many_are_told_in_one_line():
    assert loaded_note(frozenset()) == ""
    assert loaded_note(frozenset("abc")).startswith("a and 2 more weights are the same under every seed")
