"""The first batch, of one loader or of several at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader

from autoact.data.foreign_datamodule import first_of

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
