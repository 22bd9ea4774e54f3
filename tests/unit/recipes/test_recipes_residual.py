"""The residual recipes: what they compute, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import autoact
from autoact.recipes.residual import NumberEmbeddings, ResidualClassifier, ResidualRegressor


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_embeddings_start_linear_and_learn_any_function_of_pieces():
    numbers = torch.linspace(-1.5, 1.5, 200)[:, None]
    torch.manual_seed(0)
    embed = NumberEmbeddings(numbers, bins=32, width=1)
    grid = torch.linspace(-1.5, 1.5, 50)[:, None]
    before = embed(grid).detach()
    assert torch.allclose(before.diff(dim=0), before.diff(dim=0)[:1], atol=1e-5), "a straight line"
    optimizer = torch.optim.Adam(embed.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        (embed(numbers) - (4 * numbers).sin()).square().mean().backward()
        optimizer.step()
    assert (embed(numbers) - (4 * numbers).sin()).square().mean() < 0.02


def test_a_column_that_is_mostly_zero_has_bins_where_its_other_values_lie():
    rare = torch.cat([torch.zeros(950), torch.linspace(1, 50, 50)])[:, None]
    edges = NumberEmbeddings(rare, bins=20, width=2).embed.impl.weight.shape[1]
    assert edges >= 10
    assert len(np.unique(np.quantile(rare.numpy(), np.linspace(0, 1, 21)))) == 3, "quantiles of rows alone: two bins"


@pytest.mark.parametrize("column", [torch.zeros(20), torch.arange(20) % 2.0, draw(20)])
def test_constant_and_binary_columns_are_embedded_too(column):
    x = torch.stack([column, draw(20, seed=1)], 1)
    out = ResidualRegressor(3, 1, x)(torch.cat([x, x[:, :1]], 1))
    assert out.shape == (20, 1) and out.isfinite().all()


@pytest.mark.parametrize("classes", [2, 3])
def test_members_are_averaged_as_probabilities(classes):
    x = draw(50, 6)
    model = ResidualClassifier(6, classes, x[:, :4], members=3).eval()
    out = model.every_member(x)
    assert out.shape == (3, 50, model.outputs_for(classes)) and not torch.allclose(out[0], out[1])
    wanted = out.sigmoid().mean(0)[:, 0] if classes == 2 else out.softmax(-1).mean(0)
    assert torch.allclose(model.score(model(x)), wanted, atol=1e-6)


def test_members_that_are_regressors_are_averaged_and_each_has_a_loss():
    x, y = draw(50, 6), draw(50)
    model = ResidualRegressor(6, 1, members=3, dropout=0.0, norm="none")
    out = model.every_member(x)
    assert torch.allclose(model(x), out.mean(0))
    wanted = np.mean([(out[k, :, 0] - y).square().mean().item() for k in range(3)])
    model.log = lambda *_, **__: None  # no Trainer here
    assert model.training_step((x, y), 0).item() == pytest.approx(wanted, rel=1e-5)


def test_each_member_is_the_network_that_its_scales_and_head_make():
    x = draw(10, 6)
    model = ResidualRegressor(6, 1, members=3, dropout=0.0, norm="none")
    z = model.first(model.scales[1] * x)
    for block in model.blocks:
        z = z + block.narrow(torch.relu(block.wide(z)))
    assert torch.allclose(model.every_member(x)[1], model.heads[1](torch.relu(z)), atol=1e-6)


def test_only_its_own_activations_are_sites_however_many_classes_and_members():
    for classes in (2, 3):
        model = ResidualClassifier(6, classes, draw(50, 4), members=2)
        assert autoact.find_sites(model, draw(4, 6)).names == ("blocks.0.act", "blocks.1.act", "act")


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="norm=bach is none of batch, layer, none"):
        ResidualRegressor(3, 1, norm="bach")
