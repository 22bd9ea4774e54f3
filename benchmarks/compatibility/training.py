"""Ways of training that are not one loss and one optimiser of one network."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from benchmarks.compatibility.subject import ROWS, Regression, Subject, drawn, rows_of

BY_HAND = (
    "GAN, manual optimisation",
    "EMA, timm's ModelEmaV3",
    "EMA, Lightning's EMAWeightAveraging",
    "mean teacher",
    "PINN",
)


class Gan(lightning.LightningModule):
    """Two networks and two optimisers, by hand, as in Lightning's documentation."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh())
        self.discriminator = nn.Sequential(nn.Linear(8, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        return self.generator(z)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        z, real = batch
        for optimizer, wanted in zip(self.optimizers(), (1.0, 0.0), strict=True):
            self.toggle_optimizer(optimizer)
            judged = self.discriminator(self(z) if wanted else self(z).detach())
            loss = nn.functional.binary_cross_entropy(judged, torch.full_like(judged, wanted))
            if not wanted:
                judged = self.discriminator(real)
                loss = loss + nn.functional.binary_cross_entropy(judged, torch.ones_like(judged))
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.untoggle_optimizer(optimizer)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        z, real = batch
        self.log("val_loss", (self(z).mean(0) - real.mean(0)).pow(2).mean())

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(part.parameters(), lr=1e-3) for part in (self.generator, self.discriminator)]


class Averaged(Regression):
    """An average of the weights, kept by ``timm``, which validates."""

    def __init__(self) -> None:
        from timm.utils import ModelEmaV3

        super().__init__(mlp())
        self.ema = ModelEmaV3(self.net, decay=0.9)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ema.update(self.net)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", ((self.ema(x).flatten() - y) ** 2).mean())


class MeanTeacher(Regression):
    """A teacher whose weights follow the student's; both are asked for the same rows."""

    def __init__(self) -> None:
        super().__init__(mlp())
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)

    def loss(self, batch: Any) -> Tensor:
        x, _ = batch
        with torch.no_grad():
            told = self.teacher(x)
        return super().loss(batch) + ((self(x) - told) ** 2).mean()

    def on_before_zero_grad(self, optimizer: Any) -> None:
        for slow, fast in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            slow.data.lerp_(fast.data, 0.1)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", ((self.teacher(x).flatten() - y) ** 2).mean())


class Pinn(Regression):
    """A network that solves y'' = -y, by its own derivatives."""

    def __init__(self) -> None:
        super().__init__(mlp(1, nn.Tanh))

    def loss(self, batch: Any) -> Tensor:
        with torch.enable_grad():
            x = batch[0].clone().requires_grad_()
            y = self(x)
            slope = torch.autograd.grad(y.sum(), x, create_graph=True)[0]
            bend = torch.autograd.grad(slope.sum(), x, create_graph=True)[0]
            return ((bend + y) ** 2).mean()


def mlp(inputs: int = 4, kind: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """A small network."""
    return nn.Sequential(nn.Linear(inputs, 16), kind(), nn.Linear(16, 16), kind(), nn.Linear(16, 1))


def averaging_callback() -> Sequence[Any]:
    """Lightning's own average of the weights."""
    from lightning.pytorch.callbacks import EMAWeightAveraging

    return [EMAWeightAveraging(decay=0.9)]


def skorch_toy() -> nn.Module:
    """The network of skorch's toys."""
    from skorch.toy import make_regressor

    return make_regressor(input_units=4, num_hidden=2)()


def trained_by_hand(name: str) -> Subject:
    """Ways of training that are not one loss and one optimiser."""
    rows = rows_of(drawn(ROWS, 4), drawn(ROWS))
    subjects = {
        "GAN, manual optimisation": lambda: Subject(Gan, rows_of(drawn(ROWS, 4), drawn(ROWS, 8))),
        "EMA, timm's ModelEmaV3": lambda: Subject(Averaged, rows),
        "EMA, Lightning's EMAWeightAveraging": lambda: Subject(
            lambda: Regression(mlp()), rows, callbacks=averaging_callback
        ),
        "mean teacher": lambda: Subject(MeanTeacher, rows),
        "PINN": lambda: Subject(Pinn, rows_of(drawn(ROWS, 1), drawn(ROWS))),
    }
    return subjects[name]()
