"""What surrounds a training: quiet libraries, random states, threads."""

from __future__ import annotations

import logging
import random
import warnings

import numpy as np
import pytest
import torch

from autoact.training import thread_count as threads
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.random_state import random_state, restore_random_state


def test_repeated_advice_is_silenced_and_everything_else_passes():
    with pytest.warns(UserWarning) as seen, quiet_lightning():
        warnings.warn("The 'train_dataloader' does not have many workers which may be a bottleneck", stacklevel=1)
        warnings.warn("something new", stacklevel=1)
    assert [str(one.message) for one in seen] == ["something new"]


def test_loggers_get_their_levels_back():
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    with quiet_lightning():
        assert logger.level == logging.ERROR
    assert logger.level == before
    with pytest.raises(RuntimeError), quiet_lightning():
        raise RuntimeError
    assert logger.level == before


def test_a_training_says_nothing(tiny, candidate, capfd, recwarn):
    session = LightningSession(tiny(), SessionOptions(patience=2))
    session.start([(0, candidate())])
    session.advance(1)
    session.advance()
    session.score(session.runs[0].datamodule)
    captured = capfd.readouterr()
    assert (captured.out, captured.err, list(recwarn)) == ("", "", [])


def test_all_generators_are_restored():
    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(1))]

    state = random_state()
    first = draw()
    assert draw() != first
    restore_random_state(state)
    assert draw() == first


@pytest.mark.parametrize(
    ("speedup", "best"), [({1: 1.0, 2: 1.0, 4: 1.0}, 1), ({1: 1.0, 2: 0.95, 4: 0.6}, 4), ({1: 1.0, 2: 0.5, 4: 0.49}, 2)]
)
def test_more_threads_have_to_pay(tiny, monkeypatch, speedup, best):
    used = {"now": 0.0}

    def step(*_: object) -> None:
        used["now"] += speedup[torch.get_num_threads()]

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        monkeypatch.setattr(threads, "_step", step)
        monkeypatch.setattr(threads.time, "perf_counter", lambda: used["now"])
        assert threads.fastest_threads(tiny(), torch.device("cpu")) == best
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_a_gpu_keeps_torchs_own_threads(tiny):
    assert threads.fastest_threads(tiny(), torch.device("cuda")) == torch.get_num_threads()


def test_a_training_step_is_probed_for_real(tiny):
    module = tiny().make_module()
    seen = []
    for parameter in module.parameters():
        parameter.register_hook(lambda gradient: seen.append(tuple(gradient.shape)))
    threads._step(module, torch.ones(4, 3))
    assert len(seen) == len(list(module.parameters()))  # the backward pass ran
    assert all(parameter.grad is None for parameter in module.parameters())


def test_threads_hold_while_training_only(tiny, candidate, net):
    seen = []

    class Counts(net):
        def on_train_start(self) -> None:
            seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    session = LightningSession(tiny(Counts), SessionOptions(threads=before + 1))
    session.start([(0, candidate())])
    session.advance()
    assert (seen, torch.get_num_threads()) == ([before + 1], before)
