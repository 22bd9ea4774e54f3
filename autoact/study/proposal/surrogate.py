"""A factorised model of quality: main effects of the dimensions, shrunken, with a shrunken rest per point.

The quality of a point, on a scale on which it is roughly normal, is taken as

    mean + sum over dimensions of its main effect + rest of the point + noise of the seed.

Each dimension's effects are drawn from a normal distribution around zero with a variance of their own, and so is the
rest, which similar points share (covariance exp(-weighted distance)). The variances are estimated by maximising the
marginal likelihood (variance components; Patterson and Thompson, 1971) under weak priors, by Fisher scoring with the
average information matrix (Gilmour, Thompson and Cullis, 1995). Effects that the data do not support shrink to zero.
This is the Gaussian process with an additive kernel of Duvenaud et al. (2011), in the form in which each part has a
meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from autoact.space.point import Parameters
from autoact.study.proposal.feature_encoding import Encoding

Array = NDArray[np.float64]

# Qualities further beyond the median than this many times the distance from the median to the best tenth are outliers
# (a loss that diverged): they count as bad, not as how bad.
OUTLIER = 3.0
MEAN_VARIANCE = 4.0  # of the mean, in units of the qualities' own variance: nearly free
SCORING_STEPS = 15  # of Fisher scoring
MOST_FITTED = 160  # points that estimate the variances; all points estimate the effects
JITTER = 1e-8
RANGE = (-13.0, 6.0)  # of logarithms of variances and weights
# Predicted with each point left out, a model must explain this share of the variance of quality to be believed.
LEAST_R2 = 0.2


class Surrogate:
    """A fitted model of quality; ``fit`` makes one.

    Attributes:
        r2: the share of the qualities' variance, on the model's scale, that is predicted with each point left out under
            all its seeds; negative where the model predicts worse than the mean of the others.
        noise: the estimated standard deviation between seeds on the model's scale.
    """

    def __init__(self, encoding: Encoding, scale: QualityScale, rows: Array, targets: Array, theta: Array) -> None:
        self._encoding = encoding
        self.scale = scale
        self._rows = rows
        self._theta = theta
        self.noise = math.exp(0.5 * theta[-1])
        covariance = _covariance(encoding, theta, rows, rows) + _noise(theta, len(rows))
        self._whiten = np.linalg.inv(np.linalg.cholesky(covariance))
        self._weights = self._whiten.T @ (self._whiten @ targets)
        self.r2 = self._left_out(targets)

    def _left_out(self, targets: Array) -> float:
        """The share of variance predicted with each point left out under all its seeds, in closed form."""
        _, owners = np.unique(self._rows, axis=0, return_inverse=True)
        missed = spread = 0.0
        for owner in range(int(owners.max()) + 1):
            mine = np.flatnonzero(owners == owner)
            columns = self._whiten[:, mine]
            missed += float(np.sum(np.linalg.solve(columns.T @ columns, self._weights[mine]) ** 2))
            others = np.delete(targets, mine)
            spread += float(np.sum((targets[mine] - others.mean()) ** 2)) if len(others) else 0.0
        return 1.0 - missed / spread if spread > 0.0 else 0.0

    def predict(self, params: Parameters) -> tuple[float, float]:
        """The expected quality of a point over seeds and its standard deviation, in the quality's own unit."""
        posterior = self.posterior([params])
        return self.scale.back(float(posterior.mean[0]), float(posterior.sd[0]))

    def posterior(self, points: Sequence[Parameters]) -> Posterior:
        """What the model believes of points, to be conditioned on some of them."""
        rows = self._encoding.encode(points)
        cross = _covariance(self._encoding, self._theta, self._rows, rows)
        prior = _covariance_diagonal(self._encoding, self._theta, rows)

        def covariances(index: int) -> Array:
            return _covariance(self._encoding, self._theta, rows[index : index + 1], rows)[0]

        return Posterior(cross.T @ self._weights, self._whiten @ cross, prior, covariances, self.noise)


