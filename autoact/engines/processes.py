"""The engine that trains in worker processes of this machine."""

from __future__ import annotations

import os
import sys
import tempfile
import weakref
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loky import BrokenProcessPool, ProcessPoolExecutor
from loky.process_executor import ShutdownExecutorError

from autoact.core.errors import AutoactError, first_line
from autoact.engines.job import WorkerContext
from autoact.engines.job_queue import RETRIES, QueuedJob, QueueingEngine
from autoact.engines.warn_once import share_warnings
from autoact.engines.workers import worker
from autoact.engines.workers.prestart import environment, no_interrupts, take
from autoact.engines.workers.serialization import packed, result_of


@dataclass(eq=False)
class _Worker:
    """One worker: a pool of one process, so that its death touches no other worker's job.

    Attributes:
        env: its environment variables.
        pool: replaced when its process dies.
        starting: whether the process has not answered yet.
        busy: whether it runs a job.
        failed_starts: how often in a row it died before it answered.
    """

    env: dict[str, str]
    pool: ProcessPoolExecutor | None = None
    starting: bool = True
    busy: bool = False
    failed_starts: int = 0


class ProcessEngine(QueueingEngine[_Worker]):
    """Runs jobs in fresh interpreters, one job per process at a time; see ``autoact.engines.engine.Engine``.

    Workers start with the constructor, beside whatever the caller does next, unless they were started already (see
    ``autoact.engines.workers.prestart``); the script that starts them needs no ``if __name__ == "__main__"``. A worker
    that dies is replaced, and its job runs again.

    Args:
        worker_context: what every worker holds; written to a temporary file that they read.
        threads: CPU threads of each.
        gpus: spread over the workers, as ``CUDA_VISIBLE_DEVICES`` names them; none: every worker sees what this
            process sees.
        gpu_share: share of a GPU's memory that one worker may take.

    Raises:
        AutoactError: the worker context cannot leave this process.
    """

    def __init__(
        self,
        worker_context: WorkerContext,
        workers: int,
        *,
        threads: int = 1,
        gpus: Sequence[str] = (),
        gpu_share: float = 1.0,
    ) -> None:
        super().__init__(workers)
        self._set_up = (_file_of(packed(worker_context)), threads, gpu_share)
        self._remove = weakref.finalize(self, _remove, self._set_up[0])
        share_warnings(Path(worker.warned_beside(self._set_up[0])))
        env = environment(threads)
        gpu_env = [{"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {} for number in range(workers)]
        self._workers = [_Worker(env | gpu) for gpu in gpu_env]
        with self._changed:
            for place in self._workers:
                self._start(place)

    def _start(self, place: _Worker) -> None:
        """Give a worker a fresh process, unless all are dismissed."""
        if self._dismissed:
            return
        place.starting, place.busy = True, False
        early = None if "CUDA_VISIBLE_DEVICES" in place.env else take()
        place.pool = early or ProcessPoolExecutor(1, env=place.env)
        with no_interrupts():
            try:
                reply = place.pool.submit(worker.arrive, *self._set_up, sys.path)
            except RuntimeError:  # this interpreter is ending
                self._dismissed, place.starting = True, False
                return
        reply.add_done_callback(partial(self._arrived, place))

    def _arrived(self, place: _Worker, reply: Future[bytes]) -> None:
        """A process has answered for the first time, or died before it could."""
        error = reply.exception()
        with self._changed:
            place.starting = False
            died = isinstance(error, BrokenProcessPool)
            place.failed_starts = place.failed_starts + 1 if died else 0
            if died and place.failed_starts <= RETRIES:
                self._start(place)
        if died and error is not None and not place.starting and not self._dismissed:
            self._break(AutoactError(f"worker processes die while they start: {first_line(error)}"))
        elif not died and not isinstance(error, ShutdownExecutorError):
            try:
                result_of(reply.result())
            except BaseException as raised:
                self._break(raised)
        self._fill()

    def _free_place(self) -> _Worker | None:
        for place in self._workers:
            if not (place.starting or place.busy):
                place.busy = True
                return place
        return None

    def _give_back(self, place: _Worker) -> None:
        place.busy = False

    def _launch(self, ticket: QueuedJob, place: _Worker) -> bool:
        """Hand the job to the worker; False where it has died since its last job."""
        assert place.pool is not None
        try:
            reply = place.pool.submit(worker.work, ticket.payload)
        except BrokenProcessPool:
            self._start(place)
            return False
        reply.add_done_callback(partial(self._ended, ticket, place))
        return True

    def _ended(self, ticket: QueuedJob, place: _Worker, reply: Future[bytes]) -> None:
        error = reply.exception()
        if isinstance(error, BrokenProcessPool):
            with self._changed:
                self._start(place)
            self._died(ticket, first_line(error))
            return
        self._give_back(place)
        if isinstance(error, ShutdownExecutorError):
            error = CancelledError()
        self._settle(ticket, None if error is not None else reply.result(), error)

    def _starting(self) -> bool:
        return any(place.starting for place in self._workers)

    def _dismiss(self, wait: bool) -> None:
        """Kill all workers; the file that they read goes with them."""
        with self._changed:
            pools = [place.pool for place in self._workers if place.pool is not None]
            for place in self._workers:
                place.pool, place.starting, place.busy = None, False, True
        for pool in pools:
            pool.shutdown(wait=wait, kill_workers=True)
        self._remove()


def _file_of(content: bytes) -> str:
    handle, path = tempfile.mkstemp(prefix="autoact-", suffix=".worker_context")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return path


def _remove(path: str) -> None:
    for file in (path, worker.warned_beside(path)):
        Path(file).unlink(missing_ok=True)
