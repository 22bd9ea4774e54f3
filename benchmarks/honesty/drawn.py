"""Searches whose trainings are drawn instead of trained: the real protocol, a thousand times over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import optuna

from autoact.core.assignment import Choice
from autoact.core.trial import COMPLETE, Candidate, TrialRecord
from autoact.data.sealed_test import TestSet
from autoact.engines.engine import Engine
from autoact.engines.job import Job, Outcome
from autoact.latency.hardware import HardwareSettings
from autoact.latency.latency_table import BatchTable, Estimate, LatencyTable
from autoact.latency.timer import Timing
from autoact.sites import Site, Sites
from autoact.space.build_space import build_space
from autoact.space.search_space import SearchSpace
from autoact.space.settings import SpaceSettings
from autoact.study.callbacks import SearchInfo
from autoact.study.confirmation.end_to_end_timing import Measured
from autoact.study.execution.predicted_costs import PredictedCosts
from autoact.study.outcome.result import SearchResult
from autoact.study.search import Search
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.study.storage.study_identity import Identity
from autoact.study.storage.trial_store import TrialStore
from autoact.tasks.objectives import choose_objectives
from autoact.tasks.task import Task

# Labels of the activations at each site: what they stand for is the drawer's affair.
LABELS = ("relu", "tanh", "gelu", "elu", "silu", "mish")
SITES = ("first", "second")
CLAIM = "claim"


@dataclass(frozen=True)
class Draw:
    """What a training gives.

    Attributes:
        score: the metric on the rows that judge.
        replicates: the metric with one group of these rows left out at a time; empty where rows play no part.
    """

    score: float
    replicates: tuple[float, ...] = ()


class DrawnTest(TestSet):
    """Test rows that nobody reads: their scores are drawn."""

    size = None
    fingerprint = "drawn"

    def _unsealed(self) -> Any:
        return None


class DrawingEngine(Engine):
    """Answers each job with what ``draw(candidate, test)`` gives."""

    workers = 1

    def __init__(self, draw: Callable[[Candidate, bool], Draw]) -> None:
        self._draw = draw

    def submit(self, job: Job) -> Future[Outcome]:
        """Draw every candidate."""
        records, scores = [], {}
        for number, candidate in job.candidates:
            found = self._draw(candidate, job.test is not None)
            if job.test is not None:
                scores[number] = found.score
            records.append(
                TrialRecord(
                    number,
                    candidate,
                    COMPLETE,
                    found.score,
                    {"quality": found.score},
                    {"value": found.score},
                    ({"value": found.score},),
                    1,
                    1,
                    1.0,
                    replicates=found.replicates if job.test is not None or job.validate else (),
                )
            )
        future: Future[Outcome] = Future()
        future.set_result(Outcome(tuple(records), {}, scores))
        return future

    def ready(self) -> None:
        """It always is."""

    def wait_idle(self) -> None:
        """Nothing runs between two submits."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to end."""


def study(
    draw: Callable[[Candidate, bool], Draw],
    *,
    mode: str,
    trials: int,
    seeds: int,
    rows: Mapping[str, int],
    seed: int = 0,
    labels: Sequence[str] = LABELS,
    tuned: bool = False,
) -> SearchResult:
    """One whole search: sampling, refinement, estimates, both stages of the final check, verdict.

    Quality alone is traded: every assignment takes equally long. Training settings are searched where ``tuned``; else
    there are none, so that the tuned baseline is the configured one.
    """
    task = Task(
        name="drawn",
        make_module=_nothing,
        make_datamodule=_nothing,
        monitor="value",
        mode=mode,
        quality_unit="quality",
        example_input=None,
        make_input=_nothing,
        test=DrawnTest(),
        facts={"rows": dict(rows), "fingerprint": "drawn"},
        trivial=0.5 if mode == "max" else 2.0,
    )
    sites = Sites([Site(name, Choice.parse(labels[0])) for name in SITES])
    searched = {} if tuned else {"learning_rate": [], "weight_decay": []}
    settings = SpaceSettings(candidates=list(labels), **searched)
    space = build_space(sites, settings, {"learning_rate": 1e-3, "weight_decay": 1e-2} if tuned else {})
    objectives, _ = choose_objectives(["quality"], quality_unit="quality", quality_mode=mode, currency=None)
    search = SearchSettings(trials=trials, seed=seed)
    known = PredictedCosts(_equal_table(space), space, HardwareSettings(name="drawn", device="cpu"))
    ledger = TrialStore(optuna.storages.InMemoryStorage(), Identity("drawn", "drawn"), space, objectives, search)
    return Search(
        task=task,
        space=space,
        objectives=objectives,
        predicted=known,
        ledger=ledger,
        engine=DrawingEngine(draw),
        settings=search,
        confirm=ConfirmSettings(seeds=seeds, references=False),
        margin=0.05,
        observers=(),
        info=SearchInfo("drawn", "drawn", "memory", ".", objectives, True),
        population=64,
        measure=_equal_times,
    ).run()


def _nothing(*_: Any) -> None:
    """What nobody asks for."""


def _equal_table(space: SearchSpace) -> LatencyTable:
    """Every activation takes equally long."""
    none = {group: {name: Estimate(0.0, 0.01) for name in space.choices_of(group)} for group in space.groups}
    table = BatchTable(1, Estimate(1.0, 0.01), 1.2, 0.01, 0.0, none)
    return LatencyTable("drawn", {"device": "cpu"}, "2026-01-01T00:00:00+00:00", {"latency": table})


def _equal_times(task: Task, candidates: Mapping[str, Candidate], known: PredictedCosts) -> dict[str, Measured]:
    """Finalists take equally long, too."""
    timing = Timing(1.0, 1.2, 1.3, 0.01, 150, (1.0,) * 15)
    return {name: Measured(timing, None, None) for name in candidates}
