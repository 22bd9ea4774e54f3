"""Test rows stay sealed: nothing is read before they are opened, and every opening is on record."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import torch

from autoact.core.errors import AutoactError, SealedError
from autoact.data.datamodule import TensorDataModule
from autoact.data.part import Part
from autoact.data.sealed_test import PreparedTest

READS: list[int] = []
TRAIN = Part(torch.ones(5, 2), torch.zeros(5), np.arange(3, 8))


def _secret() -> Part:
    READS.append(1)
    return Part(torch.full((3, 2), 42.0), torch.zeros(3), np.arange(3))


@pytest.fixture
def sealed() -> PreparedTest:
    READS.clear()
    return PreparedTest(_secret, 3, "f00d", train=TRAIN)


def test_every_read_is_refused_and_nothing_is_prepared(sealed: PreparedTest) -> None:
    for name in ("part", "x", "y", "rows"):
        with pytest.raises(SealedError, match="the test part is sealed"):
            getattr(sealed, name)
    assert sealed.size == 3 and not sealed.opened and sealed.openings == [] and READS == []
    assert "42" not in repr(sealed) and repr(sealed) == "PreparedTest(3 rows, sealed)"


def test_openings_are_recorded(sealed: PreparedTest) -> None:
    sealed.open("final check")
    part = sealed.part
    sealed.open("again")
    assert part.x.shape == (3, 2) and sealed.x is part.x and len(sealed.y) == len(sealed.rows) == 3
    assert [o.reason for o in sealed.openings] == ["final check", "again"] and READS == [1]
    assert datetime.fromisoformat(sealed.openings[0].time).tzinfo is not None
    assert repr(sealed) == "PreparedTest(3 rows, opened 2 times)"
    assert repr(part) == "Part(x=(3, 2), y=(3,))"


def test_what_is_opened_validates_on_the_test_rows_and_trains_on_the_training_rows(sealed: PreparedTest) -> None:
    opened: Any = sealed.open("final check")
    assert isinstance(opened, TensorDataModule)
    assert [x.tolist() for x, _ in opened.val_dataloader()] == [[[42.0, 42.0]] * 3]
    assert sum(len(x) for x, _ in opened.train_dataloader()) == 5


def test_the_record_cannot_be_shortened_from_outside(sealed: PreparedTest) -> None:
    sealed.open("final check")
    sealed.openings.clear()
    assert len(sealed.openings) == 1


def test_an_opening_needs_a_reason(sealed: PreparedTest) -> None:
    with pytest.raises(AutoactError, match="needs a reason"):
        sealed.open("  ")
    assert not sealed.opened and sealed.openings == []


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_are_sealed_and_remember(sealed: PreparedTest, copied: Callable[[PreparedTest], PreparedTest]) -> None:
    sealed.open("first")
    other = copied(sealed)
    with pytest.raises(SealedError):
        other.part  # noqa: B018
    assert [o.reason for o in other.openings] == ["first"] and other.fingerprint == "f00d"
    other.open("second")
    assert len(other.x) == 3 and len(other.openings) == 2
