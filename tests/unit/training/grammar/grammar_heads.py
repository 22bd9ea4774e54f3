"""Heads that other people write: four hidden features in, a prediction per row out, and the loss that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grammar_bodies
import grammar_layers
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BODIES: dict[str, Callable[[], nn.Module]] = {
    kind.__name__: kind
    for kind in [*vars(grammar_bodies).values(), *vars(grammar_layers).values()]
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__name__ not in ("Layers", "Lambda", "Symmetric")
}


class Head(nn.Module):
    """One number per row, and the loss that goes with it."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1)

    def forward(self, h: Tensor) -> Any:
        return self.out(h).squeeze(-1)

    def loss(self, out: Any, y: Tensor) -> Tensor:
        return F.mse_loss(out, y)


class Probability(Head):
    def forward(self, h: Tensor) -> Tensor:
        return torch.sigmoid(self.out(h)).squeeze(-1)

    def loss(self, out: Any, y: Tensor) -> Tensor:
        return F.binary_cross_entropy(out, (y > 0).to(out.dtype))


class Ranged(Head):
    """Numbers between 1 and 5."""

    def forward(self, h: Tensor) -> Tensor:
        return 1 + 4 * self.out(h).sigmoid()[:, 0]

    def loss(self, out: Any, y: Tensor) -> Tensor:
        return F.smooth_l1_loss(out, 3 + y)


class Spread(Head):
    """A mean and a standard deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.hidden, self.act = nn.Linear(4, 1), nn.Linear(4, 4), nn.ReLU()

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        h = self.act(self.hidden(h))
        return self.out(h).squeeze(-1), F.softplus(self.scale(h)).squeeze(-1) + 1e-4

    def loss(self, out: Any, y: Tensor) -> Tensor:
        return -torch.distributions.Normal(*out).log_prob(y).mean()


class Named(Head):
    """A dict, with features beside the prediction."""

    def forward(self, h: Tensor) -> dict[str, Tensor]:
        return {"features": h, "logits": self.out(h)}

    def loss(self, out: Any, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(out["logits"][:, 0], (y > 0).to(y.dtype))


class Classes(Head):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, h: Tensor) -> Tensor:
        return F.log_softmax(self.out(h), dim=-1)

    def loss(self, out: Any, y: Tensor) -> Tensor:
        return F.nll_loss(out, (y > 0).long() + (y > 1).long())


class LossModule(Head):
    """The loss is a module with an activation in it, and a weight as a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))

    def loss(self, out: Any, y: Tensor) -> Tensor:
        return self.criterion(out, torch.sigmoid(y))


HEADS: dict[str, Callable[[], Head]] = {
    kind.__name__: kind for kind in (Head, Probability, Ranged, Spread, Named, Classes, LossModule)
}
