"""apply and apply_: what is replaced, what is kept, and what is refused before anything changes."""

import copy
import pickle
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from autoact.activations.gain import gain
from autoact.activations.modules import ActivationModule, LearnableActivation, build
from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError
from autoact.sites import apply, apply_, find_sites
from autoact.sites.replacement.state_dict_marker import is_marker


def mlp(first: nn.Module | None = None, second: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), first or nn.ReLU(), nn.Linear(8, 6), second or nn.ReLU(), nn.Linear(6, 1), nn.Sigmoid()
    )


class Nested(nn.Module):
    """Activations in a ModuleDict, a ModuleList, a Sequential and as attributes, with a shared one."""

    def __init__(self, acts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.act = acts["act"]
        self.parts = nn.ModuleDict({"enc": nn.ModuleDict({"fc": nn.Linear(4, 4), "act": acts["enc"]})})
        self.steps = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), acts["step"]), self.act])
        self.conv, self.bn, self.conv_act = nn.Conv1d(1, 3, 3, padding=1), nn.BatchNorm1d(3), acts["conv"]
        self.head = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        enc = self.parts["enc"]
        x = x + enc["act"](enc["fc"](self.act(x)))
        for step in self.steps:
            x = step(x)
        return self.head(self.conv_act(self.bn(self.conv(x.unsqueeze(1)))).flatten(1))


NESTED = {"act": nn.ReLU, "enc": nn.GELU, "step": nn.SiLU, "conv": nn.ReLU}


def test_outputs_equal_a_model_written_by_hand() -> None:
    x = torch.randn(5, 4)
    changed = apply(mlp(), {"1": "tanh", "3": "leaky_relu(negative_slope=0.2)"}, example_input=x)
    by_hand = mlp(nn.Tanh(), nn.LeakyReLU(0.2))
    assert torch.equal(changed(x), by_hand(x))
    assert not torch.allclose(changed(x), mlp()(x))


def test_outputs_equal_by_hand_in_every_container_and_training() -> None:
    x = torch.randn(6, 4)
    model = Nested({name: kind() for name, kind in NESTED.items()})
    keys = list(model.state_dict())
    wanted = Assignment({"act": "tanh", "parts.enc.act": "softplus", "steps.0.1": "sigmoid", "conv_act": "elu"})
    changed = apply(model, wanted, example_input=x)
    by_hand = Nested({"act": nn.Tanh(), "enc": nn.Softplus(), "step": nn.Sigmoid(), "conv": nn.ELU()})
    assert torch.allclose(changed(x), by_hand(x), atol=1e-6)
    changed.eval(), by_hand.eval()
    assert torch.allclose(changed(x), by_hand(x), atol=1e-6)
    assert [key for key in changed.state_dict() if not is_marker(key)] == keys == list(model.state_dict())
    assert changed.act is changed.steps[1]
    assert isinstance(model.act, nn.ReLU)


def test_in_place_changes_the_model_itself_and_keeps_its_weights() -> None:
    model = mlp()
    weight = model[0].weight
    assert apply_(model, {"1": Choice("tanh")}) is model
    assert model[0].weight is weight
    assert model[1].choice == Choice("tanh")


def test_globs_reach_all_but_the_output() -> None:
    model = apply_(mlp(), {"*": "tanh"}, example_input=torch.zeros(2, 4))
    assert [type(part).__name__ for part in model[1::2]] == ["ActivationModule", "ActivationModule", "Sigmoid"]
    apply_(model, {"5": "identity"}, example_input=torch.zeros(2, 4))
    assert str(model[5].choice) == "identity"


def test_glob_by_alias_claims_a_shared_module_once() -> None:
    model = Nested({name: kind() for name, kind in NESTED.items()})
    apply_(model, {"steps.*": "tanh"}, example_input=torch.zeros(2, 4))
    assert str(model.act.choice) == str(model.steps[0][1].choice) == "tanh"
    assert model.act is model.steps[1]


def test_equal_choice_is_left_untouched() -> None:
    model = mlp()
    before = model[1]
    apply_(model, {"1": "relu", "3": "tanh"})
    assert model[1] is before
    apply_(model, {"1": "relu"})
    assert model[1] is before


def test_learnable_follows_channels_device_dtype_and_training_flag() -> None:
    model = Nested({name: kind() for name, kind in NESTED.items()}).double()
    model.conv_act.eval()
    x = torch.randn(2, 4, dtype=torch.float64)
    names = set(model.state_dict())
    apply_(model, {"conv_act": "prelu", "steps.0.1": "prelu"}, example_input=x)
    assert isinstance(model.conv_act, LearnableActivation)
    assert (model.conv_act.channels, model.conv_act.channel_dim, model.conv_act.training) == (3, 1, False)
    assert (model.steps[0][1].channels, model.steps[0][1].channel_dim, model.steps[0][1].training) == (4, -1, True)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert {p.device for p in apply(mlp().to("meta"), {"1": "tanh"}).parameters()} == {torch.device("meta")}
    assert names < set(model.state_dict())
    model(x).sum().backward()
    assert model.conv_act.weight.grad.shape == (3,)


def test_learnable_follows_the_device_of_its_neighbours() -> None:
    sites = find_sites(mlp(), torch.zeros(2, 4))
    model = apply_(mlp().to("meta"), {"1": "prelu"}, sites=sites)
    assert model[1].weight.device.type == "meta"


def test_pickle_and_deepcopy_after_apply() -> None:
    x = torch.randn(3, 4)
    model = apply(mlp(), {"1": "prelu", "3": "gelu"}, example_input=x)
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    assert torch.equal(pickle.loads(pickle.dumps(model))(x), model(x))


