"""Small-sample statistics from the standard library: Student's t, paired intervals, power, medians."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from autoact.core.errors import AutoactError

_NORMAL = NormalDist()
_MANY = 1e5  # degrees of freedom from which the expansion around the normal quantile is exact to 1e-12
_MAD_TO_SD = 1.0 / _NORMAL.inv_cdf(0.75)  # 1.4826: a normal's standard deviation per median absolute deviation
_MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)  # 1.2533: a normal sample's standard error of the median per that of the mean


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: the estimate.
        low: lower bound.
        high: upper bound.
        se: standard error of the mean.
        df: degrees of freedom of the t distribution behind the bounds; ``inf`` is the normal one.
    """

    mean: float
    low: float
    high: float
    se: float
    df: float

    @property
    def includes_zero(self) -> bool:
        """Whether zero lies between the bounds or on one of them: no difference is proved."""
        return self.low <= 0.0 <= self.high


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones.

    Raises:
        ValueError: there are no values.

    Example:
        >>> median([3.0, 1.0, 2.0, 10.0])
        2.5
    """
    return quantile(values, 0.5)


def quantile(values: Sequence[float], p: float) -> float:
    """The value below which the fraction ``p`` of the values lies, linearly interpolated (numpy's default).

    Raises:
        ValueError: there are no values, or ``p`` is outside 0..1.

    Example:
        >>> quantile([0.0, 10.0, 20.0], 0.9)
        18.0
    """
    if not values or not 0.0 <= p <= 1.0:
        raise ValueError(f"a quantile needs values and a fraction within 0..1, got {len(values)} values and {p}")
    ordered = sorted(values)
    place = p * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def median_error(values: Sequence[float]) -> float:
    """The standard error of the median, from the median absolute deviation: outliers hardly move it.

    1.2533 x 1.4826 x MAD / sqrt(n), right for normal values in large samples (Kendall and Stuart, 1977). It is zero
    where more than half of the values are equal.

    Raises:
        ValueError: there are fewer than two values.

    Example:
        >>> round(median_error([1.0, 2.0, 3.0, 4.0, 100.0]), 4)
        0.831
    """
    if len(values) < 2:
        raise ValueError(f"the error of a median needs two values, got {len(values)}")
    middle = median(values)
    mad = median([abs(value - middle) for value in values])
    return _MEDIAN_TO_MEAN * _MAD_TO_SD * mad / math.sqrt(len(values))


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
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def t_quantile(p: float, df: float) -> float:
    """The ``p`` quantile of Student's t distribution with ``df`` degrees of freedom, which need not be whole.

    The distribution function is inverted by bisection; above 1e5 degrees of freedom the expansion around the normal
    quantile takes over (Abramowitz and Stegun, 1964, 26.7.5).

    Raises:
        ValueError: ``p`` is not inside 0..1, or ``df`` is not positive.

    Example:
        >>> round(t_quantile(0.975, 9), 4)
        2.2622
        >>> round(t_quantile(0.975, math.inf), 4)
        1.96
    """
    if not 0.0 < p < 1.0 or not df > 0.0:
        raise ValueError(f"a t quantile needs 0 < p < 1 and df > 0, got p={p} and df={df}")
    if p == 0.5:
        return 0.0
    if df > _MANY:
        z = _NORMAL.inv_cdf(p)
        second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
        return z + ((z**3 + z) / 4 + second / df) / df
    if p < 0.5:
        return -_upper_quantile(p, df)
    return _upper_quantile(1.0 - p, df)


def _upper_quantile(tail: float, df: float) -> float:
    """The t > 0 that is exceeded with probability ``tail`` < 0.5."""
    high = 1.0
    while _upper_tail(high, df) > tail:
        high *= 2.0
    return _bisect(lambda t: _upper_tail(t, df) > tail, 0.0, high)


def _upper_tail(t: float, df: float) -> float:
    """The probability that Student's t exceeds ``t`` >= 0."""
    square = t * t
    if square < df:  # the central form keeps its digits near zero
        return 0.5 - 0.5 * _beta(square / (df + square), df / (df + square), 0.5, 0.5 * df)
    return 0.5 * _beta(df / (df + square), square / (df + square), 0.5 * df, 0.5)


def _beta(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), with ``rest`` = 1 - x given exactly."""
    if x <= 0.0 or rest <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _beta(rest, x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    return math.exp(log_front) / (a * _beta_fraction(x, a, b))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (NIST DLMF 8.17.22)."""
    tiny = 1e-300
    value = upper = 1.0
    lower = 0.0
    for term in range(1, 100_000):
        m = term // 2
        if term % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1.0 / ((1.0 + step * lower) or tiny)
        upper = (1.0 + step / upper) or tiny
        change = upper * lower
        value *= change
        if abs(change - 1.0) < 1e-15:
            return value
    raise ArithmeticError(f"the incomplete beta function did not converge at x={x}, a={a}, b={b}")


def _bisect(below: Callable[[float], bool], low: float, high: float) -> float:
    """The place between ``low`` and ``high`` where ``below`` turns false, to the last digits."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high) or high - low < 1e-14 * high:
            break
        if below(middle):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@dataclass(frozen=True)
class _Design:
    """What decides the width of an interval: its standard error, its degrees of freedom, its critical t."""

    se: float
    df: float
    critical: float


def _design(
    seed_variance: float,
    seeds: int,
    row_variance: float,
    row_df: float,
    overlap: float,
    confidence: float,
    comparisons: int,
) -> _Design:
    """Combine the seeds' part and the rows' part of the variance of a mean difference."""
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
    return _Design(math.sqrt(total), df, -t_quantile(0.5 * alpha, df))


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
    count = len(replicates)
    center = math.fsum(replicates) / count
    return (count - 1) / count * math.fsum((value - center) ** 2 for value in replicates)


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
    design = _design(sd**2, len(differences), row_variance, row_df, overlap, confidence, comparisons)
    half = design.critical * design.se
    return Interval(mean, mean - half, mean + half, design.se, design.df)


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
    as close as the Welch-Satterthwaite degrees of freedom are. More seeds shrink only the seeds' part.

    Args:
        sd: standard deviation of the paired difference across seeds.
        seeds: how many seeds there will be.
        power: the wanted probability that the interval lies on the right side of zero.
        confidence: as in ``paired_interval``.
        comparisons: as in ``paired_interval``.
        row_variance: as in ``paired_interval``.
        row_df: as in ``paired_interval``.
        overlap: as in ``paired_interval``.

    Raises:
        AutoactError: there are fewer than two seeds.

    Example:
        >>> round(detectable_difference(sd=0.01, seeds=10), 4)
        0.01
    """
    if not 0.0 < power < 1.0 or not sd >= 0.0:
        raise ValueError(f"a detectable difference needs 0 < power < 1 and sd >= 0, got {power} and {sd}")
    design = _design(sd**2, seeds, row_variance, row_df, overlap, confidence, comparisons)
    high = design.critical + 1.0
    while _power(high, design) < power:
        high *= 2.0
    return design.se * _bisect(lambda shift: _power(shift, design) < power, 0.0, high)


def _power(shift: float, design: _Design) -> float:
    """The probability that a t statistic whose mean numerator is ``shift`` standard errors exceeds the critical value.

    The integral of Phi(shift - critical * s) over the density of s = sqrt(chi^2 / df), by Simpson's rule on the root
    of s, in which the density is smooth down to one degree of freedom.
    """
    df = design.df
    if df > _MANY:
        return _NORMAL.cdf(shift - design.critical)
    log_scale = 2.0 * math.log(2.0) + 0.5 * df * math.log(0.5 * df) - math.lgamma(0.5 * df)
    width = 9.0 / math.sqrt(2.0 * df)  # s has a standard deviation of about 1 / sqrt(2 df)
    start, stop, steps = math.sqrt(max(0.0, 1.0 - width)), math.sqrt(1.0 + width), 400
    total = 0.0
    for i in range(steps + 1):
        root = start + (stop - start) * i / steps
        if root > 0.0:
            s = root * root
            density = math.exp(log_scale + (2.0 * df - 1.0) * math.log(root) - 0.5 * df * s * s)
            weight = 1 if i in (0, steps) else 4 if i % 2 else 2
            total += weight * density * _NORMAL.cdf(shift - design.critical * s)
    return total * (stop - start) / (3 * steps)
