"""What cannot be set leaves the space, and a line says so."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from autoact.core.errors import AutoactError
from autoact.latency.hardware import HardwareSettings
from autoact.sites import find_sites
from autoact.space.build_space import build_space
from autoact.space.search_space import SearchSpace
from autoact.space.settings import SpaceSettings
from autoact.user_code.lightning_task import lightning_task
from autoact.workflows.searching.restrict_space import narrowed
from autoact.workflows.searching.search_setup import RunSettings, prepare_search

CPU = torch.device("cpu")
CONFIGURED = {"learning_rate": 0.01, "weight_decay": 0.1, "dropout": 0.1}


class Net(lightning.LightningModule):
    """Lists its layers by hand, and warms up by hand."""

    def __init__(self, listed: Callable[[Any], Any] = lambda net: net.parameters(), warm: bool = False) -> None:
        super().__init__()
        self.a, self.act, self.b = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)
        self.listed, self.warm = listed, warm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.act(self.a(x)))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return F.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.listed(self), lr=0.01, weight_decay=0.1)

    def optimizer_step(self, epoch: int, index: int, optimizer: Any, closure: Any = None) -> None:
        if self.warm:
            optimizer.param_groups[0]["lr"] = 0.01
        optimizer.step(closure=closure)


class Copied(Net):
    """Judged by a copy, which no optimiser holds."""

    def __init__(self) -> None:
        super().__init__(lambda net: [*net.a.parameters(), *net.net.parameters()])
        self.net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        self.ema = copy.deepcopy(self.net).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) if self.training else self.ema(x)


class Rows(lightning.LightningDataModule):
    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(torch.ones(12, 3), torch.ones(12, 1)), batch_size=4)

    val_dataloader = train_dataloader


def narrow(make: Callable[[], Any], **settings: Any) -> tuple[SearchSpace, tuple[str, ...]]:
    task = lightning_task(make, Rows(), monitor="val_loss", mode="min")
    settings = {"candidates": ["relu", "prelu", "tanh"], **settings}
    space = build_space(find_sites(make(), task.example_input), SpaceSettings(**settings), CONFIGURED)
    return narrowed(task, space, CPU, "Net")


def test_nothing_is_taken_out_where_all_is_in_force():
    space, notes = narrow(Net)
    assert (space.rate_range is None, space.decays != (), notes, space.notes) == (False, True, (), ())
    assert space.choices_of("act") == ["relu", "prelu", "tanh"]


def test_a_rate_that_the_module_writes_itself():
    space, notes = narrow(lambda: Net(warm=True))
    assert space.rate_range is None
    assert space.decays != ()
    assert len(notes) == 1
    said = "the learning rate is not searched: Net, or a callback, writes its optimiser's learning rates itself (0.01 "
    assert notes[0].startswith(said)


def test_a_dropout_that_the_module_writes_itself():
    class Annealed(Net):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.1)

        def on_train_epoch_start(self) -> None:
            self.drop.p = 0.4 / (1 + self.current_epoch)

    space, notes = narrow(Annealed, dropout=[0.0, 0.3])
    assert space.setting_names == ("learning_rate", "weight_decay")
    assert notes == (
        "the dropout is not searched: Net, or a callback, writes p of its nn.Dropout layers itself (0.4 where 0.3 was "
        "set, after a few steps); leave it as it was built to have the dropout searched",
    )


def test_a_dropout_that_nothing_calls():
    class Spare(Net):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.1)

    space, notes = narrow(Spare, dropout=[0.0, 0.3])
    assert space.setting_names == ("learning_rate", "weight_decay")
    assert len(notes) == 1 and notes[0].startswith("the dropout is not searched: it changes nothing in the first steps")


def test_a_frozen_scale_does_not_keep_a_normalisation_from_being_replaced():
    class Frozen(Net):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4).requires_grad_(False), nn.Linear(4, 4))

    task = lightning_task(Frozen, Rows(), monitor="val_loss", mode="min")
    sites = find_sites(Frozen(), task.example_input, normalisations=True)
    settings = SpaceSettings(candidates=["relu", "tanh"], normalisations=["derf"])
    space, _ = narrowed(task, build_space(sites, settings, CONFIGURED), CPU, "Net")
    assert space.choices_of("a.1") == ["layer_norm", "derf"]
    unlisted = dataclasses.replace(task, make_module=lambda: _without_norm(Frozen()))
    space, _ = narrowed(unlisted, build_space(sites, settings, CONFIGURED), CPU, "Net")
    assert space.choices_of("a.1") == ["layer_norm"]


def _without_norm(net: Any) -> Any:
    net.listed = lambda net: [*net.a[0].parameters(), *net.b.parameters()]
    return net


def by_hand(net: Any) -> Any:
    return [*net.a.parameters(), *net.b.parameters()]


def test_an_activation_that_would_not_learn():
    space, notes = narrow(lambda: Net(by_hand))
    assert notes == ()
    assert space.choices_of("act") == ["relu", "tanh"]
    assert space.notes == (
        "not tried everywhere: prelu at act: learnable activations at act: no optimiser of Net.configure_optimizers "
        "holds their weights, which would never be trained; give it self.parameters(), or a group with that layer, "
        "to have them tried",
    )


@pytest.mark.parametrize("told", ["no optimiser of Net.configure_optimizers", "elu is not tried beside celu"])
def test_a_search_says_once_what_left_its_space(told: str, tmp_path: Path):
    def make() -> Net:
        return Net(by_hand)

    task = lightning_task(make, Rows(), monitor="val_loss", mode="min")
    space = SpaceSettings(candidates=["relu", "celu", "elu", "prelu"])
    settings = RunSettings(space=space, hardware=HardwareSettings(device="cpu"), output=str(tmp_path))
    notes = prepare_search(task, settings).notes
    assert sum(told in note for note in notes) == 1, notes


def in_two_groups(net: Any) -> Any:
    """As minGPT has it: weights of layers that it knows decay, biases do not, and nothing else is expected."""
    decaying = {f"{name}.weight" for name, part in net.named_modules() if isinstance(part, torch.nn.Linear)}
    left = [name for name, _ in net.named_parameters() if name not in decaying and not name.endswith("bias")]
    assert not left, f"parameters {left} were not separated into either set"
    return net.parameters()


def test_activations_that_the_optimizer_refuses():
    space, notes = narrow(lambda: Net(in_two_groups))
    assert notes == ()
    assert space.choices_of("act") == ["relu", "tanh"]
    (note,) = space.notes
    assert note.startswith(
        "not tried everywhere: prelu at act: learnable activations: Net cannot be set up for training with their "
        "weights (parameters ['act.weight'] were not separated into either set "
        "(test_workflows_searching_restrict_space.py:"
    )


def test_a_module_that_cannot_be_set_up_at_all_is_told_where_it_trains():
    def refuse(net: Any) -> Any:
        raise ValueError("never")

    space, _ = narrow(lambda: Net(refuse))
    assert "prelu" in space.choices_of("act")


def test_a_copy_need_not_learn():
    space, _ = narrow(Copied)
    assert [*space.groups.values()] == [("ema.1", "net.1")]
    assert space.choices_of("ema.1") == ["relu", "prelu", "tanh"]


def test_nothing_is_left():
    with pytest.raises(AutoactError, match=r"^nothing is left to search: learnable activations at act"):
        narrow(lambda: Net(by_hand), candidates=["relu", "prelu"], learning_rate=[], weight_decay=[])
