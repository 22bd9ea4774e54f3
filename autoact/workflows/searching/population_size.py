"""How large the populations of a search are, and on how many threads they train: given, noted before, or probed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from autoact.core.value_holders import PlainData
from autoact.engines.resources import workers_here
from autoact.engines.settings import EngineSettings
from autoact.study.settings import SearchSettings
from autoact.study.storage.trial_store import TrialStore
from autoact.tasks.task import Task
from autoact.training.lightning_session import SessionOptions
from autoact.training.population import Probed, probe
from autoact.training.population.eligibility import why_not
from autoact.training.population.size_probe import MOST_SECONDS

# Of a deterministic search, whatever the machine: two populations make up a batch.
FIXED_POPULATION, FIXED_THREADS = 8, 1
# Of the minutes of a search, so much may be spent on tries.
SHARE_OF_MINUTES = 0.05
# An epoch takes so many times what its training steps take: validation, logging, batches.
BESIDE_STEPS = 1.3


@dataclass(frozen=True)
class Shape:
    """How candidates are spread.

    Attributes:
        workers: processes that train at a time.
        population: candidates of a batch that train together in each, at most.
        threads: CPU threads of each.
        largest: candidates that train together at most where all of them are known beforehand, as in a final check.
        note: for the user: why candidates train one by one; empty where they do not.
        alone: the reason by itself, which sessions go by.
        seconds_per_epoch: wall-clock seconds of one candidate's epoch while all workers are busy, by steps that were
            timed beforehand; None where none were.
        speed_up: how many times faster candidates train in the largest populations than in those of the search.
    """

    workers: int
    population: int
    threads: int
    largest: int
    note: str = ""
    seconds_per_epoch: float | None = None
    speed_up: float = 1.0
    alone: str = ""

    def text(self) -> str:
        """For people.

        Example:
            >>> print(Shape(2, 8, 1, 16).text())
            8 candidates train together on each of 2 workers (16 in the final check), on 1 thread each
            >>> print(Shape(1, 1, 2, 1).text())
            candidates train one by one on 1 worker, on 2 threads
        """
        many = self.workers > 1
        workers = f"each of {self.workers} workers" if many else "1 worker"
        threads = f"on {self.threads} thread{'s' * (self.threads != 1)}{' each' * many}"
        if max(self.population, self.largest) == 1:
            return f"candidates train one by one on {workers}, {threads}"
        check = f" ({self.largest} in the final check)" if self.largest != self.population else ""
        return f"{self.population} candidates train together on {workers}{check}, {threads}"

    def describe(self, settings: EngineSettings) -> dict[str, str | int | bool]:
        """Plain data for the report."""
        return {
            "name": settings.name,
            "workers": self.workers,
            "population": self.population,
            "threads": self.threads,
            "deterministic": settings.deterministic,
        }


def shape_of(
    task: Task,
    options: SessionOptions,
    engine: EngineSettings,
    search: SearchSettings,
    ledger: TrialStore | None = None,
    say: Callable[[str], None] = lambda what: None,
) -> Shape:
    """The shape of a search.

    In the search a population is no larger than what keeps every worker busy with one batch. A deterministic search
    takes fixed numbers, so that it is the same one on any machine; otherwise a few steps are tried, on a machine where
    nothing trains yet. Whether candidates may share a population at all is decided by the user's code, whatever number
    is given or noted.

    An earlier run of the study has noted its shape in ``ledger``, and this one notes its own.
    """
    workers = workers_here(engine, options.device)
    noted: PlainData = (ledger.noted("shape") if ledger is not None else None) or {}
    population, threads = engine.population or noted.get("population"), search.threads or noted.get("threads")
    largest, note = engine.population or noted.get("largest"), str(noted.get("note", ""))
    alone: str | None = noted.get("alone")
    speed: dict[str, float] = {key: noted[key] for key in ("seconds_per_epoch", "speed_up") if key in noted}
    if engine.deterministic:
        population, threads = population or FIXED_POPULATION, threads or FIXED_THREADS
        largest = population
    elif population is None or threads is None or largest is None:
        say("Trying for a few steps how many candidates train fastest together ...")
        probed = probe(task, options, workers=workers, most_seconds=_most_seconds(search))
        most = math.ceil(search.together / workers)
        population, threads = population or min(probed.population, most), threads or probed.threads
        largest = largest or probed.largest
        alone = probed.reason
        speed = _speed(probed, int(population), int(largest), workers)
        if probed.ended:
            say(f"  {probed.ended}")
    if alone is None:  # numbers were given, or noted by an earlier version
        alone = why_not(task, options) if max(int(population), int(largest)) > 1 else ""
    if alone:
        population = largest = 1
        note = f"candidates train one by one, not together: {alone}"
        if (engine.population or 1) > 1:
            note += f"; engine.population={engine.population} has no effect here"
    if ledger is not None:
        numbers = {"population": population, "threads": threads, "largest": largest}
        ledger.note("shape", {**numbers, "note": note, "alone": alone, **speed})
    return Shape(workers, int(population), int(threads), int(largest), note, alone=alone, **speed)


def _most_seconds(search: SearchSettings) -> float:
    """Seconds that may be spent on tries: a small share of the minutes."""
    return MOST_SECONDS if search.minutes is None else min(MOST_SECONDS, SHARE_OF_MINUTES * 60 * search.minutes)


def _speed(probed: Probed, population: int, largest: int, workers: int) -> dict[str, float]:
    """What the tries tell of the time of an epoch; nothing where nothing was timed."""
    searching, checking = probed.seconds_at(population), probed.seconds_at(largest)
    if searching is None or checking is None or probed.steps is None:
        return {}
    return {
        "seconds_per_epoch": BESIDE_STEPS * searching * probed.steps / workers,
        "speed_up": max(1.0, searching / checking),
    }
