"""Seeds within a population: each has its own order of batches and its own random numbers, as a single training has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import NamedTuple, TypeVar

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from autoact.core.value_holders import Batch
from autoact.data.datamodule import TensorBatches
from autoact.training._compat_lightning import set_sampler_epoch
from autoact.training.state.random_state import RandomState, preserved_random_state, random_state, restore_random_state

Loader = DataLoader[Batch] | TensorBatches
_T = TypeVar("_T")


class Key(NamedTuple):
    """What members share that see the same batches and draw the same random numbers: seed, fold and dropout.

    The dropout is that of the candidate's settings. How much is drawn depends on it: nothing where it is 0.
    """

    seed: int
    fold: tuple[int, int] | None = None
    dropout: float | None = None


class Stream:
    """One seed's data and random numbers, of one fold where there are folds, and of one dropout where it is searched.

    ``random`` is the state of the random numbers between two of its turns; None before its first.
    """

    def __init__(self, key: Key, datamodule: lightning.LightningDataModule, random: RandomState | None = None) -> None:
        self.key = key
        self.datamodule = datamodule
        self.random = random

    def begin(self) -> None:
        """Put the random numbers where a training of this seed begins, or went on."""
        if self.random is None:
            lightning.seed_everything(self.key.seed, verbose=False)
        else:
            restore_random_state(self.random)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """What is drawn inside comes from this seed; what is drawn outside does not notice."""
        with preserved_random_state():
            self.begin()
            try:
                yield
            finally:
                self.random = random_state()

    def draw(self, like: Tensor, keep: float) -> Tensor:
        """The mask that ``nn.Dropout`` draws for a tensor of this shape, from this seed."""
        assert self.random is not None
        generator = torch.Generator()
        generator.set_state(self.random["torch"])
        mask = torch.empty_like(like, device="cpu").bernoulli_(keep, generator=generator)
        self.random["torch"] = generator.get_state()
        return mask.to(like.device)


class StreamBatches:
    """The training batches of all streams in lockstep: a list with one batch per stream.

    Lightning takes any iterable with a length, and tells ``sampler`` the epoch.
    """

    def __init__(self, loaders: Sequence[Loader], streams: Sequence[Stream]) -> None:
        self.loaders = list(loaders)
        self.streams = list(streams)
        self.sampler = self
        self.batch_sampler = None

    def set_epoch(self, epoch: int) -> None:
        """Tell every loader's sampler the epoch."""
        for loader in self.loaders:
            set_sampler_epoch(loader, epoch)

    def __len__(self) -> int:
        return len(self.loaders[0])

    def __iter__(self) -> Iterator[list[Batch]]:
        pairs = list(zip(self.streams, self.loaders, strict=True))
        iterators = [self._drawn(stream, loader, partial(iter, loader)) for stream, loader in pairs]
        for _ in range(len(self)):
            turns = zip(pairs, iterators, strict=True)
            yield [self._drawn(stream, loader, partial(next, batches)) for (stream, loader), batches in turns]

    def _drawn(self, stream: Stream, loader: Loader, draw: Callable[[], _T]) -> _T:
        """What ``draw`` gives under the stream's random numbers, where the loader draws any."""
        with nullcontext() if isinstance(loader, TensorBatches) else stream.drawing():
            return draw()


class StreamValidation:
    """The validation batches of all streams, one after the other, up to the Trainer's ``limit`` for each stream.

    They come as the stream's position, the batch's number, and the batch.
    """

    def __init__(self, loaders: Sequence[Loader], streams: Sequence[Stream], limit: int | float | None = None) -> None:
        self.loaders = list(loaders)
        self.streams = list(streams)
        whole = [len(loader) for loader in self.loaders]
        if isinstance(limit, int):
            self.lengths = [min(length, limit) for length in whole]
        else:
            self.lengths = [int(length * (1.0 if limit is None else limit)) for length in whole]

    def __len__(self) -> int:
        return sum(self.lengths)

    def __iter__(self) -> Iterator[tuple[int, int, Batch]]:
        for position, (stream, loader, length) in enumerate(zip(self.streams, self.loaders, self.lengths, strict=True)):
            with stream.drawing():
                iterator = iter(loader)
            for number in range(length):
                with stream.drawing():
                    batch = next(iterator)
                yield position, number, batch
