"""initialise_ and rescale_: pre-activations keep an RMS of 1 through any mixture of activations."""

import math

import pytest
import torch
from torch import Tensor, nn

from autoact.activations.gain import gain
from autoact.activations.modules import build
from autoact.core.errors import AutoactError
from autoact.sites import apply_, initialise_, rescale_

MIXED = [
    *["relu", "tanh", "gelu", "selu", "silu", "hardtanh", "elu"],
    *["leaky_relu", "softsign", "mish", "relu6", "sigmoid", "softplus"],
]
WIDTH = 1024  # the RMS of one random network wanders by about 1/sqrt(width) per layer: at 1024 all of 12 seeds pass


def deep(names: list[str], width: int = WIDTH) -> nn.Sequential:
    layers: list[nn.Module] = []
    for name in names:
        layers += [nn.Linear(width, width), build(name)]
    return nn.Sequential(*layers, nn.Linear(width, width))


def pre_activations(model: nn.Sequential, x: Tensor) -> list[float]:
    """RMS of what each linear layer returns."""
    found = []
    with torch.no_grad():
        for layer in model:
            x = layer(x)
            if isinstance(layer, nn.Linear):
                found.append(float(x.pow(2).mean().sqrt()))
    return found


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_rms_stays_at_one_through_a_mixed_network(generator: torch.Generator) -> None:
    model = deep(MIXED)
    x = torch.randn(128, WIDTH, generator=generator)
    gains = initialise_(model, x[:2], generator)
    assert len(gains) == len(MIXED) + 1
    levels = pre_activations(model, x)
    assert max(abs(level - 1) for level in levels) < 0.1, levels


def test_rms_does_not_stay_without_the_gain_or_with_it_one_layer_early(generator: torch.Generator) -> None:
    """The test above can fail: the same weights without the gain, or with the next activation's gain, leave 1."""
    x = torch.randn(128, WIDTH, generator=generator)
    gains = [gain(name) for name in MIXED]
    for wrong in ([1.0] * (len(MIXED) + 1), [*gains, 1.0]):
        model = deep(MIXED)
        initialise_(model, x[:2], generator)
        right = [1.0, *gains]
        with torch.no_grad():
            for layer, w, r in zip((m for m in model if isinstance(m, nn.Linear)), wrong, right, strict=True):
                layer.weight.mul_(w / r)
        assert max(abs(level - 1) for level in pre_activations(model, x)) > 0.3


def test_rescaling_a_changed_network_keeps_the_rms(generator: torch.Generator) -> None:
    x = torch.randn(128, WIDTH, generator=generator)
    model = deep(["relu"] * len(MIXED))
    initialise_(model, x[:2], generator)
    assignment = {str(2 * i + 1): name for i, name in enumerate(MIXED)}
    apply_(model, assignment, example_input=x[:2], rescale=True)
    assert max(abs(level - 1) for level in pre_activations(model, x)) < 0.1


def test_standard_deviation_is_gain_over_root_fan_in_and_biases_are_zero(generator: torch.Generator) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64), nn.Conv2d(64, 64, 1)
    )
    gains = initialise_(model, torch.zeros(1, 3, 8, 8), generator)
    assert gains == {"0.weight": 1.0, "2.weight": pytest.approx(math.sqrt(2), abs=1e-5), "4.weight": 1.0}
    for index, expected in ((0, 1 / math.sqrt(27)), (2, math.sqrt(2 / 576)), (4, 1 / 8)):
        assert float(model[index].weight.detach().std()) == pytest.approx(expected, rel=0.06)
        assert not model[index].bias.any()
    assert torch.equal(model[3].weight, torch.ones(64))


def test_generator_decides_alone() -> None:
    first, second = deep(["relu", "tanh"], 8), deep(["relu", "tanh"], 8)
    state = torch.get_rng_state()
    for model in (first, second):
        initialise_(model, torch.zeros(2, 8), torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    initialise_(second, torch.zeros(2, 8))
    assert not torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(torch.get_rng_state(), state)


def test_frozen_parameters_and_other_layers_stay() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[1].requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert list(initialise_(model, torch.zeros(2, dtype=torch.long))) == ["3.weight"]
    kept = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    assert kept == {"0.weight", "1.weight", "1.bias"}


def test_half_precision_is_drawn_in_single(generator: torch.Generator) -> None:
    model = nn.Sequential(nn.Linear(256, 256)).to(torch.bfloat16)
    initialise_(model, torch.zeros(2, 256, dtype=torch.bfloat16), generator)
    assert model[0].weight.dtype == torch.bfloat16
    assert float(model[0].weight.detach().float().std()) == pytest.approx(1 / 16, rel=0.02)


def test_rescale_scales_tied_weights_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.a, self.b = nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.a(self.act(x)) + self.b(self.act(x))

    model = Tied()
    before, biases = model.a.weight.clone(), model.a.bias.clone()
    factors = rescale_(model, torch.zeros(2, 4), {"act": "relu"}, {"act": "tanh"})
    expected = gain("tanh") / gain("relu")
    assert factors == {"a.weight": pytest.approx(expected)}
    assert torch.allclose(model.b.weight, before * expected)
    assert torch.equal(model.a.bias, biases)


def test_rescale_leaves_the_others() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    example = torch.zeros(2, 4)
    assert rescale_(model, example, {"1": "relu"}, {"1": "tanh"}) == {}
    assert list(rescale_(model, example, {"4": "relu"}, {"4": "tanh"})) == ["5.weight"]
    with pytest.raises(AutoactError, match="must name the same sites"):
        rescale_(model, example, {"4": "relu"}, {"1": "tanh"})


def test_call_runs_the_model() -> None:
    model = nn.ModuleDict({"act": nn.ReLU(), "fc": nn.Linear(4, 1)})
    gains = initialise_(model, None, call=lambda: model["fc"](model["act"](torch.zeros(2, 4))))
    assert gains == {"fc.weight": pytest.approx(math.sqrt(2), abs=1e-5)}
