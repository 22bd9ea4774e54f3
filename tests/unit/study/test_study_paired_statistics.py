"""Statistics against scipy, and intervals against simulated experiments whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from autoact.core.errors import AutoactError
from autoact.study.paired_statistics import (
    Interval,
    detectable_difference,
    mean_sd,
    paired_interval,
)


def test_mean_sd_is_numpys() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=37).tolist()
    assert mean_sd(values) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    mean, sd = mean_sd([4.0])
    assert mean == 4.0 and math.isnan(sd)
    with pytest.raises(ValueError):
        mean_sd([])


def test_paired_interval_without_rows_is_the_t_interval() -> None:
    differences = np.random.default_rng(2).normal(0.01, 0.02, size=8)
    got = paired_interval(differences.tolist())
    low, high = stats.t.interval(0.95, 7, loc=differences.mean(), scale=stats.sem(differences))
    assert (got.low, got.high) == pytest.approx((low, high))
    assert (got.mean, got.se, got.df) == pytest.approx((differences.mean(), stats.sem(differences), 7))
    three = paired_interval(differences.tolist(), comparisons=3)
    low, high = stats.t.interval(1 - 0.05 / 3, 7, loc=differences.mean(), scale=stats.sem(differences))
    assert (three.low, three.high) == pytest.approx((low, high))


def test_paired_interval_adds_the_rows_by_welch_and_satterthwaite() -> None:
    differences = [1.0, 2.0, 3.0, 4.0]
    seed_part = np.var(differences, ddof=1) / 4
    got = paired_interval(differences, row_variance=0.5, row_df=20)
    assert got.se == pytest.approx(math.sqrt(seed_part + 0.5))
    assert got.df == pytest.approx((seed_part + 0.5) ** 2 / (seed_part**2 / 3 + 0.5**2 / 20))
    assert paired_interval([2.0, 2.0], row_variance=0.5, row_df=20).df == pytest.approx(20)
    assert paired_interval([2.0, 2.0], row_variance=0.5).df == math.inf
    assert paired_interval([2.0, 2.0]) == Interval(2.0, 2.0, 2.0, 0.0, 1.0)


def test_paired_interval_needs_two_seeds() -> None:
    for differences in ([], [0.1]):
        with pytest.raises(AutoactError, match="at least 2 seeds"):
            paired_interval(differences)
    with pytest.raises(ValueError):
        paired_interval([1.0, 2.0], confidence=1.0)
    with pytest.raises(ValueError):
        paired_interval([1.0, 2.0], row_variance=-1.0)


@pytest.mark.parametrize(
    ("seed_sd", "row_sd", "cell_sd"), [(1.0, 0.0, 0.0), (0.0, 8.0, 0.0), (0.5, 4.0, 2.0), (1.0, 1.0, 8.0)]
)
def test_interval_covers_crossed_seeds_and_rows(seed_sd: float, row_sd: float, cell_sd: float) -> None:
    """True difference 0.3; seeds and rows are drawn anew each time and crossed, with noise in every cell."""
    rng, truth, seeds, rows, repeats = np.random.default_rng(3), 0.3, 6, 60, 1500
    hits = 0
    for _ in range(repeats):
        cells = truth + seed_sd * rng.normal(size=(seeds, 1)) + row_sd * rng.normal(size=(1, rows))
        cells = cells + cell_sd * rng.normal(size=(seeds, rows))
        row_variance = cells.mean(axis=0).var(ddof=1) / rows
        got = paired_interval(cells.mean(axis=1).tolist(), row_variance=row_variance, row_df=rows - 1)
        hits += got.low <= truth <= got.high
    assert 0.935 <= hits / repeats <= 0.985  # noise in the cells enters both parts: slightly too wide, never too narrow


def test_detectable_difference_is_the_noncentral_t() -> None:
    for seeds, power, comparisons in [(2, 0.8, 1), (3, 0.5, 1), (10, 0.8, 3), (30, 0.95, 1)]:
        got = detectable_difference(2.0, seeds, power, comparisons=comparisons)
        critical = stats.t.ppf(1 - 0.025 / comparisons, seeds - 1)
        reached = stats.nct.sf(critical, seeds - 1, got / (2.0 / math.sqrt(seeds)))
        assert reached == pytest.approx(power, abs=1e-9)
    normal = detectable_difference(0.0, 5, row_variance=4.0)
    assert normal == pytest.approx(2.0 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)))


@pytest.mark.parametrize(
    ("seeds", "comparisons", "expected"),
    [(3, 1, 6.528087101290), (10, 3, 2.446940263846), (500, 1, 0.251064946543)],
)
def test_detectable_difference_keeps_its_values(seeds: int, comparisons: int, expected: float) -> None:
    assert detectable_difference(2.0, seeds, comparisons=comparisons) == pytest.approx(expected, rel=1e-9)


def test_a_power_below_the_false_positives_needs_no_difference() -> None:
    assert detectable_difference(1.0, 5, power=0.001) == 0.0
    assert detectable_difference(0.0, 5, power=0.001, row_variance=1.0) == 0.0


def test_detectable_difference_is_detected_that_often() -> None:
    effect = detectable_difference(1.0, 5, 0.8, row_variance=0.1, row_df=80)
    rng, repeats = np.random.default_rng(4), 4000
    row_noise = rng.normal(0.0, math.sqrt(0.1), size=repeats)
    row_variance = 0.1 * rng.chisquare(80, size=repeats) / 80
    seeds = rng.normal(effect, 1.0, size=(repeats, 5))
    found = sum(
        paired_interval((d + r).tolist(), row_variance=v, row_df=80).low > 0
        for d, r, v in zip(seeds, row_noise, row_variance, strict=True)
    )
    assert found / repeats == pytest.approx(0.8, abs=0.02)


def test_more_seeds_help_only_against_the_seeds_part() -> None:
    assert detectable_difference(1.0, 20) < 0.5 * detectable_difference(1.0, 5)
    few, many = (detectable_difference(0.01, seeds, row_variance=1.0) for seeds in (5, 500))
    assert many == pytest.approx(few, rel=1e-3)
    assert detectable_difference(0.0, 5) == 0.0
    with pytest.raises(AutoactError, match="at least 2 seeds"):
        detectable_difference(1.0, 1)
    with pytest.raises(ValueError):
        detectable_difference(1.0, 5, power=1.0)
