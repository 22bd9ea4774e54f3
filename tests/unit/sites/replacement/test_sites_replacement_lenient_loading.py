"""A lenient load says when weights and model have different activations; torch's own ways stay as they are."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

import autoact
from autoact.sites.replacement.lenient_loading import watch_lenient_loads


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))


class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner


CHANGED = {"1": "tanh", "3": "gelu"}


def told(load):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load()
    return [str(item.message) for item in caught]


def test_weights_of_a_changed_model_in_the_plain_class():
    weights = autoact.apply(net(), CHANGED).state_dict()
    model = net()
    (message,) = told(lambda: model.load_state_dict(weights, strict=False))
    assert "'1' was trained with tanh (2 such places)" in message and "\n" not in message
    assert told(lambda: net().load_state_dict(weights, False)) == [message], "strict given by its place"


def test_the_advice_works():
    changed = autoact.apply(net(), CHANGED)
    x, model = torch.randn(3, 4), net()
    assert told(lambda: autoact.restore_(model, changed.state_dict(), strict=False)) == []
    assert torch.equal(model(x), changed(x))


def test_weights_of_the_plain_class_in_a_changed_model():
    (message,) = told(lambda: autoact.apply(net(), {"1": "tanh"}).load_state_dict(net().state_dict(), strict=False))
    assert "it has tanh at '1'" in message and "autoact.apply" in message


def test_other_activations_at_the_same_place():
    weights = autoact.apply(net(), {"1": "gelu"}).state_dict()
    (message,) = told(lambda: autoact.apply(net(), {"1": "tanh"}).load_state_dict(weights, strict=False))
    assert "'1' was trained with gelu" in message


def test_nothing_is_said_where_nothing_is_wrong():
    changed = autoact.apply(net(), CHANGED)
    weights = changed.state_dict()
    backbone = nn.Sequential(*list(net())[:1])
    part = {"0.weight": weights["0.weight"]}
    headless = Wrapped(nn.Linear(4, 8))
    whole = Wrapped(nn.Linear(4, 8))
    whole.head = autoact.apply(net(), CHANGED)
    for load in (
        lambda: copy.deepcopy(changed).load_state_dict(weights, strict=False),
        lambda: copy.deepcopy(changed).load_state_dict(part, strict=False),
        lambda: net().load_state_dict(net().state_dict(), strict=False),
        lambda: headless.load_state_dict(whole.state_dict(), strict=False),
        lambda: Wrapped(net()).load_state_dict(weights, strict=False),
    ):
        assert told(load) == []
    assert len(backbone) == 1


def test_nothing_is_said_where_the_class_has_the_activation_by_itself():
    weights = autoact.apply(net(), {"1": "tanh", "3": "leaky_relu(negative_slope=0.2)"}).state_dict()
    model = net()
    model[1], model[3] = nn.Tanh(), nn.LeakyReLU(0.2)
    assert told(lambda: model.load_state_dict(weights, strict=False)) == []
    model[3] = nn.LeakyReLU(0.1)
    (message,) = told(lambda: model.load_state_dict(weights, strict=False))
    assert "'3' was trained with leaky_relu(negative_slope=0.2)," in message


@pytest.mark.parametrize("marker", ["1.autoact:not_registered_here", "1.autoact:no activation("])
def test_a_marker_that_cannot_be_read_is_told_all_the_same(marker):
    weights = {**net().state_dict(), marker: torch.empty(0, dtype=torch.uint8)}
    (message,) = told(lambda: net().load_state_dict(weights, strict=False))
    assert f"'1' was trained with {marker.partition(':')[2]}, and" in message


def test_a_strict_load_fails_as_ever():
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"1.autoact:tanh"'):
        net().load_state_dict(autoact.apply(net(), CHANGED).state_dict())


def test_safetensors_written_directly(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    changed = autoact.apply(net(), CHANGED)
    safetensors.save_model(changed, str(tmp_path / "model"))
    safetensors.save_file(changed.state_dict(), str(tmp_path / "file"))
    for name in ("model", "file"):
        path = str(tmp_path / name)
        with pytest.raises((RuntimeError, UserWarning), match="tanh"):
            safetensors.load_model(net(), path)
        assert len(told(lambda path=path: safetensors.load_model(net(), path, strict=False))) == 1
        found, x = autoact.restore_(net(), safetensors.load_file(path)), torch.randn(3, 4)
        assert torch.equal(found(x), changed(x))


def test_torch_is_watched_once_and_its_method_stays_what_it_is():
    method = nn.Module.load_state_dict
    watch_lenient_loads()
    assert nn.Module.load_state_dict is method
    assert method.__doc__ and pickle.loads(pickle.dumps(method)) is method
    result = net().load_state_dict({"0.weight": torch.zeros(8, 4)}, strict=False, assign=True)
    assert "2.weight" in result.missing_keys and result.unexpected_keys == []
