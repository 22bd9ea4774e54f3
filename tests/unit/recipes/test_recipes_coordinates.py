"""Networks of coordinates."""

import math

import pytest
import torch
from torch import nn
from torch.func import grad

import autoact
from autoact.config.compose import compose, settings
from autoact.config.recipe_task import recipe_task
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.recipes.coordinates import HeatEquation, ImageFit
from autoact.training.population import PopulationSession


def quality_of(overrides, names):
    """The best quality of one training for each activation, at every site."""
    task = recipe_task(settings(compose(overrides)))
    sites = autoact.find_sites(task.make_module(), task.example_input).names
    session = PopulationSession(task)
    session.start([(k, Candidate(Assignment(dict.fromkeys(sites, name)))) for k, name in enumerate(names)])
    session.advance()
    return [record.quality for record in session.records()]


def test_nothing_learnt_is_a_medium_grey():
    model = ImageFit(2, 3)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    assert bool((model(torch.rand(4, 2)) == 0.5).all())


def test_derivatives_are_those_of_a_known_function():
    model = HeatEquation(2, 1)
    model.forward = lambda at: (at[:, :1] ** 3) * torch.exp(at[:, 1:])  # type: ignore[method-assign]
    x, t = (points := torch.rand(6, 2)).T
    value, residual = model.residual(points)
    torch.testing.assert_close(value, x**3 * torch.exp(t))
    torch.testing.assert_close(residual, (x**3 - 0.1 * 6 * x) * torch.exp(t))


def test_the_solution_leaves_no_loss():
    model = HeatEquation(2, 1)
    model.forward = lambda at: torch.exp(-0.1 * math.pi**2 * at[:, 1:]) * torch.sin(math.pi * at[:, :1])  # type: ignore[method-assign]
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    assert float(model.training_step((torch.rand(8, 2), torch.zeros(8)), 0)) < 1e-10


def test_every_network_holds_what_is_given_at_the_rim():
    start, ends = torch.tensor([[0.25, 0.0], [0.5, 0.0]]), torch.tensor([[0.0, 0.4], [1.0, 1.0]])
    model = HeatEquation(2, 1)
    torch.testing.assert_close(model(start)[:, 0], torch.sin(math.pi * start[:, 0]))
    torch.testing.assert_close(model(ends), torch.zeros(2, 1), atol=1e-6, rtol=0)
    within = model(torch.tensor([[0.3, 0.5]])).detach()
    assert float((within - math.sin(0.3 * math.pi)).abs()) > 1e-3


def test_a_network_of_relu_has_no_curvature_of_its_own():
    """Its temperature bends as sin(pi x) and x (1 - x) do, the network being a plane around almost every point."""
    model, points = HeatEquation(2, 1).double(), torch.rand(6, 2, dtype=torch.float64)
    _, residual = model.residual(points)
    x, t = points.T
    value = model.network(2 * points - 1)[:, 0]
    slope = grad(lambda at: model.network(2 * at - 1).sum())(points)
    bend = -(math.pi**2) * torch.sin(math.pi * x) + t * (-2 * value + 2 * (1 - 2 * x) * slope[:, 0])
    moves = x * (1 - x) * (value + t * slope[:, 1])
    torch.testing.assert_close(residual, moves - 0.1 * bend)


@pytest.mark.parametrize("overrides", [["task=heat", "recipe=tabular_regression"], ["task=diabetes", "recipe=heat"]])
def test_an_equation_and_a_table_do_not_mix(overrides):
    with pytest.raises(AutoactError, match="is for"):
        recipe_task(settings(compose(overrides)))


def test_a_sine_fits_an_image_better_than_relu_after_few_epochs():
    relu, sine = quality_of(
        ["task=image-fit", "data.max_rows=1500", "trainer.max_epochs=40", "recipe.batch_size=750"],
        ["relu", "sine(omega=20)"],
    )
    assert sine > relu + 2


@pytest.mark.slow
def test_the_numbers_in_the_header_are_reached():
    relu, sine = quality_of(["task=image-fit"], ["relu", "sine(omega=20)"])
    assert relu == pytest.approx(19.0, abs=0.5) and sine == pytest.approx(25.6, abs=0.5)
    relu, sine = quality_of(["task=heat"], ["relu", "sine(omega=5)"])
    assert sine <= 5e-4 and relu > 0.01
