"""A bench: a real space, ledger and search around an engine that invents what trainings would give."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import optuna
import pytest

from autoact.core.assignment import Choice
from autoact.core.trial import COMPLETE, FAILED, STOPPED, Candidate, TrialRecord
from autoact.data.sealed_test import TestSet
from autoact.engines.job import Job, Outcome
from autoact.latency.hardware import HardwareSettings
from autoact.latency.latency_table import BatchTable, Estimate, LatencyTable
from autoact.latency.timer import Timing
from autoact.sites import Site, Sites
from autoact.space.build_space import build_space
from autoact.space.search_space import SearchSpace
from autoact.space.settings import SpaceSettings
from autoact.study import final_check as final_check_module
from autoact.study.callbacks import SearchCallback, SearchInfo
from autoact.study.confirmation.end_to_end_timing import Measured
from autoact.study.execution.predicted_costs import PredictedCosts
from autoact.study.search import Search
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.study.storage.study_identity import identify
from autoact.study.storage.trial_store import TrialStore
from autoact.tasks.objectives import Objective, choose_objectives
from autoact.tasks.task import Task

CONFIGURED = {"learning_rate": 0.01, "weight_decay": 0.01}
Quality = Callable[[Candidate], float]


def draw(*key: Any) -> float:
    """A standard normal number that depends on ``key`` alone."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return random.Random(digest).gauss(0.0, 1.0)


def space_of(
    sites: Mapping[str, str] | None = None, candidates: Sequence[str] = ("relu", "gelu", "tanh"), **settings: Any
) -> SearchSpace:
    """A space over sites ``a`` and ``b`` unless told otherwise."""
    found = Sites([Site(name, Choice.parse(now)) for name, now in (sites or {"a": "relu", "b": "relu"}).items()])
    configured = {**CONFIGURED, "dropout": 0.1}
    return build_space(found, SpaceSettings(candidates=list(candidates), **settings), configured)


class GivenTest(TestSet):
    """Test rows that hand out what they were given."""

    size = None
    fingerprint = ""

    def __init__(self, datamodule: Any = "the test rows", fingerprint: str = "the test rows") -> None:
        super().__init__()
        self._datamodule, self.fingerprint = datamodule, fingerprint

    def _unsealed(self) -> Any:
        return self._datamodule


def task_of(mode: str = "max", **changes: Any) -> Task:
    """A task that nobody can train; its test rows are a word."""
    attributes = {
        "name": "bench",
        "make_module": None,
        "make_datamodule": None,
        "monitor": "val_auc",
        "mode": mode,
        "quality_unit": "AUC" if mode == "max" else "MSE",
        "example_input": None,
        "make_input": None,
        "test": GivenTest(),
        "facts": {"fingerprint": "f00"},
        "identity": {"data": "f00"},
        "trivial": 0.5 if mode == "max" else 2.0,
    }
    return Task(**{**attributes, **changes})


def table_of(space: SearchSpace, extra: Mapping[str, float] | None = None, error_ms: float = 0.01) -> LatencyTable:
    """A latency table by hand: each choice adds ``extra`` ms (at batch 1; tenfold in large batches)."""
    extra = extra or {}

    def at(batch: int, scale: float) -> BatchTable:
        deltas = {
            group: {name: Estimate(scale * extra.get(name, 0.0), error_ms) for name in space.timed_at(group)}
            for group in space.groups
        }
        return BatchTable(batch, Estimate(scale * 1.0, error_ms), scale * 1.2, scale * error_ms, 0.01, deltas)

    return LatencyTable(
        "bench", {"device": "cpu"}, "2026-01-01T00:00:00+00:00", {"latency": at(1, 1.0), "throughput": at(1024, 10.0)}
    )


def known_of(
    space: SearchSpace, extra: Mapping[str, float] | None = None, price: float | None = 1.0, **table: Any
) -> PredictedCosts:
    """Latency and cost from a table made by hand."""
    money = {"price_per_hour": price, "currency": "USD"} if price is not None else {}
    return PredictedCosts(table_of(space, extra, **table), space, HardwareSettings(name="bench", device="cpu", **money))


def record_of(candidate: Candidate, number: int = 0, quality: float | None = 0.8, **values: float) -> TrialRecord:
    """What a training gave; without a quality it failed."""
    if quality is None:
        return TrialRecord(number, candidate, FAILED, reason="val_auc is nan in epoch 1", seconds=1.0)
    return TrialRecord(
        number,
        candidate,
        COMPLETE,
        quality,
        {"quality": quality, **values},
        {"val_auc": quality},
        ({"val_auc": quality},),
        1,
        1,
        1.0,
    )


