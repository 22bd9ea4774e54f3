"""One process at a time, over all studies of a storage: they agree as in a bakery (see ``leases.py``)."""

from __future__ import annotations

import random
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autoact.core.value_holders import PlainData
from autoact.study.storage.leases import CHOOSING_POLL_SECONDS, FREE, agree
from autoact.study.storage.study_notes import StudyNotes

PREFIX = "turn:"
# Seconds after which a turn that was not given back counts as that of a killed process.
LAPSE = 120.0
# Seconds of waiting after which it is said.
PATIENCE = 3.0


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=2)


@contextmanager
def turn(notes: StudyNotes, tell: Callable[[str], object] = _warn) -> Iterator[None]:
    """Inside, no other process that waits for a turn in this storage is inside too.

    Args:
        notes: of any study in the storage.
        tell: gets a sentence, once, where waiting takes longer than some seconds; a warning unless given.

    Raises:
        AutoactError: the storage cannot be written.
    """
    mine = uuid.uuid4().hex
    key = PREFIX + mine

    def write(state: str) -> None:
        notes.note(key, {"state": state, "time": time.time()})

    def rivals() -> dict[str, str]:
        found = notes.noted_everywhere(PREFIX).items()
        return {name: one["state"] for name, one in found if name != mine and _alive(one)}

    late = time.monotonic() + PATIENCE
    told = False
    try:
        while not agree(mine, write, rivals):
            if not told and time.monotonic() > late:
                told = True
                tell(
                    "Waiting for another process that numbers its opening of the test part in this storage; if it was "
                    f"killed, {LAPSE:g} seconds at most"
                )
            time.sleep(CHOOSING_POLL_SECONDS * (1 + random.random()))
        yield
    finally:
        write(FREE)


def _alive(one: PlainData) -> bool:
    return one["state"] != FREE and time.time() - one["time"] <= LAPSE
