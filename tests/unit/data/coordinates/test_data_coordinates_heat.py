"""The heat equation as points."""

import numpy as np
import pytest

from autoact.core.errors import AutoactError
from autoact.data.coordinates.heat import DIFFUSIVITY, INSIDE, heat_table, prepare_heat, solution
from autoact.data.settings import DataSettings
from autoact.recipes.coordinates import HeatEquation


def settings(**given):
    return DataSettings(**{"source": "equation", "name": "heat", **given})


def test_training_points_teach_the_rim_and_nothing_inside():
    train = prepare_heat(settings()).train
    x, y = train.x.numpy(), train.y.numpy()
    rim = (x[:, 1] == 0) | (x[:, 0] == 0) | (x[:, 0] == 1)
    assert not rim[:INSIDE].any() and rim[INSIDE:].all() and not y[:INSIDE].any()
    start = x[:, 1] == 0
    assert start.sum() == rim.sum() // 2
    np.testing.assert_allclose(y[start], np.sin(np.pi * x[start, 0]), atol=1e-6)
    assert not y[rim & ~start].any()


def test_held_out_points_hold_the_solution():
    part = prepare_heat(settings()).validation
    x, t = part.x.numpy().T.astype("float64")
    np.testing.assert_allclose(part.y, solution(x, t), atol=1e-6)


def test_the_seed_draws_the_points_and_fewer_can_be_asked_for():
    assert prepare_heat(settings(seed=1)).fingerprint != prepare_heat(settings()).fingerprint
    few = prepare_heat(settings(max_rows=100))
    assert sum(few.sizes.values()) == 100 and min(few.sizes.values()) > 0
    whole = prepare_heat(settings(), whole=True)
    assert whole.sizes == prepare_heat(settings()).sizes


def test_recipe_and_data_have_one_equation():
    assert HeatEquation.diffusivity == DIFFUSIVITY


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "haet"}, "unknown equation .* did you mean heat"),
        ({"max_rows": 8}, "data.max_rows=8 must be 16 or more"),
        ({"group": "x"}, "data.group=x"),
    ],
)
def test_mistakes(given, message):
    with pytest.raises(AutoactError, match=message):
        prepare_heat(settings(**given))


def test_the_table():
    table = heat_table(settings())
    np.testing.assert_allclose(table["temperature"], solution(table["x"].to_numpy(), table["t"].to_numpy()))
