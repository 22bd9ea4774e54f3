"""The factorised model of quality: it finds planted effects, shrinks noise, and is not moved by outliers."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autoact.study.proposal.feature_encoding import Encoding
from autoact.study.proposal.surrogate import QualityScale, Surrogate, fit

LAYERS = {
    "first": CategoricalDistribution(["relu", "tanh", "gelu"]),
    "second": CategoricalDistribution(["relu", "tanh"]),
}
DIMENSIONS = {**LAYERS, "rate": FloatDistribution(1e-4, 1e-1, log=True), "depth": IntDistribution(1, 9)}
EFFECTS = {"relu": 0.0, "tanh": 1.0, "gelu": -1.0}


def drawn(draw: random.Random) -> dict[str, object]:
    """A point anywhere."""
    return {
        "first": draw.choice(["relu", "tanh", "gelu"]),
        "second": draw.choice(["relu", "tanh"]),
        "rate": 10 ** draw.uniform(-4, -1),
        "depth": draw.randint(1, 9),
    }


def planted(point: dict[str, object]) -> float:
    """The true quality: only the first layer and the rate matter."""
    return EFFECTS[str(point["first"])] + 0.8 * (math.log10(float(point["rate"])) + 2.5) ** 2  # type: ignore[arg-type]


def test_planted_main_effects_are_recovered() -> None:
    """Categorical, and linear with quadratic effects on a logarithmic dimension, from noisy points."""
    draw = random.Random(1)
    points = [drawn(draw) for _ in range(80)]
    model = fit([(point, -planted(point) + draw.gauss(0, 0.2)) for point in points], DIMENSIONS, "max")
    fresh = [drawn(draw) for _ in range(50)]
    errors = [model.predict(point)[0] + planted(point) for point in fresh]
    assert model.r2 > 0.8
    assert np.sqrt(np.mean(np.square(errors))) < 0.25
    assert model.predict({**points[0], "first": "gelu"})[0] > model.predict({**points[0], "first": "tanh"})[0] + 1.5


def test_pure_noise_is_shrunken_to_the_mean() -> None:
    """Where nothing matters, all points are predicted alike, and the model says that it predicts nothing."""
    draw = random.Random(2)
    points = [(drawn(draw), 5.0 + draw.gauss(0, 1)) for _ in range(120)]
    model = fit(points, DIMENSIONS, "max")
    predicted = [model.predict(point)[0] for point, _ in points]
    assert model.r2 < 0.1
    assert np.std(predicted) < 0.3
    assert abs(np.mean(predicted) - 5.0) < 0.3


def test_standard_deviations_cover_the_truth() -> None:
    """Errors of fresh predictions are about as large as the model says."""
    draw = random.Random(3)
    model = fit([(p, planted(p) - 9 + draw.gauss(0, 0.3)) for p in (drawn(draw) for _ in range(60))], DIMENSIONS, "min")
    fresh = [drawn(draw) for _ in range(200)]
    inside = [abs(mean - planted(p) + 9) < 2 * sd for p in fresh for mean, sd in [model.predict(p)]]
    assert np.mean(inside) > 0.85


def test_replicates_pull_a_point_towards_its_own_mean() -> None:
    """A point with many seeds keeps its own value; one lucky seed is not believed."""
    draw = random.Random(4)
    crowd = [({"first": f, "second": s}, draw.gauss(0, 1)) for _ in range(6) for f in EFFECTS for s in ("relu", "tanh")]
    once, often = {"first": "gelu", "second": "tanh"}, {"first": "tanh", "second": "relu"}
    few = fit([*crowd, (once, 4.0)], LAYERS, "max")
    many = fit([*crowd, *[(often, 4.0 + draw.gauss(0, 1)) for _ in range(40)]], LAYERS, "max")
    assert few.predict(once)[0] < 2.0
    assert many.predict(often)[0] > 3.0


def test_diverged_losses_do_not_move_the_rest() -> None:
    """A loss of 1e12, an infinite one, and a failure count as bad; the others are predicted as without them."""
    draw = random.Random(5)
    points = [drawn(draw) for _ in range(60)]
    data = [(point, math.exp(planted(point) + draw.gauss(0, 0.1))) for point in points]
    bad = {**points[0], "rate": 0.1}
    broken = fit([*data, (bad, 1e12), (bad, math.inf), (bad, None)], DIMENSIONS)
    plain = fit(data, DIMENSIONS)
    near = [point for point in points if float(point["rate"]) < 0.03]  # type: ignore[arg-type]
    ratios = [broken.predict(point)[0] / plain.predict(point)[0] for point in near]
    assert 0.8 < np.median(ratios) < 1.25
    assert broken.r2 > 0.4  # all three of the bad point are left out at once
    assert broken.predict(bad)[0] > plain.predict(points[0])[0]


def test_losses_are_modelled_in_logarithms_and_predicted_in_their_own_unit() -> None:
    """A loss stays positive; its deviation is in its unit."""
    scale = QualityScale([0.01, 0.02, 0.03, 0.05], "min")
    value, sd = scale.back(scale.to(0.02), 0.1)
    assert value == pytest.approx(0.02)
    assert 0.0 < sd < 0.02
    assert scale.to(0.01) < scale.to(0.05)
    assert QualityScale([0.8, 0.9], "max").to(0.9) < QualityScale([0.8, 0.9], "max").to(0.8)
    assert QualityScale([], "min").to(None) == 0.0


def test_one_point_and_equal_points_are_modelled_too() -> None:
    """Nothing to learn is no error."""
    point = {"first": "relu", "second": "tanh"}
    assert fit([(point, 0.7)], LAYERS, "max").predict(point)[0] == pytest.approx(0.7)
    model = fit([(point, 0.7)] * 5, LAYERS, "max")
    assert model.r2 == 0.0
    assert model.predict({"first": "gelu", "second": "relu"})[0] == pytest.approx(0.7)
    with pytest.raises(ValueError, match="needs a point"):
        fit([], LAYERS)


def test_what_is_left_out_is_predicted_as_by_a_model_without_it() -> None:
    """The closed form of r2 is that of models made without each point, all its seeds at once."""
    draw = random.Random(8)
    points = [drawn(draw) for _ in range(15)] * 2
    model = fit([(point, planted(point) + draw.gauss(0, 0.5) - 9) for point in points], DIMENSIONS, "max")
    rows = model._rows
    targets = np.linalg.inv(model._whiten) @ np.linalg.inv(model._whiten).T @ model._weights
    missed = spread = 0.0
    for place in range(15):
        others = [i for i in range(30) if i % 15 != place]
        without = Surrogate(model._encoding, model.scale, rows[others], targets[others], model._theta)
        missed += sum((targets[i] - without.posterior([points[i]]).mean[0]) ** 2 for i in (place, place + 15))
        spread += sum((targets[i] - targets[others].mean()) ** 2 for i in (place, place + 15))
    assert model.r2 == pytest.approx(1 - missed / spread, abs=1e-6)


def test_the_diagonal_of_the_covariance_is_the_variance() -> None:
    """A posterior's deviations come from a shorter formula than the covariance matrix."""
    draw = random.Random(6)
    points = [drawn(draw) for _ in range(30)]
    model = fit([(point, planted(point) - 9) for point in points], DIMENSIONS, "max")
    fresh = [drawn(draw) for _ in range(5)]
    alone = [model.posterior([point]) for point in fresh]
    both = model.posterior(fresh)
    assert np.allclose(both.sd, [float(one.sd[0]) for one in alone])
    before = both.sd.copy()
    both.condition(2)
    assert both.sd[2] < before[2]
    assert np.all(both.sd <= before + 1e-12)


