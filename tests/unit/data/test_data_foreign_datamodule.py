"""The first batch, of one loader or of several at once, and the rows by which a test part is told again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from autoact.data.foreign_datamodule import first_of, rows_hash

A, B = DataLoader(range(6), batch_size=2), DataLoader(range(10, 13))


def plain(batch: Any) -> Any:
    """Tensors as lists."""
    if isinstance(batch, torch.Tensor):
        return batch.tolist()
    return {k: plain(v) for k, v in batch.items()} if isinstance(batch, dict) else [plain(one) for one in batch]


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
@pytest.mark.parametrize(
    ("loaders", "first"),
    [
        (A, [0, 1]),
        ({"a": A, "b": B}, {"a": [0, 1], "b": [10]}),
        ([A, B], [[0, 1], [10]]),
        ((A, B), [[0, 1], [10]]),
        ({"a": [A, B], "b": B}, {"a": [[0, 1], [10]], "b": [10]}),
        (CombinedLoader({"a": A, "b": B}, "max_size_cycle"), {"a": [0, 1], "b": [10]}),
        (CombinedLoader([A, B], "sequential"), [0, 1]),
        ([torch.tensor([3]), torch.tensor([4])], [3]),  # a list of batches, not of loaders
    ],
)
def test_it_has_the_form_that_training_batches_have(loaders: Any, first: Any) -> None:
    assert plain(first_of(loaders)) == first


class Stream(IterableDataset[Any]):
    """Rows without a length, and without an end unless they are given."""

    def __init__(self, rows: Any = None) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(count() if self.rows is None else self.rows)


ROWS = TensorDataset(torch.arange(24.0).reshape(12, 2), torch.arange(12))


def hash_of(*loaders: Any) -> str:
    return rows_hash(loaders, lambda batch: [batch] if isinstance(batch, torch.Tensor) else batch)


@pytest.mark.parametrize(
    "loaders",
    [
        (DataLoader(ROWS, batch_size=5),),
        (DataLoader(ROWS, batch_size=12, shuffle=True),),
        (DataLoader(Stream(list(ROWS)), batch_size=5),),
        (DataLoader(ROWS, batch_size=5, sampler=range(6, 12)), DataLoader(ROWS, batch_size=3, sampler=range(6))),
    ],
)
def test_the_same_rows_have_one_hash_whatever_brings_them(loaders: Any) -> None:
    assert hash_of(*loaders) == hash_of(DataLoader(ROWS, batch_size=3))


@pytest.mark.parametrize(
    "other",
    [
        TensorDataset(ROWS.tensors[0], ROWS.tensors[1].flip(0)),
        TensorDataset(ROWS.tensors[0][:11], ROWS.tensors[1][:11]),
        TensorDataset(ROWS.tensors[0].reshape(12, 1, 2), ROWS.tensors[1]),
    ],
)
def test_other_rows_have_another_hash(other: Any) -> None:
    assert hash_of(DataLoader(other, batch_size=3)) != hash_of(DataLoader(ROWS, batch_size=3))


def test_a_stream_without_end_is_told_again_by_its_first_rows() -> None:
    assert hash_of(DataLoader(Stream(), batch_size=7)) == hash_of(DataLoader(Stream(), batch_size=300))


def test_tensors_without_a_common_first_axis_are_one_row() -> None:
    one = [[torch.zeros(3), torch.tensor(1.0)], [torch.zeros(2, 1), torch.zeros(3)], [torch.zeros(0, 4)]]
    assert hash_of(one) == hash_of(one[::-1]) != hash_of(one[:2][:1])
