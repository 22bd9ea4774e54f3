"""What every engine is: it takes jobs and gives a future for each, as ``concurrent.futures`` does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from autoact.engines.job import Job, Outcome


class Engine(ABC):
    """Runs jobs, several at a time where it has several workers.

    Used as a context manager it waits for its jobs at the end; after an exception it drops them.

    Attributes:
        workers: how many jobs run at a time.
    """

    workers: int

    @abstractmethod
    def submit(self, job: Job) -> Future[Outcome]:
        """Take a job in; what goes wrong in it is in the future.

        Raises:
            RuntimeError: the engine was shut down.
        """

    @abstractmethod
    def ready(self) -> None:
        """Wait until every worker can take a job.

        Raises:
            AutoactError: workers cannot start, or cannot make use of what they were sent.
        """

    @abstractmethod
    def wait_idle(self) -> None:
        """Wait until no job runs or waits and no worker is starting, so that times can be measured."""

    @abstractmethod
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs.

        Args:
            wait: come back when all is done and no worker is left.
            cancel_futures: drop what waits and kill what runs, at once.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(cancel_futures=kind is not None)
