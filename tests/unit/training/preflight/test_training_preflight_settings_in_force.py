"""What is set and is not in force is found in a few steps, before anything is searched."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch.optim.lr_scheduler import LambdaLR

from autoact.core.assignment import Assignment
from autoact.training.preflight.settings_in_force import dropout_acts, settings_in_force, untrained_weights
from autoact.training.state.random_state import random_state, same_random_state

CPU = torch.device("cpu")
CONFIGURED = {"learning_rate": 0.01, "weight_decay": 0.1}
OTHER = {"learning_rate": 0.001, "weight_decay": 0.5}


def write(trainer: Any, key: str, value: float) -> None:
    for group in trainer.optimizers[0].param_groups:
        group[key] = value


class InCallback(Callback):
    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        write(trainer, "lr", 0.01 * (trainer.global_step + 1))


class AtEpoch(Callback):
    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        write(trainer, "weight_decay", 0.3)


def in_step(self: Any, epoch: int, index: int, optimizer: Any, closure: Any = None) -> None:
    write(self.trainer, "lr", 0.01 * min(1.0, (index + 1) / 4))
    optimizer.step(closure=closure)


def in_training_step(self: Any, batch: Any, batch_idx: int) -> Any:
    write(self.trainer, "lr", 0.02)
    return torch.nn.functional.mse_loss(self(batch[0])[:, 0], batch[1])


def scaled_by_hand(self: Any, epoch: int, index: int, optimizer: Any, closure: Any = None) -> None:
    for group in optimizer.param_groups:  # by what is set: in force
        group.setdefault("mine", group["lr"])
        group["lr"] = group["mine"] * min(1.0, (index + 1) / 4)
    optimizer.step(closure=closure)


def with_schedule(self: Any) -> Any:
    optimizer = torch.optim.AdamW(self.parameters(), 0.01, weight_decay=0.1)
    schedule = LambdaLR(optimizer, lambda step: min(1.0, step / 3))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def plain(self: Any) -> Any:
    return torch.optim.AdamW(self.parameters(), 0.01, weight_decay=0.1)


RATE = {"learning_rate"}


@pytest.mark.parametrize(
    ("attributes", "callbacks", "lost"),
    [
        ({}, [], set()),
        ({"configure_optimizers": with_schedule}, [], set()),
        ({"optimizer_step": scaled_by_hand}, [], set()),
        ({"optimizer_step": in_step}, [], RATE),
        ({"training_step": in_training_step}, [], RATE),
        ({}, [InCallback], RATE),
        ({}, [AtEpoch], {"weight_decay"}),
        ({}, [InCallback, AtEpoch], RATE | {"weight_decay"}),
    ],
)
def test_what_is_overwritten_is_found(tiny, net, attributes, callbacks, lost):
    module = type("Mine", (net,), {"configure_optimizers": plain, **attributes})
    before = random_state()
    found = settings_in_force(tiny(module, make_callbacks=lambda: [c() for c in callbacks]), CPU, CONFIGURED, OTHER)
    assert set(found) == lost
    assert same_random_state(before, random_state())


def test_what_was_seen_is_told(tiny, net):
    module = type("Mine", (net,), {"configure_optimizers": plain, "optimizer_step": in_step})
    found = settings_in_force(tiny(module), CPU, CONFIGURED, OTHER)
    assert found == {"learning_rate": "0.0025 where 0.00025 was set"}


def anneal(self: Any) -> None:
    self.dropout.p = 0.5 / (1 + self.current_epoch)


def scaled(self: Any) -> None:
    self.dropout.p *= 0.5


def built_anew(self: Any, stage: str) -> None:
    self.dropout = torch.nn.Dropout(0.1)


@pytest.mark.parametrize(
    ("attributes", "configured", "lost"),
    [
        ({}, 0.1, {}),
        ({}, 0.0, {}),
        ({"on_train_epoch_start": scaled}, 0.1, {}),
        ({"on_train_epoch_start": anneal}, 0.1, {"dropout": "0.5 where 0.3 was set"}),
        ({"setup": built_anew}, 0.1, {"dropout": "0.1 where 0.3 was set"}),
    ],
    ids=["in force", "none configured", "scaled", "annealed", "built anew"],
)
def test_a_dropout_that_is_overwritten_is_found(tiny, net, attributes, configured, lost):
    module = type("Mine", (net,), {"configure_optimizers": plain, **attributes})
    task = tiny(lambda: module(dropout=configured))
    assert settings_in_force(task, CPU, {**CONFIGURED, "dropout": configured}, {"dropout": 0.3}) == lost
    if configured:
        assert (
            settings_in_force(task, CPU, {**CONFIGURED, "dropout": configured}, {"dropout": 0.0}).keys() == lost.keys()
        )


def in_evaluation(self: Any) -> None:
    self.dropout.eval()


def uncalled(self: Any, stage: str) -> None:
    self.spare, self.dropout = self.dropout, torch.nn.Identity()


@pytest.mark.parametrize(
    ("attributes", "acts"),
    [({}, True), ({"on_train_epoch_start": in_evaluation}, False), ({"setup": uncalled}, False)],
    ids=["in use", "in evaluation mode", "not called"],
)
def test_a_dropout_that_changes_nothing_is_found(tiny, net, attributes, acts):
    module = type("Mine", (net,), {"configure_optimizers": plain, **attributes})
    before = random_state()
    assert dropout_acts(tiny(lambda: module(dropout=0.1)), CPU, 0.5) is acts
    assert same_random_state(before, random_state())


def test_a_training_that_fails_is_left_to_the_search(tiny, net):
    def broken(self: Any, *_: Any) -> None:
        raise RuntimeError("the user's")

    assert settings_in_force(tiny(type("Mine", (net,), {"training_step": broken})), CPU, CONFIGURED, OTHER) == {}


@pytest.mark.parametrize(
    ("listed", "left"),
    [
        (lambda net: net.parameters(), {}),
        (lambda net: [*net.first.parameters(), *net.act1.parameters(), *net.head.parameters()], {"act2"}),
        (lambda net: [*net.first.parameters(), *net.head.parameters()], {"act1", "act2"}),
    ],
)
def test_weights_that_no_optimiser_holds(tiny, net, listed, left):
    module = type("Mine", (net,), {"configure_optimizers": lambda self: torch.optim.SGD(listed(self), 0.01)})
    found = untrained_weights(tiny(module), CPU, Assignment({"act1": "prelu", "act2": "swish_beta"}))
    assert set(found) == set(left)
    assert all(name.startswith(f"{site}.") for site, names in found.items() for name in names)
