"""The one forecast of a search: what trials and the final check will take, from how fast populations train.

Its unit of work is an epoch of one candidate. Trials differ in their epochs (rungs and patience stop many early) and
populations in their size, but the epochs that all workers together train in a second change little. Before anything is
trained, steps that were timed beforehand tell; in the final check, the check's own trainings do.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autoact.core.trial import PRUNED, STOPPABLE, TrialRecord
from autoact.core.value_holders import PlainData

# Records that say how many epochs trainings take: the latest ones; fewer than these say nothing yet.
RECENT, FEWEST = 40, 6
# Batches that say how fast candidates train: planning takes longer the more trials there are.
LATEST = 8
# Of the epochs that a training may take it takes so many, as a guess before any has ended; where rungs stop trials
# early, trials take so many of those.
USED, SHORTENED = 0.6, 0.6
# A training of the final check is scored once more at its end.
SCORING = 1.1


@dataclass(frozen=True)
class Expected:
    """What is known before anything is trained.

    Attributes:
        seconds_per_epoch: wall-clock seconds of one candidate's epoch where all workers are busy; None: unknown.
        epochs: the most epochs of a training; None where only its own callbacks end it.
        speed_up: how many times faster the final check's populations train than those of the search.
    """

    seconds_per_epoch: float | None = None
    epochs: int | None = None
    speed_up: float = 1.0
    rungs: bool = False


@dataclass
class _Meter:
    """Wall-clock seconds and epochs of the parts of one phase, and of the part that is running."""

    clock: Callable[[], float]
    parts: list[tuple[float, int]] = field(default_factory=list)
    began: float | None = None
    epochs: int = 0

    def begin(self) -> None:
        self.began, self.epochs = self.clock(), 0

    def end(self) -> None:
        if self.began is not None and self.epochs:
            self.parts.append((self.clock() - self.began, self.epochs))
        self.began, self.epochs = None, 0

    def seconds_per_epoch(self) -> float | None:
        """By the latest parts; the first one pays for what is started, and counts as long as there is no other."""
        parts = self.parts[1:][-LATEST:] or self.parts
        if not parts and self.began is not None and self.epochs:
            parts = [(self.clock() - self.began, self.epochs)]
        epochs = sum(part for _, part in parts)
        return sum(seconds for seconds, _ in parts) / epochs if epochs else None


class Forecast:
    """Measures how fast trials and the final check train, and says what the rest will take.

    An ``earlier`` run of the study may have measured it, see ``measured``.

    Example:
        >>> now = [0.0]
        >>> forecast = Forecast(Expected(seconds_per_epoch=0.5, epochs=10), clock=lambda: now[0])
        >>> forecast.per_trial([]), forecast.check([], 20)
        (3.0, 66.0)
        >>> forecast.begin()
        >>> now[0] = 8.0
        >>> forecast.trained(80)
        >>> forecast.end()
        >>> round(forecast.per_trial([]), 3)
        0.6
    """

    def __init__(
        self,
        expected: Expected,
        earlier: PlainData | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expected = expected
        self._earlier = (earlier or {}).get("seconds_per_epoch")
        self._trials, self._check = _Meter(clock), _Meter(clock)
        self._running = self._trials

    def begin(self, *, check: bool = False) -> None:
        """A batch of trials is planned and trained; or the final check trains."""
        self._running = self._check if check else self._trials
        self._running.begin()

    def trained(self, epochs: int) -> None:
        """So many epochs of candidates were trained since the last call."""
        self._running.epochs += epochs

    def end(self) -> None:
        """The batch is over, or the part of the check is over."""
        self._running.end()

    def measured(self) -> PlainData:
        """Plain data for a later run of the study."""
        return {"seconds_per_epoch": self._seconds_per_epoch()}

    @property
    def begun(self) -> bool:
        """Whether a batch of trials was trained."""
        return bool(self._trials.parts)

    @property
    def anything(self) -> bool:
        """Whether anything was trained."""
        return any(meter.parts or meter.epochs for meter in (self._trials, self._check))

    @property
    def known(self) -> bool:
        """Whether anything is known of how long training takes."""
        return self._seconds_per_epoch() is not None

    def _seconds_per_epoch(self) -> float | None:
        """Of one candidate in the search: measured, else by an earlier run, else by steps that were timed."""
        for found in (self._trials.seconds_per_epoch(), self._earlier, self._expected.seconds_per_epoch):
            if found is not None:
                return float(found)
        return None

    def per_trial(self, records: Sequence[TrialRecord]) -> float | None:
        """Wall-clock seconds per trial that is still to come; None where nothing is known."""
        each = self._seconds_per_epoch()
        if each is None:
            return None
        stoppable = [r.epochs for r in records if r.candidate.role in STOPPABLE and (r.complete or r.status == PRUNED)]
        if len(stoppable) >= FEWEST:
            return each * statistics.fmean(stoppable[-RECENT:])
        return each * self._whole(records) * (SHORTENED if self._expected.rungs else 1.0)

    def check(self, records: Sequence[TrialRecord], trainings: float) -> float:
        """Wall-clock seconds of so many trainings of a final check, which all run to their end; 0 where unknown."""
        each = self._check.seconds_per_epoch()
        if each is None:
            searched = self._seconds_per_epoch()
            each = None if searched is None else SCORING * searched / max(1.0, self._expected.speed_up)
        return 0.0 if each is None else each * self._whole(records) * trainings

    def _whole(self, records: Sequence[TrialRecord]) -> float:
        """Epochs of a training that nothing but its own patience ends."""
        whole = [record.epochs for record in records if record.complete][-RECENT:]
        if whole:
            return statistics.fmean(whole)
        return max(1.0, USED * self._expected.epochs) if self._expected.epochs else float(FEWEST)

    def room(self, seconds: float, records: Sequence[TrialRecord]) -> float:
        """Trials that fit into so many seconds; infinite where they take none."""
        each = self.per_trial(records)
        if each is None:
            return math.inf if seconds > 0 else 0.0
        if each == 0:
            return math.inf if seconds >= 0 else 0.0
        return math.floor(seconds / each)
