"""What steps hand to the model is found by running them up to that call."""

from __future__ import annotations

from typing import Any

import lightning
import torch

from autoact.user_code.step_arguments import given_by_step


class Net(lightning.LightningModule):
    """Counts what runs behind the call of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.behind = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout()), 0

    def forward(self, x: Any, scale: float = 1.0) -> Any:
        return self.net(x) * scale

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self(batch[1]).sum()
        self.behind += 1
        return loss


class Named(Net):
    """Its training step needs a Trainer; its validation step gives names."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.trainer.optimizers[0].zero_grad()

    def validation_step(self, batch: Any, number: int, loader: int = 0) -> None:
        self.log("before", torch.ones(()))
        self.forward(batch[1], scale=2.0)


class Silent(Net):
    """Calls its layers, not itself."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.net(batch[1]).sum()


BATCH = [torch.zeros(4), torch.ones(4, 3)]


def test_positions_and_names() -> None:
    net = Net()
    assert given_by_step(net, BATCH) is BATCH[1] and net.behind == 0
    assert given_by_step(Named(), BATCH) == {"x": BATCH[1], "scale": 2.0}


def test_the_module_stays_as_it_was() -> None:
    net = Net()
    given_by_step(net, BATCH)
    assert "forward" not in vars(net) and net.training and net.net[1].training
    assert net(BATCH[1]).shape == (4, 3)


def test_where_no_step_calls_the_model() -> None:
    assert given_by_step(Silent(), BATCH) is None
    assert given_by_step(lightning.LightningModule(), BATCH) is None
