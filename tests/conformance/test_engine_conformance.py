"""What every engine promises, whatever runs its jobs: add one to ``KINDS`` and it has to keep all of it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, as_completed
from pathlib import Path
from typing import Any

import cloudpickle
import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import autoact
from autoact.activations import registry
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED, STOPPED, Candidate, TrialRecord
from autoact.data.sealed_test import TestSet
from autoact.engines import job_queue
from autoact.engines.factory import open_engine
from autoact.engines.job import Job, Outcome, WorkerContext
from autoact.engines.settings import EngineSettings
from autoact.tasks.objectives import Objective
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession

KINDS = ["inline", "processes", "ray"]
EPOCHS = 4
# Seeds that make the data do something of their own.
RAISES, REFUSES, KILLS_ONCE, KILLS_ALWAYS, HOLDS, LOADS = 101, 102, 103, 104, 105, 106
# The modules of tests are not importable in workers; a user's modules are.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Mistake(Exception):  # noqa: N818
    """A bug in the user's code."""


class Net(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[:, 0]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return F.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0]), batch[1]), batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Items(torch.utils.data.TensorDataset):
    """Rows; after 20 of them, in the second epoch, something may happen."""

    def __init__(self, *tensors: torch.Tensor, then: Callable[[], None] | None) -> None:
        super().__init__(*tensors)
        self.then, self.read = then, 0

    def __getitem__(self, index: Any) -> Any:
        self.read += 1
        if self.then is not None and self.read == 20:
            self.then()
        return super().__getitem__(index)


class Rows(lightning.LightningDataModule):
    """16 training rows and 12 others; ``test`` draws other numbers."""

    def __init__(self, test: bool = False, then: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.x = torch.randn(28, 3, generator=torch.Generator().manual_seed(int(test)))
        self.y = torch.sin(self.x.sum(1))
        self.then = then

    def train_dataloader(self) -> Any:
        rows = Items(self.x[:16], self.y[:16], then=self.then)
        return torch.utils.data.DataLoader(rows, batch_size=4, shuffle=True)

    def val_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(self.x[16:], self.y[16:]), batch_size=12)


class LoadedRows(Rows):
    """The same from loaders with processes of their own, which stay for the validation."""

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(super().train_dataloader().dataset, batch_size=4, num_workers=2)

    def val_dataloader(self) -> Any:
        rows = super().val_dataloader().dataset
        return torch.utils.data.DataLoader(rows, batch_size=12, num_workers=1, persistent_workers=True)


def rows_of(folder: Path, seed: int) -> Rows:
    """The data of a seed; some seeds bring trouble."""

    def die() -> None:
        marker = folder / "killed"
        if seed == KILLS_ALWAYS or not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def hold() -> None:
        (folder / "held").touch()
        while not (folder / "released").exists():
            time.sleep(0.01)

    if seed == RAISES:
        raise Mistake("in the user's code", 7)
    if seed == REFUSES:
        raise AutoactError("the user's mistake")
    if seed == LOADS:
        return LoadedRows()
    then = {KILLS_ONCE: die, KILLS_ALWAYS: die, HOLDS: hold}.get(seed)
    return Rows(then=then)


class TestRows(TestSet):
    size = None
    fingerprint = ""

    def _unsealed(self) -> Any:
        return Rows(test=True)


def task_in(folder: Path) -> Task:
    return Task(
        name="engines",
        make_module=Net,
        make_datamodule=lambda seed: rows_of(folder, seed),
        monitor="val_loss",
        mode="min",
        quality_unit="loss",
        example_input=torch.zeros(2, 3),
        make_input=lambda size: torch.zeros(size, 3),
        test=TestRows(),
        trainer={"max_epochs": EPOCHS},
    )


def candidate(name: str = "relu", seed: int = 0, **settings: float) -> Candidate:
    return Candidate(Assignment({"net.1": name}), settings, seed)


def worker_context_in(folder: Path) -> WorkerContext:
    task = task_in(folder)
    objectives = (
        Objective("quality", "loss", "min"),
        Objective("size", "", "min", lambda model: sum(p.square().sum() for p in model.parameters())),
        Objective("process", "", "min", lambda model: os.getpid()),
    )
    return WorkerContext(task, lambda: LightningSession(task), objectives)


