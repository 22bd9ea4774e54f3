"""How large the populations of a search are, and on how many threads they train: given, noted before, or probed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from autoact.engines.settings import EngineSettings
from autoact.engines.size import workers_here
from autoact.study.ledger import Ledger
from autoact.study.settings import SearchSettings
from autoact.tasks.task import Task
from autoact.training.lightning_session import SessionOptions
from autoact.training.population import probe

# Of a deterministic search, whatever the machine: two populations make up a batch.
FIXED_POPULATION, FIXED_THREADS = 8, 1


@dataclass(frozen=True)
class Shape:
    """How candidates are spread.

    Attributes:
        workers: processes that train at a time.
        population: candidates of a batch that train together in each, at most.
        threads: CPU threads of each.
        largest: candidates that train together at most where all of them are known beforehand, as in a final check.
        note: why candidates train one by one; empty where they do not.
    """

    workers: int
    population: int
    threads: int
    largest: int
    note: str = ""

    def describe(self, settings: EngineSettings) -> dict[str, Any]:
        """Plain data for the report."""
        return {
            "name": settings.name,
            "workers": self.workers,
            "population": self.population,
            "threads": self.threads,
            "deterministic": settings.deterministic,
        }


def shape_of(
    task: Task, options: SessionOptions, engine: EngineSettings, search: SearchSettings, ledger: Ledger | None = None
) -> Shape:
    """The shape of a search.

    In the search a population is no larger than what keeps every worker busy with one batch. A deterministic search
    takes fixed numbers, so that it is the same one on any machine; otherwise a few steps are tried, on a machine where
    nothing trains yet.

    Args:
        task: what is trained.
        options: how.
        engine: what the user fixed.
        search: batch and threads.
        ledger: where an earlier run of the study noted its shape, and this one notes its own.
    """
    workers = workers_here(engine, options.device)
    noted: dict[str, Any] = (ledger.noted("shape") if ledger is not None else None) or {}
    population, threads = engine.population or noted.get("population"), search.threads or noted.get("threads")
    largest, note = engine.population or noted.get("largest"), str(noted.get("note", ""))
    if engine.deterministic:
        population, threads = population or FIXED_POPULATION, threads or FIXED_THREADS
        largest = population
    elif population is None or threads is None or largest is None:
        probed = probe(task, options, workers=workers)
        most = math.ceil(search.together / workers)
        population, threads = population or min(probed.population, most), threads or probed.threads
        largest = largest or probed.largest
        note = f"candidates train one by one, not together: {probed.reason}" if probed.reason else ""
    if ledger is not None:
        ledger.note("shape", {"population": population, "threads": threads, "largest": largest, "note": note})
    return Shape(workers, int(population), int(threads), int(largest), note)
