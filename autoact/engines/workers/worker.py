"""What runs inside a worker process of this machine."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cloudpickle
import torch

from autoact.engines.job import WorkerContext
from autoact.engines.warn_once import share_warnings
from autoact.engines.workers.prestart import leave_with_driver
from autoact.engines.workers.serialization import reply_of

# What this process was sent to work with: the worker context's file, and its share of a GPU.
_set_up: list[tuple[str, float]] = []


@lru_cache(maxsize=1)
def _worker_context(path: str, gpu_share: float) -> WorkerContext:
    """What this process holds; read when it is first needed, so that a failure to read it is reported."""
    worker_context: WorkerContext = cloudpickle.loads(Path(path).read_bytes())
    if gpu_share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gpu_share)
    return worker_context


def arrive(path: str, threads: int, gpu_share: float, folders: Sequence[str]) -> bytes:
    """Read the worker context in the file ``path``, and with it import all that training needs.

    ``folders`` are those that the driver imports from; the reply holds the process's number.
    """

    def take() -> int:
        leave_with_driver()
        let_start_processes()
        sys.path[:] = folders
        torch.set_num_threads(threads)
        _set_up[:] = [(path, gpu_share)]
        _worker_context(path, gpu_share)
        # The pool collects garbage between jobs; looking at all that torch and lightning are made of takes 0.2 s.
        gc.collect()
        gc.freeze()
        return os.getpid()

    reply = reply_of(take)
    share_warnings(Path(warned_beside(path)), install=True)
    return reply


def warned_beside(path: str) -> str:
    """The file, beside the worker context's, of the warnings that have been shown.

    Example:
        >>> warned_beside("autoact-1.worker_context")
        'autoact-1.worker_context.warned'
    """
    return f"{path}.warned"


def let_start_processes() -> None:
    """Let what runs here start processes as a script does: a DataLoader has workers, where ``num_workers`` is set.

    A process of loky's starts others as it was started itself, which no one but loky can, and may have none at all
    where it is a daemon.
    """
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    vars(multiprocessing.current_process())["_config"].pop("daemon", None)


def work(payload: bytes) -> bytes:
    """Run a packed job.

    A worker that is told to end while it trains (SIGTERM) ends: its engine gives the job to another one.
    """
    try:
        return reply_of(lambda: _worker_context(*_set_up[-1]).run(cloudpickle.loads(payload)))
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGTERM)
