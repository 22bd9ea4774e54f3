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
