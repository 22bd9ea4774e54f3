"""Modules from a grammar of other people's habits train alike one by one and together, or one line says why not."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from grammar import CALLBACKS, TRAINERS, Habits, drawn

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.sites import Sites, apply, find_sites
from autoact.sites.discovery.self_check import SelfCheck
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.quiet_lightning import quiet_lightning

CLOSE = 1e-6
DRAWN = [drawn(seed, habits) for seed, habits in zip(range(16), [2, 3, 4, 5] * 4, strict=True)]


def task_of(habits: Habits) -> Task:
    """What ``autoact.search`` would make of it."""
    return Task(
        name="grown",
        make_module=habits.make_module,
        make_datamodule=lambda seed: habits.data(),
        monitor="val_loss",
        mode="min",
        quality_unit="loss",
        example_input=habits.data().x[:4],
        make_input=lambda size: torch.zeros(size, 3),
        trainer={"max_epochs": 3, **TRAINERS[habits.trainer]},
        make_callbacks=CALLBACKS[habits.callbacks],
    )


def assigned(sites: Sites, *names: str) -> Assignment:
    """Activations for the sites, in turn, and the same for their copies; of none: what stands there."""
    own = [site for site in sites.searchable if not site.twin_of]
    chosen = {site.name: names[i % len(names)] if names else str(site.current) for i, site in enumerate(own)}
    return Assignment({s.name: chosen[s.twin_of or s.name] for s in sites.searchable})


def candidates(sites: Sites, seeds: int) -> list[tuple[int, Candidate]]:
    """The baseline, and others with learning rates of their own; two seeds where asked for."""
    every = [assigned(sites), assigned(sites, "tanh"), assigned(sites, "prelu", "gelu"), assigned(sites, "swish_beta")]
    return [(n, Candidate(one, {"learning_rate": 0.01 * (n + 1)}, n % seeds)) for n, one in enumerate(every)]


def outcome(make: Any, given: list[tuple[int, Candidate]], test: Any, pauses: Sequence[int] = ()) -> Any:
    """What a session makes of candidates, with pauses and in a new session after each; or what it raises."""
    try:
        session = make()
        session.start(given)
        for pause in pauses:
            session.advance(pause)
            if not session.checkpoint():
                break
            state = pickle.loads(pickle.dumps(session.checkpoint()))
            session = make()
            session.resume(state)
        session.advance()
        return session.records(), session.score(test), session.modules()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def differences(one: Any, other: Any) -> list[str]:
    """Where two outcomes differ."""
    if isinstance(one, str) or isinstance(other, str):
        return [] if one == other else [f"{one} != {other}"]
    found = []
    both = {record.number: record for record in other[0]}
    for a, b in [(record, both[record.number]) for record in one[0] if record.number in both]:
        for name in ("number", "status", "epochs", "best_epoch", "replicates"):
            if getattr(a, name) != getattr(b, name):
                found.append(f"{a.number} {name}: {getattr(a, name)} != {getattr(b, name)}")
        if not b.reason.startswith(a.reason):  # a population tells the hook, too
            found.append(f"{a.number}: {a.reason} != {b.reason}")
        for where, x, y in [("best", a.metrics, b.metrics), *zip(range(9), a.curve, b.curve, strict=False)]:
            if x != pytest.approx(y, rel=CLOSE, abs=CLOSE, nan_ok=True):
                found.append(f"{a.number} {where}: {x} != {y}")
    expected = {number: score for number, score in one[1].items() if number in both}
    if expected != pytest.approx(other[1], rel=CLOSE, abs=CLOSE):
        found.append(f"scores: {expected} != {other[1]}")
    for record in [record for record in one[0] if record.complete and record.number in both]:
        mine, theirs = (made[2][record.number].state_dict() for made in (one, other))
        found += [f"{record.number} {key}" for key, value in mine.items() if not close(value, theirs[key])]
    return found


def close(one: Any, other: Any) -> bool:
    return not isinstance(one, torch.Tensor) or torch.allclose(one, other, rtol=CLOSE, atol=CLOSE, equal_nan=True)


def disagreements(habits: Habits) -> tuple[list[str], str]:
    """What differs between the ways of training a module, and why they train one by one."""
    task = task_of(habits)
    found = put_back(task)
    sites = find_sites(task.make_module(), task.example_input)
    given = candidates(sites, seeds=1 + len(str(habits)) % 2)
    test = habits.data()
    test.val_dataloader = test.test_dataloader
    first = outcome(lambda: LightningSession(task, SessionOptions()), given, test)
    ways = {  # a population of two is what engine.deterministic makes of four
        "together": (lambda: PopulationSession(task, SessionOptions(alone=reason)), ()),
        "in twos": (lambda: PopulationSession(task, SessionOptions(population=2, alone=reason)), ()),
        "alone, paused": (lambda: LightningSession(task, SessionOptions()), (1,)),
        "together, paused": (lambda: PopulationSession(task, SessionOptions(alone=reason)), (1, 2)),
    }
    reason = PopulationSession(task, SessionOptions()).reason
    for name, (make, pauses) in ways.items():
        if reason and name == "in twos":  # one by one, whatever the size
            continue
        found += [f"{name}: {line}" for line in differences(first, outcome(make, given, test, pauses))]
    return found, reason


def put_back(task: Task) -> list[str]:
    """What differs where the activations that stand there are put back."""
    module = task.make_module()
    check = SelfCheck(module, task.example_input, None)
    sites = find_sites(module, task.example_input)
    if not assigned(sites):
        return []
    again = apply(module, assigned(sites), example_input=task.example_input)
    for name, parameter in again.named_parameters():
        if not close(parameter, dict(module.named_parameters())[name]):
            return [f"put back: {name}"]
    check._model = again
    return [f"put back: {line}" for line in [check.difference()] if line]


@pytest.mark.parametrize("habits", DRAWN, ids=str)
def test_all_ways_of_training_agree(habits):
    torch.set_default_dtype(torch.float64)
    try:
        with quiet_lightning(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, reason = disagreements(habits)
    finally:
        torch.set_default_dtype(torch.float32)
    assert not found, reason