class Posterior:
    """Beliefs about a set of points on the model's scale (lower is better): expected values over seeds, and their sd.

    Shape:
        - mean, sd: (points,)
    """

    def __init__(
        self, mean: Array, whitened: Array, prior: Array, covariances: Callable[[int], Array], noise: float
    ) -> None:
        self.mean = mean
        self._whitened = whitened
        self._variance = np.maximum(prior - np.sum(whitened**2, axis=0), JITTER)
        self._covariances = covariances
        self._noise = noise
        self._learnt: list[Array] = []

    @property
    def sd(self) -> Array:
        """Standard deviations of the expected values."""
        return np.asarray(np.sqrt(self._variance))

    def condition(self, index: int) -> None:
        """Count a point as about to be evaluated: what resembles it becomes more certain, means stay."""
        shared = self._covariances(index) - self._whitened[:, index] @ self._whitened
        for row in self._learnt:
            shared = shared - row[index] * row
        row = shared / math.sqrt(max(float(shared[index]), JITTER) + self._noise**2)
        self._learnt.append(row)
        self._variance = np.maximum(self._variance - row**2, JITTER)


class QualityScale:
    """The scale on which qualities are modelled: lower is better, standardised.

    Positive qualities that are minimised (losses, errors) are taken in logarithms: their noise and the effects on them
    grow with them. Values beyond ``OUTLIER`` on the bad side are drawn in; None, or one that is not finite, is the
    worst.
    """

    def __init__(self, values: Sequence[float], direction: str) -> None:
        self._sign = -1.0 if direction == "max" else 1.0
        finite = np.asarray([value for value in values if math.isfinite(value)], dtype=float)
        self._log = direction == "min" and bool(len(finite)) and bool(finite.min() > 0.0)
        moved = np.sort(self._sign * (np.log(finite) if self._log else finite))
        middle, good = (float(np.quantile(moved, p)) for p in (0.5, 0.1)) if len(moved) else (0.0, 0.0)
        worst = float(moved[-1]) if len(moved) else 0.0
        self._limit = min(worst, middle + OUTLIER * (middle - good)) if middle > good else worst
        kept = np.minimum(moved, self._limit) if len(moved) else np.zeros(1)
        self._centre = float(kept.mean())
        self._unit = float(kept.std()) or 1.0

    def to(self, value: float | None) -> float:
        """A quality on the model's scale."""
        if value is None or not math.isfinite(value) or (self._log and value <= 0.0):
            moved = self._limit
        else:
            moved = min(self._limit, self._sign * (math.log(value) if self._log else value))
        return (moved - self._centre) / self._unit

    def back(self, mean: float, sd: float) -> tuple[float, float]:
        """A mean and a standard deviation in the quality's own unit (to first order where the scale is logarithmic)."""
        value = self._sign * (mean * self._unit + self._centre)
        if not self._log:
            return value, sd * self._unit
        return math.exp(value), math.exp(value) * sd * self._unit


def fit(
    points: Sequence[tuple[Parameters, float | None]],
    dimensions: Mapping[str, BaseDistribution],
    direction: str = "min",
) -> Surrogate:
    """Fit the model to points with their qualities; the same point may come several times, under several seeds.

    A quality that is None or not finite is as bad as any; dimensions with a single value are left out.

    Raises:
        ValueError: there are no points.

    Example:
        >>> from optuna.distributions import CategoricalDistribution
        >>> dimensions = {"layer": CategoricalDistribution(["relu", "tanh"])}
        >>> points = [({"layer": name}, {"relu": 1.0, "tanh": 2.0}[name]) for name in ["relu", "tanh"] * 6]
        >>> mean, sd = fit(points, dimensions).predict({"layer": "tanh"})
        >>> round(mean, 1), sd < 0.1
        (2.0, True)
    """
    if not points:
        raise ValueError("a model of quality needs a point")
    encoding = Encoding(dimensions)
    scale = QualityScale([value for _, value in points if value is not None], direction)
    targets = np.asarray([scale.to(value) for _, value in points])
    rows = encoding.encode([params for params, _ in points])
    chosen = _for_variances(targets)
    theta = _variances(encoding, rows[chosen], targets[chosen])
    return Surrogate(encoding, scale, rows, targets, theta)