@dataclass
class Planted:
    """An engine whose trainings give ``quality(candidate)``, and None for a failure, after ``epochs`` epochs.

    Before, a training is worse by ``behind`` per epoch that is missing. ``jobs`` holds what was submitted, ``trained``
    every candidate that the search started, ``chosen`` those of the final check's first stage, ``scored`` those whose
    test value was asked for.
    """

    quality: Quality
    trained: list[Candidate] = field(default_factory=list)
    chosen: list[Candidate] = field(default_factory=list)
    scored: list[Candidate] = field(default_factory=list)
    stop_after: int | None = None
    stopped: bool = False
    test_quality: Quality | None = None
    epochs: int = 1
    behind: float = 0.01
    values: Callable[[Candidate], Mapping[str, float]] = lambda candidate: {}
    replicates: Callable[[Candidate, float], Sequence[float]] = lambda candidate, score: ()
    validated: Callable[[Candidate, float], Sequence[float]] = lambda candidate, score: ()
    details: Callable[[Candidate], Mapping[str, Any]] = lambda candidate: {}
    jobs: list[Job] = field(default_factory=list)
    workers: int = 1
    closed: bool = False
    idle: int = 0

    @property
    def started(self) -> int:
        return len(self.trained) + len(self.chosen) + len(self.scored)

    def submit(self, job: Job) -> Future[Outcome]:
        self.jobs.append(job)
        future: Future[Outcome] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(self.run(job))
        except Exception as error:
            future.set_exception(error)
        return future

    def run(self, job: Job) -> Outcome:
        records, states, scores = [], {}, {}
        members = [(int(n), state["candidate"], state["epochs"]) for n, state in job.states.items()]
        for number, candidate, done in [*members, *((n, c, 0) for n, c in job.candidates)]:
            if self.stop_after is not None and not done and self.started >= self.stop_after:
                self.stopped = True
                records.append(TrialRecord(number, candidate, STOPPED, reason="interrupted by the user"))
                continue
            if not done:
                kept = self.chosen if candidate.role == "choosing" else self.scored if job.test else self.trained
                kept.append(candidate)
            record = self.record(number, candidate, job.to)
            if record.status == STOPPED:
                states[str(number)] = {"candidate": candidate, "epochs": record.epochs}
            if job.test is not None and record.complete:
                scores[number] = (self.test_quality or self.quality)(candidate)
                rows = tuple(self.replicates(candidate, scores[number]))
                record = dataclasses.replace(record, replicates=rows, details=self.details(candidate))
            if job.validate and record.complete:
                rows = tuple(self.validated(candidate, record.quality))
                record = dataclasses.replace(record, replicates=rows, details=self.details(candidate))
            records.append(record)
        return Outcome(tuple(records), states, scores)

    def record(self, number: int, candidate: Candidate, to: int | None) -> TrialRecord:
        final = self.quality(candidate)
        if final is None:
            return record_of(candidate, number, None)
        epochs = min(to or self.epochs, self.epochs)
        curve = tuple({"val_auc": final - self.behind * (self.epochs - e)} for e in range(1, epochs + 1))
        whole = record_of(candidate, number, final, **self.values(candidate))
        if epochs == self.epochs:
            return dataclasses.replace(whole, curve=curve, epochs=epochs, best_epoch=epochs)
        return dataclasses.replace(
            whole,
            status=STOPPED,
            quality=curve[-1]["val_auc"],
            values={},
            curve=curve,
            epochs=epochs,
            reason="paused",
        )

    def ready(self) -> None:
        pass

    def wait_idle(self) -> None:
        self.idle += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.closed = True


