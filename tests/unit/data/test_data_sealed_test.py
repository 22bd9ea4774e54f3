"""The seal: nothing is read before it is opened, and every opening is on record."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest
import torch

from autoact.core.errors import AutoactError, SealedError
from autoact.data.sealed_test import Part, SealedTest

READS: list[int] = []


def _secret() -> Part:
    READS.append(1)
    return Part(torch.full((3, 2), 42.0), torch.zeros(3), np.arange(3))


@pytest.fixture
def sealed() -> SealedTest:
    READS.clear()
    return SealedTest(_secret, 3, "f00d")


def test_every_read_is_refused_and_nothing_is_prepared(sealed: SealedTest) -> None:
    for name in ("part", "x", "y", "rows"):
        with pytest.raises(SealedError, match="the test part is sealed"):
            getattr(sealed, name)
    assert len(sealed) == 3 and not sealed.opened and sealed.openings == [] and READS == []
    assert "42" not in repr(sealed) and repr(sealed) == "SealedTest(3 rows, sealed)"


def test_openings_are_recorded(sealed: SealedTest) -> None:
    part = sealed.open("final check")
    sealed.open("again")
    assert part.x.shape == (3, 2) and sealed.x is part.x and len(sealed.y) == len(sealed.rows) == 3
    assert [o.reason for o in sealed.openings] == ["final check", "again"] and READS == [1]
    assert datetime.fromisoformat(sealed.openings[0].time).tzinfo is not None
    assert repr(sealed) == "SealedTest(3 rows, opened 2 times)"
    assert repr(part) == "Part(x=(3, 2), y=(3,))"


def test_the_record_cannot_be_shortened_from_outside(sealed: SealedTest) -> None:
    sealed.open("final check")
    sealed.openings.clear()
    assert len(sealed.openings) == 1


def test_an_opening_needs_a_reason(sealed: SealedTest) -> None:
    with pytest.raises(AutoactError, match="needs a reason"):
        sealed.open("  ")
    assert not sealed.opened


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_are_sealed_and_remember(sealed: SealedTest, copied: Callable[[SealedTest], SealedTest]) -> None:
    sealed.open("first")
    other = copied(sealed)
    with pytest.raises(SealedError):
        other.part  # noqa: B018
    assert [o.reason for o in other.openings] == ["first"] and other.fingerprint == "f00d"
    assert len(other.open("second").x) == 3 and len(other.openings) == 2
