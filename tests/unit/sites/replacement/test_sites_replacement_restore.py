"""Weights come back with their activations, and with the versions of the modules that wrote them."""

import collections

import pytest
import torch
from torch import nn

import autoact


class Versioned(nn.Module):
    """Reads its weights by the version that wrote them, as torchvision's MNASNet does."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

    def forward(self, x):
        return self.layers(x)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        version = local_metadata.get("version")
        if version not in (1, 2):
            raise ValueError(f"version shall be set to 1 or 2 instead of {version}")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


@pytest.mark.parametrize("through_a_file", [False, True])
@pytest.mark.parametrize("change", [True, False])
def test_a_module_sees_the_version_that_wrote_its_weights(change, through_a_file, tmp_path):
    x = torch.randn(2, 3)
    trained = autoact.apply(Versioned(), {"layers.1": "tanh"}) if change else Versioned()
    weights = trained.state_dict()
    if through_a_file:
        torch.save(weights, tmp_path / "weights.pt")
        weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert torch.equal(autoact.restore_(Versioned(), weights)(x), trained(x))
    assert weights._metadata[""] == {"version": 2}, "and the weights stay as they were"


def test_files_without_versions(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    x, trained = torch.randn(2, 3), autoact.apply(Versioned(), {"layers.1": "tanh"})
    safetensors.save_file(trained.state_dict(), str(tmp_path / "weights"))
    found = autoact.restore_(Versioned(), safetensors.load_file(str(tmp_path / "weights")))
    assert torch.equal(found(x), trained(x))


def test_batch_normalisation_of_another_version():
    trained = autoact.apply(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), {"1": "tanh"})
    weights = trained.state_dict()
    del weights["0.num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        autoact.restore_(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), weights)
    # Weights of before version 2 had no such counter, and no metadata.
    autoact.restore_(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), collections.OrderedDict(weights))


def test_any_mapping_will_do():
    trained = autoact.apply(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), {"1": "tanh"})
    weights = collections.ChainMap(dict(trained.state_dict()))
    found, x = autoact.restore_(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), weights), torch.randn(2, 3)
    assert torch.equal(found(x), trained(x))


class Later(nn.Module):
    """The same class in a later version: it has the chosen activations by itself."""

    def __init__(self):
        super().__init__()
        self.layer, self.act = nn.Linear(3, 3), nn.Tanh()

    def forward(self, x):
        return self.act(self.layer(x))


class Earlier(Later):
    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()


def test_a_class_that_has_the_activation_by_itself_takes_the_weights():
    x = torch.randn(2, 3)
    trained = autoact.apply(Earlier(), {"act": "tanh"})
    found = autoact.restore_(Later(), trained.state_dict())
    assert torch.equal(found(x), trained(x))
    assert autoact.assignment_in(found.state_dict()) == autoact.assignment_in(trained.state_dict())


class OfTheirOwn(nn.Module):
    """An activation that is known by its values only, so not without running it."""

    def forward(self, x):
        return 0.5 * (x + x.abs())


def test_an_activation_of_their_own_needs_no_example():
    def net():
        act = OfTheirOwn()
        return nn.Sequential(nn.Linear(3, 3), act, nn.Linear(3, 3), act, nn.Linear(3, 1))

    x = torch.randn(2, 3)
    sites = autoact.find_sites(net(), x)
    trained = autoact.apply(net(), dict.fromkeys(sites.names, "tanh"), example_input=x)
    found = autoact.restore_(net(), trained.state_dict())
    assert torch.equal(found(x), trained(x)) and str(found[1]) == str(found[3]) == "ActivationModule(tanh)"
    learnt = autoact.apply(net(), {"1": "prelu"}, example_input=x, per_use=True)
    with pytest.raises(autoact.AutoactError, match="example_input"):
        autoact.restore_(net(), learnt.state_dict())
    assert torch.equal(autoact.restore_(net(), learnt.state_dict(), example_input=x)(x), learnt(x))


def changed():
    return autoact.apply(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), {"1": "tanh"})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (lambda: "net.ckpt", r"takes weights, not the file 'net\.ckpt': torch\.load\(file"),
        (
            lambda: {"epoch": 3, "state_dict": changed().state_dict()},
            r"give the weights in it, checkpoint\['state_dict'\]",
        ),
        (lambda: torch.nn.DataParallel(changed()).state_dict(), r"begins with 'module\.', from DataParallel"),
        (
            lambda: {f"_orig_mod.{k}": v for k, v in changed().state_dict().items()},
            r"'_orig_mod\.', from torch\.compile",
        ),
    ],
)
def test_what_holds_weights_and_is_not_the_weights_is_refused_with_what_to_do(given, why):
    with pytest.raises(autoact.AutoactError, match=why):
        autoact.restore_(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), given())


def test_the_advice_on_a_wrapper_works():
    net, x = changed(), torch.randn(2, 3)
    weights = torch.nn.DataParallel(net).state_dict()
    weights = {key.removeprefix("module."): value for key, value in weights.items()}
    assert torch.equal(autoact.restore_(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), weights)(x), net(x))


def test_a_model_whose_own_part_has_the_name_of_a_wrapper_is_restored():
    fresh = lambda: nn.ModuleDict({"module": nn.Sequential(nn.Linear(3, 3), nn.ReLU())})  # noqa: E731
    trained = autoact.apply(fresh(), {"module.1": "tanh"})
    assert str(autoact.restore_(fresh(), trained.state_dict())["module"][1]) == "ActivationModule(tanh)"