@dataclass
class Bench:
    """Everything that a search needs; ``storage`` outlives ledgers, as a database outlives processes."""

    space: SearchSpace = field(default_factory=space_of)
    task: Task = field(default_factory=task_of)
    names: Sequence[str] = ("quality", "latency", "cost")
    settings: SearchSettings = field(default_factory=lambda: SearchSettings(trials=20, tuning=3, refine=0.35))
    extra: Mapping[str, float] = field(default_factory=dict)
    storage: Any = field(default_factory=optuna.storages.InMemoryStorage)
    confirm: ConfirmSettings = field(default_factory=lambda: ConfirmSettings(references=False))
    own: Sequence[Objective] = ()
    margin: float = 0.05
    rungs: tuple[int, ...] = ()
    population: int = 4
    repeatable: bool = False
    driver: str = "main"
    activation_rate: float = 1.0
    initialisation: Mapping[str, str] = field(default_factory=dict)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        unit, mode = self.task.quality_unit, self.task.mode
        return (*choose_objectives(self.names, quality_unit=unit, quality_mode=mode, currency="USD")[0], *self.own)

    @property
    def known(self) -> PredictedCosts:
        return known_of(self.space, self.extra)

    def ledger(self) -> TrialStore:
        training = {"seed": self.settings.seed}
        rate, rules = self.activation_rate, self.initialisation
        identity = identify(self.task, self.space, self.objectives, training, "bench", rate, rules)
        space = self.space.with_costs(self.known.values)
        return TrialStore(self.storage, identity, space, self.objectives, self.settings)

    def search(self, engine: Any, observers: Sequence[SearchCallback] = ()) -> Search:
        ledger = self.ledger()
        return Search(
            task=self.task,
            space=self.space,
            objectives=self.objectives,
            predicted=self.known,
            ledger=ledger,
            engine=engine,
            settings=self.settings,
            confirm=self.confirm,
            margin=self.margin,
            observers=observers,
            info=SearchInfo("bench", ledger.name, "memory", ".", self.objectives, False),
            stop_asked=lambda: getattr(engine, "stopped", False),
            rungs=self.rungs,
            population=self.population,
            repeatable=self.repeatable,
            driver=self.driver,
        )


def plant(
    effect: Mapping[str, float], noise: float = 0.01, sign: float = 1.0, world: int = 0, tunable: float = 0.05
) -> Quality:
    """Quality .7, plus an effect per site that holds an activation, plus noise of seed and candidate.

    The learning rate has its best place at .03; far from it, up to ``tunable`` is lost.
    """

    def of(c: Candidate) -> float:
        assignment = sum(effect.get(str(choice), 0.0) for choice in c.assignment.values())
        rate = tunable * min(1.0, abs(c.settings.get("learning_rate", 0.01) - 0.03) / 0.07)
        shared = noise * draw(world, c.seed)
        return sign * (0.7 + assignment - rate + shared + noise * draw(world, c.seed, c.label()))

    return of


def run(bench: Bench, engine: Any, *observers: SearchCallback) -> Any:
    """The result of a search."""
    return bench.search(engine, observers).run()


def labels(result: Any) -> list[str]:
    """What was tried, in order."""
    every = [record.candidate for record in result.records]
    return [f"{c.assignment.summary()}, {sorted(c.settings.items())}, seed {c.seed}" for c in every]


def timing(ms: float, wobble: float = 0.001) -> Timing:
    """A timing of 15 rounds around ``ms``."""
    rounds = tuple(ms * (1 + wobble * ((-1) ** i)) for i in range(15))
    return Timing(ms, 1.2 * ms, 1.3 * ms, ms * wobble / 4, 150, rounds)


@pytest.fixture
def timed_by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finalists run as fast as the table says."""

    def measure(
        task: Task,
        candidates: Mapping[str, Candidate],
        known: PredictedCosts,
        ensembles: Mapping[str, int] | None = None,
    ) -> dict[str, Measured]:
        found = {}
        for name, candidate in candidates.items():
            values, size = known.values(candidate.assignment), (ensembles or {}).get(name, 1)
            throughput = known.table.predict(candidate.assignment, "throughput").ms
            cost = size * values["cost"] if "cost" in values else None
            found[name] = Measured(timing(size * values["latency"]), timing(size * throughput), cost)
        return found

    monkeypatch.setattr(final_check_module, "measure_finalists", measure)


@dataclass(frozen=True)
class Kit:
    """What tests build with."""

    Bench = Bench
    GivenTest = GivenTest
    Planted = Planted
    space = staticmethod(space_of)
    task = staticmethod(task_of)
    table = staticmethod(table_of)
    known = staticmethod(known_of)
    record = staticmethod(record_of)
    draw = staticmethod(draw)
    timing = staticmethod(timing)
    plant = staticmethod(plant)
    run = staticmethod(run)
    labels = staticmethod(labels)
    configured = CONFIGURED


@pytest.fixture
def kit() -> Kit:
    return Kit()
