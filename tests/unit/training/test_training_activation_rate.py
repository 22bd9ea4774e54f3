"""Weights of activations that were put in have a learning rate of their own, and no decay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim import AdamW, lr_scheduler

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession

RATE = 0.1


def test_an_optimiser_that_takes_no_groups_trains_all_alike(tiny: Any, net: Any, train: Any) -> None:
    prelus = Candidate(Assignment({"act1": "prelu", "act2": "prelu"}))
    own = lambda module: torch.optim.LBFGS(module.parameters(), lr=0.1, max_iter=2)  # noqa: E731
    outcomes = [train(tiny(lambda: net(own)), prelus, activation_rate=rate).record().quality for rate in (1.0, RATE)]
    assert outcomes[0] == outcomes[1]


def decaying(net: Any) -> Any:
    optimizer = AdamW(net.parameters(), lr=0.02, weight_decay=0.2)
    return [optimizer], [lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)]


def grouped(net: Any) -> Any:
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    others = [p for name, p in net.named_parameters() if not name.endswith("bias")]
    return torch.optim.SGD([{"params": others, "weight_decay": 0.1}, {"params": biases, "lr": 0.05}], lr=0.01)


@pytest.mark.parametrize("optimiser", [decaying, grouped])
@pytest.mark.parametrize("seeds", [1, 2])
def test_populations_agree(tiny: Any, net: Any, agree: Any, mixed: Any, optimiser: Any, seeds: int) -> None:
    task = tiny(lambda: net(optimiser))
    together = agree(task, seeds=seeds, activation_rate=RATE)
    plain = PopulationSession(task, SessionOptions())
    plain.start(mixed(seeds))
    plain.advance()
    assert together.reason == ""
    moved = [(n, m.act2.weight) for n, m in together.modules().items() if hasattr(m.act2, "weight")]
    assert moved
    for number, weight in moved:
        assert not torch.allclose(weight, plain.modules()[number].act2.weight, rtol=1e-6)


@pytest.mark.parametrize("optimiser", [decaying, grouped])
@pytest.mark.parametrize("kind", [LightningSession, PopulationSession])
def test_a_training_that_pauses_goes_on(tiny: Any, net: Any, mixed: Any, optimiser: Any, kind: Any) -> None:
    task, outcomes = tiny(lambda: net(optimiser)), []
    for stops in ((), (1, 2)):
        session = kind(task, SessionOptions(activation_rate=RATE))
        session.start(mixed())
        for stop in stops:
            session.advance(stop)
            checkpoint = session.checkpoint()
            session = kind(task, SessionOptions(activation_rate=RATE))
            session.resume(checkpoint)
        records = session.advance()
        assert all(record.complete for record in records), [record.reason for record in records]
        outcomes.append([(r.quality, r.curve) for r in records])
    for one, other in zip(*outcomes, strict=True):
        assert other[0] == pytest.approx(one[0], rel=1e-6)
        assert other[1][-1] == pytest.approx(one[1][-1], rel=1e-6)


class Watch(Callback):
    def __init__(self) -> None:
        self.groups: list[tuple[float, float, int]] = []

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        groups = trainer.optimizers[0].param_groups
        self.groups = [(group["lr"], group["weight_decay"], len(group["params"])) for group in groups]


def test_searched_settings_come_first(tiny: Any, net: Any, candidate: Any) -> None:
    watch = Watch()
    task = tiny(lambda: net(grouped), make_callbacks=lambda: [watch])
    session = LightningSession(task, SessionOptions(activation_rate=RATE))
    session.start([(0, candidate("prelu", "relu", learning_rate=0.03, weight_decay=0.7))])
    session.advance()
    assert watch.groups == [
        (pytest.approx(0.03), 0.7, 3),
        (pytest.approx(0.15), 0.0, 3),
        (pytest.approx(0.003), 0.0, 1),
    ]


class Own(torch.nn.Module):
    """Somebody's Swish, one weight for the site."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.beta * x)


def test_weights_of_ones_own_stay_as_they_are_configured(tiny: Any, net: Any, agree: Any) -> None:
    def module() -> Any:
        made = net(decaying)
        made.act1 = Own()
        return made

    watch = Watch()
    own = "swish_beta(beta=1.5)"
    pairs = [(own, "relu"), (own, "blend_mish"), ("xielu", "coslu"), ("erfact", "poly_relu"), (own, "blend_mish")]
    given = [(n, Candidate(Assignment({"act1": one, "act2": two}))) for n, (one, two) in enumerate(pairs)]
    together = agree(tiny(module), given, activation_rate=RATE)
    assert together.reason == ""
    assert isinstance(together.modules()[1].act1, Own) and together.modules()[1].act1.beta != 1.5
    session = LightningSession(tiny(module, make_callbacks=lambda: [watch]), SessionOptions(activation_rate=RATE))
    session.start(given[1:2])
    session.advance(1)
    assert watch.groups == [(0.02, 0.2, 7), (pytest.approx(0.002), 0.0, 1)]
