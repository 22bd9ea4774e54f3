"""What a population leaves behind: modules to use, states that travel, memory given back, seconds that add up."""

from __future__ import annotations

import copy
import gc
import pickle
import time
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED, STOPPED, Candidate
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.quiet_lightning import quiet_lightning


def owns_its_memory(module: Any) -> bool:
    tensors = [*module.parameters(), *module.buffers()]
    return all(t.untyped_storage().nbytes() == t.numel() * t.element_size() and t.grad is None for t in tensors)


def free_of_traces(module: Any) -> bool:
    return module._trainer is None and not {"log", "log_dict", "validation_step"} & set(vars(module))


def test_modules_are_as_those_of_single_trainings(tiny, mixed, agree):
    session = agree(tiny(), seeds=2)
    for module in session.modules().values():
        assert free_of_traces(module)
        assert owns_its_memory(module)
        assert module.training
        module.optimiser = None  # a lambda
        twin = pickle.loads(pickle.dumps(copy.deepcopy(module)))
        assert not twin.load_state_dict(module.state_dict(), strict=True).missing_keys


def test_those_that_fail_or_are_given_up_let_go(tiny, net, mixed):
    task = tiny(lambda: net(lambda module: torch.optim.SGD(module.parameters(), lr=0.01)))
    given = mixed()
    given[1] = (1, replace(given[1][1], settings={"learning_rate": 1e30}))
    asked = iter([False] * 5 + [True] * 9)
    session = PopulationSession(task, SessionOptions(stop_asked=lambda: next(asked)))
    session.start(given)
    assert [record.status for record in session.advance()] == [STOPPED, FAILED, STOPPED, STOPPED]
    assert all(free_of_traces(m) and owns_its_memory(m) for m in session.modules().values())


def test_those_that_pause_can_be_used(tiny, mixed):
    session = PopulationSession(tiny())
    session.start(mixed())
    session.advance(1)
    for module in session.modules().values():
        assert free_of_traces(module)
        module.optimiser = None  # a lambda
        pickle.dumps(copy.deepcopy(module))


def test_states_are_merged_and_split_among_populations_of_other_sizes(tiny, mixed, agree):
    whole = agree(tiny(), seeds=2)
    given = mixed(2)
    states: dict[str, Any] = {}
    for part, size in ((given[:3], None), (given[3:], 1)):
        session = PopulationSession(tiny(), SessionOptions(population=size))
        session.start(part)
        session.advance(1)
        states |= session.checkpoint()
    populations = [s for s in states.values() if "member" in s]
    assert len(populations) == 3
    assert all(len(pickle.dumps(state)) < 40_000 for state in populations), "a state holds no other member's rows"
    states = pickle.loads(pickle.dumps(states))
    found = {}
    for numbers in (("3", "0"), ("2", "1")):
        session = PopulationSession(tiny(), SessionOptions(population=2))
        session.resume({number: states[number] for number in numbers})
        found |= {record.number: record for record in session.advance()}
    for record in whole.records():
        assert found[record.number].quality == pytest.approx(record.quality, rel=1e-9)
        assert found[record.number].status == COMPLETE


def test_nothing_stays_in_memory_after_a_job(tiny, mixed):
    held: list[Any] = []

    def job() -> None:
        session = PopulationSession(tiny())
        session.start(mixed(2))
        session.advance(1)
        second = PopulationSession(tiny())
        second.resume(session.checkpoint())
        second.advance()
        for thing in (session, second, *second._populations, *second._members.values(), *second.modules().values()):
            held.append(weakref.ref(thing))

    job()
    gc.collect()
    assert [reference() for reference in held if reference() is not None] == []


def test_seconds_add_up_to_the_time_on_the_clock(tiny, mixed, monkeypatch):
    ticks = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    session = PopulationSession(tiny(), SessionOptions(population=8))
    session.start(mixed())
    session._form()
    begin = next(ticks)
    with quiet_lightning():
        session._populations[0].advance(None)
    end = next(ticks)
    assert end - begin - 4 <= sum(record.seconds for record in session.records()) <= end - begin


def test_one_at_a_time(tiny, mixed):
    session = PopulationSession(tiny(), SessionOptions(population=1))
    session.start(mixed())
    session.advance()
    assert session.reason == "one member at a time was asked for"
    assert list(session._singles.runs) == [0, 1, 2, 3]


@pytest.mark.parametrize("make", [LightningSession, PopulationSession])
def test_a_fold_of_a_task_without_folds(tiny, candidate, make):
    with pytest.raises(AutoactError, match="fold 0 of 5: the rows of the task tiny cannot be dealt out in folds"):
        session = make(tiny())
        session.start([(0, replace(candidate(), fold=(0, 5)))])
        session.advance()


@pytest.mark.parametrize("fold", [(5, 5), (-1, 3), (0, 1)])
def test_a_fold_that_does_not_exist(tiny, rows, fold):
    with pytest.raises(AutoactError, match="folds count from 0, and there are 2 or more"):
        tiny(make_fold=lambda seed, number, folds: rows()).datamodule(0, fold)


def test_a_fold_travels_with_its_candidate():
    one = Candidate(Assignment({"act": "tanh"}), {}, 3, "refined", (1, 5))
    assert Candidate.from_dict(one.to_dict()) == one
    old = {"assignment": {"act": "tanh"}, "settings": {}, "seed": 3, "role": "refined"}
    assert Candidate.from_dict(old).to_dict() == old
