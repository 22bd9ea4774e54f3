"""What a module configures by itself is read from a real Trainer."""

from __future__ import annotations

import pytest
import torch

from autoact.core.errors import AutoactError
from autoact.training.preflight.settings_in_force import configured_settings

CPU = torch.device("cpu")


def settings_of(tiny, net, configure):
    class Configured(net):
        def configure_optimizers(self):
            return configure(self)

    return configured_settings(tiny(Configured), CPU)


def test_learning_rate_of_the_first_group_and_largest_decay(tiny, net):
    def configure(module):
        groups = [{"params": [p], "lr": 0.01 * (i + 1)} for i, p in enumerate(module.parameters())]
        groups[1]["weight_decay"] = 0.3
        return torch.optim.AdamW(groups, weight_decay=0.0)

    assert settings_of(tiny, net, configure) == {"learning_rate": 0.01, "weight_decay": 0.3, "dropout": 0.0}


def test_the_dropout_is_that_of_the_layers(tiny, net):
    assert configured_settings(tiny(lambda: net(dropout=0.2)), CPU)["dropout"] == 0.2

    class Without(net):
        def __init__(self):
            super().__init__()
            self.dropout = torch.nn.Identity()

    assert "dropout" not in configured_settings(tiny(Without), CPU)


def test_a_schedule_that_asks_the_trainer_for_its_length(tiny, net):
    def configure(module):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        steps = int(module.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    assert settings_of(tiny, net, configure)["learning_rate"] == pytest.approx(0.5 / 25)


def test_settings_that_torch_refuses_are_one_line(tiny, net):
    with pytest.raises(AutoactError, match=r"configure_optimizers: Invalid learning rate: -1"):
        settings_of(tiny, net, lambda module: torch.optim.Adam(module.parameters(), lr=-1))


@pytest.mark.filterwarnings("ignore:.*configure_optimizers.*returned `None`.*")
def test_a_module_without_an_optimiser_has_nothing_to_train(tiny, net):
    with pytest.raises(AutoactError, match="returns nothing: there is nothing to train"):
        settings_of(tiny, net, lambda module: None)
