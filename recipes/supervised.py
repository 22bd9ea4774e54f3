"""What all recipes share: one training step, one validation step, AdamW, and the losses of the three heads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHTS = ("none", "balanced")


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
    """Loss and score of a classifier; two classes share one output. Comes first among the bases.

    Loss: the mean over rows of ``w_c * (1 - p_c) ** focal_gamma * -log p_c``, where ``p_c`` is the probability that the
    network gives to the row's class ``c`` (Lin et al., 2017). Weights of ``balanced`` classes are ``n / (classes *
    n_c)``, as scikit-learn's; their mean over the training rows is 1.

    Weighted cross-entropy by itself learns the probabilities of rows whose classes are equally frequent. With
    ``prior_correction`` the network's output is that of the true frequencies: the logarithm of the weights is added to
    it inside the loss alone (Elkan, 2001; King and Zeng, 2001). That is exact for cross-entropy; what the focal loss
    learns is less certain than the frequencies, and stays so.

    Args:
        arguments: of the network.
        class_counts: training rows of each class, in order (``[classes]``); autoact gives them.
        class_weights: ``balanced`` or ``none``.
        focal_gamma: how much less rows count that are told well already; 0: cross-entropy.
        prior_correction: whether the outputs of a network that is trained with weights are corrected; where it is exact
            unless given.

    Raises:
        ValueError: an argument that means nothing, or has no effect beside the others.

    Example:
        >>> from autoact.recipes.tabular import TabularClassifier
        >>> rare = TabularClassifier(2, 2, class_counts=torch.tensor([98, 2]), class_weights="balanced")
        >>> rare.weights_of_classes
        tensor([ 0.5102, 25.0000])
        >>> rare.head.bias.sigmoid()  # the share of the rare class, before training
        tensor([0.0200], grad_fn=<SigmoidBackward0>)
    """

    weights_of_classes: Tensor | None
    shift: Tensor | None

    def __init__(
        self,
        *network: object,
        class_counts: Tensor | None = None,
        class_weights: str = "none",
        focal_gamma: float = 0.0,
        prior_correction: bool | None = None,
        **arguments: object,
    ) -> None:
        super().__init__(*network, **arguments)
        if class_weights not in WEIGHTS:
            raise ValueError(f"class_weights={class_weights} is none of {', '.join(WEIGHTS)}")
        if isinstance(focal_gamma, bool) or not 0 <= focal_gamma < math.inf:
            raise ValueError(f"focal_gamma={focal_gamma} must be a number, 0 or more")
        self.focal_gamma = float(focal_gamma)
        weights = _balanced(class_counts) if class_weights == "balanced" else None
        if prior_correction is not None and weights is None:
            raise ValueError(f"prior_correction={prior_correction} has no effect without class_weights=balanced")
        if prior_correction and focal_gamma:
            raise ValueError(f"prior_correction=True is exact for cross-entropy alone, and focal_gamma={focal_gamma}")
        corrected = None if focal_gamma or prior_correction is False else weights
        # Buffers follow the module to its device; a trained model needs neither.
        for name, buffer in (("weights_of_classes", weights), ("shift", _shift(corrected))):
            self.register_buffer(name, buffer, persistent=False)  # type: ignore[attr-defined]

    @staticmethod
    def outputs_for(classes: int) -> int:
        """Outputs that a network needs for so many classes."""
        return 1 if classes == 2 else classes

    def begin_at_shares_(self, *heads: nn.Linear) -> None:
        """Let the last layers begin with the frequencies of the classes, where weights are corrected (in place).

        The weighted classes are then equally probable at the start, as without a correction.
        """
        with torch.no_grad():
            for head in heads:
                head.bias.sub_(0.0 if self.shift is None else self.shift)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        out = out if self.shift is None else out + self.shift
        plain = self.weights_of_classes is None and not self.focal_gamma
        reduction = "mean" if plain else "none"
        if out.shape[1] == 1:
            losses = F.binary_cross_entropy_with_logits(out[:, 0], y.to(out.dtype), reduction=reduction)
        else:
            losses = F.cross_entropy(out, y, reduction=reduction)
        if self.focal_gamma:
            # The root of a rounded 0 has no gradient.
            wrong = (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).tiny)
            losses = wrong**self.focal_gamma * losses
        if self.weights_of_classes is not None:
            losses = self.weights_of_classes[y.long()] * losses
        return losses if plain else losses.mean()

    def score(self, out: Tensor) -> Tensor:
        """Probability of class 1, ``[rows]``, or of every class, ``[rows, classes]``."""
        return out[:, 0].sigmoid() if out.shape[1] == 1 else out.softmax(1)


def _balanced(counts: Tensor | None) -> Tensor:
    """The weights of ``balanced`` classes, ``[classes]``.

    Raises:
        ValueError: the counts are not known, or a class has no row.
    """
    if counts is None:
        raise ValueError("class_weights=balanced needs class_counts, the training rows of each class")
    if not bool((counts > 0).all()):
        raise ValueError(f"class_weights=balanced needs training rows of every class, and there are {counts.tolist()}")
    return counts.sum() / (len(counts) * counts.to(torch.get_default_dtype()))


def _shift(weights: Tensor | None) -> Tensor | None:
    """What is added to the outputs inside the loss: the logarithm of the weights, of two classes their difference."""
    if weights is None:
        return None
    logs = weights.log()
    return logs[1:] - logs[:1] if len(logs) == 2 else logs
