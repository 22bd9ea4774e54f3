"""Worker processes that import what training needs while their driver still prepares a search.

Importing torch and Lightning takes seconds, in the driver and in every worker. Started here, the workers do it at the
same time. This module imports neither, so that it can be used first.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

from loky import ProcessPoolExecutor, cpu_count

from autoact.engines.settings import PROCESSES, EngineSettings

# Seconds between two looks at whether the driver is alive.
DRIVER_POLL_SECONDS = 1.0
_WATCH = "autoact-leave-with-driver"
NEEDED = ("lightning", "autoact.engines.workers.worker", "autoact.training.population")


# The processes that wait for their first job, and their imports.
_waiting: list[tuple[ProcessPoolExecutor, Future[None]]] = []


@contextmanager
def early_workers(settings: EngineSettings) -> Iterator[None]:
    """Start the workers of ``engine=processes``; those that no engine took inside the block are ended with it.

    Nothing is started where a GPU may be at hand: how many workers there will be is not known before torch is asked,
    nor which GPU each will see.
    """
    if settings.name == PROCESSES and not _gpu_may_be_here():
        workers = settings.workers or cpu_count()
        env = environment(max(1, cpu_count() // workers))
        for _ in range(workers):
            pool = ProcessPoolExecutor(1, env=env)
            with no_interrupts():
                _waiting.append((pool, pool.submit(enter, NEEDED)))
    try:
        yield
    finally:
        while _waiting:
            pool, _ = _waiting.pop()
            pool.shutdown(wait=False, kill_workers=True)


def settle() -> None:
    """Wait until no early worker imports any more: what is timed next is timed alone."""
    wait([imported for _, imported in _waiting])


def take() -> ProcessPoolExecutor | None:
    """A pool of one early worker, which is the caller's from now on; None where none is left."""
    while _waiting:
        pool, imported = _waiting.pop()
        if imported.exception() is None:
            return pool
        pool.shutdown(wait=False, kill_workers=True)  # it died; a fresh one will say why if that goes on
    return None


def environment(threads: int) -> dict[str, str]:
    """The environment variables of a worker."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def enter(modules: Sequence[str]) -> None:
    """Begin a worker's life: it leaves Ctrl-C to its driver and ends with it, and imports what it will need."""
    leave_with_driver()
    gc.disable()  # what is imported stays: looking for garbage in it takes a second
    try:
        for name in modules:
            importlib.import_module(name)
    finally:
        gc.enable()


def leave_with_driver() -> None:
    """Ignore Ctrl-C, and end when the driver does: one that was killed cannot shut its workers down."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not any(thread.name == _WATCH for thread in threading.enumerate()):
        threading.Thread(target=_leave_with, args=(os.getppid(),), name=_WATCH, daemon=True).start()


def _leave_with(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(DRIVER_POLL_SECONDS)
    os._exit(1)


@contextmanager
def no_interrupts() -> Iterator[None]:
    """Processes that start inside the block ignore Ctrl-C, which is for the driver."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it starts with the first process, and would clear the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _gpu_may_be_here() -> bool:
    return sys.platform == "darwin" or any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
