"""What shows only while a population trains: candidates go on one by one, or seed by seed, with equal results."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._C._functorch import is_batchedtensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from autoact.core.trial import COMPLETE, FAILED, RAISED, Role
from autoact.training.lightning_session import SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.population.member_group import Members


def loss_of(self: Any, batch: Any) -> torch.Tensor:
    return F.mse_loss(self(batch[0])[:, 0], batch[1])


def item_later(self: Any, batch: Any, batch_idx: int) -> Any:
    loss = loss_of(self, batch)
    return loss if self.current_epoch == 0 else loss * (1 + 0 * loss.item())


def nothing_later(self: Any, batch: Any, batch_idx: int) -> Any:
    return None if batch_idx == 1 else loss_of(self, batch)


def regularises(self: Any, batch: Any, batch_idx: int) -> Any:
    return loss_of(self, batch) + 1e-3 * sum(parameter.abs().sum() for parameter in self.parameters())


class Sign(torch.optim.Optimizer):
    """Steps by the sign of the gradient; three ways in which members would not learn of their steps."""

    def __init__(self, parameters: Any, way: str) -> None:
        super().__init__(parameters, {"lr": 0.01})
        self.way = way

    def step(self, closure: Any = None) -> Any:
        loss = closure() if closure is not None or self.way == "closure" else None
        for parameter in self.param_groups[0]["params"]:
            if parameter.grad is None:
                continue
            with torch.no_grad():
                moved = parameter - self.param_groups[0]["lr"] * parameter.grad.sign()
            if self.way == "replaces":
                parameter.data = moved
            else:
                parameter.data.copy_(moved)
            if self.way == "forgets":
                parameter.grad = None
        return loss


LATE = {
    "item": (
        {"training_step": item_later},
        r"calling \.item\(\) on a Tensor \(test_training_population_population_late\.py:\d+\)",
    ),
    "nothing": ({"training_step": nothing_later}, "returned NoneType without a loss"),
    "parameters": (
        {"training_step": regularises},
        r"reads the parameters .*\(test_training_population_population_late\.py:\d+\)",
    ),
    "replaces": ({"configure_optimizers": lambda self: Sign(self.parameters(), "replaces")}, "Sign.step puts other"),
    "forgets": ({"configure_optimizers": lambda self: Sign(self.parameters(), "forgets")}, "Sign.step puts other"),
    "closure": ({"configure_optimizers": lambda self: Sign(self.parameters(), "closure")}, "not callable"),
}


@pytest.mark.filterwarnings("ignore:.*returned `None`")
@pytest.mark.parametrize("name", LATE)
def test_it_is_said_once_and_they_train_one_by_one(agree, tiny, net, name):
    changed, reason = LATE[name]
    with pytest.warns(UserWarning, match=f"one by one, not together: .*{reason}"):
        session = agree(tiny(type("Mine", (net,), changed)))
    assert session._members == {}
    assert session.options.alone == session.reason
    assert PopulationSession(session.task, session.options).reason == session.reason


def test_an_optimiser_of_the_users_own_that_steps_in_place_is_welcome(agree, tiny, net):
    mine = type("Mine", (net,), {"configure_optimizers": lambda self: Sign(self.parameters(), "in place")})
    assert agree(tiny(mine)).reason == ""


def test_all_parameters_may_be_read_where_no_activation_learns(agree, tiny, net, candidate):
    given = [(n, candidate(*pair)) for n, pair in enumerate([("relu", "tanh"), ("gelu", "relu"), ("tanh", "tanh")])]
    session = agree(tiny(type("Mine", (net,), {"training_step": regularises})), given)
    assert session.reason == ""
    assert session._members != {}


def test_those_that_paused_train_anew(tiny, net, mixed):
    task = tiny(type("Mine", (net,), {"training_step": item_later}))
    session = PopulationSession(task, SessionOptions())
    session.start(mixed())
    session.advance(1)
    with pytest.warns(UserWarning, match="one by one"):
        records = session.advance()
    assert {(record.status, record.epochs) for record in records} == {(COMPLETE, 3)}


def bug(self: Any, batch: Any, batch_idx: int) -> None:
    raise KeyError("a bug")


@pytest.mark.parametrize("where", ["training_step", "validation_step"])
def test_a_bug_of_the_baseline_keeps_its_traceback(tiny, net, mixed, where):
    session = PopulationSession(tiny(type("Mine", (net,), {where: bug})), SessionOptions(population=4))
    session.start([(n, replace(one, role=Role.CONFIGURED) if n == 2 else one) for n, one in mixed()])
    with pytest.raises(KeyError, match="a bug"):
        session.advance()


def spread_of(self: Any, batch: Any) -> torch.Tensor:
    """What a distribution takes for its spread: raises below zero, as ReLU's values never are."""
    hidden = self.act2(self.second(self.act1(self.first(batch[0]))))
    if not is_batchedtensor(hidden) and bool((hidden < 0).any()):
        raise ValueError("spread must be positive")
    return hidden


