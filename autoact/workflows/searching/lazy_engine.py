"""An engine that starts its workers when there is something to train: a search that is done already needs none."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial

import torch

from autoact.engines.engine import Engine
from autoact.engines.factory import open_engine
from autoact.engines.job import Job, Outcome, WorkerContext
from autoact.engines.settings import EngineSettings
from autoact.workflows.searching.population_size import Shape


class LateEngine(Engine):
    """Opens the engine that the settings name at the first job; see ``Engine``."""

    def __init__(
        self, settings: EngineSettings, worker_context: WorkerContext, device: torch.device, shape: Shape
    ) -> None:
        self.workers = shape.workers
        self._open = partial(open_engine, settings, worker_context, device, threads=shape.threads)
        self._engine: Engine | None = None
        self._closed = False

    def submit(self, job: Job) -> Future[Outcome]:
        """Take a job in."""
        if self._closed:
            raise RuntimeError("the engine is shut down: it takes no more jobs")
        return self._opened().submit(job)

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = self._open()
            self.workers = self._engine.workers
        return self._engine

    def ready(self) -> None:
        """Start the workers, and wait until each can take a job."""
        self._opened().ready()

    def wait_idle(self) -> None:
        """Wait until no job runs."""
        if self._engine is not None:
            self._engine.wait_idle()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs."""
        self._closed = True
        if self._engine is not None:
            self._engine.shutdown(wait, cancel_futures=cancel_futures)
