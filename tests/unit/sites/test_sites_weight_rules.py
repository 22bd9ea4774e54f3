"""Which weights follow which rule, and what another activation makes of weights that are drawn already."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from autoact.activations.gain import gain
from autoact.activations.initialisation import gain_after, scale, shift
from autoact.sites import apply, apply_, initialise_, rescale_
from autoact.sites.tracing.weight_consumers import WeightSource, weight_graph
from autoact.sites.weight_rules import WeightRules, sums


class Skip(nn.Module):
    """What goes into the activation also goes around it."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.before, self.act, self.after = nn.Linear(4, 4), act, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.before(x)
        return self.after(self.act(h) + h)


def net(*widths: int, act: type[nn.Module] = nn.ReLU, bias: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(a, b, bias=bias), act()]
    return nn.Sequential(*layers, nn.Linear(*widths[-2:], bias=bias))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 4), (1, 6)),
        (nn.Conv2d(6, 4, 3), (1, 6, 7, 7)),
        (nn.Conv1d(6, 4, 3, groups=2), (1, 6, 7)),
        (nn.ConvTranspose2d(6, 4, 2, stride=2), (1, 6, 3, 3)),
        (nn.ConvTranspose1d(6, 4, 2, stride=2, groups=2), (1, 6, 3)),
    ],
)
def test_sums_are_what_ones_become(layer: nn.Module, shape: tuple[int, ...]) -> None:
    (source,) = weight_graph(layer, torch.zeros(shape)).consumers.values()
    with torch.no_grad():
        layer.bias.zero_()  # type: ignore[union-attr,operator]
        out = layer(torch.ones(shape))
        mean = out.flatten(2).mean(2)[0] if out.dim() > 2 else out[0]
        torch.testing.assert_close(sums(layer.weight, source), mean)  # type: ignore[arg-type]


def test_the_graph_knows_what_gives_an_activation_its_inputs() -> None:
    model = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Tanh(), nn.Linear(8, 1)
    )
    graph = weight_graph(model, torch.zeros(2, 4))
    assert graph.producers == {"1": ("0.weight",), "5": ("3.weight",)}
    assert graph.biases == {"0.weight": "0.bias", "3.weight": "3.bias"}
    assert graph.ending == {"2.weight", "6.weight"}


def test_what_goes_elsewhere_too_gives_no_activation_its_size() -> None:
    assert weight_graph(Skip(nn.Tanh()), torch.zeros(2, 4)).producers == {}

    class Returned(Skip):
        def forward(self, x: Tensor) -> Tensor:
            h = self.before(x)
            return self.act(h), h  # type: ignore[return-value]

    class Twice(Skip):
        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.before(x)) + self.act(self.after(x) * 2)

    assert weight_graph(Returned(nn.Tanh()), torch.zeros(2, 4)).producers == {}
    assert weight_graph(Twice(nn.Tanh()), torch.zeros(2, 4)).producers == {}
    shapes = Skip(nn.Tanh())
    shapes.forward = lambda x: shapes.act(shapes.before(x).view(x.shape[0], -1))  # type: ignore[method-assign]
    assert weight_graph(shapes, torch.zeros(2, 4)).producers == {"act": ("before.weight",)}


def test_one_activation_may_stand_behind_several_layers() -> None:
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 1))
    assert weight_graph(model, torch.zeros(2, 4)).producers == {"1": ("0.weight", "2.weight")}


def test_initialise_takes_the_constant_off_in_the_bias() -> None:
    model = apply(net(5, 6, 7, 2), {"1": "sigmoid", "3": "relu"}, example_input=torch.zeros(2, 5))
    initialise_(model, torch.zeros(2, 5))
    torch.testing.assert_close(model[2].bias, -shift("sigmoid") * model[2].weight.sum(1))
    assert not model[0].bias.any() and not model[4].bias.any()


def test_a_layer_without_a_bias_of_its_own_has_the_plain_gain() -> None:
    x = torch.zeros(2, 5)
    model = apply(net(5, 6, 2, bias=False), {"1": "sigmoid"}, example_input=x)
    assert initialise_(model, x)["2.weight"] == gain("sigmoid")
    frozen = apply(net(5, 6, 2), {"1": "sigmoid"}, example_input=x)
    frozen[2].bias.requires_grad_(False)
    kept = frozen[2].bias.clone()
    assert initialise_(frozen, x)["2.weight"] == gain("sigmoid") and torch.equal(frozen[2].bias, kept)
    shared = apply(net(5, 6, 6, 2), {"1": "sigmoid", "3": "sigmoid"}, example_input=x)
    shared[2].bias = shared[0].bias
    assert initialise_(shared, x)["2.weight"] == gain("sigmoid") and not shared[2].bias.any()


def test_sine_in_its_first_later_and_last_layers() -> None:
    x = torch.zeros(2, 2)
    model = apply(net(2, 512, 512, 3), {"*": "sine(omega=30)"}, example_input=x)
    gains = initialise_(model, x, torch.Generator().manual_seed(0))
    assert 0.49 < float(model[0].weight.detach().abs().max()) <= 0.5
    assert 0.69 < float(model[0].bias.detach().abs().max()) <= 0.5**0.5
    later = gain_after("sine(omega=30)", math.sqrt(2) / 2 / math.sqrt(3), shift("sine(omega=30)"))
    assert gains["2.weight"] == pytest.approx(later / 30)
    last = gain_after("sine(omega=30)", 1 / 30, shift("sine(omega=30)"))
    assert gains["4.weight"] == pytest.approx(last / 30)
    assert float(model[2].weight.detach().std()) == pytest.approx(gains["2.weight"] / 512**0.5, rel=0.02)


