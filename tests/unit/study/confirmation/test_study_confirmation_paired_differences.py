"""Differences of crossed seeds and rows: each source of variance counts once."""

from __future__ import annotations

import numpy as np
import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.confirmation.paired_differences import Pairs, gain_of, pairs_of
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold

SEEDS, ROWS, GROUPS = 10, 400, 40


def retrained(rows: np.ndarray) -> RetrainedCandidate:
    """A candidate whose metric is the mean over rows; ``rows`` is ``[seeds, rows]``."""
    group = np.arange(rows.shape[1]) % GROUPS
    turns = [SeedFold(seed) for seed in range(len(rows))]
    return RetrainedCandidate(
        Candidate(Assignment({"a": "relu"})),
        scores={turn: float(mine.mean()) for turn, mine in zip(turns, rows, strict=True)},
        replicates={
            turn: tuple(float(mine[group != g].mean()) for g in range(GROUPS))
            for turn, mine in zip(turns, rows, strict=True)
        },
    )


def drawn(random: np.random.Generator, seeds: float, rows: float, both: float) -> Pairs:
    """Differences with these standard deviations of seeds, of rows, and of rows for one seed alone."""
    shape = (SEEDS, ROWS)
    found = random.normal(0, seeds, (SEEDS, 1)) + random.normal(0, rows, (1, ROWS)) + random.normal(0, both, shape)
    return pairs_of(retrained(found), retrained(np.zeros(shape)))


@pytest.mark.parametrize(
    ("seeds", "rows", "both"), [(0.1, 1.0, 0.2), (0.0, 0.5, 3.0), (0.3, 0.2, 0.2), (0.05, 1.0, 3.0)]
)
def test_the_estimated_variance_is_that_of_the_mean(seeds, rows, both):
    random = np.random.default_rng(1)
    repeats = [drawn(random, seeds, rows, both) for _ in range(400)]
    truth = seeds**2 / SEEDS + rows**2 / ROWS + both**2 / (SEEDS * ROWS)
    estimates = [p.interval(1.0).se ** 2 for p in repeats]
    # Where rows move single seeds and nothing else, the floor (no part is more than the whole) leaves it a little wide.
    assert 0.9 * truth <= np.mean(estimates) <= 1.2 * truth
    assert np.mean([p.interaction for p in repeats]) == pytest.approx(both**2 / ROWS, rel=0.1)
    covered = [p.interval(1.0).low <= 0 <= p.interval(1.0).high for p in repeats]
    assert 0.92 <= np.mean(covered) <= 0.985


def test_what_rows_do_to_one_seed_alone_is_not_counted_twice():
    random = np.random.default_rng(2)
    pairs = [drawn(random, 0.0, 0.0, 1.0) for _ in range(200)]
    twice = np.mean([p.seed_variance / SEEDS + p.row_variance for p in pairs])
    once = np.mean([p.interval(1.0).se ** 2 for p in pairs])
    assert twice == pytest.approx(2 / (SEEDS * ROWS), rel=0.1)
    assert once < 0.75 * twice, "no less than the larger of the two parts"


def test_losses_are_turned_round_and_few_seeds_give_no_interval():
    random = np.random.default_rng(3)
    one, other = (retrained(random.normal(mean, 1.0, (SEEDS, ROWS))) for mean in (1.0, 0.0))
    up, down = gain_of(one, other, "max"), gain_of(one, other, "min")
    assert (up.mean, up.low, up.high) == pytest.approx((-down.mean, -down.high, -down.low))
    assert gain_of(retrained(np.ones((1, ROWS))), retrained(np.zeros((1, ROWS))), "max") is None
    unknown = pairs_of(RetrainedCandidate(one.candidate, scores=one.scores), other)
    assert (unknown.row_variance, unknown.interaction, unknown.groups) == (0.0, 0.0, 0)
