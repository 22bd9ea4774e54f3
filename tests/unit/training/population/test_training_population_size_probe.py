"""How many candidates train fastest together is tried as long as it pays, within seconds and memory."""

from __future__ import annotations

import importlib
import time
from typing import Any

import pytest
import torch

from autoact.training.lightning_session import SessionOptions
from autoact.training.memory import Footprint, free_bytes
from autoact.training.population.size_probe import probe, steps_per_epoch

probe_of = importlib.import_module("autoact.training.population.size_probe")


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Steps that take what a test says, per member; ``tried`` holds the sizes."""

    class Timed:
        def __init__(self) -> None:
            self.seconds = {1: 1.0, 4: 0.5, 16: 0.25, 64: 0.125}
            self.tried: list[int] = []
            self.held: dict[int, int] = {}

    found = Timed()

    def step(task: Any, options: Any, size: int, threads: int, **given: Any) -> list[float]:
        if size not in found.tried:
            found.tried.append(size)
        return [found.seconds[size]]

    monkeypatch.setattr(probe_of, "seconds_per_step", step)
    monkeypatch.setattr(Footprint, "expected", lambda self, size: found.held.get(size))
    return found


def options() -> SessionOptions:
    return SessionOptions(threads=1)


def test_sizes_are_tried_as_long_as_they_pay(tiny, timed):
    found = probe(tiny(), options())
    assert timed.tried == [1, 4, 16, 64]
    assert (found.population, found.largest, found.ended) == (64, 64, "")


def test_the_first_size_that_does_not_pay_is_the_last(tiny, timed):
    timed.seconds = {1: 1.0, 4: 1.3, 16: 0.1, 64: 0.1}
    found = probe(tiny(), options())
    assert timed.tried == [1, 4]
    assert (found.population, found.ended) == (1, "4 candidates train no faster together than 1")


def test_more_than_half_of_the_free_memory_is_never_tried(tiny, timed):
    timed.held = {4: 2 * 2**30, 16: 8 * 2**30}
    found = probe(tiny(), options(), workers=2, free=lambda device: 10 * 2**30)
    assert timed.tried == [1, 4]
    assert found.ended == "16 candidates would take about 16.0 GiB on 2 workers, over half of what is free"
    assert probe(tiny(), options(), free=lambda device: None).population == 64, "unknown where a system does not tell"


def test_tries_are_bounded_in_seconds(tiny, timed, monkeypatch):
    clock = [0.0]
    step = probe_of.seconds_per_step

    def slow(*given: Any, **options: Any) -> list[float]:
        clock[0] += 1.0
        return step(*given, **options)

    monkeypatch.setattr(probe_of, "seconds_per_step", slow)
    monkeypatch.setattr(probe_of, "time", type("T", (), {"perf_counter": staticmethod(lambda: clock[0])}))
    found = probe(tiny(), options(), most_seconds=4.0)
    assert timed.tried == [1], "four at once could take four times as long"
    assert found.ended == "to try 4 candidates together would take too long"
    assert found.population == 1 and found.seconds_at(16) == 1.0


def test_slow_steps_are_timed_fewer_times(tiny):
    taken = probe_of.seconds_per_step(tiny(), options(), 1, 1, most_seconds=0.0)
    assert len(taken) == 1
    assert len(probe_of.seconds_per_step(tiny(), options(), 1, 1)) == probe_of.TIMED_STEPS


@pytest.mark.parametrize(
    ("limit", "steps"), [({}, 2), ({"limit_train_batches": 1}, 1), ({"limit_train_batches": 0.5}, 1)]
)
def test_an_epoch_has_as_many_steps_as_the_trainer_takes(tiny, limit, steps):
    assert steps_per_epoch(tiny(trainer=limit)) == steps


def test_what_a_population_holds_is_seen_and_extrapolated():
    size, held = 64 * 2**20, []
    footprint = Footprint(torch.device("cpu"))
    assert footprint.expected(1) is None
    for members in (1, 4):
        with footprint.watching(members):
            held.append(torch.ones(members * size // 4))
            time.sleep(0.05)
        held.clear()
    if free_bytes(torch.device("cpu")) is None:
        pytest.skip("this system does not tell")
    found = footprint.expected(16)
    assert found is not None and 0.5 * 16 * size < found < 2 * 16 * size


def test_a_schedule_of_fewer_steps_than_are_tried_is_no_obstacle(tiny, net):
    def optimiser(module: Any) -> Any:
        made = torch.optim.SGD(module.parameters(), lr=0.1)
        steps = module.trainer.estimated_stepping_batches
        cycle = torch.optim.lr_scheduler.OneCycleLR(made, 0.1, total_steps=steps)
        return {"optimizer": made, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    task = tiny(lambda: net(optimiser), trainer={"max_epochs": 1})  # two steps in all
    assert len(probe_of.seconds_per_step(task, SessionOptions(), 2, 1)) == probe_of.TIMED_STEPS


def draws_later(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = torch.nn.functional.mse_loss(self(batch[0])[:, 0], batch[1])
    return loss * (torch.distributions.Beta(0.4, 0.4).sample() if batch_idx else 1.0)


def gives_nothing_later(self: Any, batch: Any, batch_idx: int) -> Any:
    return None if batch_idx else torch.nn.functional.mse_loss(self(batch[0])[:, 0], batch[1])


@pytest.mark.parametrize(
    ("step", "reason"),
    [(draws_later, "an autograd.Function cannot be batched"), (gives_nothing_later, "NoneType without a loss")],
)
def test_a_later_step_that_cannot_be_batched_is_a_reason_and_no_end(tiny, net, step, reason):
    found = probe(tiny(type("Mine", (net,), {"training_step": step})), SessionOptions())
    assert (found.population, found.seconds_per_step) == (1, {})
    assert reason in found.reason
    assert found.reason.startswith("Mine cannot be batched: ")
