from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

import autoact.activations as activations
from autoact.activations import build, recognise
from autoact.core.errors import AutoactError


def test_a_pointwise_module_holds_no_weights_and_shows_its_choice() -> None:
    module = build("LeakyReLU(negative_slope=0.2)", channels=7)
    assert sum(weight.numel() for weight in module.parameters()) == 0 and not module.state_dict()
    assert (
        repr(nn.Sequential(module)).splitlines()[1].strip() == "(0): ActivationModule(leaky_relu(negative_slope=0.2))"
    )


def test_a_registered_lambda_survives_copies_and_pickles() -> None:
    activations.register("triple", lambda x, by=3.0: by * x)
    module = build("triple(by=4)")
    model = nn.Sequential(nn.Linear(2, 2), module)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other[1](torch.ones(1)).item() == 4.0
        assert other[1].choice == module.choice


def test_unpickling_what_is_not_registered_says_so() -> None:
    activations.register("gone", lambda x: x)
    data = pickle.dumps(build("gone"))
    activations.unregister("gone")
    with pytest.raises(AutoactError, match="unknown activation 'gone'"):
        pickle.loads(data)


def test_a_whole_module_is_saved_and_loaded_by_torch(tmp_path: object) -> None:
    module = build("rational", channels=2)
    torch.save(module, f"{tmp_path}/m.pt")
    other = torch.load(f"{tmp_path}/m.pt", weights_only=False)
    assert torch.equal(other(torch.ones(3, 2)), module(torch.ones(3, 2)))


def test_learnable_ones_start_at_their_choice() -> None:
    module = build("srelu(left=-2, right_slope=0.5)", channels=3)
    assert dict(module.named_parameters()).keys() == {"left", "left_slope", "right", "right_slope"}
    assert module.get_parameter("left").tolist() == [-2.0] * 3
    assert module.get_parameter("right_slope").tolist() == [0.5] * 3
    assert "channels=3, channel_dim=-1" in repr(module)


def test_prelu_loads_the_weights_of_torchs() -> None:
    theirs = nn.PReLU(3)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor([0.1, 0.2, 0.3]))
    ours = build("prelu", channels=3, channel_dim=1)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(ours(x), theirs(x))


def test_learnable_needs_channels_or_per_site() -> None:
    for channels in (None, 0):
        with pytest.raises(AutoactError, match=r"prelu learns weights per channel: give channels=.* or per='site'"):
            build("prelu", channels=channels)
    module = build("prelu", channels=5, per="site")
    assert sum(weight.numel() for weight in module.parameters()) == 1 and "per=site" in repr(module)
    assert module(torch.tensor(-4.0)).item() == -1.0
    with pytest.raises(AutoactError, match="unknown value of per 'sites': did you mean site"):
        build("relu", per="sites")


@pytest.mark.parametrize(("shape", "axis"), [((2, 4), -1), ((2, 1), -1), ((4,), 1), ((2, 4, 3), 1)])
def test_an_input_with_other_channels_is_refused(shape: tuple[int, ...], axis: int) -> None:
    module = build("swish_beta", channels=3, channel_dim=axis)
    with pytest.raises(
        AutoactError, match=r"swish_beta was built for 3 channels along axis -?1, got an input of shape"
    ):
        module(torch.zeros(shape))


def test_weights_are_trained() -> None:
    module = build("swish_beta", channels=2)
    module(torch.randn(8, 2)).square().sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).all()) for p in module.parameters())


def test_stochastic_ones_follow_train_and_eval() -> None:
    module = build("rrelu")
    x = -torch.ones(64)
    assert module.train()(x).unique().numel() > 1
    assert module.eval()(x).unique().numel() == 1


def test_populations_stack_the_modules() -> None:
    members = [build(f"prelu(weight=0.{k})", channels=3) for k in (1, 2)]
    params, buffers = torch.func.stack_module_state(members)
    x = -torch.ones(2, 4, 3)
    y = torch.vmap(lambda p, b, x: torch.func.functional_call(members[0], (p, b), (x,)))(params, buffers, x)
    torch.testing.assert_close(y[:, 0, 0], torch.tensor([-0.1, -0.2]))


def test_autocast_keeps_the_inputs_type() -> None:
    x = torch.ones(4, 3, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for name in ("prelu", "acon_c", "rational"):
            assert build(name, channels=3)(x).dtype == torch.bfloat16


class LoudReLU(nn.ReLU):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + 1


class NamedReLU(nn.ReLU):
    pass


def patched() -> nn.Module:
    module = nn.ReLU()
    module.forward = lambda x: x  # type: ignore[method-assign, assignment]
    return module


@pytest.mark.parametrize(
    "module", [LoudReLU(), patched(), nn.Linear(2, 2), nn.Softmax(-1), nn.GLU(), nn.LeakyReLU(1e9)]
)
def test_not_recognised(module: nn.Module) -> None:
    assert recognise(module) is None


def test_recognised() -> None:
    assert str(recognise(NamedReLU())) == "relu"
    assert str(recognise(nn.ReLU(inplace=True))) == "relu"
    assert str(recognise(build("snake(a=2)"))) == "snake(a=2)"
    assert str(recognise(nn.PReLU(init=0.1))) == "prelu(weight=0.1)"
    assert str(recognise(nn.PReLU(2, device="meta"))) == "prelu"


def test_a_prelu_whose_weights_differ_is_recognised_by_name() -> None:
    module = nn.PReLU(2)
    with torch.no_grad():
        module.weight[0] = 0.5
    assert str(recognise(module)) == "prelu"


class ScaledTanh(nn.Module):
    """A user's own, whose attribute is called as its parameter is."""

    def __init__(self, alpha: object) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.alpha * torch.tanh(x)


def test_a_parameter_is_read_off_the_attribute_of_its_name() -> None:
    activations.register("scaled_tanh", lambda x, alpha=1.0: alpha * torch.tanh(x), torch_type=ScaledTanh)
    assert str(recognise(ScaledTanh(2.0))) == "scaled_tanh(alpha=2)"
    assert recognise(ScaledTanh("loud")) is None


def test_the_catalogue_knows_the_activations_of_torch() -> None:
    types = {activations.get(name).torch_type for name in activations.names()} - {None}
    assert len(types) >= 24
    assert {nn.GELU, nn.PReLU, nn.Identity} <= types
