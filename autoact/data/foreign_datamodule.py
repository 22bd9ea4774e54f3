"""A datamodule that autoact did not make: its first batch, what it lacks, and its test rows under seal."""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import math
import operator
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.seed import isolate_rng
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from autoact.core.errors import SealedError, first_line
from autoact.core.value_holders import Batch
from autoact.data.sealed_test import SEALED, TestSet

NO_SEALED_DATA = "there is no sealed data, so nothing can be confirmed and nothing is recommended"
# Rows of a test loader without a length by which it is told again.
ENOUGH_ROWS = 1_000
NO_TEST = f"the datamodule has no test_dataloader: {NO_SEALED_DATA}"


def prepared(datamodule: lightning.LightningDataModule) -> lightning.LightningDataModule:
    """The datamodule itself, ready to give its loaders for training and validation."""
    datamodule.prepare_data()
    datamodule.setup("fit")
    return datamodule


def first_of(loader: Any) -> Batch:
    """The first batch of a loader, or of several at once; the workers that it started for that end at once.

    Several come as in training: a batch of each, in the form that the loaders have.

    An iterator that is dropped half-way keeps its workers until Python clears it away, which may happen in another
    process that was forked meanwhile, and raises there.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> first_of(DataLoader(range(6), batch_size=2)).tolist()
        [0, 1]
        >>> first_of({"a": DataLoader(range(6), batch_size=2), "b": DataLoader(range(6))})
        {'a': tensor([0, 1]), 'b': tensor([0])}
    """
    if isinstance(loader, CombinedLoader):
        return first_of(loader.flattened[0] if loader._mode == "sequential" else loader.iterables)
    if isinstance(loader, Mapping):
        return {name: first_of(one) for name, one in loader.items()}
    if isinstance(loader, (list, tuple)) and any(isinstance(one, (DataLoader, CombinedLoader)) for one in loader):
        return [first_of(one) for one in loader]
    batches = iter(loader)
    try:
        return next(batches)
    finally:
        _end(loader, batches)


def _end(loader: Any, batches: Any) -> None:
    """End the workers that a loader started for an iterator."""
    if hasattr(batches, "_shutdown_workers"):
        batches._shutdown_workers()
    if getattr(loader, "_iterator", None) is batches:  # kept for the next epoch where its workers persist
        loader._iterator = None


def rows_hash(loaders: Iterable[Iterable[Batch]], tensors_in: Callable[[Batch], Iterable[torch.Tensor]]) -> str:
    """A hash of the rows of loaders, whatever their order and their batches.

    All rows are read, and ``ENOUGH_ROWS`` of a loader that has no length, which may have no end. A batch whose tensors
    share no first axis counts as one row.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> two, three = (rows_hash([DataLoader(torch.eye(6), batch_size=n)], lambda batch: [batch]) for n in (2, 3))
        >>> two == three
        True
    """
    rows: list[bytes] = []
    with isolate_rng():  # what is drawn for a row, or for their order, is the same in the next run
        for seeded in (torch.manual_seed, np.random.seed, random.seed):
            seeded(0)
        for loader in loaders:
            of_loader = (row for batch in _batches_of(loader) for row in _rows_of(batch, tensors_in))
            rows += of_loader if operator.length_hint(loader, -1) >= 0 else itertools.islice(of_loader, ENOUGH_ROWS)
    return hashlib.sha256(b"".join(sorted(rows))).hexdigest()


def _batches_of(loader: Iterable[Batch]) -> Iterator[Batch]:
    """The batches of a loader; the workers that it started end where the reading does (see ``first_of``)."""
    batches = iter(loader)
    try:
        yield from batches
    finally:
        _end(loader, batches)


def _rows_of(batch: Batch, tensors_in: Callable[[Batch], Iterable[torch.Tensor]]) -> Iterator[bytes]:
    """A hash of each row of a batch."""
    values = [np.ascontiguousarray(tensor.detach().cpu().double().numpy()) for tensor in tensors_in(batch)]
    together = all(value.ndim for value in values) and len({len(value) for value in values}) == 1
    values = values if together else [value[None] for value in values]
    shapes = str([value.shape[1:] for value in values]).encode()
    flat = [value.reshape(len(value), math.prod(value.shape[1:])).view(np.uint8) for value in values]
    for row in zip(*flat, strict=True):
        yield hashlib.sha256(shapes + b"".join(value.tobytes() for value in row)).digest()


