"""Workers that start before it is known what they train."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autoact.engines.processes import ProcessEngine
from autoact.engines.settings import EngineSettings
from autoact.engines.workers import prestart
from autoact.engines.workers.prestart import NEEDED, early_workers, settle, take


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(prestart, "_gpu_may_be_here", lambda: False)
    monkeypatch.setattr(prestart, "NEEDED", ("sched",))  # torch takes seconds
    yield
    assert take() is None, "nothing is left behind"


# A worker that starts before anything is known of the tests cannot import them: `loaded` travels by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def loaded() -> tuple[int, bool, Any]:
    return os.getpid(), "sched" in sys.modules, signal.getsignal(signal.SIGINT)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]


def test_they_have_imported_what_training_needs_and_leave_interrupts_to_the_driver():
    with early_workers(EngineSettings(workers=1)):
        settle()
        pool = take()
        assert pool is not None and take() is None
        pid, imported, heard = pool.submit(loaded).result()
        assert imported and heard == signal.SIG_IGN and alive(pid)
    assert alive(pid), "who took a worker ends it"
    pool.shutdown(kill_workers=True)


def test_what_is_imported_early_exists():
    for name in NEEDED:
        assert importlib.util.find_spec(name) is not None


def test_an_engine_takes_them(monkeypatch):
    taken = []
    monkeypatch.setattr("autoact.engines.processes.take", lambda: taken.append(take()) or taken[-1])
    with early_workers(EngineSettings(workers=1)), ProcessEngine({"no": "worker context"}, 1) as engine:  # type: ignore[arg-type]
        engine.ready()
        assert [place.pool for place in engine._workers] == taken != [None]


def test_those_that_nobody_took_end_with_the_block():
    with early_workers(EngineSettings(workers=2)):
        settle()
        pids = [next(iter(pool._processes)) for pool, _ in prestart._waiting]
        assert len(set(pids)) == 2 and all(map(alive, pids))
    for pid in pids:
        _wait_for_end(pid)


def test_one_that_died_is_not_taken():
    with early_workers(EngineSettings(workers=1)):
        settle()
        prestart._waiting[0] = (prestart._waiting[0][0], prestart._waiting[0][0].submit(os._exit, 1))
        assert take() is None


@pytest.mark.parametrize("settings", [EngineSettings(name="inline"), EngineSettings(name="ray")])
def test_other_engines_have_none(settings):
    with early_workers(settings):
        assert take() is None


def test_where_a_gpu_may_be_none_starts(monkeypatch):
    monkeypatch.setattr(prestart, "_gpu_may_be_here", lambda: True)
    with early_workers(EngineSettings(workers=2)):
        assert take() is None


def _wait_for_end(pid: int) -> None:
    """Fails by the suite's own time limit where the process stays."""
    for _ in range(200):
        if not alive(pid):
            return
        prestart.time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")
