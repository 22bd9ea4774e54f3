"""Dropout of a whole population: each stream's own share, and its own mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoact.training.population.seed_streams import Stream
from autoact.training.population.vmap.errors import CannotBatchError
from autoact.training.population.vmap.escape import outside


class StreamDropout(nn.Module):
    """``nn.Dropout`` in a population: members of one stream share ``p`` and a mask.

    The mask is drawn in the order of memory that one member's input has, as in a training of its own: behind a
    transposition that is another order than the one that ``vmap`` draws in.

    Attributes:
        own: the members' own layers, which say ``p``.
        streams: where there are several; with one, masks are drawn from torch's own generator.
        member: each member's number under ``vmap``.
    """

    def __init__(self, layer: nn.Dropout) -> None:
        super().__init__()
        self.own: Sequence[nn.Dropout] = (layer,)
        self.streams: Sequence[Stream] = ()
        self.member: Tensor | None = None
        self.train(layer.training)

    def seat(self, own: Sequence[nn.Dropout], streams: Sequence[Stream], stream_of: Tensor) -> None:
        """Take in the members: their own layers, and the position of each one's stream where there are several."""
        self.own, self.streams = own, streams
        self._stream_of, self._positions = stream_of, stream_of.tolist()

    @property
    def p(self) -> float:
        """What the members drop; a step that writes it writes it for all.

        Raises:
            CannotBatchError: they differ in it.
        """
        return _common(self.own)

    @p.setter
    def p(self, value: float) -> None:
        for layer in self.own:
            layer.p = value

    def forward(self, x: Tensor) -> Tensor:
        """Each stream's own mask in training, the identity otherwise."""
        if not self.training or x.numel() == 0 or not any(layer.p for layer in self.own):
            return x
        # Drawn apart from x, a mask is a number to whatever differentiates by x inside the step.
        return x * outside(x.detach(), self.member, self.masks)

    def masks(self, x_k: Tensor) -> Tensor:
        """0 where an input is dropped, what it is multiplied by elsewhere; **Shape**: ``[members, ...]``, kept."""
        if not self.streams:
            keep = 1.0 - _common(self.own)
            mask = torch.empty_like(x_k[0]).bernoulli_(keep)
            return (mask.div_(keep) if keep else mask).expand_as(x_k)
        masks = []
        for position, stream in enumerate(self.streams):
            mine = [layer for layer, of in zip(self.own, self._positions, strict=True) if of == position]
            keep = 1.0 - _common(mine) if mine else 1.0  # its members may have left
            mask = torch.ones_like(x_k[0]) if keep == 1.0 else stream.draw(x_k[0], keep)
            masks.append(mask.div_(keep) if keep else mask)
        return torch.stack(masks).index_select(0, self._stream_of)


def _common(layers: Sequence[nn.Dropout]) -> float:
    first, *others = (float(layer.p) for layer in layers)
    if any(other != first for other in others):
        raise CannotBatchError("p of nn.Dropout differs between candidates")
    return first
