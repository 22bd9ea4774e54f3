"""Small-sample statistics of paired differences: intervals over crossed seeds and test rows, and their power."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import optimize, stats

from autoact.core.errors import AutoactError


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval, its standard error, and the degrees of freedom (``inf``: normal bounds)."""

    mean: float
    low: float
    high: float
    se: float
    df: float


def mean_sd(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the standard deviation (n - 1 in the denominator); one value has an unknown deviation, ``nan``.

    Raises:
        ValueError: there are no values.

    Example:
        >>> mean_sd([1.0, 2.0, 3.0])
        (2.0, 1.0)
    """
    if not values:
        raise ValueError("a mean needs a value")
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def _design(
    seed_variance: float,
    seeds: int,
    row_variance: float,
    row_df: float,
    overlap: float,
    confidence: float,
    comparisons: int,
) -> tuple[float, float, float]:
    """The standard error of a mean difference by seeds and rows, its degrees of freedom, and the critical t."""
    if seeds < 2:
        raise AutoactError(f"an interval over seeds needs at least 2 seeds, got {seeds}")
    if not 0.0 < confidence < 1.0 or comparisons < 1:
        raise ValueError(f"an interval needs 0 < confidence < 1 and comparisons >= 1, got {confidence}, {comparisons}")
    if not row_variance >= 0.0 or not row_df > 0.0 or not overlap >= 0.0:
        raise ValueError(
            f"an interval needs row_variance >= 0, row_df > 0 and overlap >= 0, got {row_variance}, {row_df}, {overlap}"
        )
    seed_part = seed_variance / seeds
    both = seed_part + row_variance
    # Neither part alone is more than the whole.
    total = max(seed_part, row_variance, both - overlap)
    shares = [(seed_part / both, seeds - 1.0), (row_variance / both, row_df)] if both > 0.0 else [(1.0, seeds - 1.0)]
    weight = math.fsum(share**2 / df for share, df in shares)
    df = 1.0 / weight if weight > 0.0 else math.inf
    alpha = (1.0 - confidence) / comparisons
    return math.sqrt(total), df, -float(stats.t.ppf(0.5 * alpha, df))


def jackknife_variance(replicates: Sequence[float]) -> float:
    """The variance of an estimate due to the choice of rows, by the grouped jackknife (Shao and Wu, 1989).

    Args:
        replicates: the estimate with one group of rows left out at a time; groups are of nearly equal size. Its degrees
            of freedom are about one less than their number.

    Raises:
        ValueError: there are fewer than two replicates.

    Example:
        >>> rows = [1.0, 2.0, 3.0, 4.0]
        >>> left_out = [(sum(rows) - row) / 3 for row in rows]
        >>> round(jackknife_variance(left_out), 6) == round(mean_sd(rows)[1] ** 2 / 4, 6)
        True
    """
    if len(replicates) < 2:
        raise ValueError(f"a jackknife needs two replicates, got {len(replicates)}")
    return (len(replicates) - 1) ** 2 / len(replicates) * mean_sd(replicates)[1] ** 2


def paired_interval(
    differences: Sequence[float],
    *,
    confidence: float = 0.95,
    comparisons: int = 1,
    row_variance: float = 0.0,
    row_df: float = math.inf,
    overlap: float = 0.0,
) -> Interval:
    """The mean of paired differences, with an interval for crossed seeds and test rows.

    SE^2 = s^2 / S + ``row_variance`` - ``overlap``: what other seeds would change, and what other test rows would
    change; what a row changes for one seed alone is in both, and counts once (the crossed random-effects model of
    Cornfield and Tukey, 1956). The degrees of freedom are those of Welch (1947) and Satterthwaite (1946); the bounds
    are Bonferroni-corrected, so that all ``comparisons`` intervals hold together with the given confidence.

    Args:
        differences: one paired difference per seed, each over the same test rows.
        confidence: of all the comparisons together.
        comparisons: how many intervals are claimed at once.
        row_variance: variance of the seed-averaged difference due to the choice of rows, already for the mean over
            the rows (a jackknife's or a bootstrap's), in squared units of the differences.
        row_df: degrees of freedom of ``row_variance``.
        overlap: the interaction's part of the variance of the mean, which both other parts hold.

    Raises:
        AutoactError: there are fewer than two differences.

    Example:
        >>> interval = paired_interval([0.010, 0.012, 0.008, 0.011])
        >>> f"{interval.mean:.5f} from {interval.low:.5f} to {interval.high:.5f}"
        '0.01025 from 0.00753 to 0.01297'
    """
    if len(differences) < 2:
        raise AutoactError(f"an interval over seeds needs at least 2 seeds, got {len(differences)}")
    mean, sd = mean_sd(differences)
    se, df, critical = _design(sd**2, len(differences), row_variance, row_df, overlap, confidence, comparisons)
    return Interval(mean, mean - critical * se, mean + critical * se, se, df)


def detectable_difference(
    sd: float,
    seeds: int,
    power: float = 0.8,
    *,
    confidence: float = 0.95,
    comparisons: int = 1,
    row_variance: float = 0.0,
    row_df: float = math.inf,
    overlap: float = 0.0,
) -> float:
    """The smallest true difference that ``paired_interval`` tells from zero with probability ``power``.

    Exact for normal differences where the seeds are the only source of variance (noncentral t); where rows add to it,
    as close as the Welch-Satterthwaite degrees of freedom are. More seeds shrink only the seeds' part. ``sd`` is the
    standard deviation of the paired difference across seeds; the keyword arguments are those of ``paired_interval``.

    Raises:
        AutoactError: there are fewer than two seeds.

    Example:
        >>> round(detectable_difference(sd=0.01, seeds=10), 4)
        0.01
    """
    if not 0.0 < power < 1.0 or not sd >= 0.0:
        raise ValueError(f"a detectable difference needs 0 < power < 1 and sd >= 0, got {power} and {sd}")
    se, df, critical = _design(sd**2, seeds, row_variance, row_df, overlap, confidence, comparisons)
    return se * _shift(power, df, critical)


def _shift(power: float, df: float, critical: float) -> float:
    """How many standard errors the true difference is where the t statistic exceeds its critical value that often."""
    if math.isinf(df):
        return max(0.0, critical + float(stats.norm.ppf(power)))

    def excess(shift: float) -> float:
        return float(stats.nct.sf(critical, df, shift)) - power

    if excess(0.0) >= 0.0:
        return 0.0
    high = critical + 1.0
    while excess(high) < 0.0:
        high *= 2.0
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-12))
