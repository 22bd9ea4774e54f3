"""What all recipes share: one training step, one validation step, AdamW, and the losses of the three heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor


class Supervised(lightning.LightningModule):
    """Training on batches ``(x, y)``; a subclass builds the network and chooses ``loss`` and ``score``.

    Args:
        learning_rate: of AdamW.
        weight_decay: of AdamW.
    """

    least: ClassVar[Mapping[str, float]] = {
        "width": 1,
        "depth": 1,
        "kernel": 1,
        "learning_rate": 0.0,
        "weight_decay": 0.0,
    }
    """The smallest values that arguments of a recipe may have, as whole numbers or not."""

    def __init__(self, learning_rate: float, weight_decay: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """The training loss of a batch: mean squared error unless a head says otherwise."""
        return F.mse_loss(out, y.reshape(out.shape))

    def score(self, out: Tensor) -> Tensor:
        """What the metric is computed from: ``[rows]``, or ``[rows, outputs]`` where there are several."""
        return out[:, 0] if out.shape[1] == 1 else out

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One batch."""
        x, y = batch
        loss = self.loss(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """One batch, with what the metric needs."""
        x, y = batch
        out = self(x)
        self.log("val_loss", self.loss(out, y))
        return {"score": self.score(out), "target": y}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; fused, which is fastest on CPU and GPU."""
        return torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)


class Classification:
    """Loss and score of a classifier; two classes share one output. Comes first among the bases."""

    @staticmethod
    def outputs_for(classes: int) -> int:
        """Outputs that a network needs for so many classes."""
        return 1 if classes == 2 else classes

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy."""
        if out.shape[1] == 1:
            return F.binary_cross_entropy_with_logits(out[:, 0], y.to(out.dtype))
        return F.cross_entropy(out, y)

    def score(self, out: Tensor) -> Tensor:
        """Probability of class 1, ``[rows]``, or of every class, ``[rows, classes]``."""
        return out[:, 0].sigmoid() if out.shape[1] == 1 else out.softmax(1)
