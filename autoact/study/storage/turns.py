"""One process at a time, over all studies of a storage: they agree as in a bakery (see ``leases.py``)."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autoact.core.value_holders import PlainData
from autoact.study.storage.leases import CHOOSING, CHOOSING_POLL_SECONDS, FREE, HELD
from autoact.study.storage.study_notes import StudyNotes

PREFIX = "turn:"
# Seconds after which a turn that was not given back counts as that of a killed process.
LAPSE = 120.0


@contextmanager
def turn(notes: StudyNotes) -> Iterator[None]:
    """Inside, no other process that waits for a turn in this storage is inside too.

    Args:
        notes: of any study in the storage.

    Raises:
        AutoactError: the storage cannot be written.
    """
    mine = uuid.uuid4().hex
    key = PREFIX + mine

    def write(state: str) -> None:
        notes.note(key, {"state": state, "time": time.time()})

    try:
        while not _held(notes, mine, write):
            time.sleep(CHOOSING_POLL_SECONDS * (1 + random.random()))
        yield
    finally:
        write(FREE)


def _held(notes: StudyNotes, mine: str, write: Callable[[str], None]) -> bool:
    """Write down that a turn is wanted, read who else wants one, and hold it or give way."""
    write(CHOOSING)
    while True:
        rivals = {name: one["state"] for name, one in notes.noted_everywhere(PREFIX).items() if _alive(one)}
        rivals.pop(mine, None)
        if not rivals:
            write(HELD)
            return True
        if any(state == HELD or name < mine for name, state in rivals.items()):
            write(FREE)
            return False
        # It gives way, or it read before this one wrote and holds: in a moment it is known.
        time.sleep(CHOOSING_POLL_SECONDS)


def _alive(one: PlainData) -> bool:
    return one["state"] != FREE and time.time() - one["time"] <= LAPSE
