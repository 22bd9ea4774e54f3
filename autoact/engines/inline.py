"""The engine that trains in this process."""

from __future__ import annotations

from concurrent.futures import Future

from autoact.engines.engine import Engine
from autoact.engines.job import Job, Outcome, WorkerContext


class InlineEngine(Engine):
    """Runs each job at ``submit``, in this process; see ``Engine``."""

    workers = 1

    def __init__(self, worker_context: WorkerContext) -> None:
        self._worker_context = worker_context
        self._closed = False

    def submit(self, job: Job) -> Future[Outcome]:
        """Run the job now and hand back a finished future; Ctrl-C passes through."""
        if self._closed:
            raise RuntimeError("the engine is shut down: it takes no more jobs")
        future: Future[Outcome] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(self._worker_context.run(job))
        except Exception as error:
            future.set_exception(error)
        return future

    def ready(self) -> None:
        """It always is."""

    def wait_idle(self) -> None:
        """Between two submits nothing runs."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs."""
        self._closed = True
