"""One candidate and several through a Lightning Trainer: results, best epoch, stops, failures."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED, RAISED, STOPPED, Role
from autoact.training.lightning_session import LightningSession, build_module


def weights(module: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Snapshots(Callback):
    """The weights after each epoch."""

    def __init__(self) -> None:
        self.taken: list[dict[str, torch.Tensor]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.taken.append(weights(pl_module))


def test_a_candidate_trains_and_its_record_tells_what_came_of_it(train, tiny, candidate):
    record = train(tiny(), candidate("tanh", "gelu")).record()
    assert (record.status, record.epochs, len(record.curve), record.reason) == (COMPLETE, 3, 3, "")
    losses = [epoch["val_loss"] for epoch in record.curve]
    assert record.quality == min(losses)
    assert record.best_epoch == losses.index(min(losses)) + 1
    assert record.metrics["val_loss"] == record.quality
    assert all(epoch["train_loss"] > 0 for epoch in record.curve)
    assert record.seconds > 0


def test_training_improves_the_loss(train, tiny, candidate):
    record = train(tiny(trainer={"max_epochs": 25}), candidate("tanh", seed=2)).record()
    losses = [epoch["train_loss"] for epoch in record.curve]
    assert losses[-1] < 0.4 * losses[0]


def test_the_assignment_is_what_trains(train, tiny, candidate):
    run = train(tiny(), candidate("tanh", "relu"))
    names = {name: str(module.choice) for name, module in run.module.named_modules() if hasattr(module, "choice")}
    assert names["act1"] == "tanh"
    assert train(tiny(), candidate("tanh")).record().curve != train(tiny(), candidate("relu")).record().curve


def test_the_best_epochs_weights_are_kept(train, scripted, tiny, candidate, net):
    snapshots = Snapshots()
    task = tiny(scripted(net, [3.0, 1.0, 2.0, 1.0]), trainer={"max_epochs": 4}, make_callbacks=lambda: [snapshots])
    run = train(task, candidate())
    record = run.record()
    assert (record.quality, record.best_epoch, record.epochs) == (1.0, 2, 4)  # the earlier one on ties
    assert same(weights(run.module), snapshots.taken[1])
    assert not same(weights(run.module), snapshots.taken[3])


def test_the_best_epoch_follows_the_direction(train, scripted, tiny, candidate, net):
    record = train(tiny(scripted(net, [3.0, 1.0, 2.0]), mode="max"), candidate()).record()
    assert (record.quality, record.best_epoch) == (3.0, 1)


def test_patience_stops_early(train, scripted, tiny, candidate, net):
    task = tiny(scripted(net, [5.0, 4.0, 4.5, 4.5, 1.0, 1.0]), trainer={"max_epochs": 6})
    record = train(task, candidate(), patience=2).record()
    assert (record.epochs, record.quality, record.best_epoch, record.status) == (4, 4.0, 2, COMPLETE)
    assert train(task, candidate()).record().epochs == 6


def test_the_users_own_early_stopping_lives_beside_ours(train, scripted, tiny, candidate, net):
    # Lightning refuses two callbacks of one name.
    values = [5.0, 5.5, 5.5, 5.5, 5.5, 5.5]
    own = {"make_callbacks": lambda: [EarlyStopping("val_loss", mode="min", patience=1)]}
    task = tiny(scripted(net, values), trainer={"max_epochs": 6}, **own)
    assert train(task, candidate(), patience=4).record().epochs == 2
    task = tiny(
        scripted(net, values), trainer={"max_epochs": 6}, make_callbacks=lambda: [EarlyStopping("val_loss", patience=9)]
    )
    assert train(task, candidate(), patience=1).record().epochs == 2


def test_equal_seeds_give_equal_records_and_others_do_not(train, tiny, candidate, net):
    def curve(seed: int) -> Any:
        return train(tiny(lambda: net(dropout=0.3)), candidate("tanh", seed=seed)).record().curve

    assert curve(1) == curve(1)
    assert curve(1) != curve(2)


def test_candidates_in_one_session_train_as_they_do_alone(train, tiny, candidate, net):
    task = tiny(lambda: net(dropout=0.3))
    session = LightningSession(task)
    session.start([(5, candidate("tanh")), (2, candidate("gelu", seed=1))])
    together = session.advance()
    assert [record.number for record in together] == [5, 2]
    assert together[0].curve == train(task, candidate("tanh")).record().curve
    assert together[1].curve == train(task, candidate("gelu", seed=1)).record().curve


@pytest.mark.parametrize(
    ("value", "reason"), [(float("nan"), "val_loss is nan in epoch 2"), (float("inf"), "val_loss is inf in epoch 2")]
)
def test_a_value_that_is_not_finite_fails_its_candidate_alone(scripted, tiny, candidate, net, value, reason):
    class Fails(scripted(net, [1.0, value, 1.0])):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            if str(getattr(self.act1, "choice", "relu")) == "tanh":
                super().validation_step(batch, batch_idx)
            else:
                self.log("val_loss", torch.tensor(7.0))

    session = LightningSession(tiny(Fails))
    session.start([(0, candidate("tanh")), (1, candidate("relu"))])
    failed, other = session.advance()
    assert (failed.status, failed.reason, failed.quality) == (FAILED, reason, None)
    assert (other.status, other.quality) == (COMPLETE, 7.0)
    assert session.score(session.runs[1].datamodule).keys() == {1}


def test_a_nan_loss_fails_the_candidate(train, tiny, candidate, net):
    class Nan(net):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return super().training_step(batch, batch_idx) * float("nan")

    record = train(tiny(Nan), candidate()).record()
    assert record.status == FAILED
    assert record.reason == "val_loss is nan in epoch 1"


def test_weights_that_are_not_finite_are_never_kept(train, tiny, candidate, net):
    class Counts(net):  # counts right answers, which stays finite where every output is nan
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return super().training_step(batch, batch_idx) * float("nan")

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", (self(batch[0])[:, 0] > 0).float().mean())

    record = train(tiny(Counts), candidate()).record()
    assert (record.status, record.reason) == (FAILED, "weights are not finite in epoch 1")


def test_whatever_code_raises_on_nan_is_a_divergence(train, tiny, candidate, net):
    class Raises(net):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return super().training_step(batch, batch_idx) * float("nan")

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            if self(batch[0]).isnan().any():
                raise ValueError("Input contains NaN.\nMore lines")

    record = train(tiny(Raises), candidate()).record()
    assert record.status == FAILED
    assert re.fullmatch(
        r"weights are not finite, then ValueError: Input contains NaN \(test_training_session\.py:\d+\)", record.reason
    )


def test_a_bug_of_the_baseline_keeps_its_traceback(train, tiny, candidate, net):
    class Bug(net):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        train(tiny(Bug), replace(candidate(), role=Role.CONFIGURED))


class _Spread:
    """Raises where its second activation gives values below zero, from the epoch ``since`` on."""

    since = 0

    def training_step(self: Any, batch: Any, batch_idx: int) -> torch.Tensor:
        hidden = self.act2(self.second(self.act1(self.first(batch[0]))))
        if self.current_epoch >= self.since:
            torch.distributions.Normal(torch.zeros_like(hidden), hidden + 1e-4, validate_args=True)
        return super().training_step(batch, batch_idx)


def test_what_a_candidate_raises_fails_it_alone_with_site_and_message(train, tiny, candidate, net):
    mine = type("Mine", (_Spread, net), {})
    assert train(tiny(mine), candidate("tanh", "relu")).record().status == COMPLETE
    record = train(tiny(mine), candidate("gelu", "tanh")).record()
    assert record.status == FAILED
    assert record.reason.startswith(f"{RAISED} ValueError: Expected parameter scale")
    assert record.reason.endswith("already with act2=tanh alone")
    later = train(tiny(type("Later", (_Spread, net), {"since": 1})), candidate("gelu", "tanh")).record()
    assert later.status == FAILED and later.epochs == 1 and "alone" not in later.reason


def test_where_the_loader_itself_raises_the_candidate_fails_with_its_message(train, tiny, candidate, rows):
    class Gone(rows):
        asked = 0

        def train_dataloader(self) -> Any:
            Gone.asked += 1
            raise OSError("the share is gone")

    record = train(replace(tiny(), make_datamodule=lambda seed: Gone()), candidate("gelu", "tanh")).record()
    assert record.status == FAILED and record.reason.startswith(f"{RAISED} OSError: the share is gone")
    assert Gone.asked == 2 and "alone" not in record.reason


def test_what_a_candidate_raises_on_the_test_rows_fails_it_alone(tiny, candidate, net, rows):
    class Strict(net):
        strict = False

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            if self.strict:
                raise ValueError("not these rows")
            super().validation_step(batch, batch_idx)

    session = LightningSession(tiny(Strict))
    session.start([(0, candidate()), (1, candidate("tanh"))])
    session.advance()
    session.runs[1].module.strict = True
    assert list(session.score(rows())) == [0]
    assert session.records()[1].reason.startswith(f"on the test rows it {RAISED} ValueError: not these rows")


def test_an_unlogged_monitor_names_the_nearest_names(train, tiny, candidate):
    with pytest.raises(AutoactError, match=r"monitor=val_los was not logged by validation: did you mean val_loss\?"):
        train(tiny(monitor="val_los"), candidate())


def test_no_validation_at_all_is_said(train, tiny, candidate):
    with pytest.raises(AutoactError, match=r"validation never ran.*max_epochs=3"):
        train(tiny(trainer={"check_val_every_n_epoch": 5}), candidate())


def test_callbacks_are_fresh_for_every_training(train, tiny, candidate):
    made: list[Any] = []

    def make() -> list[Any]:
        made.append(Snapshots())
        return [made[-1]]

    task = tiny(make_callbacks=make)
    train(task, candidate())
    train(task, candidate("tanh"))
    assert [len(callback.taken) for callback in made] == [3, 3]


def test_a_users_model_checkpoint_works(train, scripted, tiny, candidate, net, tmp_path):
    def make() -> list[Any]:
        return [ModelCheckpoint(tmp_path, filename="best", monitor="val_loss")]

    run = train(tiny(scripted(net, [2.0, 1.0, 3.0]), make_callbacks=make), candidate())
    saved = torch.load(tmp_path / "best.ckpt", weights_only=False)["state_dict"]
    assert same(saved, weights(run.module))


def test_a_stop_gives_the_training_up_between_batches(train, tiny, candidate):
    batches = []

    def asked() -> bool:
        batches.append(1)
        return len(batches) >= 3

    record = train(tiny(), candidate(), stop_asked=asked).record()
    assert (record.status, record.reason) == (STOPPED, "interrupted by the user")
    assert len(batches) == 3
    assert record.epochs == 0


@pytest.mark.parametrize(
    ("trainer", "validations"),
    [
        ({"val_check_interval": 0.5}, [2, 2, 2, 2]),
        ({"check_val_every_n_epoch": 2}, [0, 1, 0, 1]),
        ({"val_check_interval": 3, "check_val_every_n_epoch": None}, [0, 1, 1, 0]),
    ],
)
def test_validation_at_other_times(train, tiny, candidate, net, trainer, validations):
    seen: list[int] = []

    class Watched(net):
        def on_validation_epoch_end(self) -> None:
            seen.append(self.current_epoch)

    record = train(tiny(Watched, trainer={"max_epochs": 4, **trainer}), candidate("tanh"), patience=50).record()
    assert [seen.count(epoch) for epoch in range(4)] == validations
    assert record.epochs == 4
    # An epoch without validation does not show the values of an earlier one.
    assert ["val_loss" in epoch for epoch in record.curve] == [count > 0 for count in validations]
    assert all("train_loss" in epoch for epoch in record.curve)
    assert validations[record.best_epoch - 1] > 0
    assert record.status == COMPLETE


def test_steps_can_bound_a_training_instead(train, tiny, candidate):
    record = train(tiny(trainer={"max_epochs": -1, "max_steps": 6}), candidate()).record()
    assert (record.status, record.epochs) == (COMPLETE, 3)


def test_a_fresh_module_carries_the_assignment(tiny, candidate):
    module = build_module(tiny(), candidate("tanh", "gelu"), rescale=False)
    assert [str(module.act1.choice), str(module.act2.choice)] == ["tanh", "gelu"]


def test_rescaling_changes_initial_weights_and_can_be_turned_off(tiny, candidate):
    def head(rescale: bool) -> torch.Tensor:
        lightning.seed_everything(0, verbose=False)
        return build_module(tiny(), candidate("relu", "sigmoid"), rescale=rescale).head.weight

    assert not torch.equal(head(True), head(False))
