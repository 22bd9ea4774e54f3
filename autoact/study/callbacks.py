"""What a search tells those who watch it: a progress view, a tracker. They decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoact.core.trial import TrialRecord
from autoact.tasks.objectives import Objective


@dataclass(frozen=True)
class SearchInfo:
    """What is fixed when a search starts.

    Attributes:
        task: the task's name.
        study: the study's name.
        storage: its Optuna storage URL.
        folder: where files are written.
        objectives: what is traded.
        simulated: whether the data are simulated.
        facts: plain data on task, sites, space, hardware, versions.
        budget: trials; None where only minutes bound the search.
        minutes: minutes; None where only trials bound it.
        done: trials that the study holds already.
        reused: how many of them another study gave, which do not count against the budget.
        notes: what the user should know before it starts.
        say: a message with settings named as the user's face names them; as on the command line unless given.
    """

    task: str
    study: str
    storage: str
    folder: str
    objectives: tuple[Objective, ...]
    simulated: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    budget: int | None = None
    minutes: float | None = None
    done: int = 0
    reused: int = 0
    notes: tuple[str, ...] = ()
    say: Callable[[str], str] = field(default=str, repr=False, compare=False)


class SearchCallback:
    """Base of all that watch a search; every method does nothing unless overridden.

    ``preparing`` comes first, and whenever something takes a while. The order of the others: ``search_started``, then
    ``trial_finished`` for each trial, then ``choosing``, ``confirming`` and ``confirmed_one`` after each training of
    the final check's two stages, then ``search_finished``. ``before_timing`` comes between the two stages, ``close``
    last, always. Where minutes bound the search, trials may follow on ``choosing``, which then comes once more.
    """

    def preparing(self, what: str) -> None:
        """A sentence on what is done now, and takes a while."""

    def calibrating(self, done: int, swaps: int) -> None:
        """The latency table grows."""

    def search_started(self, info: SearchInfo) -> None:
        """Everything is known but the results."""

    def trial_finished(self, record: TrialRecord, front: int, seconds_left: float | None) -> None:
        """A trial came to its end; ``front`` counts the trials that no other beats."""

    def before_timing(self) -> None:
        """Latencies are measured next: bring work in the background to rest, within seconds."""

    def choosing(self, trainings: int) -> None:
        """The final check starts: fresh seeds choose among the finalists on validation rows."""

    def confirming(self, trainings: int, foresight: str = "") -> None:
        """Other fresh seeds make the claim: the test part opens; ``foresight`` says what it can tell."""

    def confirmed_one(self, name: str, seed: int, score: float | None) -> None:
        """One training of the final check ended."""

    def search_finished(self, result: Any) -> None:
        """The result, a ``SearchResult``."""

    def close(self, status: str) -> None:
        """The end: ``finished``, ``interrupted`` or ``failed``."""
