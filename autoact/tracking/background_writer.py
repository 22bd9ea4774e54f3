"""Writes to a tracking store on a thread of its own, so that no search waits for its tracker."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial

from autoact.tracking.store import LOUD_LOGGERS, StoreError

# How long a store that failed is left alone before the next try, in seconds.
PAUSE = 60.0
THREAD = "autoact-tracking"


class BackgroundWriter:
    """A queue of writes, and a daemon thread that carries them out in order.

    A write that fails is tried again after a pause, and once more at the end. A write that the store refuses is left
    out, for it would be refused again.

    Attributes:
        refused: what was left out, and why.
        failure: the last failure; None before the first one.

    Args:
        on_failure: hears of each failure, on the writer's thread, before ``failure`` is set.
        pause: seconds from a failure to the next try.

    Example:
        >>> written: list[str] = []
        >>> writer = BackgroundWriter(on_failure=print)
        >>> writer.put("trial 0", lambda: written.append("trial 0"))
        >>> writer.close(patience=10.0), written
        ([], ['trial 0'])
    """

    def __init__(self, on_failure: Callable[[StoreError], None], pause: float = PAUSE) -> None:
        self.refused: list[str] = []
        self.failure: StoreError | None = None
        self._on_failure = on_failure
        self._pause = pause
        self._queue: deque[tuple[str, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._pausing = self._closing = self._failed = False  # failed: the first write of the queue, at its last try
        self._ended = True
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)

    def put(self, what: str, write: Callable[[], None]) -> None:
        """Queue a write under its name for messages; it has to be repeatable, and may raise ``StoreError``."""
        with self._changed:
            self._queue.append((what, write))
            self._changed.notify_all()
            if self._thread.ident is None:
                self._ended = False
                self._thread.start()

    def flush(self, patience: float) -> bool:
        """Wait for the queue, at most ``patience`` seconds, and no longer than until the store fails.

        Returns:
            Whether everything is written.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._queue or self._pausing, patience)
            return not self._queue

    def close(self, patience: float) -> list[str]:
        """Carry out what is left, with one more try where the store failed, and end the thread.

        Args:
            patience: seconds without any progress after which the store is given up.

        Returns:
            What could not be written.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while not self._ended:
                left = len(self._queue)
                self._changed.wait_for(partial(self._shorter_than, left), patience)
                if len(self._queue) == left:
                    break
            return [what for what, _ in self._queue]

    def _shorter_than(self, length: int) -> bool:
        return self._ended or len(self._queue) < length

    def _run(self) -> None:
        """Write until the queue is closed and empty, or until the store fails at the last try."""
        _mute_this_thread()
        while self._write_first():
            pass
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _write_first(self) -> bool:
        """Wait for the first write of the queue and carry it out; returns whether to go on."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return False
            what, write = self._queue[0]
            self._pausing, last_try = False, self._closing and self._failed
        try:
            write()
        except StoreError as failure:
            if not failure.refused:
                self._failed = True
                self._wait_for_store(failure, last_try)
                return not last_try
            self.refused.append(f"{what}: {failure}")
        except Exception as error:  # a bug must not cost the search, nor what comes after it in the queue
            traceback.print_exc()
            self.refused.append(f"{what}: {type(error).__name__}: {error}")
        with self._changed:
            self._queue.popleft()
            self._failed = False
            self._changed.notify_all()
        return True

    def _wait_for_store(self, failure: StoreError, last_try: bool) -> None:
        """Report a failure, then pause; the end of the search ends the pause."""
        self._on_failure(failure)
        self.failure = failure
        with self._changed:
            self._pausing = True
            self._changed.notify_all()
            if not last_try:
                self._changed.wait_for(lambda: self._closing, self._pause)


def _mute_this_thread() -> None:
    """Keep the libraries' log lines of this thread off the terminal; what matters comes as an exception."""
    for logger in map(logging.getLogger, LOUD_LOGGERS):
        for source in (logger, *logger.handlers):
            if not any(isinstance(one, _NotOfWriters) for one in source.filters):
                source.addFilter(_NotOfWriters())


class _NotOfWriters(logging.Filter):
    """Drops the records of writers' threads, and of no other."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != THREAD