def has(datamodule: lightning.LightningDataModule, method: str) -> bool:
    """Whether a datamodule has a method of its own, such as ``test_dataloader``."""
    return is_overridden(method, datamodule, parent=lightning.LightningDataModule)


def loaders_in(made: object) -> int:
    """How many loaders, one after the other, a datamodule's validation or test method returned.

    Example:
        >>> loaders_in([["a", "b"]]), loaders_in({"x": "a", "y": "b"}), loaders_in([torch.zeros(1)])
        (1, 2, 1)
        >>> loaders_in(CombinedLoader({"x": "a", "y": "b"}, "min_size"))  # one batch holds both
        1
    """
    if _together(made) is not None:
        return 1
    made = made.iterables if isinstance(made, CombinedLoader) else made
    return len(made) if isinstance(made, (list, tuple, Mapping)) else 1


def _together(made: object) -> str | None:
    """The form of batches that hold one of each of several loaders; None where loaders come one after the other."""
    if not isinstance(made, CombinedLoader) or made._mode == "sequential":
        return None
    return str(made._spec)


def missing_batches(made: object) -> str:
    """What a datamodule's method returned where there are no batches in it; empty where there are, or may be.

    Raises:
        TypeError: the data of a loader are none.
    """
    if made is None:
        return "None"
    if isinstance(made, (list, tuple, Mapping)) and not made:
        return "no loader"
    return "a loader without batches" if min(map(_batches, _flat(made))) == 0 else ""


