"""Learning rate and weight decay in whatever optimisers and schedulers the user configured."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim import lr_scheduler as schedulers

from autoact.training.callbacks import optimizer_settings
from autoact.training.lightning_session import LightningSession


class Watch(Callback):
    """What the optimisers hold at each step."""

    def __init__(self) -> None:
        self.rates: list[list[float]] = []
        self.decays: list[list[float]] = []

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        self.rates.append([float(group["lr"]) for group in groups])
        self.decays.append([group["weight_decay"] for group in groups if "weight_decay" in group])

    def state_dict(self) -> dict[str, Any]:
        """What it keeps is in a checkpoint: a pause goes on, and does not start again."""
        return {"rates": self.rates, "decays": self.decays}


def watched(task_of: Any, candidate: Any, net: Any, optimiser: Any, epochs: int = 4) -> tuple[Watch, Any]:
    """What the optimisers held, and the record, after a training under ``candidate``."""
    watch = Watch()
    trainer = {"max_epochs": epochs}
    task = task_of(lambda: net(optimiser), make_callbacks=lambda: [watch], trainer=trainer)
    session = LightningSession(task)
    session.start([(0, candidate)])
    (record,) = session.advance()
    return watch, record


def sgd(net: Any) -> Any:
    return torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)


def groups(net: Any) -> Any:
    """Biases do not decay, and the head learns ten times faster."""
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    others = [net.first.weight, net.second.weight]
    return torch.optim.AdamW(
        [
            {"params": others, "lr": 0.01, "weight_decay": 0.1},
            {"params": [net.head.weight], "lr": 0.1, "weight_decay": 0.01},
            {"params": biases, "lr": 0.02, "weight_decay": 0.0},
        ]
    )


def test_settings_reach_the_optimiser(tiny, candidate, net):
    watch, _ = watched(tiny, candidate(learning_rate=0.05, weight_decay=0.3), net, sgd)
    assert watch.rates == [[pytest.approx(0.05)]] * 8
    assert watch.decays == [[0.3]] * 8


def test_groups_keep_their_proportions_and_those_without_decay_stay_without(tiny, candidate, net):
    watch, _ = watched(tiny, candidate(learning_rate=0.03, weight_decay=0.5), net, groups)
    assert watch.rates[0] == pytest.approx([0.03, 0.3, 0.06])
    assert watch.decays[0] == [0.5, 0.5, 0.0]


def test_decay_can_be_turned_on_where_none_is_configured(tiny, candidate, net):
    watch, _ = watched(tiny, candidate(weight_decay=0.2), net, lambda net: torch.optim.Adam(net.parameters(), lr=0.01))
    assert watch.decays[0] == [0.2]
    assert watch.rates[0] == [0.01]


def test_decay_can_be_turned_off(tiny, candidate, net):
    watch, _ = watched(tiny, candidate(weight_decay=0.0), net, groups)
    assert watch.decays[0] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("optimiser", [sgd, groups, lambda net: {"optimizer": sgd(net)}])
def test_the_configured_settings_change_nothing(tiny, candidate, net, optimiser):
    configured = optimiser(net())
    configured = configured["optimizer"] if isinstance(configured, dict) else configured
    settings = optimizer_settings([configured])
    plain, untouched = watched(tiny, candidate(), net, optimiser)
    same, record = watched(tiny, candidate(**settings), net, optimiser)
    assert (same.rates, same.decays) == (plain.rates, plain.decays)
    assert record.curve == untouched.curve


def test_what_is_configured_is_read_before_a_schedule_moved_it():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=0.1, weight_decay=0.2)
    assert optimizer_settings([optimizer]) == {"learning_rate": 0.1, "weight_decay": 0.2}
    schedulers.LinearLR(optimizer, start_factor=0.01)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)
    assert optimizer_settings([optimizer])["learning_rate"] == 0.1


def test_an_optimiser_without_weight_decay_has_none():
    bare = torch.optim.LBFGS([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    assert optimizer_settings([bare]) == {"learning_rate": 0.5}


def _sequential(optimizer: Any) -> Any:
    warm = schedulers.LinearLR(optimizer, start_factor=0.1, total_iters=2)
    then = schedulers.CosineAnnealingLR(optimizer, T_max=6, eta_min=1e-3)
    return schedulers.SequentialLR(optimizer, [warm, then], milestones=[2])


def _chained(optimizer: Any) -> Any:
    return schedulers.ChainedScheduler(
        [schedulers.ConstantLR(optimizer, factor=0.5, total_iters=3), schedulers.ExponentialLR(optimizer, gamma=0.9)]
    )


def _cyclic(optimizer: Any) -> Any:
    return schedulers.CyclicLR(optimizer, base_lr=0.01, max_lr=0.05, step_size_up=2, cycle_momentum=False)


SCHEDULES = {
    "one cycle": lambda o: schedulers.OneCycleLR(o, max_lr=0.25, total_steps=9),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, T_max=8, eta_min=2e-3),
    "restarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, T_0=3, eta_min=2e-3),
    "lambda": lambda o: schedulers.LambdaLR(o, lambda step: 1 / (1 + step)),
    "steps": lambda o: schedulers.StepLR(o, step_size=3, gamma=0.1),
    "polynomial": lambda o: schedulers.PolynomialLR(o, total_iters=6),
    "cyclic": _cyclic,
    "warm-up, then cosine": _sequential,
    "chained": _chained,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_scaled_as_a_whole(tiny, candidate, net, name):
    def optimiser(net: Any) -> Any:
        optimizer = sgd(net)
        return [optimizer], [{"scheduler": SCHEDULES[name](optimizer), "interval": "step"}]

    plain, _ = watched(tiny, candidate(), net, optimiser)
    configured = optimizer_settings(optimiser(net())[0])["learning_rate"]
    scaled, _ = watched(tiny, candidate(learning_rate=3 * configured), net, optimiser)
    assert len({round(rate[0], 9) for rate in plain.rates}) > 1, "the schedule moves"
    assert [rate[0] for rate in scaled.rates] == pytest.approx([3 * rate[0] for rate in plain.rates])


def test_a_plateau_schedule_is_scaled_with_its_floor(tiny, candidate, net):
    class Flat(net):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", torch.tensor(1.0))

    def optimiser(net: Any) -> Any:
        optimizer = sgd(net)
        plateau = schedulers.ReduceLROnPlateau(optimizer, factor=0.1, patience=0, min_lr=5e-4)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}

    plain, _ = watched(tiny, candidate(), Flat, optimiser)
    scaled, _ = watched(tiny, candidate(learning_rate=0.03), Flat, optimiser)
    assert [rate[0] for rate in plain.rates][::2] == pytest.approx([1e-2, 1e-2, 1e-3, 5e-4])
    assert [rate[0] for rate in scaled.rates][::2] == pytest.approx([3e-2, 3e-2, 3e-3, 1.5e-3])


def test_one_cycle_sees_the_full_budget_while_pausing(tiny, candidate, net):
    def optimiser(net: Any) -> Any:
        optimizer = sgd(net)
        steps = net.trainer.estimated_stepping_batches
        return [optimizer], [
            {"scheduler": schedulers.OneCycleLR(optimizer, 0.25, total_steps=steps), "interval": "step"}
        ]

    straight, _ = watched(tiny, candidate(learning_rate=0.02), net, optimiser)
    watch = Watch()
    task = tiny(lambda: net(optimiser), make_callbacks=lambda: [watch], trainer={"max_epochs": 4})
    session = LightningSession(task)
    session.start([(0, candidate(learning_rate=0.02))])
    for epoch in (1, 2, None):
        session.advance(epoch)
    assert watch.rates == straight.rates
