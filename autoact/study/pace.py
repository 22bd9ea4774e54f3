"""How fast a search goes: trials per second of wall time, and what that leaves room for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from autoact.core.records import TrialRecord

RECENT = 40


class Pace:
    """Measures trials per second of wall time, with all workers and populations as they are.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._seconds = 0.0
        self._trials = 0

    def begin(self) -> None:
        """A batch starts."""
        self._began = self._clock()

    def arrived(self, count: int) -> None:
        """So many trials came to an end."""
        self._trials += count

    def end(self) -> None:
        """The batch is told."""
        self._seconds, self._began = self._elapsed(), None

    def _elapsed(self) -> float:
        """Seconds of all batches."""
        return self._seconds + (0.0 if self._began is None else self._clock() - self._began)

    def per_trial(self, records: Sequence[TrialRecord]) -> float | None:
        """Seconds of wall time per trial; before anything was measured, what earlier records say; None: nothing."""
        if self._trials:
            return self._elapsed() / self._trials
        recent = [record.seconds for record in records[-RECENT:]]
        return sum(recent) / len(recent) if recent else None

    def check(self, records: Sequence[TrialRecord], trainings: int) -> float:
        """Seconds of wall time of a final check of so many trainings, which all run to their end."""
        recent = records[-RECENT:]
        whole = [record.seconds for record in recent if record.complete]
        each = self.per_trial(records)
        if not whole or each is None:
            return 0.0
        mean = sum(record.seconds for record in recent) / len(recent)
        share = (sum(whole) / len(whole)) / mean if mean > 0 else 1.0
        return each * share * trainings

    def room(self, seconds: float, records: Sequence[TrialRecord]) -> float:
        """Trials that fit into so many seconds; one where nothing is known."""
        each = self.per_trial(records)
        if each is None:
            return 1.0
        return math.inf if each == 0 and seconds >= 0 else math.floor(seconds / each) if each else 0.0