def _flat(made: object) -> list[Iterable[Batch]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        return (made if isinstance(made, CombinedLoader) else CombinedLoader(made)).flattened


def _batches(loader: object) -> int:
    """Batches of a loader; 1 where their number is not known before they come.

    Raises:
        TypeError: its data are none.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return 1
    if not hasattr(loader.dataset, "__getitem__"):
        raise TypeError(f"the dataset of a loader is {loader.dataset!r}")
    return len(loader) if hasattr(loader.dataset, "__len__") else 1


def draws_rows(made: object) -> bool:
    """Whether a loader draws which rows it hands out, so that each training is scored on other ones.

    Example:
        >>> rows = torch.zeros(10, 1)
        >>> draws_rows(DataLoader(rows, batch_size=4, shuffle=True, drop_last=True))
        True
        >>> draws_rows(DataLoader(rows, batch_size=5, shuffle=True, drop_last=True))  # nothing is dropped
        False
    """
    return any(isinstance(loader, DataLoader) and _draws(loader) for loader in _flat(made))


def drawn_note(made: object, method: str) -> str:
    """A note where a datamodule's method returns a loader that draws its rows; empty where none does."""
    if not draws_rows(made):
        return ""
    return (
        f"{method} draws other rows each time, so trainings are scored on different ones: leave out shuffle=True, "
        "drop_last=True and samplers there"
    )


def _draws(loader: DataLoader[Batch]) -> bool:
    batches = loader.batch_sampler if isinstance(loader.batch_sampler, BatchSampler) else None
    sampler = loader.sampler if batches is None else batches.sampler
    if isinstance(sampler, WeightedRandomSampler):
        return True
    if not isinstance(sampler, RandomSampler | SubsetRandomSampler):
        return False
    if isinstance(sampler, RandomSampler) and (sampler.replacement or len(sampler) < len(sampler.data_source)):
        return True
    return batches is not None and batches.drop_last and len(sampler) % batches.batch_size > 0


class SealedDatamodule(TestSet):
    """The test rows of a user's datamodule, and a copy of it without them.

    The copy is set up once, so that all trials share one split, and its ``test_dataloader`` raises.

    Args:
        datamodule: the user's own; it stays as it is.
        tensors_in: the tensors in a batch of whatever form, which make up the rows' fingerprint.

    Attributes:
        datamodule: the copy.
    """

    def __init__(
        self, datamodule: lightning.LightningDataModule, tensors_in: Callable[[Batch], Iterable[torch.Tensor]]
    ) -> None:
        super().__init__()
        self._given = datamodule
        self._tensors_in = tensors_in
        self._problem = ""
        self._done: set[str] = set()
        self._hash = ""
        self.datamodule = self._copy_without_test()

    def _copy_without_test(self) -> lightning.LightningDataModule:
        """The copy whose hooks act once; Lightning finds the user's hooks by what these wrap."""
        given, held = self._given, copy.copy(self._given)

        @functools.wraps(given.setup)
        def setup(stage: str | None = None) -> None:
            # All stages at once, before anything is trained: a later call could draw another split, in which rows that
            # were trained on come back as test rows.
            if "setup" in self._done:
                return
            self._done.add("setup")
            type(given).setup(held, "fit")
            if has(given, "test_dataloader"):
                try:
                    type(given).setup(held, "test")
                except Exception as error:  # of the user's code: their test rows may lie elsewhere
                    self._problem = f"setup('test') raises {type(error).__name__} ({first_line(error)})"

        @functools.wraps(given.prepare_data)
        def prepare_data() -> None:
            if "prepare_data" not in self._done:
                self._done.add("prepare_data")
                type(given).prepare_data(held)

        @functools.wraps(given.test_dataloader)
        def test_dataloader() -> None:
            raise SealedError(f"{SEALED}. Until then take rows from train_dataloader or val_dataloader")

        vars(held).update(
            setup=setup, prepare_data=prepare_data, teardown=_nothing_freed, test_dataloader=test_dataloader
        )
        return held

    def _loader(self) -> object:
        """What the user's ``test_dataloader`` returns; no row is read."""
        # LightningDataModule.from_datasets gives the object a method that its class does not have.
        own = vars(self._given).get("test_dataloader")
        return own() if own is not None else type(self._given).test_dataloader(self.datamodule)

    def _test_loaders(self) -> Iterator[Iterable[Batch]]:
        """The user's test loaders, made when the first is asked for: what they draw is drawn by who reads them."""
        yield from _flat(self._loader())

    def _unsealed(self) -> lightning.LightningDataModule:
        opened = copy.copy(self.datamodule)

        @functools.wraps(self._given.test_dataloader)
        def loader() -> object:
            # One loader stands in each place of several: the values have the names, and are computed by the same code.
            made = self._loader()
            several = loaders_in(self.datamodule.val_dataloader()) if has(self._given, "val_dataloader") else 1
            return [made] * several if several > 1 and isinstance(made, DataLoader) else made

        vars(opened).update(test_dataloader=loader, val_dataloader=loader)
        return opened

    @property
    def size(self) -> int | None:
        """Rows of all test loaders; None where one does not tell."""
        sets = [getattr(loader, "dataset", loader) for loader in _flat(self._loader())]
        told = [len(rows) for rows in sets if isinstance(rows, Sized)]
        return sum(told) if len(told) == len(sets) else None

    @property
    def fingerprint(self) -> str:
        """A hash of the test rows, whatever their order and their batches; see ``rows_hash`` for what it reads.

        It reads the rows, at the first time that it is asked for: openings are counted by it, just before one.
        """
        if not self._hash:
            self._hash = rows_hash(self._test_loaders(), self._tensors_in)
        return self._hash

    def doubt(self) -> str:
        """What makes the test rows less than they could be; empty where nothing does. See ``why_unusable``."""
        return drawn_note(self._loader(), f"{type(self._given).__name__}.test_dataloader")

    def why_unusable(self) -> str:
        """Why the final check could not use the test rows; empty where it can. Their loader is made, no row is read.

        ``datamodule`` has to be set up.
        """
        if not has(self._given, "test_dataloader"):
            return NO_TEST
        kind = type(self._given).__name__
        if self._problem:
            return f"{kind}.{self._problem}: {NO_SEALED_DATA}"
        name = f"{kind}.test_dataloader"
        try:
            made = self._unsealed().val_dataloader()
            missing = missing_batches(made)
        except Exception as error:  # whatever the user's code raises
            return f"{name} raises {type(error).__name__} ({first_line(error)}): {NO_SEALED_DATA}"
        if missing:
            return f"{name} returns {missing}: {NO_SEALED_DATA}"
        if not has(self._given, "val_dataloader"):  # a search refuses that
            return ""
        valid = self.datamodule.val_dataloader()
        if loaders_in(made) != loaders_in(valid):
            return (
                f"{name} returns {loaders_in(made)} loaders and val_dataloader {loaders_in(valid)}, so their values "
                f"have other names: {NO_SEALED_DATA} (return one)"
            )
        if _together(made) != _together(valid):
            return (
                f"{name} and val_dataloader put loaders together in other ways, so their batches have other forms: "
                f"{NO_SEALED_DATA} (return the same kind of CombinedLoader from both, with the same names)"
            )
        return ""


def _nothing_freed(stage: str | None = None) -> None:
    """Stands in the place of ``teardown``: what one training would free, those after it use."""
