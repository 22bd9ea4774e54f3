"""Who trains what: several drivers may share one study, and none takes another's work.

Each driver notes in the study what it is about to train, with the time. Others leave that alone until it is told, or
until the driver has been silent for ten minutes. The note is also what the same command goes on from after Ctrl-C or a
kill. A storage has no locks that all back ends share, so two drivers that choose at the same moment agree as in a
bakery (Lamport, 1974): each writes down what it wants, then reads what the others want.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.core.value_holders import PlainData
from autoact.study.storage.study_identity import digest
from autoact.study.storage.trial_store import TrialStore

PREFIX = "pending:"
CHOOSING, HELD, FREE = "choosing", "held", "free"
# A driver that has been silent for this many seconds is gone; it says that it lives a good deal more often.
LAPSE, BEAT = 600.0, 60.0
# Seconds between two looks at a driver that is choosing at this moment.
CHOOSING_POLL_SECONDS = 0.05
FINAL_CHECK = "the final check"
# A driver's lock in its study's folder.
LOCK = ".driver-{}.lock"


def agree(mine: str, write: Callable[[str], None], rivals: Callable[[], Mapping[str, str]]) -> bool:
    """Hold what is wanted (true), or give way to another who wants it (false); written down as a state each time.

    Args:
        mine: the name of the one who asks: of two that choose at one moment, the lower name holds.
        write: writes a state down where the others read it.
        rivals: name -> state of those who want the same now.
    """
    write(CHOOSING)
    while found := rivals():
        if any(state == HELD or name < mine for name, state in found.items()):
            write(FREE)
            return False
        # It gives way, or it read before this one wrote and holds: in a moment it is known.
        time.sleep(CHOOSING_POLL_SECONDS)
    write(HELD)
    return True


@dataclass(eq=False)
class Leases:
    """What this driver, by its ``driver_id``, has in training, and what others have.

    ``key`` is equal for candidates whose trainings would be equal.
    """

    ledger: TrialStore
    driver: str = "main"
    key: Callable[[Candidate], Hashable] = lambda candidate: str(candidate.to_dict())
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._mine: PlainData = {}
        self._lock = threading.Lock()

    def left_behind(self) -> list[Candidate]:
        """What an earlier run of this driver had in training, in its order."""
        noted = self.ledger.noted(PREFIX + self.driver) or {}
        return [Candidate.from_dict(data) for data in noted.get("batch", [])]

    def of_others(self) -> list[Candidate]:
        """What other drivers have in training now."""
        return [Candidate.from_dict(data) for claim in self._others().values() for data in claim["batch"]]

    def take(self, batch: Sequence[Candidate]) -> bool:
        """Claim a batch; false where another driver claims some of it at this moment: look again, choose anew."""
        return self._agree([candidate.to_dict() for candidate in batch], "", {self.key(one) for one in batch})

    def take_final_check(self, stop_asked: Callable[[], bool]) -> bool:
        """Claim the final check, which one driver does; waits for others to end theirs; false where told to stop."""
        while not stop_asked():
            if not any(claim["batch"] or claim.get("what") for claim in self._others().values()) and self._agree(
                [], FINAL_CHECK, {FINAL_CHECK}
            ):
                return True
            time.sleep(10 * CHOOSING_POLL_SECONDS)
        return False

    def agreed(self, key: str, value: Any) -> Any:
        """What all drivers of the study go by under ``key``: what is noted, else ``value``, which is noted then.

        Two drivers that start at the same moment find nothing noted, both; one of them notes its value at a time.
        """
        if (noted := self.ledger.noted(key)) is not None:
            return noted
        left = self.left_behind()
        while not self._agree([], key, {key}):
            time.sleep(CHOOSING_POLL_SECONDS)
        if (noted := self.ledger.noted(key)) is None:
            self.ledger.note(key, value)
        self.release(left)
        return value if noted is None else noted

    def release(self, unfinished: Sequence[Candidate] = ()) -> None:
        """Nothing is in training any more; what is unfinished waits for the same command."""
        self._write(FREE, [candidate.to_dict() for candidate in unfinished])

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Say inside, from time to time, that this driver lives."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT):
                with suppress(AutoactError):  # the search itself meets it, too, and says it
                    self.beat()

        thread = threading.Thread(target=beat, name="autoact-claims", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def beat(self) -> None:
        """Say that this driver lives, where it holds anything."""
        with self._lock:
            if self._mine.get("state") in (CHOOSING, HELD):
                self._note()

    def _others(self) -> dict[str, PlainData]:
        return {
            driver: claim
            for driver, claim in self.ledger.noted_under(PREFIX).items()
            if driver != self.driver and claim["state"] != FREE and self.clock() - claim["time"] <= LAPSE
        }

    def _agree(self, batch: list[PlainData], what: str, wanted: Collection[Hashable]) -> bool:
        """Write down what is wanted, read what others want, and hold it or give way."""

        def write(state: str) -> None:
            self._write(state, *(([], "") if state == FREE else (batch, what)))

        def rivals() -> dict[str, str]:
            return {d: claim["state"] for d, claim in self._others().items() if self._wanted(claim) & set(wanted)}

        return agree(self.driver, write, rivals)

    def _wanted(self, claim: Mapping[str, Any]) -> set[Hashable]:
        keys: set[Hashable] = {self.key(Candidate.from_dict(data)) for data in claim["batch"]}
        return keys | ({claim["what"]} if claim.get("what") else set())

    def _write(self, state: str, batch: list[PlainData], what: str = "") -> None:
        with self._lock:
            self._mine = {"state": state, "batch": batch, "what": what}
            self._note()

    def _note(self) -> None:
        self.ledger.note(PREFIX + self.driver, {**self._mine, "time": self.clock()})


def living(folder: Path) -> bool:
    """Whether a driver works in a study's folder: it holds its lock for as long as its process lives.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name, driver_id(Path(name)):
        ...     print(living(Path(name)))
        True
    """
    from filelock import FileLock, Timeout

    for file in folder.glob(LOCK.format("*")):
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):  # it is held, or somebody else's, so that nothing is known of it
            return True
        lock.release()
    return False


@contextmanager
def driver_id(folder: Path) -> Iterator[str]:
    """An id that no other living driver has, and that the same command gets again.

    It is made of the machine and the study's folder; a lock on a file there tells a second command in the same folder
    from the first one that was killed.
    """
    from filelock import FileLock, Timeout

    home = digest([socket.gethostname(), str(folder.resolve())])
    slot = 1
    while True:
        lock = FileLock(folder / LOCK.format(slot))
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            slot += 1
    try:
        yield home if slot == 1 else f"{home}-{slot}"
    finally:
        lock.release()