def test_conditioning_equals_a_fit_with_one_more_point() -> None:
    """What a posterior says after ``condition`` is what the model with that point would say, the variances given."""
    draw = random.Random(7)
    points = [(drawn(draw), draw.gauss(0, 1)) for _ in range(25)]
    model = fit(points, DIMENSIONS, "max")
    fresh = [drawn(draw) for _ in range(4)]
    posterior = model.posterior(fresh)
    posterior.condition(1)
    posterior.condition(3)
    rows = np.vstack([model._rows, model._encoding.encode([fresh[1], fresh[3]])])
    more = Surrogate(model._encoding, model.scale, rows, np.zeros(len(rows)), model._theta)
    assert np.allclose(posterior.sd, more.posterior(fresh).sd, atol=1e-6)


def test_dimensions_become_numbers() -> None:
    """Names are unordered; three or more numbers are ordered, whatever order they are given in."""
    encoding = Encoding(
        {
            "name": CategoricalDistribution(["a", "b", "c"]),
            "decay": CategoricalDistribution([0.1, 0.0, 0.01]),
            "rate": FloatDistribution(0.01, 1.0, log=True),
            "fixed": CategoricalDistribution(["only"]),
        }
    )
    rows = encoding.encode([{"name": "c", "decay": 0.01, "rate": 0.1, "fixed": "only"}])
    assert rows.tolist() == [[2.0, 0.5, pytest.approx(0.5)]]