def test_a_normalisation_in_front_is_set_to_the_scale() -> None:
    x = torch.randn(8, 5)
    model = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2))
    model = apply(model, {"2": "sine(omega=30)"}, example_input=x)
    assert initialise_(model, x)["1.weight"] == pytest.approx(1 / 30)
    torch.testing.assert_close(model[1].weight, torch.full((6,), 1 / 30))
    plain = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2))
    nn.init.constant_(plain[1].weight, 0.3)
    assert "1.weight" not in initialise_(plain, x) and float(plain[1].weight.detach()[0]) == pytest.approx(0.3)


def test_a_frozen_layer_leaves_its_activation_at_size_one() -> None:
    x = torch.zeros(2, 2)
    model = apply(net(2, 4, 4, 3), {"*": "sine(omega=30)"}, example_input=x)
    model[0].requires_grad_(False)
    gains = initialise_(model, x)
    taken = shift("sine(omega=30)")
    assert gains["2.weight"] == pytest.approx(gain_after("sine(omega=30)", 1.0, taken) / 30)


def test_plain_rules_swap_as_ever() -> None:
    """The weight behind is multiplied by the ratio of the gains, bit for bit; nothing else moves."""
    model, x = net(4, 8, 8, 1), torch.zeros(2, 4)
    expected = copy.deepcopy(model)
    with torch.no_grad():
        expected[4].weight.mul_(gain("elu") / gain("relu"))
    assert rescale_(model, x, {"3": "relu"}, {"3": "elu"}) == {"4.weight": gain("elu") / gain("relu")}
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), expected.parameters(), strict=True))


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "sine(omega=30)", "threshold", "tanhshrink"])
@pytest.mark.parametrize("drawn", [False, True])
def test_there_and_back(name: str, drawn: bool) -> None:
    """Of torch's own weights as of those drawn by the rules."""
    torch.manual_seed(0)
    model, x = net(4, 32, 32, 8), torch.zeros(2, 4)
    if drawn:
        initialise_(model, x)
    before = copy.deepcopy(model.state_dict())
    changed = apply(model, {"*": name}, example_input=x, rescale=True)
    assert not torch.equal(changed[2].bias, model[2].bias)
    back = apply(changed, {"*": "relu"}, example_input=x, rescale=True)
    for key, value in before.items():
        torch.testing.assert_close(back.state_dict()[key], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "sine(omega=30)", "softplus"])
def test_rescaling_leads_where_drawing_leads(name: str) -> None:
    """The same random numbers, drawn for one activation and changed, or drawn for the other at once."""
    x = torch.zeros(2, 3)
    model = net(3, 16, 16, 2)
    initialise_(model, x, torch.Generator().manual_seed(1))
    apply_(model, {"1": "relu", "3": name}, example_input=x, rescale=True)
    other = apply(net(3, 16, 16, 2), {"3": name}, example_input=x)
    initialise_(other, x, torch.Generator().manual_seed(1))
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_biases_that_hold_nothing_are_left() -> None:
    """A user's own tanh network was not drawn by the rules: nothing is put back into its biases."""
    torch.manual_seed(0)
    model, x = net(4, 64, 64, act=nn.Tanh), torch.zeros(2, 4)
    changed = apply(model, {"1": "relu"}, example_input=x, rescale=True)
    assert torch.equal(changed[2].bias, model[2].bias)


def test_a_producers_bias_follows_its_weight() -> None:
    model, x = net(2, 8, 8, 1), torch.zeros(2, 2)
    changed = apply(model, {"3": "sine(omega=20)"}, example_input=x, rescale=True)
    torch.testing.assert_close(changed[2].weight, model[2].weight * scale("sine(omega=20)"))
    torch.testing.assert_close(changed[2].bias, model[2].bias * scale("sine(omega=20)"))


def test_a_bias_of_two_layers_is_left() -> None:
    model, x = net(4, 4, 4, 1), torch.zeros(2, 4)
    model[2].bias = model[0].bias
    changed = apply(model, {"*": "sine(omega=20)"}, example_input=x, rescale=True)
    assert torch.equal(changed[0].bias, model[0].bias) and changed[2].bias is changed[0].bias


def test_equal_copies_stay_equal() -> None:
    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
            self.ema = copy.deepcopy(self.net).requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    model = apply(
        Averaged(), {"net.1": "sine(omega=9)", "ema.1": "sine(omega=9)"}, example_input=torch.zeros(2, 4), rescale=True
    )
    for one, two in zip(model.net.parameters(), model.ema.parameters(), strict=True):
        assert torch.equal(one, two)
    assert model.net[2].bias.requires_grad and not model.ema[2].bias.requires_grad


def test_rules_of_weights_that_meet_no_site() -> None:
    graph = weight_graph(net(4, 8, 1), torch.zeros(2, 4))
    rules = WeightRules(graph, (), {})
    assert (rules.value("0.weight"), rules.value("elsewhere"), rules.shift("2.weight"), rules.norms()) == (1, 1, 0, {})
    assert WeightSource("input") == graph.consumers["0.weight"]
