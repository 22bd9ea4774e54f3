"""How large populations are, and when workers start."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autoact.engines.job import Job
from autoact.engines.settings import EngineSettings
from autoact.study.settings import SearchSettings
from autoact.training.lightning_session import SessionOptions
from autoact.training.population import Probed
from autoact.workflows.searching import lazy_engine, population_size
from autoact.workflows.searching.lazy_engine import LateEngine
from autoact.workflows.searching.population_size import FIXED_POPULATION, FIXED_THREADS, Shape, shape_of


class Notes:
    """The notes of a study."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def noted(self, key: str) -> Any:
        return self.kept.get(key)

    def note(self, key: str, value: Any) -> None:
        self.kept[key] = value


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was probed; every machine likes populations of 16 on 3 threads."""
    calls: list[dict[str, Any]] = []

    def probe(task: Any, options: Any, **given: Any) -> Probed:
        calls.append(given)
        return Probed(16, 3, "", {})

    monkeypatch.setattr(population_size, "probe", probe)
    monkeypatch.setattr(population_size, "why_not", lambda *_: "")
    return calls


def found(
    engine: EngineSettings, notes: Notes | None = None, search: SearchSettings | None = None, task: Any = None
) -> Shape:
    return shape_of(task, SessionOptions(), engine, search or SearchSettings(), notes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("workers", "population"), [(1, 16), (2, 8), (3, 6), (16, 1)])
def test_a_population_leaves_work_for_every_worker(probed, workers, population):
    assert found(EngineSettings(workers=workers)) == Shape(workers, population, 3, largest=16)
    assert [given["workers"] for given in probed] == [workers]


def test_what_was_probed_once_stays(probed):
    notes = Notes()
    first = found(EngineSettings(workers=2), notes)
    assert found(EngineSettings(workers=2), notes) == first
    assert len(probed) == 1


def test_what_is_given_is_taken(probed):
    search = SearchSettings(threads=2)
    assert found(EngineSettings(workers=2, population=5), search=search) == Shape(2, 5, 2, largest=5)
    assert probed == []


def test_a_deterministic_search_depends_on_no_machine(probed):
    notes = Notes()
    for workers in (1, 2, 7):
        made = found(EngineSettings(workers=workers, deterministic=True), notes)
        assert (made.population, made.largest, made.threads) == (FIXED_POPULATION, FIXED_POPULATION, FIXED_THREADS)
    assert probed == []
    noted = {"population": FIXED_POPULATION, "threads": FIXED_THREADS, "largest": FIXED_POPULATION, "note": ""}
    assert notes.kept["shape"] == noted | {"alone": ""}


@pytest.mark.parametrize(
    ("engine", "effect"),
    [
        (EngineSettings(workers=2, deterministic=True), ""),
        (EngineSettings(workers=2, population=4), "; engine.population=4 has no effect here"),
        (EngineSettings(workers=2, population=1), None),
    ],
)
def test_the_code_decides_whatever_number_is_given(probed, monkeypatch, engine, effect):
    monkeypatch.setattr(population_size, "why_not", lambda *_: "the callback Counter watches a single training")
    notes = Notes()
    for earlier in ({}, {"shape": {"population": 8, "threads": 1, "largest": 8, "note": ""}}):
        notes.kept = dict(earlier)  # of a version that did not look
        made = found(engine, notes, SearchSettings(threads=1))
        assert (made.population, made.largest) == (1, 1)
        if effect is not None:
            why = "candidates train one by one, not together: the callback Counter watches a single training"
            assert made.note == why + effect
            assert made.alone == "the callback Counter watches a single training"
            assert notes.kept["shape"]["alone"] == made.alone
    assert probed == []


def test_a_task_that_trains_singly_says_so(monkeypatch):
    monkeypatch.setattr(population_size, "probe", lambda *_, **__: Probed(1, 1, "aten::nonzero does not vmap", {}))
    notes = Notes()
    note = "candidates train one by one, not together: aten::nonzero does not vmap"
    assert found(EngineSettings(workers=2), notes).note == note
    assert found(EngineSettings(workers=2), notes).note == note, "of an earlier run, too"


def test_workers_start_with_the_first_job(monkeypatch):
    opened: list[Any] = []

    class Engine:
        workers = 5

        def submit(self, job: Job) -> Future[Any]:
            return Future()

        def wait_idle(self) -> None:
            opened.append("idle")

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            opened.append(("shutdown", cancel_futures))

    monkeypatch.setattr(lazy_engine, "open_engine", lambda *args, **given: opened.append(given) or Engine())
    settings = EngineSettings(workers=5)
    with LateEngine(settings, SimpleNamespace(), torch.device("cpu"), Shape(5, 1, 2, 1)) as engine:  # type: ignore[arg-type]
        engine.wait_idle()
        assert opened == []
        engine.submit(Job())
        engine.submit(Job())
        engine.wait_idle()
    assert opened == [{"threads": 2}, "idle", ("shutdown", False)]
    with pytest.raises(RuntimeError, match="shut down"):
        engine.submit(Job())


def test_a_search_that_needs_no_training_starts_nothing(monkeypatch):
    monkeypatch.setattr(lazy_engine, "open_engine", lambda *_, **__: pytest.fail("started"))
    with LateEngine(EngineSettings(), SimpleNamespace(), torch.device("cpu"), Shape(2, 1, 1, 1)):  # type: ignore[arg-type]
        pass
