"""torch's transformer layers: the fused path goes with the activation, and copies keep it."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from autoact.sites import apply, apply_, find_sites, restore_
from autoact.sites.replacement.state_dict_marker import is_marker

X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MEMORY = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PAD = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])


def layer(activation: object = "relu", kind: type[nn.Module] = nn.TransformerEncoderLayer) -> nn.Module:
    torch.manual_seed(0)
    return kind(8, 2, 16, dropout=0.0, batch_first=True, activation=activation, dtype=torch.float64)


def stack(activation: object = "relu") -> nn.TransformerEncoder:
    return nn.TransformerEncoder(layer(activation), 2)  # type: ignore[arg-type]


def by_hand(model: nn.Module, x: Tensor, activation: nn.Module) -> Tensor:
    """A post-norm encoder layer, written out."""
    attended, _ = model.self_attn(x, x, x, need_weights=False)
    x = model.norm1(x + attended)
    return model.norm2(x + model.linear2(activation(model.linear1(x))))


def outputs(model: nn.Module, *args: Tensor, **kwargs: Tensor) -> list[Tensor]:
    found = []
    for training in (True, False):
        model.train(training)
        with torch.no_grad():  # the fused path needs it
            found.append(model(*args, **kwargs))
    return found


@pytest.mark.parametrize("given", ["relu", "gelu", torch.tanh, nn.ReLU(), nn.GELU(), lambda x: x * torch.sigmoid(x)])
def test_encoder_layers_compute_what_was_put_in_training_and_evaluation(given: object) -> None:
    model = layer(given)
    before = copy.deepcopy(vars(model))
    (site,) = find_sites(model, X)
    assert (site.name, site.shape) == ("activation", (2, 5, 16))
    assert vars(model)["activation_relu_or_gelu"] == before["activation_relu_or_gelu"]
    assert find_sites(model).names == ("activation",)
    changed = apply(model, {"activation": "softplus"}, example_input=X)
    wanted = by_hand(changed, X, nn.Softplus())
    for out in outputs(changed, X):
        assert torch.allclose(out, wanted, atol=1e-12)
    assert not torch.allclose(outputs(model, X)[1], wanted, atol=1e-3)
    assert [key for key in changed.state_dict() if not is_marker(key)] == list(model.state_dict())


def test_without_the_switch_evaluation_computes_the_old_function() -> None:
    model = layer()
    model.activation = nn.Softplus()
    training, evaluation = outputs(model, X)
    assert not torch.allclose(training, evaluation, atol=1e-3), "torch has mended this: the switch is not needed"


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_encoders_give_nested_tensors_up() -> None:
    model = stack()
    assert model.use_nested_tensor
    changed = apply(model, {"layers.0.activation": "tanh"}, example_input=X)
    assert model.use_nested_tensor and not changed.use_nested_tensor
    training, evaluation = outputs(changed, X, src_key_padding_mask=PAD)
    assert torch.allclose(training[~PAD], evaluation[~PAD], atol=1e-12)
    for again in (copy.deepcopy(changed), pickle.loads(pickle.dumps(changed))):
        assert all(map(torch.equal, outputs(again, X), outputs(changed, X)))
    assert find_sites(model, {"src": X, "src_key_padding_mask": PAD}).names == (
        "layers.0.activation",
        "layers.1.activation",
    )
    assert model.use_nested_tensor
    restored = restore_(stack(), changed.state_dict())
    assert all(map(torch.equal, outputs(restored, X), outputs(changed, X)))


def test_a_failure_gives_nested_tensors_and_the_function_back() -> None:
    class Refuses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = stack()

        def forward(self, x: Tensor) -> Tensor:
            if not isinstance(self.net.layers[0].__dict__.get("activation"), type(torch.relu)):
                for part in self.net.modules():
                    if type(part).__name__ == "ActivationModule" and str(part.choice) != "relu":
                        raise ValueError("no")
            return self.net(x)

    model = Refuses()
    with pytest.raises(Exception, match="no"):
        apply_(model, {"*": "tanh"}, example_input=X)
    assert model.net.use_nested_tensor
    assert [part.activation_relu_or_gelu for part in model.net.layers] == [1, 1]
    assert [part.activation for part in model.net.layers] == [torch.nn.functional.relu] * 2


@pytest.mark.parametrize("given", ["relu", torch.tanh, nn.Tanh()])
def test_decoder_layers_keep_it_in_copies_and_pickles(given: object) -> None:
    model = layer(given, nn.TransformerDecoderLayer)
    before = outputs(model, X, MEMORY)[0]
    (site,) = find_sites(model, (X, MEMORY))
    assert torch.equal(outputs(model, X, MEMORY)[0], before)
    assert (site.name, str(site.current)) == ("activation", "relu" if given == "relu" else "tanh")
    changed = apply(model, {"activation": "softplus"}, example_input=(X, MEMORY))
    wanted = layer(nn.functional.softplus, nn.TransformerDecoderLayer)
    for one in (changed, copy.deepcopy(changed), pickle.loads(pickle.dumps(changed))):
        assert all(
            torch.allclose(a, b) for a, b in zip(outputs(one, X, MEMORY), outputs(wanted, X, MEMORY), strict=True)
        )
    again = apply(changed, {"activation": "tanh"}, example_input=(X, MEMORY))
    assert str(again.activation.choice) == "tanh"
    assert str(copy.deepcopy(again).activation.choice) == "tanh"


def test_a_copy_keeps_the_modules_of_decoders_that_are_not_changed() -> None:
    model = nn.Sequential()
    model.decoder = layer(nn.Tanh(), nn.TransformerDecoderLayer)
    model.act = nn.ReLU()
    assert isinstance(apply(model, {"act": "gelu"}).decoder.activation, nn.Tanh)


def test_attention_stays_as_it_is() -> None:
    sites = find_sites(nn.Transformer(8, 2, 1, 1, 16, batch_first=True, dtype=torch.float64), (X, MEMORY))
    assert sites.names == ("encoder.layers.0.activation", "decoder.layers.0.activation")
    assert {item.kind for item in sites.unreplaceable} == {"attention"}


def test_learnable_and_gated() -> None:
    changed = apply(stack(), {"*": "prelu"}, example_input=X)
    assert changed.layers[0].activation.weight.shape == (16,)
    assert changed.layers[0].activation.weight.dtype == torch.float64
    wide = nn.TransformerEncoderLayer(8, 2, 96, dropout=0.0, batch_first=True, dtype=torch.float64)
    gated = apply(nn.TransformerEncoder(wide, 2), {"*": "swiglu"}, example_input=X)
    assert gated.layers[1].linear2.in_features * 2 == gated.layers[1].linear1.out_features
    training, evaluation = outputs(gated, X)
    assert torch.allclose(training, evaluation, atol=1e-12)
