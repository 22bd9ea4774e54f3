"""Recorded searches, replayed: what the progress line said of the time left against what was left."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from benchmarks.forecast import replay

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))


def test_there_are_recorded_searches():
    assert len(RECORDED) >= 2


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_after_a_fifth_of_the_trials_the_time_left_is_foreseen(file):
    said = replay(file)
    ratios = [one.left / one.true for one in said[len(said) // 5 :]]
    assert min(ratios) >= 1 / 2 and max(ratios) <= 2, "within a factor of two, always"
    assert 1 / 1.5 <= statistics.median(ratios) <= 1.5, "and of one and a half for most of the time"


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_the_first_word_of_the_time_left_is_no_fiction(file):
    first = replay(file)[0]
    assert first.left <= 4 * first.true, "what starts up once is not taken for the pace of all that follows"
