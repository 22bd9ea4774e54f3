"""What a point promises: the hypervolume that it is expected to add, its costs given.

Latency and cost of a point are predicted before it is trained; its quality is a normal distribution. The volume that a
point with costs c adds when its quality comes out as q is the integral, from q to the reference, of A(z): the
volume around c in the costs that no front member of quality z or better covers. A is constant between the
front's qualities, so its expectation is a sum over the front of A times differences of E[max(z - q, 0)]: exact, and
without sampling (the expected improvement of Mockus, 1978, slab by slab).
"""

from __future__ import annotations

import math
from itertools import pairwise

import moocore
import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


def expected_gain(mean: Array, sd: Array, costs: Array, front: Array, reference: Array) -> Array:
    """The expected growth of the hypervolume for each candidate; all objectives are minimised.

    Their qualities have these means and standard deviations (above 0); costs are predicted. ``front`` holds points that
    are there already, quality first, and ``reference`` is the corner up to which volume counts.

    Shape:
        - mean, sd, output: (candidates,)
        - costs: (candidates, objectives - 1)
        - front: (points, objectives)
        - reference: (objectives,)

    Example:
        >>> quality, sd, costs = np.array([0.0]), np.array([1e-9]), np.array([[1.0]])
        >>> gain = expected_gain(quality, sd, costs, np.array([[1.0, 0.0]]), np.array([2.0, 3.0]))
        >>> round(float(gain[0]), 6)  # of its box 2 x 2, the front covers the half at qualities of 1 and worse
        2.0
    """
    ordered = undominated(front[np.all(front < reference, axis=1)])
    bounds = [*ordered[:, 0].tolist(), float(reference[0])]
    gain, below = np.zeros(len(mean)), np.zeros(len(mean))
    for index, bound in enumerate(bounds):
        up_to = _expected_below(mean, sd, bound)
        gain += (up_to - below) * _uncovered(costs, ordered[:index, 1:], reference[1:])
        below = up_to
    return gain


def undominated(points: Array) -> Array:
    """The points that no other one is at least as good as in every axis, equal ones once, by the first axis."""
    points = points[np.lexsort(points.T[::-1])]
    return points[moocore.is_nondominated(points, keep_weakly=False)] if len(points) else points


def _expected_below(mean: Array, sd: Array, bound: float) -> Array:
    """E[max(bound - q, 0)] for normal q."""
    z = (bound - mean) / sd
    return np.asarray(sd * (z * stats.norm.cdf(z) + stats.norm.pdf(z)))


def _uncovered(costs: Array, front: Array, reference: Array) -> Array:
    """The volume between each candidate and the reference that no front point covers, slab by slab of the last axis."""
    if costs.shape[1] == 0:
        return np.full(len(costs), 0.0 if len(front) else 1.0)
    if costs.shape[1] == 1:
        limit = min(float(reference[0]), float(front[:, 0].min())) if len(front) else float(reference[0])
        return np.maximum(limit - costs[:, 0], 0.0)
    front = undominated(front)
    ordered = front[np.argsort(front[:, -1], kind="stable")]
    cuts = [-math.inf, *ordered[:, -1].tolist(), float(reference[-1])]
    total = np.zeros(len(costs))
    for index, (low, high) in enumerate(pairwise(cuts)):
        length = np.maximum(min(high, float(reference[-1])) - np.maximum(costs[:, -1], low), 0.0)
        if length.any():
            total += length * _uncovered(costs[:, :-1], ordered[:index, :-1], reference[:-1])
    return total
