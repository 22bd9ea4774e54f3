"""What trials and minutes still allow: how many trials, how large a final check, and how long it will all take.

Minutes bound everything from the command to the last line. A part of them, half at most, is kept back for the final
check; a check that would not fit is made smaller before the search is cut short: fewer finalists and seeds first, then
no first stage. What is decided so is noted, so that an interrupted check goes on as it began.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol

from autoact.core.trial import Role, TrialRecord
from autoact.study.confirmation.shortlist import most_trainings
from autoact.study.forecast import Forecast
from autoact.study.settings import ConfirmSettings, SearchSettings

# A check has at least so many seeds, however short the minutes are, and takes this share of them at most.
FEWEST_SEEDS, MOST_OF_TIME = 3, 0.5
# Of the trainings that a final check may take, so many it does take: finalists are equal or are given up half way.
TYPICAL = 0.5
# The minutes are planned to be used up to ``AIM``; beyond ``LATEST`` no trial goes on; a check that has begun to claim
# ends by itself, and does not begin where it would take more than ``MOST``.
AIM, LATEST, MOST = 0.95, 1.0, 1.05
# Seconds in which finalists are timed, reference models fitted and files written; and without the timing.
CLOSING, WRITING = 3.0, 1.0
# From this share of the minutes on, what is left after the first stage goes back to the search.
WORTH_SEARCHING = 0.08
# Names that are trained where there is no first stage: as configured, tuned, the one challenger, and the baseline with
# the challenger's settings.
DIRECT = 4
# How a check becomes smaller, in so many steps.
SHRINKING_STEPS = 5
# Roles of trials that may hold other activations than the baseline's.
CHALLENGERS = frozenset({Role.UNIFORM, Role.SAMPLED, Role.REFINED, Role.INCLUDED})
AFFORDED, CLAIMED = "afforded", "afforded claim"


class BudgetNotes(Protocol):
    """What a budget asks of a study."""

    @property
    def spent(self) -> int:
        """Trials that count."""

    def noted(self, key: str) -> Any:
        """What ``note`` kept, or None."""

    def note(self, key: str, value: Any) -> None:
        """Keep plain data."""


@dataclass(eq=False)
class Budget:
    """Trials and minutes of one search, over all of its runs.

    This one ``began``, by ``clock``, now unless given; ``confirm`` is the final check that the user wants.
    """

    settings: SearchSettings
    confirm: ConfirmSettings
    forecast: Forecast
    ledger: BudgetNotes
    _: KW_ONLY
    checked: bool
    began: float | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.checked = self.checked and self.confirm.seeds > 0
        self._began = self.clock() if self.began is None else self.began
        self._earlier = float(self.ledger.noted("seconds") or 0.0)
        self._chosen: ConfirmSettings | None = None
        self._trials_began: float | None = None
        # Whether there was no time for any check: what is left of the minutes goes to trials then.
        self.unchecked = False
        self._smaller = smaller_checks(self.confirm)

    @property
    def elapsed(self) -> float:
        """Seconds since this run began."""
        return self.clock() - self._began

    @property
    def spent(self) -> float:
        """Seconds of all runs of the study."""
        return self._earlier + self.elapsed

    @property
    def over(self) -> bool:
        """Whether the minutes are over: what trains now is given up."""
        return self.settings.minutes is not None and self.spent > LATEST * 60 * self.settings.minutes

    def check_begun(self, records: Sequence[TrialRecord]) -> bool:
        """Whether an earlier run began the check of these trials: what it trained is there, whatever time is left."""
        noted = self.ledger.noted(AFFORDED)
        return noted is not None and noted["asked"] == self._asked(records)

    def _asked(self, records: Sequence[TrialRecord]) -> list[int]:
        """What a check is made of: it stays as it was begun while this does."""
        return [len(records), self.confirm.seeds, self.confirm.finalists]

    def trials_left(self, records: Sequence[TrialRecord], others: int, workers: int, *, compared: bool = True) -> float:
        """Trials that the budget still holds beside the ``others`` in training, and that the minutes have time for.

        Where nothing is measured, a trial per worker says what trials take. ``compared``: whether anything was trained
        that the baseline can be compared with.
        """
        left = math.inf
        if self.settings.budget is not None:
            left = self.settings.budget - self.ledger.spent - others
        if self.settings.minutes is not None:
            if self._trials_began is None:
                self._trials_began = self.spent
            room = self.forecast.room(self._until_aim() - self._reserved(records, compared), records)
            if not compared:  # a check of nothing is worth nothing
                room = max(room, self.forecast.room(self._until_aim(), records) / 2)
            if not records:
                room = max(room, 1) if self.forecast.known else workers
            left = min(left, room)
        return left

    def _until_aim(self) -> float:
        """Seconds until the last training should have ended."""
        minutes = self.settings.minutes
        return math.inf if minutes is None else AIM * 60 * minutes - CLOSING - self.spent

    def _reserved(self, records: Sequence[TrialRecord], compared: bool) -> float:
        """Seconds that are kept back for the final check.

        Of the time that trials and check have together, half at most; no more than the smallest check takes as long as
        nothing was compared, and nothing where no check fits.
        """
        if not self.checked:
            return 0.0
        assert self.settings.minutes is not None, "asked where minutes bound the search"
        if self._chosen is not None:
            return self._check_seconds(records, self._chosen)
        began = self.spent if self._trials_began is None else self._trials_began
        most = MOST_OF_TIME * (self._until_aim() + self.spent - began)
        sizes = [] if self.unchecked else [self._check_seconds(records, one) for one in self._smaller]
        if not sizes:
            return 0.0
        smallest = sizes[-1] if sizes[-1] <= MOST_OF_TIME * 60 * self.settings.minutes else 0.0
        return next((seconds for seconds in sizes if seconds <= most), smallest) if compared else smallest

    def affordable(self, records: Sequence[TrialRecord]) -> ConfirmSettings | None:
        """The final check that the minutes have time for; it stays so until trials are added.

        Fewer seeds and finalists than were asked for, where time is short; no finalist at all: no first stage. None:
        there is no time for any.
        """
        if self.settings.minutes is None:
            return self.confirm
        asked, noted = self._asked(records), self.ledger.noted(AFFORDED)
        if noted is None or noted["asked"] != asked:
            found = self._chosen or self._largest_check(records)
            if found is None:
                self.unchecked = True
                return None
            noted = {"asked": asked, "seeds": found.seeds, "finalists": found.finalists}
            self.ledger.note(AFFORDED, noted)
        return self.confirm.smaller(noted["seeds"], noted["finalists"])

    def _largest_check(self, records: Sequence[TrialRecord]) -> ConfirmSettings | None:
        """The largest check that fits into what is left; the smallest one may take a little more."""
        time_left = self._until_aim()
        fits = (one for one in self._smaller if self._check_seconds(records, one) <= time_left)
        found = next(fits, self._smaller[-1])
        return found if self._in_time(self._check_seconds(records, found)) else None

    def _check_seconds(self, records: Sequence[TrialRecord], settings: ConfirmSettings) -> float:
        return self.forecast.check(records, expected_trainings(settings))

    def _in_time(self, seconds: float, closing: float = CLOSING) -> bool:
        """Whether so many more seconds exceed the minutes by nothing that counts."""
        assert self.settings.minutes is not None
        return self.spent + seconds + closing <= MOST * 60 * self.settings.minutes

    def about_check(self, records: Sequence[TrialRecord], settings: ConfirmSettings) -> str:
        """What the final check takes, and what had to be left out of it."""
        left_out = []
        if settings.seeds < self.confirm.seeds:
            left_out.append(f"{settings.seeds} of {self.confirm.seeds} seeds")
        if settings.finalists < self.confirm.finalists:
            left_out.append(f"{settings.finalists or 1} of {self.confirm.finalists} challengers")
        short = f", with {' and '.join(left_out)}: the minutes have no time for more" if left_out else ""
        there = sum(record.complete and record.candidate.role in CHALLENGERS for record in records)
        size = settings.smaller(settings.seeds, min(settings.finalists, there))
        seconds = max(1.0, self.forecast.check(records, expected_trainings(size)))
        return f"Final check: about {seconds:.0f} s{short}."

    # In what follows ``names`` are the different candidates of the claim, ``chosen`` is the check as it was made.

    def search_on(self, records: Sequence[TrialRecord], chosen: ConfirmSettings, names: int) -> bool:
        """Whether the first stage left time for more trials, beside the claim."""
        if self.settings.minutes is None or not chosen.finalists:
            return False
        self._chosen = chosen
        rest = self.forecast.check(records, names * self.confirm.seeds) + self._check_seconds(records, chosen)
        return self._until_aim() - rest > max(WORTH_SEARCHING * 60 * self.settings.minutes, 3 * CLOSING)

    def choose_again(self, records: Sequence[TrialRecord], chosen: ConfirmSettings, names: int) -> bool:
        """Whether there is time to choose once more after the search went on; else the first choice is claimed."""
        claim = self.forecast.check(records, names * min(FEWEST_SEEDS, chosen.seeds))
        return self._until_aim() >= self._check_seconds(records, chosen) / 2 + claim

    def claim_seeds(self, records: Sequence[TrialRecord], chosen: ConfirmSettings, names: int) -> int:
        """Seeds of the claim, by how fast the first stage trained; 0 where not even three end in time."""
        if self.settings.minutes is None:
            return chosen.seeds
        asked = [len(records), self.confirm.seeds, names]
        noted = self.ledger.noted(CLAIMED)
        if noted is None or noted["asked"] != asked:
            fewest = min(FEWEST_SEEDS, self.confirm.seeds)
            each = self.forecast.check(records, names)
            time_left = self._until_aim() + CLOSING - WRITING
            fit = self.confirm.seeds if each <= 0 else int(time_left / each)
            seeds = max(fewest, min(self.confirm.seeds, fit))
            if not self._in_time(each * seeds, WRITING):
                return 0
            noted = {"asked": asked, "seeds": seeds}
            self.ledger.note(CLAIMED, noted)
        return int(noted["seeds"])

    def seconds_left(self, records: Sequence[TrialRecord]) -> float | None:
        """A forecast of the seconds until the search ends; None where nothing is known."""
        bounds = []
        each = self.forecast.per_trial(records)
        if self.settings.budget is not None and each is not None:
            check = self._check_seconds(records, self.confirm) if self.checked else 0.0
            bounds.append(max(0, self.settings.budget - self.ledger.spent) * each + check + CLOSING)
        if self.settings.minutes is not None:
            bounds.append(AIM * self.settings.minutes * 60 - self.spent)
        return max(0.0, min(bounds)) if bounds else None

    def out_of_time(self, records: Sequence[TrialRecord]) -> str:
        """What to do where the minutes were over before the end of the final check."""
        assert self.settings.minutes is not None, "only minutes end"
        # The next run prepares as this one did, before it goes on.
        preparing = self.elapsed if self._trials_began is None else self._trials_began - self._earlier
        wanted = (self.spent + preparing + 2 * self._check_seconds(records, self.confirm) + CLOSING) / 60 / AIM
        minutes = math.ceil(max(wanted, 1.5 * self.settings.minutes))
        when = (
            f"after {len(records)} trials, before the end of the final check" if records else "before the first trial"
        )
        return (
            f"search.minutes={self.settings.minutes:g} were over {when} ({preparing:.0f} s of preparation counted). "
            f"Nothing is lost: the same command with search.minutes={minutes} goes on from here"
        )


def expected_trainings(settings: ConfirmSettings) -> float:
    """Trainings that a final check of these settings is expected to take.

    Example:
        >>> asked = ConfirmSettings(seeds=10, finalists=6)
        >>> expected_trainings(asked), expected_trainings(asked.smaller(seeds=3, finalists=0))
        (140.0, 12.0)
    """
    return TYPICAL * most_trainings(settings) if settings.finalists else float(DIRECT * settings.seeds)


def smaller_checks(settings: ConfirmSettings) -> list[ConfirmSettings]:
    """The check as it is wanted, then ever smaller ones; the last has no first stage.

    Example:
        >>> [(one.seeds, one.finalists) for one in smaller_checks(ConfirmSettings(seeds=10, finalists=6))]
        [(10, 6), (9, 5), (7, 4), (6, 3), (4, 2), (3, 1), (3, 0)]
    """
    fewest = min(FEWEST_SEEDS, settings.seeds)
    sizes = [
        (
            round(settings.seeds - (settings.seeds - fewest) * step / SHRINKING_STEPS),
            round(settings.finalists - (settings.finalists - 1) * step / SHRINKING_STEPS),
        )
        for step in range(SHRINKING_STEPS + 1)
    ]
    every = dict.fromkeys([*sizes, (fewest, 0)])
    return [settings.smaller(seeds, finalists) for seeds, finalists in every]
