"""Every activation that a search may try starts well: signals and gradients keep their size through a deep network."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.initialisation import scale
from autoact.activations.modules import build
from autoact.sites import apply_, initialise_

DEPTH = 20
WIDTH = 512
FACTOR = 2.0
ROWS = [row for row in registry.all() if row.searchable]
SQUARES = (
    "squared_relu",
    "star_relu",
    "xielu",
    "poly_relu",
    *(row.name for row in ROWS if row.gated and row.name != "maxout"),
)
"""Of degree two, PolyReLU of three: twice the signal gives four times the output. So a sample that is a tenth too
large is two times too large three layers on, whatever the weights: no initialisation can hold it over twenty."""

SHALLOW = 3


def deep(choice: str, depth: int) -> nn.Sequential:
    """``depth`` linear layers, with the activation between."""
    pieces = registry.pieces(choice)
    layers: list[nn.Module] = []
    for _ in range(depth - 1):
        layers += [nn.Linear(WIDTH, pieces * WIDTH), build(choice, channels=WIDTH)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, WIDTH))


def sizes(model: nn.Sequential, x: Tensor, generator: torch.Generator) -> tuple[list[float], list[float]]:
    """RMS of what goes into each activation, and of the gradients that come back there from random ones at the end."""
    inside = []
    for layer in model:
        x = layer(x)
        if isinstance(layer, nn.Linear):
            x.retain_grad()
            inside.append(x)
    x.backward(torch.randn(x.shape, generator=generator))
    grads = [tensor.grad for tensor in inside[:-1]]
    assert all(grad is not None for grad in grads)
    return [rms(tensor) for tensor in inside[:-1]], [rms(grad) for grad in grads if grad is not None]


def rms(tensor: Tensor) -> float:
    return float(tensor.detach().square().mean().sqrt())


@pytest.mark.parametrize("choice", [*(row.name for row in ROWS), "sine(omega=30)", "softplus(beta=5)", "isru(alpha=9)"])
def test_signals_and_gradients_keep_their_size(choice: str) -> None:
    generator = torch.Generator().manual_seed(1)
    model = deep(choice, SHALLOW if choice in SQUARES else DEPTH).eval()
    x = torch.randn(32, WIDTH, generator=generator)
    initialise_(model, x[:2], generator)
    forward, backward = sizes(model, x, generator)
    assert max(forward) <= FACTOR * forward[0] and min(forward) >= forward[0] / FACTOR, forward
    assert max(backward) <= FACTOR * backward[-1] and min(backward) >= backward[-1] / FACTOR, backward


@pytest.mark.parametrize("choice", ["tanh", "sigmoid", "softplus", "silu", "sine(omega=30)"])
def test_the_gain_alone_would_not_do(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    monkeypatch.setattr("autoact.sites.weight_rules.shift", lambda choice: 0.0)
    monkeypatch.setattr("autoact.sites.weight_rules.scale", lambda choice: 1.0)
    generator = torch.Generator().manual_seed(1)
    model = deep(choice, DEPTH).eval()
    x = torch.randn(32, WIDTH, generator=generator)
    initialise_(model, x[:2], generator)
    _, backward = sizes(model, x, generator)
    assert max(backward) > FACTOR * backward[-1] or min(backward) < backward[-1] / FACTOR


def test_mixed_networks_keep_them_too() -> None:
    """Rescaled from ReLU, row after row."""
    names = [row.name for row in ROWS if not row.gated and row.name not in SQUARES]
    generator = torch.Generator().manual_seed(2)
    model = deep("relu", len(names) + 1).eval()
    x = torch.randn(32, WIDTH, generator=generator)
    initialise_(model, x[:2], generator)
    assignment = {str(2 * place + 1): name for place, name in enumerate(names)}
    apply_(model, assignment, example_input=x[:2], rescale=True)
    forward, _ = sizes(model, x, generator)
    for name, size in zip(names, forward, strict=True):
        assert scale(name) / FACTOR < size < scale(name) * FACTOR, (name, size)


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(30 * x)


def coordinates_and_colours() -> tuple[Tensor, Tensor]:
    """Every eighth pixel of a photograph, both ways."""
    picture = torch.tensor(load_sample_image("china.jpg")[::8, ::8], dtype=torch.float32) / 127.5 - 1
    axes = [torch.linspace(-1, 1, size) for size in picture.shape[:2]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1), picture.flatten(0, 1)


def network(activation: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2, 64),
        activation(),
        nn.Linear(64, 64),
        activation(),
        nn.Linear(64, 64),
        activation(),
        nn.Linear(64, 3),
    )


def siren() -> nn.Sequential:
    """As its authors publish it: Sitzmann et al., 2020, section 3.2 and their code."""
    model = network(Sine)
    for place in (0, 2, 4, 6):
        layer = model[place]
        bound = 1 / 2 if place == 0 else math.sqrt(6 / 64) / 30
        nn.init.uniform_(layer.weight, -bound, bound)  # type: ignore[arg-type]
    return model


def ours() -> nn.Sequential:
    model = network(nn.ReLU)
    apply_(model, {"*": "sine(omega=30)"}, example_input=torch.zeros(2, 2))
    initialise_(model, torch.zeros(2, 2))
    return model


def decibels(make: Callable[[], nn.Sequential], seed: int) -> float:
    """Peak signal-to-noise ratio after 300 steps on all pixels."""
    torch.manual_seed(seed)
    model, (x, y) = make(), coordinates_and_colours()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    return 10 * math.log10(4 / float(loss.detach()))


def test_sine_fits_a_photograph_as_siren_does() -> None:
    published, here = ([decibels(make, seed) for seed in (0, 1)] for make in (siren, ours))
    assert sum(here) / 2 > sum(published) / 2 - 1.0, (here, published)
