"""A training that pauses and goes on is the training that never paused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim import lr_scheduler as schedulers

from autoact.core.trial import COMPLETE, STOPPED
from autoact.tasks.metrics import Metric
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession


def outcome(session: Any) -> Any:
    """Everything that must not depend on pauses."""
    return [(r.number, r.status, r.quality, r.best_epoch, r.epochs, r.metrics, r.curve) for r in session.records()], {
        number: {key: value.tolist() for key, value in module.state_dict().items()}
        for number, module in session.modules().items()
    }


def straight(task: Any, candidates: Any, **options: Any) -> Any:
    session = LightningSession(task, SessionOptions(**options))
    session.start(candidates)
    session.advance()
    return outcome(session)


def paused(task: Any, candidates: Any, stops: list[int], moving: bool, **options: Any) -> Any:
    """Pauses at each of ``stops``; if ``moving``, goes on in a new session each time."""
    session = LightningSession(task, SessionOptions(**options))
    session.start(candidates)
    finished: list[Any] = []
    for stop in stops:
        session.advance(stop)
        if moving:
            finished += [r for r in session.records() if r.status == COMPLETE]
            checkpoint = pickle.loads(pickle.dumps(session.checkpoint()))
            session = LightningSession(task, SessionOptions(**options))
            torch.manual_seed(stop)  # another process draws other numbers
            session.resume(checkpoint)
    session.advance()
    return outcome(session)


def adam_plateau(net: Any) -> Any:
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    plateau = schedulers.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}


def momentum_cosine(net: Any) -> Any:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    return [optimizer], [{"scheduler": schedulers.CosineAnnealingLR(optimizer, T_max=12), "interval": "step"}]


@pytest.mark.parametrize("moving", [False, True], ids=["same session", "new session"])
@pytest.mark.parametrize("optimiser", [None, adam_plateau, momentum_cosine])
@pytest.mark.parametrize("stops", [[1], [3], [1, 2, 4]])
def test_one_candidate(tiny, candidate, net, optimiser, stops, moving):
    task = tiny(lambda: net(optimiser, dropout=0.2), trainer={"max_epochs": 6})
    one = [(3, candidate("tanh", learning_rate=0.03))]
    assert paused(task, one, stops, moving) == straight(task, one)


@pytest.mark.parametrize("moving", [False, True], ids=["same session", "new session"])
def test_several_candidates(tiny, candidate, net, moving):
    task = tiny(lambda: net(dropout=0.2), trainer={"max_epochs": 4})
    several = [(0, candidate("tanh")), (1, candidate("gelu", seed=1)), (2, candidate("relu", learning_rate=0.1))]
    assert paused(task, several, [1, 3], moving) == straight(task, several)


@pytest.mark.parametrize("stops", [[1], [2], [3], [2, 3], [1, 2, 3, 4]])
@pytest.mark.parametrize("moving", [False, True], ids=["same session", "new session"])
def test_early_stopping_counts_on(tiny, candidate, net, stops, moving):
    values = [5.0, 4.0, 4.5, 4.5, 1.0, 1.0]

    class Scripted(net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", torch.tensor(values[self.current_epoch]))

    task = tiny(Scripted, trainer={"max_epochs": 6})
    expected = straight(task, [(0, candidate())], patience=2)
    assert expected[0][0][4] == 4, "stops after epoch 4"
    # A stop at the very epoch of a pause is a stop: nothing is left to go on with.
    if moving and stops[-1] == 4:
        session = LightningSession(task, SessionOptions(patience=2))
        session.start([(0, candidate())])
        session.advance(4)
        assert session.checkpoint() == {}
        assert outcome(session) == expected
    else:
        assert paused(task, [(0, candidate())], stops, moving, patience=2) == expected


def test_a_users_early_stopping_counts_on(tiny, candidate, net):
    def make() -> list[Any]:
        return [EarlyStopping("val_loss", patience=1, min_delta=10.0)]

    task = tiny(trainer={"max_epochs": 6}, make_callbacks=make)
    one = [(0, candidate())]
    assert straight(task, one)[0][0][4] == 2
    for moving in (False, True):
        assert paused(task, one, [1], moving) == straight(task, one)


def test_a_least_number_of_epochs_does_not_stand_in_the_way_of_a_pause(tiny, candidate):
    task = tiny(trainer={"max_epochs": 5, "min_epochs": 4})
    session = LightningSession(task)
    session.start([(0, candidate())])
    assert session.advance(2)[0].epochs == 2
    session.advance()
    assert outcome(session) == straight(task, [(0, candidate())])


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize(
    "trainer",
    [
        {"val_check_interval": 0.5},
        {"check_val_every_n_epoch": 2},
        {"accumulate_grad_batches": 2},
        {"num_sanity_val_steps": 2},
        {"gradient_clip_val": 0.1},
    ],
    ids=lambda trainer: next(iter(trainer)),
)
def test_other_trainer_arguments(tiny, candidate, net, trainer, stop):
    task = tiny(lambda: net(dropout=0.2), trainer={"max_epochs": 4, **trainer})
    one = [(0, candidate("tanh"))]
    for moving in (False, True):
        assert paused(task, one, [stop], moving) == straight(task, one)


def test_a_metric_of_predictions(tiny, candidate):
    metric = Metric("val_worst", "worst", "min", lambda y, s: float(abs(y - s).max()), ())
    task = tiny(metric=metric, monitor="val_worst", trainer={"max_epochs": 4})
    one = [(0, candidate("tanh"))]
    assert paused(task, one, [2], moving=True) == straight(task, one)


def test_a_resumed_session_knows_at_once_how_far_it_is(tiny, candidate):
    first = LightningSession(tiny(trainer={"max_epochs": 5}))
    first.start([(7, candidate())])
    (before,) = first.advance(3)
    second = LightningSession(tiny(trainer={"max_epochs": 5}))
    second.resume(first.checkpoint())
    assert second.records() == [before]
    assert second.advance(2) == [before], "it is there already"
    assert second.advance(4)[0].epochs == 4


def test_an_untouched_candidate_travels_too(tiny, candidate):
    first = LightningSession(tiny())
    first.start([(7, candidate("tanh"))])
    second = LightningSession(tiny())
    second.resume(first.checkpoint())
    second.advance()
    assert outcome(second) == straight(tiny(), [(7, candidate("tanh"))])


def test_a_paused_record_says_so(tiny, candidate):
    session = LightningSession(tiny())
    session.start([(0, candidate())])
    (record,) = session.advance(2)
    assert (record.status, record.reason, record.epochs) == (STOPPED, "paused", 2)
    assert record.quality == min(epoch["val_loss"] for epoch in record.curve)


def test_the_budget_stays_the_users_after_a_pause(tiny, candidate):
    session = LightningSession(tiny(trainer={"max_epochs": 5}))
    session.start([(0, candidate())])
    session.advance(2)
    assert session.runs[0].budget == 5
    assert session.advance(9)[0].epochs == 5


def test_seconds_add_up_over_pauses(tiny, candidate):
    session = LightningSession(tiny())
    session.start([(0, candidate())])
    first = session.advance(1)[0].seconds
    other = LightningSession(tiny())
    other.resume(copy.deepcopy(session.checkpoint()))
    assert other.advance()[0].seconds > first > 0


class _Versioned(torch.nn.Module):
    """Takes weights by the version that wrote them, as torchvision's MNASNet does."""

    _version = 2

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version") != 2:
            raise ValueError(f"version shall be set to 2 instead of {local_metadata.get('version')}")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


@pytest.mark.parametrize("kind", [LightningSession, PopulationSession])
def test_modules_that_look_at_the_version_of_their_weights(tiny, candidate, net, kind):
    def versioned():
        module = net()
        module.versioned = _Versioned()
        return module

    session = kind(tiny(versioned), SessionOptions())
    session.start([(0, candidate("tanh")), (1, candidate("relu"))][: 1 if kind is LightningSession else 2])
    session.advance(1)
    again = kind(tiny(versioned), SessionOptions())
    again.resume(pickle.loads(pickle.dumps(session.checkpoint())))
    again.advance()
    assert {record.status for record in again.records()} == {COMPLETE}, [record.reason for record in again.records()]