THREE = ((11, candidate("tanh")), (4, candidate("gelu", seed=1)), (7, candidate(learning_rate=0.02)))


def timeless(records: Any) -> list[Any]:
    """Records without what a clock says."""
    return [(r.number, r.candidate, r.status, r.quality, r.metrics, r.curve, r.best_epoch, r.epochs) for r in records]


class Bench:
    """One engine of a kind, opened anew after a test that shut it down."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.settings = EngineSettings(name=kind, workers=None if kind == "inline" else 2)
        self._engine: Any = None

    @property
    def engine(self) -> Any:
        if self._engine is None:
            self._engine = open_engine(self.settings, worker_context_in(self.folder), torch.device("cpu"), threads=1)
            self._engine.ready()
        return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.shutdown(cancel_futures=True)
        self._engine = None

    def run(self, *jobs: Job) -> list[Outcome]:
        return [future.result() for future in [self.engine.submit(job) for job in jobs]]


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "ray":
        pytest.importorskip("ray")
    # Short, since sockets lie below it; apart, since Ray notes the last cluster of its folder for others to join.
    folder = Path(tempfile.mkdtemp(prefix="aa"))
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_TMPDIR", str(folder))
    patch.delenv("RAY_ADDRESS", raising=False)
    autoact.register("engine_sine", lambda x: torch.sin(2 * x))
    bench = Bench(request.param, folder)
    yield bench
    bench.close()
    registry.unregister("engine_sine")
    patch.undo()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def remote(bench: Bench) -> Bench:
    if bench.kind == "inline":
        pytest.skip("there are no workers")
    return bench


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> list[TrialRecord]:
    """The three, trained by a plain session."""
    session = LightningSession(task_in(tmp_path_factory.mktemp("straight")))
    session.start(THREE)
    return session.advance()


def test_results_are_those_of_a_plain_session(bench, straight):
    (outcome,) = bench.run(Job(THREE))
    assert timeless(outcome.records) == timeless(straight)
    assert (outcome.states, outcome.scores) == ({}, {})


def test_every_future_gets_its_own_outcome(bench, straight):
    jobs = [Job((one,)) for one in (*THREE, *THREE)]
    outcomes = bench.run(*jobs)
    assert [timeless(outcome.records) for outcome in outcomes] == [timeless([r]) for r in (*straight, *straight)]


def test_futures_are_those_of_the_standard_library(bench):
    futures = {bench.engine.submit(Job((one,))): one[0] for one in THREE}
    found = {futures[future]: future.result().records[0].number for future in as_completed(futures)}
    assert found == {11: 11, 4: 4, 7: 7}


def test_states_split_and_merge(bench, straight):
    paused, other = bench.run(Job(THREE[:2], to=2), Job(THREE[2:], to=2))
    assert {(r.status, r.reason, r.epochs) for r in (*paused.records, *other.records)} == {(STOPPED, "paused", 2)}
    assert list(paused.states) == ["11", "4"]
    merged = Job(states={"4": paused.states["4"], **other.states})
    both, one = bench.run(merged, Job(((1, candidate()),), {"11": paused.states["11"]}))
    by_number = {record.number: record for record in straight}
    assert timeless(both.records) == timeless([by_number[4], by_number[7]])
    assert [record.number for record in one.records] == [11, 1]
    assert timeless(one.records[:1]) == timeless([by_number[11]])


def test_nothing_to_do_is_done(bench):
    (outcome,) = bench.run(Job())
    assert outcome == Outcome((), {}, {})


def test_an_error_arrives_as_itself(bench):
    future = bench.engine.submit(Job(((0, candidate(seed=RAISES)),)))
    with pytest.raises(Mistake) as caught:
        future.result()
    assert caught.value.args == ("in the user's code", 7)
    if bench.kind != "inline":
        assert "in rows_of" in str(caught.value.__cause__)


def test_loaders_may_have_processes_of_their_own(bench):
    first, second = bench.run(Job(((0, candidate(seed=LOADS)), (1, candidate("tanh", seed=LOADS)))), Job(THREE[:1]))
    assert [(r.status, r.epochs) for r in first.records] == [(COMPLETE, EPOCHS)] * 2
    assert second.records[0].status == COMPLETE


def test_a_mistake_of_the_users_stays_one(bench, straight):
    future = bench.engine.submit(Job(((0, candidate(seed=REFUSES)),)))
    with pytest.raises(AutoactError, match=r"^the user's mistake$"):
        future.result()
    assert timeless(bench.run(Job(THREE[:1]))[0].records) == timeless(straight[:1])


def test_one_that_diverges_fails_alone(bench, straight):
    (outcome,) = bench.run(Job((THREE[0], (5, candidate(learning_rate=1e30)), *THREE[1:])))
    assert [record.status for record in outcome.records] == [COMPLETE, FAILED, COMPLETE, COMPLETE]
    assert timeless(r for r in outcome.records if r.number != 5) == timeless(straight)


def test_own_objectives_are_computed_there(bench):
    (outcome,) = bench.run(Job(THREE))
    for record in outcome.records:
        assert record.values.keys() == {"size", "process"}
        assert record.values["size"] > 0
        assert (record.values["process"] == os.getpid()) == (bench.kind == "inline")


def test_scores_on_the_test_rows(bench, straight, tmp_path):
    session = LightningSession(task_in(tmp_path))
    session.start(THREE)
    session.advance()
    (outcome,) = bench.run(Job(THREE, test="the final check"))
    assert outcome.scores == session.score(Rows(test=True))
    assert timeless(outcome.records) == timeless(straight)


def test_registered_activations_travel(bench, tmp_path):
    one = (0, candidate("engine_sine"))
    session = LightningSession(task_in(tmp_path))
    session.start([one])
    (outcome,) = bench.run(Job((one,)))
    assert timeless(outcome.records) == timeless(session.advance())


def test_idle_means_that_nothing_runs(bench):
    futures = [bench.engine.submit(Job((one,))) for one in THREE]
    bench.engine.wait_idle()
    assert all(future.done() for future in futures)


def test_a_worker_that_dies_loses_nothing(remote, straight, tmp_path):
    (remote.folder / "killed").unlink(missing_ok=True)
    killer = (3, candidate("tanh", seed=KILLS_ONCE))
    outcomes = remote.run(Job((killer,)), *(Job((one,)) for one in THREE))
    assert (remote.folder / "killed").exists()
    (tmp_path / "killed").touch()
    session = LightningSession(task_in(tmp_path))
    session.start([killer])
    assert [timeless(outcome.records) for outcome in outcomes] == [
        timeless([record]) for record in (*session.advance(), *straight)
    ]


def test_a_job_that_kills_its_workers_falls_alone(remote, straight, monkeypatch):
    monkeypatch.setattr(job_queue, "RETRIES", 1)
    killer = remote.engine.submit(Job(((12, candidate(seed=KILLS_ALWAYS)), (13, candidate()))))
    outcomes = remote.run(*(Job((one,)) for one in THREE))
    assert [timeless(outcome.records) for outcome in outcomes] == [timeless([record]) for record in straight]
    with pytest.raises(AutoactError, match=r"^a worker died 2 times while it trained .*; .* \("):
        killer.result()


def gone(process: int) -> bool:
    """Whether a process ended, and its parent knows."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def soon(what: Callable[[], bool]) -> bool:
    """Whether it comes true within half a minute."""
    end = time.monotonic() + 30
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


def test_a_shutdown_in_the_middle_leaves_nothing(bench):
    """Stays the last: whatever follows costs a new engine."""
    engine, outcomes = bench.engine, bench.run(*(Job((one,)) for one in (*THREE, *THREE)))
    workers = {int(record.values["process"]) for outcome in outcomes for record in outcome.records} - {os.getpid()}
    held = []
    if bench.kind != "inline":
        (bench.folder / "held").unlink(missing_ok=True)
        held = [engine.submit(Job(((number, candidate(seed=HOLDS)),))) for number in range(4)]
        assert soon((bench.folder / "held").exists)
    bench.close()
    for future in held:
        with pytest.raises(CancelledError):
            future.result()
    assert soon(lambda: all(map(gone, workers)))
    with pytest.raises(RuntimeError, match=r"shut down"):
        engine.submit(Job(THREE))
