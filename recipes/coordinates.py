"""Coordinates: a small network that is an image or a signal, and one that solves the heat equation.

Every activation is a module of its own, so that autoact finds it: ``layers.0.act``, ``layers.1.act``, ...

Reached with one seed and no search, on validation points of the tasks as they come: ``image-fit`` 19.0 dB with ReLU and
25.6 dB with ``sine(omega=20)`` (of held-out pixels; of learnt ones, which published numbers are often of, 18.9 and
29.6 dB); ``heat`` a relative L2 error of 0.0003 with ``sine(omega=5)`` and 0.04 with ReLU. The search of ``heat`` as it
comes recommends ``sine(omega=5.48)``: 0.00023 on test points, the mean of fresh seeds, where a tuned ReLU has 0.025.
``python -m autoact.recipes.coordinates task=heat`` prints the figure of ReLU.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.func import grad

from autoact.recipes.tabular import TabularRegressor


class ImageFit(TabularRegressor):
    """Values from 0 to 1 at coordinates from -1 to 1: SIREN's network (Sitzmann et al., 2020), Adam, a cosine schedule.

    Args:
        inputs: coordinates of a point.
        outputs: values of a point, 3 for colours.
        width: of every hidden layer.
        depth: number of hidden layers.
        learning_rate: of Adam, from which a cosine goes to 0.
        weight_decay: of AdamW.

    Example:
        >>> import autoact
        >>> model = ImageFit(inputs=2, outputs=3)
        >>> model(torch.zeros(4, 2)).shape
        torch.Size([4, 3])
        >>> autoact.find_sites(model, torch.zeros(4, 2)).names
        ('layers.0.act', 'layers.1.act', 'layers.2.act')
    """

    kinds: tuple[str, ...] = ("image",)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 64,
        depth: int = 3,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(inputs, outputs, width, depth, 0.0, learning_rate, weight_decay)

    def forward(self, x: Tensor) -> Tensor:
        """**Shape**: ``[points, inputs]`` -> ``[points, outputs]``; 0 of the last layer is a medium grey."""
        return (1 + self.network(x)) / 2

    def network(self, x: Tensor) -> Tensor:
        """The layers alone."""
        return super().forward(x)

    def configure_optimizers(self) -> Any:
        """AdamW (Adam without decay) with a cosine to 0 over all steps."""
        optimizer = super().configure_optimizers()
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class HeatEquation(ImageFit):
    """A physics-informed network (Raissi et al., 2019) for ``u_t = 0.1 u_xx`` on a rod that is cold at both ends.

    The temperature is ``sin(pi x) + t x (1 - x) N(x, t)`` with a network N: whatever N says, it starts as given and the
    ends stay cold (Lagaris et al., 1998), so that the loss is the square of ``u_t - k u_xx`` alone. The curvature of a
    network of ReLU is 0 almost everywhere: what bends its temperature is the factor ``x (1 - x)``, which is not enough.

    Args:
        inputs: 2, place and time, both from 0 to 1.
        outputs: 1, the temperature.
        width: of every hidden layer.
        depth: number of hidden layers.
        learning_rate: of Adam, from which a cosine goes to 0.
        weight_decay: of AdamW.

    Example:
        >>> start, end = HeatEquation(inputs=2, outputs=1)(torch.tensor([[0.5, 0.0], [1.0, 0.3]])).tolist()
        >>> round(start[0], 4), abs(end[0]) < 1e-6
        (1.0, True)
    """

    kinds = ("heat",)
    diffusivity = 0.1

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 32,
        depth: int = 2,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(inputs, outputs, width, depth, learning_rate, weight_decay)

    def forward(self, x: Tensor) -> Tensor:
        """**Shape**: ``[points, 2]`` -> ``[points, 1]``; place and time run from -1 to 1 inside the network."""
        place, time = x[:, :1], x[:, 1:]
        return torch.sin(math.pi * place) + time * place * (1 - place) * self.network(2 * x - 1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One batch of points, of which the places and times alone are used."""
        _, residual = self.residual(batch[0])
        loss = residual.square().mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def residual(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The temperature and ``u_t - k u_xx`` at points, ``[points]`` each."""

        def slope(at: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            slopes, u = grad(lambda at: ((u := self(at)).sum(), u), has_aux=True)(at)
            return slopes[:, 0].sum(), (slopes, u)

        seconds, (slopes, u) = grad(slope, has_aux=True)(x)
        return u[:, 0], slopes[:, 1] - self.diffusivity * seconds[:, 0]


if __name__ == "__main__":
    from autoact.recipes.script import main

    main(ImageFit, HeatEquation)
