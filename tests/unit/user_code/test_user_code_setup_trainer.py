"""The Trainer that a datamodule sees when it is set up knows the module, as in fit."""

from __future__ import annotations

import cloudpickle
import lightning
import torch

from autoact.user_code.setup_trainer import unfitted


class Drawn(lightning.LightningModule):
    """Draws its weights when it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(2, 2)


def test_the_module_is_made_once_and_draws_no_number_of_the_users() -> None:
    trainer = unfitted(Drawn, {})
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    module = trainer.lightning_module
    assert torch.equal(torch.rand(2), expected)
    assert isinstance(module, Drawn) and trainer.lightning_module is module


def test_it_goes_to_workers_without_its_module() -> None:
    trainer = unfitted(Drawn, {})
    large = trainer.lightning_module
    arrived = cloudpickle.loads(cloudpickle.dumps(trainer.strategy))
    assert isinstance(arrived.lightning_module, Drawn) and arrived.lightning_module is not large