def _for_variances(targets: Array) -> NDArray[np.int_]:
    """Which points estimate the variances: all, or the best and the newest."""
    if len(targets) <= MOST_FITTED:
        return np.arange(len(targets))
    best = np.argsort(targets, kind="stable")[: MOST_FITTED // 2]
    others = np.setdiff1d(np.arange(len(targets)), best)
    spread = others[np.linspace(0, len(others) - 1, MOST_FITTED - len(best)).astype(int)]
    return np.sort(np.concatenate([best, spread]))


# theta: log variance of each dimension's main effect, log variance of the rest, log weight of each dimension in the
# rest's distance, log variance of the noise.


def _parts(encoding: Encoding, theta: Array, a: Array, b: Array) -> tuple[list[Array], list[Array], Array]:
    count = len(encoding.columns)
    mains = [math.exp(theta[d]) * c.main_effect(a[:, d], b[:, d]) for d, c in enumerate(encoding.columns)]
    far = [math.exp(theta[count + 1 + d]) * c.distance(a[:, d], b[:, d]) for d, c in enumerate(encoding.columns)]
    total = np.sum(far, axis=0) if far else np.zeros((len(a), len(b)))
    return mains, far, math.exp(theta[count]) * np.exp(-total)


def _covariance(encoding: Encoding, theta: Array, a: Array, b: Array) -> Array:
    mains, _, rest = _parts(encoding, theta, a, b)
    return np.asarray(sum(mains, rest + MEAN_VARIANCE))


def _covariance_diagonal(encoding: Encoding, theta: Array, rows: Array) -> Array:
    total = np.full(len(rows), MEAN_VARIANCE + math.exp(theta[len(encoding.columns)]))
    for d, column in enumerate(encoding.columns):
        total += math.exp(theta[d]) * column.variance(rows[:, d])
    return total


def _noise(theta: Array, count: int) -> Array:
    return np.asarray(np.eye(count) * (math.exp(theta[-1]) + JITTER))


def _start(count: int) -> tuple[Array, Array]:
    """Where the variances start, which is also where their priors stand, and the priors' precisions.

    The rest is expected to be shared among neighbours (weights of 0.3, held tighter than all else): without replicates
    only that tells it from noise. A rest that every point had to itself would be the noise under another name, and
    then nothing is shrunken.
    """
    share = math.log(0.6 / max(1, count))
    centre = np.concatenate([np.full(count, share), [math.log(0.2)], np.full(count, math.log(0.3)), [math.log(0.2)]])
    precision = np.concatenate([np.full(count, 1 / 9), [1 / 4], np.full(count, 4.0), [1 / 4]])
    return centre, precision


def _variances(encoding: Encoding, rows: Array, targets: Array) -> Array:
    """The variances at the maximum of the posterior density, by damped Fisher scoring."""
    centre, precision = _start(len(encoding.columns))
    theta, damping = centre.copy(), 1.0
    value, gradient, information = _evidence(encoding, theta, rows, targets)
    value -= 0.5 * float(np.sum(precision * (theta - centre) ** 2))
    for _ in range(SCORING_STEPS):
        slope = gradient - precision * (theta - centre)
        curve = information + np.diag(precision + damping * np.diag(information))
        move = np.clip(np.linalg.solve(curve, slope), -2.0, 2.0)
        tried = np.clip(theta + move, *RANGE)
        found, new_gradient, new_information = _evidence(encoding, tried, rows, targets)
        found -= 0.5 * float(np.sum(precision * (tried - centre) ** 2))
        if found > value:
            gained = found - value
            theta, value, gradient, information = tried, found, new_gradient, new_information
            damping = damping / 5.0
            if gained < 1e-2:
                break
        else:
            damping = damping * 5.0
    return theta


def _evidence(encoding: Encoding, theta: Array, rows: Array, targets: Array) -> tuple[float, Array, Array]:
    """The log marginal likelihood, its gradient and the average information with respect to theta."""
    mains, far, rest = _parts(encoding, theta, rows, rows)
    covariance = sum(mains, rest + MEAN_VARIANCE) + _noise(theta, len(rows))
    factor = np.linalg.cholesky(covariance)
    whiten = np.linalg.inv(factor)
    inverse = whiten.T @ whiten
    weights = inverse @ targets
    value = -0.5 * float(targets @ weights) - float(np.sum(np.log(np.diag(factor))))
    pushes, traces = [], []
    for change in [*mains, rest, *(-rest * distance for distance in far)]:
        pushes.append(change @ weights)
        traces.append(float(np.sum(inverse * change)))
    noise = math.exp(theta[-1])
    pushes.append(noise * weights)
    traces.append(noise * float(np.trace(inverse)))
    moved = np.asarray(pushes)
    gradient = 0.5 * (moved @ weights - np.asarray(traces))
    information = 0.5 * moved @ inverse @ moved.T
    return value, gradient, information
