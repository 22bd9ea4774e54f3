"""One process at a time, over all studies of a storage: they agree as in a bakery (see ``leases.py``)."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from autoact.core.value_holders import PlainData
from autoact.study.storage.leases import CHOOSING_POLL_SECONDS, FREE, agree
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

    def rivals() -> dict[str, str]:
        found = notes.noted_everywhere(PREFIX).items()
        return {name: one["state"] for name, one in found if name != mine and _alive(one)}

    try:
        while not agree(mine, write, rivals):
            time.sleep(CHOOSING_POLL_SECONDS * (1 + random.random()))
        yield
    finally:
        write(FREE)


def _alive(one: PlainData) -> bool:
    return one["state"] != FREE and time.time() - one["time"] <= LAPSE