def spread_in_training(self: Any, batch: Any, batch_idx: int) -> torch.Tensor:
    spread_of(self, batch)
    return loss_of(self, batch)


def spread_in_validation(self: Any, batch: Any, batch_idx: int) -> None:
    spread_of(self, batch)
    self.log("val_loss", loss_of(self, batch))


@pytest.mark.parametrize("name", ["training_step", "validation_step"])
def test_one_candidate_that_raises_fails_alone_and_the_others_stay_together(monkeypatch, tiny, net, candidate, name):
    def losses(self: Any, batch: Any, batch_idx: int) -> Any:
        if any(str(member.candidate.assignment["act2"]) == "tanh" for member in self.active):
            raise ValueError("spread must be positive")
        return plain(self, batch, batch_idx)

    plain = Members.losses
    if name == "training_step":
        monkeypatch.setattr(Members, "losses", losses)
    step = spread_in_training if name == "training_step" else spread_in_validation
    session = PopulationSession(tiny(type("Mine", (net,), {name: step})), SessionOptions(population=4))
    pairs = [("relu", "relu"), ("relu", "tanh"), ("tanh", "relu"), ("gelu", "relu")]
    session.start([(n, candidate(*pair)) for n, pair in enumerate(pairs)])
    records = session.advance()
    assert [record.status for record in records] == [COMPLETE, FAILED, COMPLETE, COMPLETE]
    assert records[1].reason.startswith(f"{RAISED} ValueError: spread must be positive")
    if name == "training_step":
        assert records[1].reason.endswith("already with act2=tanh alone")
    assert session.reason == "" and {0, 2, 3} <= set(session._members)


def drops_late(self: Any, x: torch.Tensor) -> torch.Tensor:
    hidden = F.dropout(self.act1(self.first(x)), 0.3, self.training and self.current_epoch > 0)
    return self.head(self.act2(self.second(hidden)))


def by_python(self: Any, batch: Any, batch_idx: int) -> Any:
    return loss_of(self, batch) * random.random()


def by_numpy(self: Any, batch: Any, batch_idx: int) -> Any:
    return loss_of(self, batch) * np.random.rand()


@pytest.mark.parametrize(
    "changed",
    [{"forward": drops_late}, {"training_step": by_python}, {"training_step": by_numpy}],
    ids=["late dropout", "python", "numpy"],
)
def test_seeds_part_where_random_numbers_belong_to_none(agree, tiny, net, changed):
    session = agree(tiny(type("Mine", (net,), changed)), seeds=2)
    assert session.reason == ""
    assert [len(population.streams) for population in session._populations] == [1, 1]


def noisy(self: Any, batch: Any, batch_idx: int) -> None:
    self.log("val_loss", loss_of(self, (batch[0] + torch.randn_like(batch[0]), batch[1])), batch_size=len(batch[0]))


def test_a_validation_draws_from_its_seed(agree, tiny, net):
    session = agree(tiny(type("Mine", (net,), {"validation_step": noisy})), seeds=2)
    assert [len(population.streams) for population in session._populations] == [2]


class Endless(IterableDataset):
    def __iter__(self) -> Any:
        yield from zip(torch.ones(16, 3), torch.ones(16), strict=True)


LOADERS = {
    "another last batch": lambda self, seed: DataLoader(TensorDataset(self.x[: 16 - seed], self.y[: 16 - seed]), 8),
    "more batches": lambda self, seed: DataLoader(TensorDataset(self.x[: 8 + 8 * seed], self.y[: 8 + 8 * seed]), 8),
    "no length": lambda self, seed: DataLoader(Endless(), 8),
    "names": lambda self, seed: DataLoader([(x, y, f"seed {seed}") for x, y in zip(self.x, self.y, strict=True)], 8),
}


@pytest.mark.parametrize("name", LOADERS)
def test_seeds_part_where_their_batches_differ(agree, tiny, rows, name):
    class Own(rows):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.seed = seed

        def train_dataloader(self) -> Any:
            return LOADERS[name](self, self.seed)

    made = agree(tiny(make_datamodule=Own), seeds=2)
    assert [len(population.streams) for population in made._populations] in ([1, 1], [])


def test_every_seed_is_judged_by_its_own_rows(agree, tiny, rows):
    class Own(rows):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.seed = seed

        def val_dataloader(self) -> Any:
            x, y = self.x[16 : 20 + 6 * self.seed], self.y[16 : 20 + 6 * self.seed]
            return DataLoader(TensorDataset(x, y), 4)

    session = agree(tiny(make_datamodule=Own, trainer={"limit_val_batches": 2}), seeds=2)
    assert [len(population.streams) for population in session._populations] == [2]