def test_replaced_sites_are_found_and_replaced_again() -> None:
    x = torch.randn(3, 4)
    model = apply(mlp(), {"1": "tanh"}, example_input=x)
    assert str(find_sites(model, x)["1"].current) == "tanh"
    assert torch.equal(apply(model, {"1": "relu"})(x), mlp()(x))


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ({"1.act": "tanh"}, "unknown site '1.act'"),
        ({"x*": "tanh"}, r"unknown site 'x\*'"),
        ({"5*": "tanh"}, "matches only the model's output"),
        ({"1": "tanh", "*": "relu"}, r"site '1' is claimed twice: by '1' and by '\*'"),
        ({"*": "tanh", "[13]": "relu"}, "claimed twice"),
        ({"1": "geluu"}, "unknown activation 'geluu': did you mean gelu"),
        ({"1": "gelu(slope=1)"}, "parameter of gelu"),
        ({"3": "tanh", "1": "prelu"}, "give example_input to show the channels of '1'"),
        ({"*": "step"}, "name each site"),
        ({}, "empty"),
        ([("1", "tanh")], "this is list"),
        ({"3": "tanh", "0": "tanh"}, "unknown site '0'"),
    ],
)
def test_mistakes_are_refused_before_anything_changes(assignment: dict[str, str], words: str) -> None:
    model = mlp()
    before = list(model)
    with pytest.raises(AutoactError, match=words):
        apply_(model, assignment)
    assert all(now is then for now, then in zip(model, before, strict=True))


def test_step_stands_where_it_is_named() -> None:
    assert str(apply(mlp(), {"1": "step"})[1].choice) == "step"


def test_learnable_where_calls_differ_in_channels_is_refused() -> None:
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 8), act, nn.Linear(8, 6), act, nn.Linear(6, 1))
    with pytest.raises(AutoactError, match="called with different channels"):
        apply_(model, {"1": "prelu"}, example_input=torch.zeros(2, 4))


def test_unreplaceable_is_refused_with_its_reason() -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, 16, activation=torch.cos)
    model = nn.ModuleDict({"layer": encoder, "act": nn.ReLU()})
    for pattern in ("layer.activation", "layer.act*"):
        with pytest.raises(AutoactError, match="the function cos, which is not in the catalogue"):
            apply_(model, {pattern: "tanh"})


def test_root_activation_is_refused() -> None:
    with pytest.raises(AutoactError, match="the model itself"):
        apply_(nn.ReLU(), {"": "tanh"})
    with pytest.raises(AutoactError, match="the model itself"):
        apply_(nn.ReLU(), {"*": "tanh"})


def test_model_without_sites_is_refused() -> None:
    with pytest.raises(AutoactError, match="nothing to choose from"):
        apply_(nn.Linear(2, 2), {"*": "tanh"})


def test_sites_of_another_model_are_refused() -> None:
    sites = find_sites(mlp())
    with pytest.raises(AutoactError, match="do not fit the model"):
        apply_(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), {"1": "gelu"}, sites=sites)
    with pytest.raises(AutoactError, match="do not fit the model"):
        apply_(nn.Linear(4, 4), {"1": "gelu"}, sites=sites)


def test_module_held_twice_is_put_back_and_told() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.act, self.first = nn.Linear(4, 4), nn.ReLU(), nn.Tanh()
            self.plain = [self.act]

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.plain[0](self.first(x)))

    model = Hidden()
    act, first = model.act, model.first
    with pytest.raises(AutoactError, match="goes on calling the old module"):
        apply_(model, {"*": "gelu"}, example_input=torch.zeros(2, 4), sites=find_sites(model))
    assert (model.act, model.first) == (act, first)
    assert find_sites(model, torch.zeros(2, 4)).names == ("first",)
    with pytest.raises(AutoactError, match="goes on calling the old module"):
        apply_(model, {"act": "gelu"}, example_input=torch.zeros(2, 4))
    assert (model.act, model.first) == (act, first)


def test_rescale_multiplies_consumers_and_nothing_else() -> None:
    x = torch.randn(3, 4)
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    apply_(model, {"1": "elu", "3": "relu"}, example_input=x, rescale=True)
    factor = gain("elu") / gain("relu")
    assert set(before) < set(model.state_dict())
    for name, value in ((name, model.state_dict()[name]) for name in before):
        assert torch.equal(value, before[name] * factor if name == "2.weight" else before[name]), name


def test_rescale_needs_an_example() -> None:
    with pytest.raises(AutoactError, match="rescale=True needs an example_input"):
        apply_(mlp(), {"1": "tanh"}, rescale=True)


def test_lightning_module() -> None:
    lightning = pytest.importorskip("lightning")

    class Net(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(2)
            self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
            self.last = nn.Sigmoid()

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.net(x)).squeeze(-1)

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            return nn.functional.binary_cross_entropy(self.last(self.net(batch[0])).squeeze(-1), batch[1])

    model, x = Net(), torch.randn(3, 4)
    sites = find_sites(model, x)
    assert [(site.name, site.is_output) for site in sites] == [("net.1", False), ("last", True)]
    again = find_sites(model, call=lambda: model.training_step((x, torch.ones(3)), 0))
    assert [(site.name, site.is_output, site.shape) for site in again] == [
        ("net.1", False, (3, 8)),
        ("last", True, (3, 1)),
    ]
    changed = apply(model, {"net.*": "tanh"}, sites=again)
    model.net[1] = nn.Tanh()
    assert torch.equal(changed(x), model(x))


def test_our_modules_are_built_by_the_catalogue() -> None:
    model = apply(mlp(), {"1": "gelu"})
    assert type(model[1]) is type(build("gelu")) is ActivationModule
