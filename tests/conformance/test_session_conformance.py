"""What every session promises, whatever runs inside it: add a runner to ``SESSIONS`` and it has to keep all of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED, STOPPED, Candidate, TrialRecord
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.session import Session

SESSIONS: dict[str, Callable[[Task, SessionOptions], Session]] = {
    "lightning": LightningSession,
    "population": PopulationSession,
}
EPOCHS = 4


class Net(lightning.LightningModule):
    """Two activations; a learning rate above 1e6 makes its outputs nan."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, 6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[:, 0]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return F.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0]), batch[1]), batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)


class Rows(lightning.LightningDataModule):
    """16 training rows in an order drawn per epoch, 12 others in two batches."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.x = torch.randn(28, 3, generator=draw)
        self.y = torch.sin(self.x.sum(1))

    def train_dataloader(self) -> Any:
        rows = torch.utils.data.TensorDataset(self.x[:16], self.y[:16])
        return torch.utils.data.DataLoader(rows, batch_size=4, shuffle=True)

    def val_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(self.x[16:], self.y[16:]), batch_size=8)


TASK = Task(
    name="conformance",
    make_module=Net,
    make_datamodule=lambda seed: Rows(),
    monitor="val_loss",
    mode="min",
    quality_unit="loss",
    example_input=torch.zeros(2, 3, dtype=torch.float64),
    make_input=lambda size: torch.zeros(size, 3),
    trainer={"max_epochs": EPOCHS},
)


def candidate(name: str = "relu", seed: int = 0, **settings: float) -> Candidate:
    return Candidate(Assignment({"net.1": name, "net.4": "relu"}), settings, seed)


THREE = [(11, candidate("tanh")), (4, candidate("gelu", seed=1)), (7, candidate(learning_rate=0.02, weight_decay=0.1))]
DIVERGES = (5, candidate("relu", learning_rate=1e30))


@pytest.fixture(params=SESSIONS)
def make(request: pytest.FixtureRequest) -> Callable[..., Session]:
    """Makes a session of each kind: ``make(task, **options)``."""
    return lambda task=TASK, **options: SESSIONS[request.param](task, SessionOptions(**options))


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """Sums are ordered differently in company: in float64 that shows in the 16th digit, and 9 are compared."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def rounded(value: Any) -> Any:
    """Every float in plain data to nine digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def timeless(records: list[TrialRecord]) -> list[Any]:
    """Records without what a clock says."""
    found = [(r.number, r.candidate, r.status, r.quality, r.metrics, r.curve, r.best_epoch, r.epochs) for r in records]
    return rounded(found)


def weights(session: Any) -> dict[int, dict[str, list[Any]]]:
    return rounded({n: {k: v.tolist() for k, v in m.state_dict().items()} for n, m in session.modules().items()})


@pytest.fixture
def straight(make: Any) -> Any:
    """A session that trained the three without a pause."""
    session = make()
    session.start(THREE)
    session.advance()
    return session


def test_records_come_in_the_order_of_the_start(straight):
    records = straight.records()
    assert [record.number for record in records] == [11, 4, 7]
    assert [record.candidate for record in records] == [one for _, one in THREE]
    assert {record.status for record in records} == {COMPLETE}


def test_a_record_fits_its_curve(straight):
    for record in straight.records():
        losses = [epoch["val_loss"] for epoch in record.curve]
        assert record.quality == min(losses)
        assert record.best_epoch == losses.index(min(losses)) + 1
        assert record.epochs == len(losses) == EPOCHS
        assert record.metrics["val_loss"] == record.quality


def test_nothing_is_trained_at_the_start(make):
    session = make()
    session.start(THREE)
    assert [(r.status, r.epochs, r.quality) for r in session.records()] == [(STOPPED, 0, None)] * 3


def test_company_changes_nothing(make, straight):
    for one in THREE:
        alone = make()
        alone.start([one])
        assert timeless(alone.advance()) == timeless([r for r in straight.records() if r.number == one[0]])


def test_the_seed_decides(make):
    def curve(seed: int) -> Any:
        session = make()
        session.start([(0, candidate("tanh", seed=seed))])
        return session.advance()[0].curve

    assert curve(3) == curve(3)
    assert curve(3) != curve(4)


@pytest.mark.parametrize("stops", [[1], [2], [3], [1, 2, 3]])
def test_pauses_change_nothing(make, straight, stops):
    session = make()
    session.start(THREE)
    for stop in stops:
        assert [record.epochs for record in session.advance(stop)] == [stop] * 3
    session.advance()
    assert timeless(session.records()) == timeless(straight.records())
    assert weights(session) == weights(straight)


@pytest.mark.parametrize("stop", [0, 2])
def test_a_checkpoint_goes_on_in_another_session(make, straight, stop):
    first = make()
    first.start(THREE)
    if stop:
        first.advance(stop)
    saved = pickle.loads(pickle.dumps(first.checkpoint()))
    torch.rand(7)  # what others draw in between does not matter
    second = make()
    second.resume(saved)
    assert timeless(second.records()) == timeless(first.records())
    second.advance()
    assert timeless(second.records()) == timeless(straight.records())
    assert weights(second) == weights(straight)


def test_what_is_done_is_not_in_the_checkpoint(straight):
    assert straight.checkpoint() == {}


def test_advancing_to_an_epoch_that_is_behind_does_nothing(make):
    session = make()
    session.start(THREE)
    before = timeless(session.advance(3))
    assert timeless(session.advance(2)) == before
    assert timeless(session.advance(3)) == before


def test_one_that_diverges_fails_alone(make, straight):
    session = make()
    session.start([THREE[0], DIVERGES, *THREE[1:]])
    records = session.advance()
    failed = records.pop(1)
    assert (failed.number, failed.status, failed.quality) == (5, FAILED, None)
    assert failed.reason, "it says why"
    assert "\n" not in failed.reason
    assert timeless(records) == timeless(straight.records())
    assert session.checkpoint() == {}
    assert session.score(Rows(seed=1)).keys() == {11, 4, 7}


def test_scores_are_those_of_the_best_weights_on_the_given_rows(straight):
    before, test = weights(straight), Rows(seed=1)
    scores = straight.score(test)
    for number, module in straight.modules().items():
        with torch.no_grad():
            by_hand = F.mse_loss(module.eval()(test.x[16:]), test.y[16:])
        assert scores[number] == pytest.approx(float(by_hand), rel=1e-5)
    assert weights(straight) == before
    assert straight.score(test) == scores


def test_the_kept_weights_are_the_best_epochs(straight):
    scores = straight.score(Rows())  # its validation rows are those of the search
    assert scores == {record.number: pytest.approx(record.quality, rel=1e-5) for record in straight.records()}


def test_what_is_not_complete_has_no_score(make):
    session = make()
    session.start(THREE)
    session.advance(2)
    assert session.score(Rows(seed=1)) == {}


def test_patience_stops_and_counts_on_over_a_pause(make):
    def run(stops: list[int]) -> Any:
        session = make(Task(**{**vars(TASK), "mode": "max"}), patience=1)  # the loss falls: never better again
        session.start([(0, candidate("tanh", seed=3, learning_rate=0.001))])
        for stop in stops:
            session.advance(stop)
        return timeless(session.advance())

    expected = run([])
    assert expected[0][2] == COMPLETE
    assert expected[0][-1] == 2
    for stop in range(1, EPOCHS):
        assert run([stop]) == expected


def test_a_stop_gives_up_what_trains_and_what_waits(make):
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 5

    session = make(stop_asked=stop)
    session.start(THREE)
    records = session.advance()
    assert {record.status for record in records} == {STOPPED}
    assert {record.reason for record in records} == {"interrupted by the user"}
    assert session.score(Rows(seed=1)) == {}


def test_the_tasks_own_things_are_made_anew_for_each(make):
    modules: list[Any] = []

    def make_module() -> Net:
        modules.append(Net())
        return modules[-1]

    session = make(Task(**{**vars(TASK), "make_module": make_module}))
    session.start(THREE)
    assert len({id(module) for module in session.modules().values()}) == 3
    assert len(modules) >= 3


def test_a_wrong_monitor_is_the_users_mistake(make):
    session = make(Task(**{**vars(TASK), "monitor": "val_lose"}))
    session.start(THREE[:1])
    with pytest.raises(AutoactError, match="did you mean val_loss"):
        session.advance()
