"""Layer-level choices in a model: widths, weights, and what the changed model computes."""

import copy
import itertools
import pickle
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.gain import gain
from autoact.activations.initialisation import gain_after, shift
from autoact.activations.modules import GatedActivation, LearnableActivation
from autoact.core.errors import AutoactError
from autoact.sites import DoesNotFitError, apply, apply_, consumers, find_sites, initialise_, plan_widths
from autoact.sites.replacement.layer_widths import TOLERANCE
from autoact.sites.replacement.state_dict_marker import is_marker

GATED = ["glu", "reglu", "geglu", "swiglu", "bilinear", "maxout", "maxout(pieces=3)"]


def mlp(widths: Sequence[int], act: type[nn.Module] = nn.ReLU, bias: bool = True) -> nn.Sequential:
    """Linear layers with an activation and dropout between; the activations stand at 1, 4, 7, ..."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs, bias=bias), act(), nn.Dropout(0.1)]
    return nn.Sequential(*layers[:-2])


def size_of(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


class Block(nn.Module):
    """A feed-forward block of a Transformer: pre-norm, dropout, residual."""

    def __init__(self, width: int = 64, hidden: int = 256) -> None:
        super().__init__()
        self.norm, self.up, self.act = nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU()
        self.drop, self.down = nn.Dropout(0.1), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.drop(self.act(self.up(self.norm(x)))))


@pytest.mark.parametrize("choice", ["swiglu", "maxout(pieces=3)", "maxout(pieces=4)"])
@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("width", [50, 64, 100, 128, 384])
@pytest.mark.parametrize("bias", [True, False])
def test_parameters_stay_within_three_per_cent(width: int, depth: int, choice: str, bias: bool) -> None:
    model = mlp([20, *[width] * depth, 3], bias=bias)
    x = torch.randn(2, 20)
    names = find_sites(model, x).names
    for chosen in {names, names[:1], names[-1:], names[::2]}:
        changed = apply(model, dict.fromkeys(chosen, choice), example_input=x)
        plan = plan_widths(find_sites(model, x), dict.fromkeys(chosen, choice))
        assert abs(plan.after - plan.before) <= TOLERANCE * plan.before
        assert size_of(changed) - size_of(model) == plan.after - plan.before
        assert abs(size_of(changed) / size_of(model) - 1) <= 0.03
        assert set(plan.widths) == set(chosen)
        assert changed(x).shape == (2, 3)


@pytest.mark.parametrize("choice", ["swiglu", "maxout(pieces=3)", "maxout(pieces=8)"])
@pytest.mark.parametrize("width", range(3, 40))
def test_one_layer_is_refused_only_where_no_width_fits(width: int, choice: str) -> None:
    sites, pieces = find_sites(mlp([11, width, 5]), torch.randn(2, 11)), registry.pieces(choice)
    now = width * 12 + 5 * (width + 1)
    fitting = [k for k in range(1, 60) if abs(pieces * k * 12 + 5 * (k + 1) - now) <= 0.03 * now]
    if fitting:
        plan = plan_widths(sites, {"1": choice})
        assert plan.widths["1"] in fitting and plan.before == now
    else:
        with pytest.raises(DoesNotFitError, match=f"the {now} parameters"):
            plan_widths(sites, {"1": choice})


@pytest.mark.parametrize("width", [8, 12, 16, 24])
def test_small_layers_of_one_chain_fit_together(width: int) -> None:
    model, x = mlp([30, width, width, width, 1]), torch.randn(2, 30)
    changed = apply(model, {"*": "swiglu"}, example_input=x)
    assert size_of(changed) == pytest.approx(size_of(model), rel=0.03)


def test_two_thirds_between_two_layers_and_a_root_of_two_in_a_chain() -> None:
    block = apply(Block(512, 2048), {"act": "swiglu"}, example_input=torch.randn(2, 512))
    assert block.up.out_features == 2 * block.down.in_features
    assert block.down.in_features / 2048 == pytest.approx(2 / 3, rel=0.01)
    deep = apply(mlp([512] * 12), {"*": "swiglu"}, example_input=torch.randn(2, 512))
    assert deep[15].in_features / 512 == pytest.approx(2**-0.5, rel=0.05)


def test_wide_layers_are_multiples_of_eight_and_equal_layers_nearly_equal() -> None:
    changed = apply(mlp([30, 128, 128, 128, 2]), {"*": "geglu"}, example_input=torch.randn(2, 30))
    widths = [layer.in_features for layer in changed if isinstance(layer, nn.Linear)][1:]
    assert all(width % 8 == 0 for width in widths)
    assert max(widths) - min(widths) <= 8


def test_a_chain_is_planned_as_one() -> None:
    model, x = mlp([10, 48, 64, 80, 5]), torch.randn(2, 10)
    sites = find_sites(model, x)
    plan = plan_widths(sites, {"1": "swiglu", "4": "maxout(pieces=3)", "7": "swiglu"})
    (a, b, c), linears = plan.widths.values(), plan.linears
    assert list(linears) == ["0", "3", "6", "9"]
    assert list(linears.values()) == [(10, 2 * a), (a, 3 * b), (b, 2 * c), (c, 5)]
    assert a / c == pytest.approx(48 / 80, rel=0.1), "the widths keep their proportions"


def test_sites_that_share_no_layer_are_planned_alone() -> None:
    model, x = nn.Sequential(Block(64, 256), Block(64, 128)), torch.randn(2, 64)
    sites = find_sites(model, x)
    alone = [plan_widths(sites, {name: "swiglu"}).widths for name in ("0.act", "1.act")]
    assert plan_widths(sites, dict.fromkeys(("0.act", "1.act"), "swiglu")).widths == alone[0] | alone[1]


def test_an_unchanged_neighbour_keeps_its_width() -> None:
    changed = apply(mlp([10, 64, 64, 64, 5]), {"1": "swiglu", "7": "swiglu"}, example_input=torch.randn(2, 10))
    assert changed[3].out_features == 64 == changed[6].in_features
    assert changed[0].out_features == 2 * changed[3].in_features


@pytest.mark.parametrize("choice", ["relu", "tanh", "prelu"])
def test_pointwise_choices_change_no_layer(choice: str) -> None:
    plan = plan_widths(find_sites(mlp([4, 8, 2]), torch.randn(2, 4)), {"1": choice})
    assert (plan.widths, plan.linears, plan.before, plan.after) == ({}, {}, 0, 0)


def test_layers_that_are_too_small_are_refused_with_the_numbers() -> None:
    model, x = mlp([8, 8, 1]), torch.randn(2, 8)
    before = copy.deepcopy(model)
    with pytest.raises(
        DoesNotFitError, match=r"the 81 parameters of 0, 3 within 3%: the nearest \(4 at 1\) has 77"
    ) as caught:
        apply_(model, {"1": "swiglu"}, example_input=x)
    assert "\n" not in str(caught.value)
    assert str(model) == str(before)


def by_hand(model: nn.Sequential, x: Tensor, choice: str) -> Tensor:
    """A gated multi-layer perceptron as one writes it: two matrices for each hidden layer."""
    acts = {"swiglu": F.silu, "geglu": F.gelu, "reglu": F.relu, "glu": torch.sigmoid, "bilinear": lambda z: z}
    *hidden, last = [layer for layer in model if isinstance(layer, nn.Linear)]
    for layer in hidden:
        value, gate = layer.weight.chunk(2)
        value_bias, gate_bias = layer.bias.chunk(2)
        x = (x @ value.T + value_bias) * acts[choice](x @ gate.T + gate_bias)
    return x @ last.weight.T + last.bias


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("choice", ["swiglu", "geglu", "reglu", "glu", "bilinear"])
def test_it_computes_what_one_writes_by_hand(choice: str, dtype: torch.dtype) -> None:
    x = torch.randn(6, 10, dtype=dtype)
    model = apply(mlp([10, 32, 32, 3]).to(dtype), {"*": choice}, example_input=x).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    assert all(parameter.dtype == dtype for parameter in model.parameters())
    torch.testing.assert_close(model(x), by_hand(model, x, choice))
    ours = torch.autograd.grad(model(x).square().sum(), tuple(model.parameters()))
    theirs = torch.autograd.grad(by_hand(model, x, choice).square().sum(), tuple(model.parameters()))
    torch.testing.assert_close(ours, theirs, **({} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-3}))
    assert all(bool(gradient.abs().sum() > 0) for gradient in ours)


@pytest.mark.parametrize("choice", ["swiglu", "maxout(pieces=3)"])
def test_gradients_are_right(choice: str) -> None:
    x = torch.randn(3, 6, dtype=torch.float64)
    model = apply(mlp([6, 48, 2]).double(), {"1": choice}, example_input=x).eval()
    assert torch.autograd.gradcheck(model, (x.requires_grad_(),))


def test_copies_pickles_and_states() -> None:
    x = torch.randn(4, 10)
    plain = mlp([10, 32, 32, 3])
    model = apply(plain, {"1": "swiglu", "4": "maxout"}, example_input=x).eval()
    keys = [key for key in model.state_dict() if not is_marker(key)]
    assert keys == list(plain.state_dict()), "no key is new but markers, and none is gone"
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(x), model(x))
    again = apply(mlp([10, 32, 32, 3]), {"1": "swiglu", "4": "maxout"}, example_input=x).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), model(x))
    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.weight"):
        plain.load_state_dict(model.state_dict())


def test_it_exports() -> None:
    x = torch.randn(4, 10)
    model = apply(mlp([10, 32, 3]), {"1": "swiglu"}, example_input=x).eval()
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    y = torch.randn(7, 10)
    torch.testing.assert_close(exported.module()(y), model(y))


def test_layers_stay_the_same_objects_with_their_mode() -> None:
    model, x = mlp([10, 32, 3]), torch.randn(4, 10)
    layers = [model[0], model[3]]
    apply_(model.eval(), {"1": "swiglu"}, example_input=x)
    assert [model[0], model[3]] == layers
    assert isinstance(model[1], GatedActivation) and not model[1].training
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())


def test_weights_are_drawn_by_the_houses_rule() -> None:
    torch.manual_seed(0)
    model, x = mlp([400, 600, 600, 600, 400]), torch.randn(4, 400)
    untouched = {name: value.clone() for name, value in model.state_dict().items()}
    changed = apply(model, {"4": "swiglu"}, example_input=x)
    width = changed[6].in_features
    assert torch.equal(changed[0].weight, untouched["0.weight"]) and torch.equal(changed[9].weight, model[9].weight)
    assert float(changed[3].weight.detach().std()) == pytest.approx(gain("relu") / 600**0.5, rel=0.01)
    assert float(changed[6].weight.detach().std()) == pytest.approx(gain("swiglu") / width**0.5, rel=0.01)
    assert not changed[3].bias.any(), "its length changed"
    assert torch.equal(changed[6].bias, untouched["6.bias"]), "the outputs stay, and so does their bias"


def test_the_draw_is_that_of_torchs_generator() -> None:
    model, x = mlp([10, 32, 3]), torch.randn(4, 10)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(apply(model, {"1": "swiglu"}, example_input=x)[0].weight)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    torch.manual_seed(1)
    expected = torch.randn(drawn[0].shape) / 10**0.5
    torch.testing.assert_close(drawn[0].detach(), expected)


@pytest.mark.parametrize("rescale", [False, True])
def test_a_pointwise_change_in_front_counts_at_once(rescale: bool) -> None:
    torch.manual_seed(0)
    model, x = mlp([400, 600, 600, 400]), torch.randn(4, 400)
    changed = apply(model, {"1": "sigmoid", "4": "swiglu"}, example_input=x, rescale=rescale)
    expected = gain_after("sigmoid", 1.0, shift("sigmoid")) / 600**0.5
    assert float(changed[3].weight.detach().std()) == pytest.approx(expected, rel=0.01)
    torch.testing.assert_close(changed[3].bias, -shift("sigmoid") * changed[3].weight.sum(1))


def test_a_bias_that_stays_loses_what_the_old_activation_took_off() -> None:
    torch.manual_seed(0)
    model, x = mlp([10, 32, 3]), torch.randn(4, 10)
    apply_(model, {"1": "sigmoid"}, example_input=x)
    initialise_(model, x)
    assert float(model[3].bias.detach().abs().min()) > 0
    assert not apply(model, {"1": "swiglu"}, example_input=x)[3].bias.any()
    nn.init.constant_(model[3].bias, 0.25)  # holds nothing of the kind
    assert torch.equal(apply(model, {"1": "swiglu"}, example_input=x)[3].bias, model[3].bias)


def test_from_one_gated_form_to_another_weights_stay() -> None:
    x = torch.randn(4, 10)
    model = apply(mlp([10, 32, 3]), {"1": "swiglu"}, example_input=x)
    other = apply(model, {"1": "geglu"}, example_input=x)
    assert torch.equal(other[0].weight, model[0].weight) and torch.equal(other[3].weight, model[3].weight)
    scaled = apply(model, {"1": "geglu"}, example_input=x, rescale=True)
    torch.testing.assert_close(scaled[3].weight, model[3].weight * (gain("geglu") / gain("swiglu")))


@pytest.mark.parametrize("choice", ["relu", "prelu", "maxout(pieces=4)"])
def test_from_a_gated_form_back(choice: str) -> None:
    x = torch.randn(4, 20)
    model = apply(mlp([20, 64, 64, 3]), {"*": "swiglu"}, example_input=x)
    back = apply(model, {"*": choice}, example_input=x)
    weights = [size_of(m) - sum(p.numel() for a in m if isinstance(a, LearnableActivation) for p in a.parameters())
               for m in (model, back)]  # fmt: skip
    assert weights[1] == pytest.approx(weights[0], rel=0.03)
    if choice == "relu":
        assert back[0].out_features == pytest.approx(64, abs=3)
    elif choice == "prelu":
        assert back[1].weight.shape == (back[0].out_features,)
    assert back(x).shape == (4, 3)
    assert find_sites(back, x)["1"].current == registry.canonical(choice)


def test_norms_change_their_width_and_start_anew() -> None:
    def build() -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.LayerNorm(64), nn.Linear(64, 64), nn.RMSNorm(64),
            nn.ReLU(), nn.Linear(64, 4),
        )  # fmt: skip

    model, x = build(), torch.randn(32, 16)
    model(x)
    changed = apply(model, {"*": "swiglu"}, example_input=x)
    widths = changed[4].in_features, changed[7].in_features
    assert changed[1].num_features == len(changed[1].running_mean) == 2 * widths[0]
    assert changed[3].normalized_shape == (widths[0],) and changed[5].normalized_shape == (2 * widths[1],)
    assert int(changed[1].num_batches_tracked) == 0 and int(model[1].num_batches_tracked) == 1
    assert bool((changed[1].running_var == 1).all()) and bool((changed[5].weight == 1).all())
    assert [key for key in changed.state_dict() if not is_marker(key)] == list(model.state_dict())
    assert size_of(changed) == pytest.approx(size_of(model), rel=0.03)
    assert float(changed[4].weight.detach().std()) == pytest.approx(widths[0] ** -0.5, rel=0.1), "gain 1 behind a norm"
    assert changed.train()(x).shape == (32, 4)


def rms_of(model: nn.Module, x: Tensor) -> list[float]:
    """RMS of what reaches each gated activation, pieces included."""
    levels: list[float] = []
    for module in model.modules():
        if isinstance(module, GatedActivation):
            module.register_forward_pre_hook(lambda _, args: levels.append(float(args[0].square().mean().sqrt())))
    with torch.no_grad():
        model.eval()(x)
    return levels


@pytest.mark.parametrize(
    ("choice", "depth"),
    [("glu", 8), ("maxout", 8), ("maxout(pieces=4)", 8), *((c, 3) for c in ("reglu", "geglu", "swiglu", "bilinear"))],
)
def test_pre_activations_keep_their_size(choice: str, depth: int) -> None:
    # Products of two pre-activations square their size: without normalisation no scale is stable in deep networks.
    torch.manual_seed(0)
    x = torch.randn(256, 512)
    model = mlp([512, *[1024] * depth, 4])
    initialise_(model, x)
    levels = rms_of(apply(model, {"*": choice}, example_input=x[:2]), x)
    assert len(levels) == depth
    assert max(abs(level - 1) for level in levels) < 0.1, levels


@pytest.mark.parametrize("choice", GATED)
def test_in_a_deep_pre_norm_network_they_keep_it_too(choice: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(128, 128)
    model = nn.Sequential(*(Block(128, 256) for _ in range(16)))
    initialise_(model, x)
    levels = rms_of(apply(model, {"*": choice}, example_input=x[:2]), x)
    assert len(levels) == 16 and max(abs(level - 1) for level in levels) < 0.1, levels


@pytest.mark.parametrize("pieces", [2, 3])
def test_it_learns(pieces: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 4)
    y = (x[:, :1] * x[:, 1:2]).tanh()
    model = apply(mlp([4, 64, 64, 1]), {"1": "swiglu", "4": f"maxout(pieces={pieces})"}, example_input=x)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = F.mse_loss(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_an_example_input_is_needed() -> None:
    model, x = mlp([10, 32, 3]), torch.randn(4, 10)
    with pytest.raises(DoesNotFitError, match="swiglu cannot stand at 1: the model was not run: give an example_input"):
        apply(model, {"1": "swiglu"})
    with pytest.raises(AutoactError, match="swiglu needs an example_input"):
        apply(model, {"1": "swiglu"}, sites=find_sites(model, x))


def test_a_glob_names_the_site_that_refuses() -> None:
    model = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    x = torch.randn(2, 1, 4)
    with pytest.raises(DoesNotFitError, match=r"swiglu cannot stand at 1: its input comes from conv1d\(\)"):
        apply(model, {"*": "swiglu"}, example_input=x)
    assert apply(model, {"4": "swiglu"}, example_input=x)(x).shape == (2, 1)


def test_sites_of_another_size_are_refused() -> None:
    x = torch.randn(4, 10)
    sites = find_sites(mlp([10, 32, 3]), x)
    with pytest.raises(AutoactError, match=r"sites do not fit the model: it holds no Linear\(10, 32\) at '0'"):
        apply(mlp([10, 48, 3]), {"1": "swiglu"}, example_input=x, sites=sites)


def test_a_model_that_fails_afterwards_is_put_back() -> None:
    class Fixed(nn.Module):
        """Looks at its width in a way that no run shows."""

        def __init__(self) -> None:
            super().__init__()
            self.up, self.norm, self.act, self.down = nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2)

        def forward(self, x: Tensor) -> Tensor:
            if self.up.out_features != 32:
                raise ValueError("32 or nothing")
            return self.down(self.act(self.norm(self.up(x))))

    model, x = Fixed(), torch.randn(3, 4)
    model(x)
    before = copy.deepcopy(model)
    state = torch.get_rng_state()
    with pytest.raises(AutoactError, match="32 or nothing"):
        apply_(model, {"act": "swiglu"}, example_input=x)
    assert torch.equal(torch.get_rng_state(), state), "nothing was drawn"
    assert str(model) == str(before)
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), before.state_dict().values(), strict=True)
    )
    assert torch.equal(model.eval()(x), before.eval()(x))


def test_the_source_of_what_is_behind_is_the_gated_site() -> None:
    x = torch.randn(4, 10)
    model = apply(mlp([10, 32, 3]), {"1": "swiglu"}, example_input=x)
    assert consumers(model, x)["3.weight"].site == "1"
    gains = initialise_(model, x)
    assert gains["3.weight"] == gain("swiglu") and gains["0.weight"] == 1.0


def test_its_latency_is_measured_like_any_other() -> None:
    from autoact.latency.build_table import measure_table
    from autoact.latency.hardware import HardwareSettings

    model, x = mlp([10, 32, 3]), torch.randn(4, 10)
    table = measure_table(
        model,
        lambda n: torch.zeros(n, 10),
        [("1", "swiglu"), ("1", "maxout")],
        lambda model, site, choice: apply(model, {site: choice}, example_input=x),
        hardware=HardwareSettings(device="cpu", throughput_batch=8, rounds=3, min_ms=0.01),
        current={"1": "relu"},
    )
    assert {"relu", "swiglu", "maxout"} <= set(table.at("latency").deltas["1"])
    assert table.predict({"1": "swiglu"}).ms > 0
