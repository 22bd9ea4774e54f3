"""The rules by which weights around an activation are drawn, in numbers."""

from __future__ import annotations

import hashlib
import json
import math
import re

import pytest
import torch

import autoact
from autoact import activations
from autoact.activations import registry
from autoact.activations.catalogue import ROWS
from autoact.activations.gain import gain
from autoact.activations.initialisation import (
    VERSION,
    first_scale,
    gain_after,
    moments,
    other_rules,
    rules_of,
    scale,
    shift,
)
from autoact.activations.spec import CRITICAL, HE, Activation, Initialisation
from autoact.core.errors import AutoactError

CRITICAL_ROWS = [row.name for row in registry.all() if row.searchable and row.initialisation.critical]
PLAIN = ["relu", "leaky_relu", "relu6", "elu", "celu", "selu", "mish", "telu", "serf", "isrlu", "identity", "prelu"]


def ratio(name: str) -> float:
    """What a layer multiplies the mean square of a back-propagated gradient by."""
    found = moments(name, scale(name))
    return found.slope / found.left(shift(name))


def test_moments_of_known_functions() -> None:
    relu, cube = moments("relu"), moments("squared_relu", 2.0)
    assert (relu.square, relu.slope, relu.stretch) == pytest.approx((0.5, 0.5, 0.5), rel=1e-9)
    assert (relu.mean, relu.drift) == pytest.approx((1 / math.sqrt(2 * math.pi),) * 2, rel=1e-9)
    assert (cube.mean, cube.square, cube.slope) == pytest.approx((2.0, 24.0, 32.0), rel=1e-9)
    sine = moments("sine(omega=3)", 0.5)
    assert sine.square == pytest.approx((1 - math.exp(-2 * 1.5**2)) / 2, rel=1e-9)
    assert sine.slope == pytest.approx(1.5**2 * (1 + math.exp(-2 * 1.5**2)) / 2, rel=1e-9)


@pytest.mark.parametrize("name", CRITICAL_ROWS)
def test_a_critical_row_keeps_gradients_at_their_size(name: str) -> None:
    assert ratio(name) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("name", [row.name for row in registry.all() if row.searchable and not row.gated])
def test_twenty_layers_keep_gradients_within_a_factor_of_two(name: str) -> None:
    assert 0.25 < ratio(name) ** 20 < 4.0


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_row_has_the_gain_alone(name: str) -> None:
    assert (scale(name), first_scale(name, 3), shift(name)) == (1.0, 1.0, 0.0)
    assert gain_after(name, scale(name), shift(name)) == gain(name)


def test_every_rule_names_its_source() -> None:
    for row in registry.all():
        assert re.search(r"\w+ .*, (19|20)\d\d\b", row.initialisation.source), row.name


def test_of_two_constants_the_one_that_holds_signals_better() -> None:
    """Signals of a squared ReLU run away with the lesser one: half of them would already be too much."""
    found, taken = moments("squared_relu"), shift("squared_relu")
    other = 2 * found.mean - taken
    assert found.left(other) == pytest.approx(found.left(taken))
    assert found.stretch - taken * found.drift < found.left(taken) < found.stretch - other * found.drift


def test_a_jump_that_carries_more_than_the_slope_loses_its_mean() -> None:
    row = Activation("leap", lambda x: (x > 0).to(x.dtype) + 0.1 * x, initialisation=CRITICAL)
    registry.register(row, replace=True)
    assert shift("leap") == pytest.approx(0.5)
    registry.unregister("leap")


def test_sine_is_drawn_as_siren_is() -> None:
    assert scale("sine(omega=30)") == pytest.approx(1 / 30) and scale("sine") == 1.0 and scale("sine(omega=0.1)") == 1.0
    assert first_scale("sine(omega=30)", 2) / math.sqrt(2) == pytest.approx(1 / 2 / math.sqrt(3))  # U(-1/2, 1/2)
    assert first_scale("sine(omega=30)", 10_000) == scale("sine(omega=30)")  # never lower frequencies than later layers
    assert gain_after("sine(omega=30)", first_scale("sine(omega=30)", 2), 0.0) == pytest.approx(math.sqrt(2), rel=1e-6)


def test_a_row_of_ones_own_may_name_a_rule() -> None:
    activations.register("steep", lambda x, k=5.0: torch.tanh(k * x), initialisation=CRITICAL)
    activations.register("flat", torch.tanh)
    assert shift("steep") > 0 and registry.get("flat").initialisation is HE and shift("flat") == 0.0
    with pytest.raises(AutoactError, match=r"activation 'odd': initialisation='critical' is no rule"):
        activations.register("odd", torch.tanh, initialisation="critical")
    with pytest.raises(AutoactError, match="a gated one has no initialisation of its own"):
        Activation("pair", torch.tanh, family="gated", stated_gain=1.0, initialisation=CRITICAL)
    activations.register("nil", torch.tanh, initialisation=Initialisation("nobody, 1970", scale=lambda: 0.0))
    with pytest.raises(AutoactError, match="the scale of its initialisation must be a positive number, got 0"):
        scale("nil")
    for name in ("steep", "flat", "nil"):
        activations.unregister(name)


# The catalogue's rules by version, and what they draw in a network of three of them. A change of either needs another
# VERSION, so that files and studies can say that they were drawn otherwise; what stands here stays.
RULES = {1: "a71d9ae096a137bf"}
DRAWN = {1: [1.1359, 1.56541, 4.75879, 1.95611, 36.6279, 7.03752, 0.23338, 0.0]}


def test_other_rules_have_another_version() -> None:
    found = rules_of([row.name for row in ROWS] + [f"sine(omega={omega})" for omega in (5, 10, 30)])
    assert hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16] == RULES[VERSION]


def test_weights_that_are_drawn_otherwise_have_another_version() -> None:
    model = torch.nn.Sequential()
    for name, inputs in (("sine(omega=9)", 3), ("tanh", 16), ("hardshrink", 16)):
        model.extend([torch.nn.Linear(inputs, 16), activations.build(name)])
    model.append(torch.nn.Linear(16, 2)).double()
    torch.manual_seed(0)
    autoact.initialise_(model, torch.zeros(2, 3, dtype=torch.float64))
    assert [float(p.detach().norm()) for p in model.parameters()] == pytest.approx(DRAWN[VERSION], rel=1e-4)


def test_rules_are_compared_with_those_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = rules_of(["relu", "tanh", "sine(omega=5)"])
    assert other_rules(noted) == ()
    assert other_rules({**noted, "tanh": "0" * 8, "of_a_plugin": "0" * 8}) == ("tanh", "of_a_plugin")
    monkeypatch.setattr("autoact.activations.initialisation.VERSION", VERSION + 1)
    assert other_rules(noted) == tuple(noted)


@pytest.mark.parametrize("choice", ["layer_norm", "rms_norm", "derf", "dynamic_tanh(alpha=2)"])
def test_the_rules_of_normalisations_are_known(choice: str) -> None:
    assert other_rules(rules_of([choice])) == ()
