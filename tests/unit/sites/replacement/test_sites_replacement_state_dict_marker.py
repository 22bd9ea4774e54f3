"""A changed model says so in its state_dict: its weights never load into a model that computes something else."""

import copy
import pickle

import pytest
import torch
from torch import nn

import autoact
from autoact.core.errors import AutoactError
from autoact.sites.replacement.state_dict_marker import assignment_in, is_marker


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))


MIXED = {"1": "leaky_relu(negative_slope=0.2)", "3": "tanh"}
X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def test_the_state_dict_carries_the_assignment():
    changed = autoact.apply(net(), MIXED)
    assert autoact.assignment_in(changed.state_dict()).to_dict() == MIXED
    assert autoact.assignment_in(net().state_dict()).to_dict() == {}
    assert set(net().state_dict()) <= set(changed.state_dict()), "all other keys stay"
    assert [key for key in changed.state_dict() if is_marker(key)] == [
        "1.autoact:leaky_relu%28negative_slope=0%2E2%29",
        "3.autoact:tanh",
    ]
    assert sum(value.numel() for key, value in changed.state_dict().items() if is_marker(key)) == 0


def test_weights_that_an_earlier_version_marked_load():
    changed = autoact.apply(net(), MIXED)
    written = {key.replace("%28", "(").replace("%29", ")"): value for key, value in changed.state_dict().items()}
    assert "1.autoact:leaky_relu(negative_slope=0%2E2)" in written
    for fresh in (autoact.apply(net(), MIXED), autoact.restore_(net(), written), pickle.loads(pickle.dumps(changed))):
        fresh.load_state_dict(written)
        torch.testing.assert_close(fresh(X), changed(X))
    with pytest.raises(RuntimeError, match="leaky_relu"):
        net().load_state_dict(written)


def test_a_site_that_stays_as_it_was_carries_nothing():
    kept = autoact.apply(net(), {"1": "relu", "3": "tanh"})
    assert autoact.assignment_in(kept.state_dict()).to_dict() == {"3": "tanh"}
    net().load_state_dict(autoact.apply(net(), {"1": "relu"}).state_dict())


def test_weights_do_not_load_into_the_unchanged_class():
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"3.autoact:tanh"'):
        net().load_state_dict(autoact.apply(net(), MIXED).state_dict())


def test_weights_of_the_unchanged_class_and_of_other_activations_do_not_load_into_it():
    changed = autoact.apply(net(), MIXED)
    with pytest.raises(RuntimeError, match=r'Missing key.*"3.autoact:tanh"'):
        changed.load_state_dict(net().state_dict())
    other = autoact.apply(net(), {**MIXED, "3": "gelu"})
    with pytest.raises(RuntimeError, match=r'"3.autoact:gelu"'):
        changed.load_state_dict(other.state_dict())


def test_a_fresh_model_gets_both_back(tmp_path):
    trained = autoact.apply(net(), MIXED)
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    found = autoact.restore_(net(), torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(found(X), trained(X))
    assert str(found[1].choice) == MIXED["1"]
    again = autoact.restore_(found, trained.state_dict())
    assert again is found and torch.equal(again(X), trained(X)), "a model that holds them already"
    plain = net()
    assert torch.equal(autoact.restore_(net(), plain.state_dict())(X), plain(X)), "weights without an assignment"


def test_activations_with_weights_come_back_with_them():
    trained = autoact.apply(net(), {"1": "prelu"}, example_input=X)
    with torch.no_grad():
        trained[1].weight.copy_(torch.linspace(0, 1, 8))
    found = autoact.restore_(net(), trained.state_dict(), example_input=X)
    assert torch.equal(found(X), trained(X))
    with pytest.raises(AutoactError, match="example_input"):
        autoact.restore_(net(), trained.state_dict())


def test_sites_that_are_missing_are_named():
    with pytest.raises(AutoactError, match="'3'"):
        autoact.restore_(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), autoact.apply(net(), MIXED).state_dict())


def test_the_marker_survives_copies_and_moves():
    changed = autoact.apply(net(), MIXED)
    for other in (copy.deepcopy(changed), pickle.loads(pickle.dumps(changed)), copy.deepcopy(changed).double()):
        assert autoact.assignment_in(other.state_dict()).to_dict() == MIXED
    assert {b.dtype for b in changed.double().buffers()} == {torch.uint8}
    functional = torch.func.functional_call(changed, dict(changed.state_dict()), (X.double(),))
    assert torch.equal(functional, changed(X.double()))
    assert autoact.assignment_in(autoact.apply(changed, {"3": "gelu"}).state_dict())["3"].name == "gelu"


def test_a_changed_model_is_exported_and_compiled_as_before():
    changed = autoact.apply(net(), MIXED).eval()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(changed, (X,), dynamic_shapes=({0: batch},)).module()
    assert torch.equal(exported(X), changed(X))
    assert torch.equal(torch.compile(changed, backend="eager")(X), changed(X))


def test_keys_that_contradict_each_other_are_refused():
    with pytest.raises(AutoactError, match="two activations at '1'"):
        assignment_in(["1.autoact:tanh", "1.autoact:gelu"])
