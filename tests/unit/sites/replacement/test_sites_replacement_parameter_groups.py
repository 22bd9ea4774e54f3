"""Parameter groups of their own for weights that activations bring along: as the user would have written them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Adagrad, Adam, AdamW, lr_scheduler

from autoact.activations import build
from autoact.core.errors import AutoactError
from autoact.sites import apply_
from autoact.sites.replacement.parameter_groups import no_groups_in, put_activations_apart_

RATE = 0.1


def adapted() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.PReLU(), nn.Linear(4, 1)).double()
    return apply_(model, {"1": "acon_c"}, example_input=torch.zeros(2, 3, dtype=torch.float64))


def parts(model: nn.Sequential, apart: bool) -> list[dict[str, Any]]:
    """Two groups, of which the first holds the activation; with ``apart`` as the user would have written it."""
    own = list(model[1].parameters())
    others = [p for p in model.parameters() if not any(p is one for one in own)]
    first: dict[str, Any] = {"params": [others[0], *own, *others[1:4]], "lr": 0.02, "weight_decay": 0.3}
    groups = [first, {"params": others[4:], "lr": 0.05, "weight_decay": 0.1}]
    if apart:
        first["params"] = others[:4]
        groups.append({"params": own, "lr": 0.02 * RATE, "weight_decay": 0.0})
    return groups


def one_cycle(optimizer: Any, apart: bool) -> Any:
    most = [0.04, 0.1, *([0.04 * RATE] if apart else [])]
    return lr_scheduler.OneCycleLR(optimizer, max_lr=most, total_steps=8, cycle_momentum="betas" in optimizer.defaults)


def cyclic(optimizer: Any, apart: bool) -> Any:
    least, most = [0.01, 0.02, *([0.01 * RATE] * apart)], [0.04, 0.1, *([0.04 * RATE] * apart)]
    return lr_scheduler.CyclicLR(optimizer, least, most, step_size_up=3, cycle_momentum=False)


def lambdas(optimizer: Any, apart: bool) -> Any:
    own = [lambda epoch: 0.9**epoch, lambda epoch: 0.5**epoch]
    return lr_scheduler.LambdaLR(optimizer, [*own, *own[: int(apart)]])


def plateau(optimizer: Any, apart: bool) -> Any:
    least = [0.001, 0.002, *([0.001 * RATE] * apart)]
    return lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, min_lr=least)


def sequential(optimizer: Any, apart: bool) -> Any:
    inner = [lr_scheduler.LinearLR(optimizer, 0.3, total_iters=3), lambdas(optimizer, apart)]
    return lr_scheduler.SequentialLR(optimizer, inner, milestones=[3])


def chained(optimizer: Any, apart: bool) -> Any:
    return lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, 0.8), lambdas(optimizer, apart)])


class Halving(lr_scheduler.LRScheduler):
    """A schedule of the user's own."""

    def get_lr(self) -> Any:
        return [base * 0.5**self.last_epoch for base in self.base_lrs]


SCHEDULES = {
    "none": lambda optimizer, apart: None,
    "cosine": lambda optimizer, apart: lr_scheduler.CosineAnnealingLR(optimizer, T_max=8),
    "restarts": lambda optimizer, apart: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=3),
    "step": lambda optimizer, apart: lr_scheduler.StepLR(optimizer, 2, 0.5),
    "polynomial": lambda optimizer, apart: lr_scheduler.PolynomialLR(optimizer, 8),
    "own": lambda optimizer, apart: Halving(optimizer),
    **{f.__name__: f for f in (one_cycle, cyclic, lambdas, plateau, sequential, chained)},
}


def trained(kind: Any, schedule: Any, apart: bool) -> tuple[dict[str, Any], list[list[float]]]:
    """Weights after eight steps, and the rates of each step; ``apart``: groups as the user would have written them."""
    model = adapted()
    optimizer = kind(parts(model, apart))
    scheduler = schedule(optimizer, apart)
    if not apart:
        put_activations_apart_(model, [optimizer], [scheduler] if scheduler else [], factor=RATE)
    x, rates = torch.linspace(-1, 1, 15, dtype=torch.float64).reshape(5, 3), []
    for _ in range(8):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        rates.append([group["lr"] for group in optimizer.param_groups])
        if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
            scheduler.step(1.0)
        elif scheduler:
            scheduler.step()
    return model.state_dict(), rates


@pytest.mark.parametrize("kind", [Adam, AdamW, Adagrad])
@pytest.mark.parametrize("name", SCHEDULES)
def test_it_is_as_if_the_user_had_written_the_groups(kind: Any, name: str) -> None:
    got, rates = trained(kind, SCHEDULES[name], apart=False)
    want, expected = trained(kind, SCHEDULES[name], apart=True)
    assert rates == [pytest.approx(step, rel=1e-9) for step in expected]
    for key, value in want.items():
        torch.testing.assert_close(got[key], value, rtol=1e-9, atol=1e-9)


def test_only_what_was_put_in_goes_apart() -> None:
    model = adapted()
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    put_activations_apart_(model, [optimizer], [], factor=RATE)
    first, second = optimizer.param_groups
    assert second["param_names"] == ["1.p1", "1.p2", "1.beta"] and "3.weight" in first["param_names"]
    assert (second["lr"], second["weight_decay"], first["weight_decay"]) == (pytest.approx(0.001), 0.0, 0.01)
    assert len(first["params"]) == len(first["param_names"]) == 7


def test_a_group_of_nothing_else_stays_one_group() -> None:
    model = adapted()
    own, others = list(model[1].parameters()), [*model[0].parameters(), *model[4].parameters()]
    optimizer = AdamW([{"params": own, "lr": 0.4}, {"params": others}], lr=0.01)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    put_activations_apart_(model, [optimizer], [scheduler], factor=RATE)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(0.04), 0.01]
    assert scheduler.base_lrs == [pytest.approx(0.04), 0.01]


def test_a_factor_of_one_changes_nothing_and_neither_do_models_without_weights() -> None:
    for model, factor in ((adapted(), 1.0), (nn.Sequential(nn.Linear(1, 1), build("tanh"), nn.PReLU()), RATE)):
        optimizer = AdamW(model.parameters(), lr=0.01)
        put_activations_apart_(model, optimizer, factor=factor)
        assert len(optimizer.param_groups) == 1 and optimizer.param_groups[0]["weight_decay"] == 0.01


def test_an_optimiser_that_takes_no_groups_is_refused() -> None:
    model = adapted()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5)
    with pytest.raises(AutoactError, match="of their own: LBFGS steps all its weights as one"):
        put_activations_apart_(model, optimizer, factor=RATE)
    put_activations_apart_(nn.Linear(1, 1), optimizer, factor=RATE)  # none of it was put in
    assert len(optimizer.param_groups) == 1
    assert no_groups_in(object()) == "object is no torch.optim.Optimizer"
    with pytest.raises(AutoactError, match="factor=0 must be a factor above 0"):
        put_activations_apart_(model, optimizer, factor=0)
