"""Ctrl-C during a search: the first one asks it to stop, a second one stops it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def orderly_stop() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks to stop; a second one stops at once."""
    asked = threading.Event()

    def on_signal(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
