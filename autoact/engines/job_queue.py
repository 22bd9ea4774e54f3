"""What engines with workers share: a queue, places where jobs run, and retries after a worker died."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import deque
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

import cloudpickle

from autoact.core.errors import AutoactError
from autoact.engines.engine import Engine
from autoact.engines.job import Job, Outcome
from autoact.engines.workers.serialization import result_of

RETRIES = 3
_Place = TypeVar("_Place")


class QueuedJob:
    """A job in the queue.

    Attributes:
        label: its candidates, for messages: trials have no numbers before they end.
        future: what the caller holds, through every retry.
        deaths: how many workers died while they ran it.
    """

    def __init__(self, job: Job) -> None:
        self.payload = bytes(cloudpickle.dumps(job))
        self.label = job.label()
        self.future: Future[Outcome] = Future()
        self.deaths = 0

    def claim(self) -> bool:
        """Whether it may run: its caller has not cancelled it."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def finish(self, result: Outcome | None, error: BaseException | None) -> None:
        """Give the caller the result or the error, once; neither where the caller has cancelled the job."""
        if self.future.done() or not self.claim():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            assert result is not None
            self.future.set_result(result)

    def drop(self) -> None:
        """Tell the caller that it will not run."""
        if self.future.cancel():
            self.claim()  # wakes up those that wait for it
        else:
            self.finish(None, CancelledError())

    @property
    def last_chance(self) -> bool:
        """Whether it runs for the last time; then alone, in case that memory for several was the trouble."""
        return self.deaths >= RETRIES


class QueueingEngine(Engine, Generic[_Place]):
    """Gives the oldest waiting job to the next free place; see ``Engine``.

    Workers answer from threads of their own: everything here is guarded by one lock, and callers' futures are set
    outside of it.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[QueuedJob] = deque()
        self._running: set[QueuedJob] = set()
        self._closed = False
        self._dismissed = False
        self._broken: BaseException | None = None

    @abstractmethod
    def _free_place(self) -> _Place | None:
        """Take a place where a job can run now; None where there is none."""

    @abstractmethod
    def _give_back(self, place: _Place) -> None:
        """A place that was taken is free again."""

    @abstractmethod
    def _launch(self, ticket: QueuedJob, place: _Place) -> bool:
        """Run the job there; False where the place turns out to be gone. Ends in ``_settle`` or ``_died``."""

    @abstractmethod
    def _starting(self) -> bool:
        """Whether workers are starting."""

    @abstractmethod
    def _dismiss(self, wait: bool) -> None:
        """Kill all workers, at once; running jobs end in ``_settle`` with ``CancelledError``."""

    def submit(self, job: Job) -> Future[Outcome]:
        """Take a job in; what goes wrong in it is in the future."""
        ticket = QueuedJob(job)
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is shut down: it takes no more jobs")
            if self._broken is not None:
                raise self._broken
            self._waiting.append(ticket)
        self._fill()
        return ticket.future

    def ready(self) -> None:
        """Wait until every worker can take a job."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._broken is not None or not self._starting())
            if self._broken is not None:
                raise self._broken

    def wait_idle(self) -> None:
        """Wait until no job runs or waits and no worker is starting."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting or self._running or self._starting()))

    def _fill(self) -> None:
        with self._changed:
            while self._waiting and not self._must_wait(self._waiting[0]):
                place = self._free_place()
                if place is None:
                    break
                ticket = self._waiting.popleft()
                if not ticket.claim():
                    self._give_back(place)
                    continue
                self._running.add(ticket)
                if not self._launch(ticket, place):
                    self._running.discard(ticket)
                    self._waiting.appendleft(ticket)
            self._changed.notify_all()

    def _must_wait(self, ticket: QueuedJob) -> bool:
        """Whether a job must wait for others to end: one that runs for the last time runs alone."""
        return bool(self._running) and (ticket.last_chance or any(other.last_chance for other in self._running))

    def _settle(self, ticket: QueuedJob, reply: bytes | None, error: BaseException | None = None) -> None:
        """A job has ended, with a reply or with an error of the machinery; its place is free again."""
        self._fill()  # the place is not left idle while the reply is read
        result = None
        if reply is not None:
            try:
                result = result_of(reply)
            except BaseException as raised:
                error = raised
        ticket.finish(result, error)
        with self._changed:
            self._running.discard(ticket)
        self._fill()

    def _died(self, ticket: QueuedJob, how: str) -> None:
        """The worker of a job died: the job goes back into the queue, three times."""
        if self._dismissed:
            self._settle(ticket, None, CancelledError())
            return
        ticket.deaths += 1
        if ticket.deaths > RETRIES:
            died = f"a worker died {ticket.deaths} times while it trained {ticket.label}"
            self._settle(ticket, None, AutoactError(f"{died} ({how}): too little memory, or code that crashes?"))
            return
        with self._changed:
            self._running.discard(ticket)
            self._waiting.appendleft(ticket)
        self._fill()

    def _break(self, error: BaseException) -> None:
        """No worker will ever run: all that waits fails with this."""
        with self._changed:
            self._broken = error
            dropped = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for ticket in dropped:
            ticket.finish(None, error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; see ``Engine``."""
        with self._changed:
            self._closed = True
            dropped = list(self._waiting) if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
            self._changed.notify_all()
        for ticket in dropped:
            ticket.drop()
        if not (wait or cancel_futures):
            threading.Thread(target=self.shutdown, daemon=True).start()
            return
        with self._changed:
            if not cancel_futures:
                self._changed.wait_for(lambda: not (self._waiting or self._running))
            self._dismissed = True
        self._dismiss(wait)
