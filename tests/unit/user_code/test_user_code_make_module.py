"""Layers may be made in ``__init__``, in ``setup`` or in ``configure_model``: fresh modules have them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cloudpickle
import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import autoact
from autoact.core.errors import AutoactError
from autoact.study.settings import ConfirmSettings
from autoact.user_code.lightning_task import lightning_task
from autoact.user_code.make_module import maker_of

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*training batches.*")


class Data(lightning.LightningDataModule):
    width = 3

    def setup(self, stage: str | None = None) -> None:
        x = torch.randn(60, self.width, generator=torch.Generator().manual_seed(0))
        self.parts = random_split(TensorDataset(x, x[:, :1]), [40, 10, 10], torch.Generator().manual_seed(0))

    def train_dataloader(self) -> Any:
        return DataLoader(self.parts[0], batch_size=10)

    def val_dataloader(self) -> Any:
        return DataLoader(self.parts[1], batch_size=10)

    def test_dataloader(self) -> Any:
        return DataLoader(self.parts[2], batch_size=10)


def layers(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, 1))


class Net(lightning.LightningModule):
    net: Any

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", nn.functional.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class InSetup(Net):
    """Asks how wide the data are."""

    def setup(self, stage: str) -> None:
        if not hasattr(self, "net"):
            self.net = layers(self.trainer.datamodule.width)


class EverySetup(Net):
    """Would put fresh layers in the place of changed ones."""

    def setup(self, stage: str) -> None:
        self.net = layers(self.trainer.datamodule.width)


class InConfigureModel(Net):
    def configure_model(self) -> None:
        self.net = layers(self.trainer.datamodule.width)


class Head(Net):
    """Can be called before its ``setup``, which puts another layer in."""

    def __init__(self) -> None:
        super().__init__()
        self.net = layers(3)
        self.net[2] = nn.Linear(4, 7)

    def setup(self, stage: str) -> None:
        self.net[2] = nn.Linear(4, 1)


MAKE_LATER = [InSetup, EverySetup, InConfigureModel, Head]


def data() -> Any:
    made = Data()
    made.setup()
    return made


@pytest.mark.parametrize("kind", MAKE_LATER)
def test_layers_are_there_and_stay(kind: Any) -> None:
    make, problem = maker_of(kind, data(), {"max_epochs": 1})
    assert problem is None
    for module in (make(), cloudpickle.loads(cloudpickle.dumps(make))(), cloudpickle.loads(cloudpickle.dumps(make()))):
        assert type(module).__name__ == kind.__name__ and module._trainer is None
        changed = module.net[1] = nn.Tanh()
        assert module(torch.ones(2, 3)).shape == (2, 1)
        trainer = lightning.Trainer(
            max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu",
        )  # fmt: skip
        before = module.net[2].weight.detach().clone()
        trainer.fit(module, datamodule=Data())
        assert module.net[1] is changed and not torch.equal(module.net[2].weight, before)


@pytest.mark.parametrize("kind", MAKE_LATER)
def test_fresh_weights_follow_the_seed(kind: Any) -> None:
    make, _ = maker_of(kind, data(), {})

    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return make().net[2].weight

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


def test_a_setup_that_makes_no_layers_is_left_to_fit() -> None:
    runs = []

    class Wraps(Net):
        def __init__(self) -> None:
            super().__init__()
            self.net = layers(3)

        def setup(self, stage: str) -> None:
            runs.append(stage)
            self.net = nn.Sequential(self.net)  # as torch.compile does

    make, _ = maker_of(Wraps, data(), {})
    runs.clear()
    module = make()
    assert runs == [] and isinstance(module.net[0], nn.Linear) and "setup" not in vars(module)


def test_a_setup_that_raises_outside_of_fit_is_told_where_the_module_cannot_be_called() -> None:
    class Wider(InSetup):
        def setup(self, stage: str) -> None:
            self.net = layers(self.trainer.datamodule.columns)

    with pytest.raises(
        AutoactError,
        match=r"Wider.setup\('fit'\) raises AttributeError \('Data' object has no attribute 'columns'\), and without "
        r"it the module cannot be called on a batch of the datamodule \(AttributeError",
    ):
        lightning_task(Wider, Data(), monitor="val_loss", mode="min")


@pytest.mark.parametrize("made", [lambda: nn.Linear(1, 1), lambda: None, lambda: {}])
def test_what_is_no_module_is_refused(made: Callable[[], Any]) -> None:
    with pytest.raises(AutoactError, match=r"make_module returns a \w+, not a lightning.LightningModule"):
        lightning_task(made, Data(), monitor="val_loss", mode="min")


def test_a_datamodule_sees_a_trainer_in_setup_and_in_its_loaders() -> None:
    class Shared(Data):
        def setup(self, stage: str | None = None) -> None:
            super().setup(stage)
            self.batch = 10 // self.trainer.world_size

        def train_dataloader(self) -> Any:
            return DataLoader(self.parts[0], self.batch, shuffle=self.trainer.world_size == 1)

    assert lightning_task(InSetup, Shared(), monitor="val_loss", mode="min").test is not None


def test_unknown_trainer_arguments_are_still_refused_in_one_line() -> None:
    with pytest.raises(AutoactError, match="max_epoch"):
        lightning_task(InSetup, Data(), monitor="val_loss", mode="min", trainer={"max_epoch": 2})


def test_a_search_goes_through_to_the_end(tmp_path: Any) -> None:
    result = autoact.search(
        EverySetup, Data(), monitor="val_loss", mode="min", trials=3, candidates=["relu", "tanh"], output=tmp_path,
        objectives=["quality"], trainer={"max_epochs": 1}, engine="inline", tracking="none", quiet=True,
        confirm=ConfirmSettings(seeds=2),
    )  # fmt: skip
    assert [record.status for record in result.records] == ["complete"] * 3
    assert "net.1" in result.recommendation.sites


class Around(Net):
    """Takes its network, and has a loss that all its objects share."""

    def __init__(self, net: nn.Module, loss: nn.Module = nn.MSELoss()) -> None:  # noqa: B008
        super().__init__()
        self.net, self.loss = net, loss


def test_modules_that_share_a_network_are_copied() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 1))
    make, _ = maker_of(lambda: Around(net), Data(), {})
    one, other = make(), make()
    assert one.net is not net and one.net is not other.net and one.loss is not other.loss
    one.eval()
    with torch.no_grad():
        one.net[0].weight.zero_()
    assert net.training and other.training and torch.equal(other.net[0].weight, net[0].weight)
    assert bool(net[0].weight.any())


def test_a_copied_network_keeps_its_activations_and_its_hooks_on_gradients() -> None:
    net = nn.TransformerDecoderLayer(4, 2, 8, activation=torch.tanh)
    net.linear1.weight.register_hook(lambda gradient: 0 * gradient)
    make, _ = maker_of(lambda: Around(net), Data(), {})
    copied = make().net
    assert copied.activation is torch.tanh
    assert len(copied.linear1.weight._backward_hooks) == 1


def test_modules_of_their_own_are_not_copied() -> None:
    made: list[Any] = []

    def make_module() -> Any:
        made.append(Around(layers(3), nn.L1Loss()))
        return made[-1]

    make, _ = maker_of(make_module, Data(), {})
    assert make() is made[-1]


def test_a_shared_network_that_cannot_be_copied_is_told() -> None:
    net = layers(3)
    net.frozen = torch.zeros(2, requires_grad=True) * 2  # a result, which has a history
    with pytest.raises(AutoactError, match=r"share layers, which cannot be copied.*make all layers inside"):
        maker_of(lambda: Around(net), Data(), {})


def test_a_search_leaves_a_shared_network_as_it_is(tmp_path: Any) -> None:
    net = layers(3)
    before = [weight.detach().clone() for weight in net.parameters()]
    result = autoact.search(
        lambda: Around(net), Data(), monitor="val_loss", mode="min", trials=3, candidates=["relu", "tanh"],
        output=tmp_path, objectives=["quality"], trainer={"max_epochs": 1}, engine="inline", tracking="none",
        quiet=True, confirm=ConfirmSettings(seeds=0),
    )  # fmt: skip
    assert [record.status for record in result.records] == ["complete"] * 3
    assert all(map(torch.equal, before, net.parameters()))
    assert isinstance(net[1], nn.ReLU) and net.training
