"""What asks a process to stop: Ctrl-C, SIGTERM of a cluster's scheduler, SIGHUP of a closed terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def signals_handled(numbers: Iterable[int], handler: Callable[[], None]) -> Iterator[None]:
    """Call ``handler``, which may raise, where one of the signals arrives; the handlers are as before afterwards.

    Python lets only the main thread do this; on another one, nothing changes.

    Example:
        >>> arrived = []
        >>> with signals_handled([signal.SIGINT], lambda: arrived.append("Ctrl-C")):
        ...     signal.raise_signal(signal.SIGINT)
        >>> arrived
        ['Ctrl-C']
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: handler()) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def orderly_stop() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks to stop; a second one stops at once. Gives the question whether the first one came."""
    asked = threading.Event()

    def stop() -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    with signals_handled([signal.SIGINT], stop):
        yield asked.is_set


@contextmanager
def ends_as_interrupted() -> Iterator[None]:
    """What asks a process to end (SIGTERM, SIGHUP) is taken for Ctrl-C.

    A signal that is ignored (``nohup``) or handled already stays so.

    Example:
        >>> with ends_as_interrupted():
        ...     pass
    """

    def interrupt() -> None:
        # A shell lets the jobs that it starts in the background ignore Ctrl-C; SIGTERM has to end them all the same.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    asking = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    with signals_handled([number for number in asking if signal.getsignal(number) is signal.SIG_DFL], interrupt):
        yield
