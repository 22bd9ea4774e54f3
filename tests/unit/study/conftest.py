"""A bench: a real space, ledger and search around an engine that invents what trainings would give."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
import pytest

from autoact.core.choice import Choice
from autoact.core.records import COMPLETE, FAILED, STOPPED, Candidate, TrialRecord
from autoact.sites import Site, Sites
from autoact.space.settings import SpaceSettings
from autoact.space.space import SearchSpace, build_space
from autoact.study import search as search_module
from autoact.study.events import Observer, SearchInfo
from autoact.study.finalists import Measured
from autoact.study.identity import identify
from autoact.study.known import Known
from autoact.study.ledger import Ledger
from autoact.study.search import Search
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.tasks.objectives import Objective, select
from autoact.tasks.task import Task
from autoact.timing.clock import Timing
from autoact.timing.settings import HardwareSettings
from autoact.timing.table import BatchTable, Estimate, LatencyTable

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
    return build_space(found, SpaceSettings(candidates=list(candidates), **settings), CONFIGURED)


def task_of(mode: str = "max", **changes: Any) -> Task:
    """A task that nobody can train; ``open_test`` hands out a word."""
    attributes = {
        "name": "bench",
        "make_module": None,
        "make_datamodule": None,
        "monitor": "val_auc",
        "mode": mode,
        "quality_unit": "AUC" if mode == "max" else "MSE",
        "example_input": None,
        "make_input": None,
        "open_test": lambda reason: "the test rows",
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
            group: {name: Estimate(scale * extra.get(name, 0.0), error_ms) for name in space.choices_of(group)}
            for group in space.groups
        }
        return BatchTable(batch, Estimate(scale * 1.0, error_ms), scale * 1.2, scale * error_ms, 0.01, deltas)

    return LatencyTable(
        "bench", {"device": "cpu"}, "2026-01-01T00:00:00+00:00", {"latency": at(1, 1.0), "throughput": at(1024, 10.0)}
    )


def known_of(
    space: SearchSpace, extra: Mapping[str, float] | None = None, price: float | None = 1.0, **table: Any
) -> Known:
    """Latency and cost from a table made by hand."""
    money = {"price_per_hour": price, "currency": "USD"} if price is not None else {}
    return Known(table_of(space, extra, **table), space, HardwareSettings(name="bench", device="cpu", **money))


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
    """An engine whose trainings give ``quality(candidate)``, and None for a failure."""

    quality: Quality
    trained: list[Candidate] = field(default_factory=list)
    scored: list[Candidate] = field(default_factory=list)
    stop_after: int | None = None
    stopped: bool = False
    test_quality: Quality | None = None

    def train(self, batch: Sequence[tuple[int, Candidate]]) -> Iterator[TrialRecord]:
        for number, candidate in batch:
            if self.stop_after is not None and len(self.trained) + len(self.scored) >= self.stop_after:
                self.stopped = True
                yield TrialRecord(number, candidate, STOPPED, reason="interrupted by the user")
                continue
            self.trained.append(candidate)
            yield record_of(candidate, number, self.quality(candidate))

    def score(self, candidate: Candidate, test: Any) -> tuple[TrialRecord, float | None]:
        assert test == "the test rows"
        if self.stop_after is not None and len(self.trained) + len(self.scored) >= self.stop_after:
            self.stopped = True
            return TrialRecord(0, candidate, STOPPED, reason="interrupted by the user"), None
        self.scored.append(candidate)
        quality = self.quality(candidate)
        record = record_of(candidate, 0, quality)
        return record, None if quality is None else (self.test_quality or self.quality)(candidate)


@dataclass
class Bench:
    """Everything that a search needs; ``storage`` outlives ledgers, as a database outlives processes."""

    space: SearchSpace = field(default_factory=space_of)
    task: Task = field(default_factory=task_of)
    names: Sequence[str] = ("quality", "latency", "cost")
    settings: SearchSettings = field(default_factory=lambda: SearchSettings(trials=20, tuning=3))
    extra: Mapping[str, float] = field(default_factory=dict)
    storage: Any = field(default_factory=optuna.storages.InMemoryStorage)
    confirm: ConfirmSettings = field(default_factory=lambda: ConfirmSettings(references=False))
    own: Sequence[Objective] = ()
    margin: float = 0.05

    @property
    def objectives(self) -> tuple[Objective, ...]:
        unit, mode = self.task.quality_unit, self.task.mode
        return (*select(self.names, quality_unit=unit, quality_mode=mode, currency="USD")[0], *self.own)

    @property
    def known(self) -> Known:
        return known_of(self.space, self.extra)

    def ledger(self) -> Ledger:
        identity = identify(self.task, self.space, self.objectives, {"seed": self.settings.seed}, "bench")
        return Ledger(self.storage, identity, self.space, self.objectives, self.settings, self.known.values)

    def search(self, engine: Any, observers: Sequence[Observer] = ()) -> Search:
        ledger = self.ledger()
        return Search(
            task=self.task,
            space=self.space,
            objectives=self.objectives,
            known=self.known,
            ledger=ledger,
            engine=engine,
            settings=self.settings,
            confirm=self.confirm,
            margin=self.margin,
            observers=observers,
            info=SearchInfo("bench", ledger.name, "memory", ".", self.objectives, False),
            stop_asked=lambda: getattr(engine, "stopped", False),
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


def run(bench: Bench, engine: Any, *observers: Observer) -> Any:
    """The result of a search."""
    return bench.search(engine, observers).run()


def labels(result: Any) -> list[str]:
    """What was tried, in order."""
    return [record.candidate.label() for record in result.records]


def timing(ms: float, wobble: float = 0.001) -> Timing:
    """A timing of 15 rounds around ``ms``."""
    rounds = tuple(ms * (1 + wobble * ((-1) ** i)) for i in range(15))
    return Timing(ms, 1.2 * ms, 1.3 * ms, ms * wobble / 4, 150, rounds)


@pytest.fixture
def timed_by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finalists run as fast as the table says."""

    def measure(task: Task, candidates: Mapping[str, Candidate], known: Known) -> dict[str, Measured]:
        found = {}
        for name, candidate in candidates.items():
            values = known.values(candidate.assignment)
            throughput = known.table.predict(candidate.assignment, "throughput").ms
            found[name] = Measured(timing(values["latency"]), timing(throughput), values.get("cost"))
        return found

    monkeypatch.setattr(search_module, "measure_finalists", measure)


@dataclass(frozen=True)
class Kit:
    """What tests build with."""

    Bench = Bench
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
