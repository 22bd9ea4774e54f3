"""Tables: a residual network over embedded numbers, with a head for classes and one for numbers.

Numbers pass piecewise-linear embeddings (Gorishniy, Rubachev and Babenko, 2022; version B of Gorishniy, Kotelnikov and
Babenko, 2025); categories arrive as 0/1 columns, so the first linear layer is their embedding. ``members`` above 1
trains that many networks which share all weights but a scale of each input and the head (TabM-mini of the latter), and
averages them.

Validation rows, one seed, as configured and without a search, beside the best known result (of other splits and of
test rows: ``python -m autoact tasks NAME``): ``houses`` 46,458 RMSE in dollars (TabM-mini 42,750), ``income`` 0.925
ROC AUC (gradient boosting 0.927), ``credit`` 0.783 ROC AUC (gradient boosting 0.782), ``bike`` 72.5 RMSE in bikes
(gradient boosting 65.1). Each is what ``python -m autoact.recipes.residual task=NAME`` prints.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import ClassVar

import rtdl_num_embeddings
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import autoact
from autoact.recipes.supervised import Classification, Supervised

NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "none": nn.Identity}


class ResidualBlock(nn.Module):
    """``x + dropout(linear(dropout(act(linear(norm(x))))))`` (He et al., 2016; for tables: Gorishniy et al., 2021)."""

    def __init__(self, width: int, hidden: int, norm: str, dropout: float) -> None:
        super().__init__()
        self.norm = NORMS[norm](width)
        self.wide = nn.Linear(width, hidden)
        self.act = nn.ReLU()
        self.narrow = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """**Shape**: ``[rows, width]`` -> the same."""
        return x + self.dropout(self.narrow(self.dropout(self.act(self.wide(self.norm(x))))))


class NumberEmbeddings(nn.Module):
    """Piecewise-linear embeddings of the first columns; the other columns pass.

    Args:
        numbers: training rows of the columns that are numbers, ``[rows, columns]``: bins lie at their quantiles.
        bins: most bins of a column, half of them at quantiles of its rows, half at quantiles of its different values: a
            column that is mostly zero has bins where its other values lie.
        width: of a number's embedding.
    """

    def __init__(self, numbers: Tensor, bins: int, width: int) -> None:
        super().__init__()
        self.columns = numbers.shape[1]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The .*-th feature has just two bin edges", UserWarning)
            self.embed = rtdl_num_embeddings.PiecewiseLinearEmbeddings(
                _edges(numbers, bins), width, activation=False, version="B"
            )

    def forward(self, x: Tensor) -> Tensor:
        """**Shape**: ``[rows, columns + others]`` -> ``[rows, columns * width + others]``."""
        return torch.cat([self.embed(x[:, : self.columns]).flatten(1), x[:, self.columns :]], 1)


@functools.lru_cache(maxsize=4)
def _edges(numbers: Tensor, bins: int) -> list[Tensor]:
    """The edges of each column's bins, each once, ascending; a constant column has one bin of width 1.

    They are found once for a tensor: a search builds the network hundreds of times for the same rows.
    """
    steps = torch.linspace(0, 1, bins // 2 + 1, dtype=numbers.dtype, device=numbers.device)
    found = []
    for column in numbers.T.contiguous():
        edges = torch.cat([torch.quantile(values, steps) for values in (column, column.unique())]).unique()
        found.append(edges if len(edges) > 1 else torch.cat([edges, edges + 1]))
    return found


class ResidualRegressor(Supervised):
    """A number from a table.

    Args:
        inputs: features of a row; the columns of ``numbers`` come first.
        outputs: numbers that the network gives.
        numbers: training rows of the columns that are numbers, ``[rows, columns]``; none are embedded unless given.
        width: of the residual stream.
        depth: number of blocks.
        expansion: hidden width of a block, as a multiple of ``width``.
        norm: ``batch``, ``layer`` or ``none``, at the start of each block and before the last activation.
        dropout: probability.
        embedding_width: of a number's embedding; 0 embeds none.
        bins: most bins of a number; see ``NumberEmbeddings``.
        members: networks that share their weights but for a scale of the inputs and the head.
        learning_rate: of AdamW at the start; it falls to 0 along a cosine over the epochs of the Trainer.
        weight_decay: of AdamW.

    Example:
        >>> x = torch.randn(100, 10, generator=torch.Generator().manual_seed(0))
        >>> model = ResidualRegressor(inputs=10, outputs=1, numbers=x[:, :3])
        >>> model(x[:4]).shape
        torch.Size([4, 1])
        >>> autoact.find_sites(model, x[:4]).names
        ('blocks.0.act', 'blocks.1.act', 'act')
    """

    kinds: tuple[str, ...] = ("regression",)
    least: ClassVar[Mapping[str, float]] = {**Supervised.least, "members": 1, "bins": 2, "embedding_width": 0}

    def __init__(
        self,
        inputs: int,
        outputs: int,
        numbers: Tensor | None = None,
        width: int = 64,
        depth: int = 2,
        expansion: float = 2.0,
        norm: str = "batch",
        dropout: float = 0.1,
        embedding_width: int = 8,
        bins: int = 64,
        members: int = 1,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        if norm not in NORMS:
            raise ValueError(f"norm={norm} is none of {', '.join(NORMS)}")
        if not expansion > 0:
            raise ValueError(f"expansion={expansion} must be above 0")
        self.embeddings: nn.Module = nn.Identity()
        if numbers is not None and numbers.shape[1] > 0 and embedding_width > 0:
            self.embeddings = NumberEmbeddings(numbers, bins, embedding_width)
        features = self.embeddings(torch.zeros(2, inputs)).shape[1]
        self.outputs, self.members = outputs, members
        # Near 1: members as far apart as TabM's own (normal, or random signs) need longer trainings than a search's.
        self.scales = nn.Parameter(1 + 0.3 * torch.randn(members, features)) if members > 1 else None
        self.first = nn.Linear(features, width)
        hidden = max(1, round(width * expansion))
        self.blocks = nn.ModuleList(ResidualBlock(width, hidden, norm, dropout) for _ in range(depth))
        self.norm = NORMS[norm](width)
        self.act = nn.ReLU()
        self.heads = nn.ModuleList(nn.Linear(width, outputs) for _ in range(members))
        autoact.initialise_(self, torch.zeros(2, inputs))

    def every_member(self, x: Tensor) -> Tensor:
        """**Shape**: ``[rows, inputs]`` -> ``[members, rows, outputs]``."""
        x = self.embeddings(x)
        if self.scales is not None:
            x = (self.scales[:, None] * x).flatten(0, 1)
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        x = self.act(self.norm(x)).unflatten(0, (self.members, -1))
        return torch.stack([head(part) for head, part in zip(self.heads, x, strict=True)])

    def forward(self, x: Tensor) -> Tensor:
        """**Shape**: ``[rows, inputs]`` -> ``[rows, outputs]``: what the members say together."""
        out = self.every_member(x)
        return self.together(out) if self.members > 1 else out[0]

    def together(self, out: Tensor) -> Tensor:
        """The mean of the members' numbers. **Shape**: ``[members, rows, outputs]`` -> ``[rows, outputs]``."""
        return out.mean(0)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One batch; every member has a loss of its own (an average that learns as one overfits as one)."""
        x, y = batch
        loss = torch.stack([self.loss(out, y) for out in self.every_member(x)]).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer | dict[str, object]:
        """AdamW, with a learning rate that falls along a cosine where the number of epochs is known."""
        optimizer = super().configure_optimizers()
        epochs = self.trainer.max_epochs
        if epochs is None or epochs < 2:
            return optimizer
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class ResidualClassifier(Classification, ResidualRegressor):
    """Classes from a table; what ``ResidualRegressor`` takes, and what ``Classification`` takes.

    Example:
        >>> ResidualClassifier(inputs=10, outputs=2)(torch.zeros(4, 10)).shape
        torch.Size([4, 1])
    """

    kinds = ("classification",)

    def __init__(self, inputs: int, outputs: int, numbers: Tensor | None = None, **arguments: object) -> None:
        super().__init__(inputs, self.outputs_for(outputs), numbers, **arguments)  # type: ignore[arg-type]
        self.begin_at_shares_(*self.heads)

    def together(self, out: Tensor) -> Tensor:
        """The logits of the members' mean probability; shapes as for numbers."""
        if self.outputs == 1:  # two classes: the logit is the difference of their logarithms
            out = torch.cat([torch.zeros_like(out), out], -1)
        both = F.log_softmax(out, -1).logsumexp(0)  # up to a constant, which no softmax sees
        return both if self.outputs > 1 else both[:, 1:] - both[:, :1]


if __name__ == "__main__":
    from autoact.recipes.script import main

    main(ResidualRegressor, ResidualClassifier)
