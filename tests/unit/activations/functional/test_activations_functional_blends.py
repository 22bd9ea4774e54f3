from __future__ import annotations

import torch

from autoact.activations import build, get


def test_a_blend_is_the_identity_without_its_share() -> None:
    x, share = torch.randn(4, 3), torch.tensor([0.0, 1.0, 0.5])
    y = get("blend_mish").function(x, share)
    mish = torch.nn.functional.mish(x)
    torch.testing.assert_close(y, torch.stack([x[:, 0], mish[:, 1], (x[:, 2] + mish[:, 2]) / 2], 1))


def test_each_neuron_has_a_share_of_its_own() -> None:
    module = build("blend_selu", channels=3)
    assert [tuple(weight.shape) for weight in module.parameters()] == [(3,)]
    assert torch.equal(module(torch.ones(2, 3)), torch.nn.functional.selu(torch.ones(2, 3)))
