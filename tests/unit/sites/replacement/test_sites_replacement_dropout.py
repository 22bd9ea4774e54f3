"""Dropout is set from outside where ``nn.Dropout`` layers are, and nowhere else."""

from __future__ import annotations

import pytest
from torch import nn

from autoact.core.errors import AutoactError
from autoact.sites.replacement.dropout import configured_dropout, dropout_layers, other_dropout, set_dropout_


class Doubled(nn.Dropout):
    """A kind of one's own."""


def net(*shares: float) -> nn.Sequential:
    return nn.Sequential(*(nn.Dropout(share) for share in shares), nn.Dropout1d(0.4), Doubled(0.4), nn.Linear(1, 1))


def shares(module: nn.Module) -> list[float]:
    return [part.p for part in module.modules() if isinstance(part, nn.modules.dropout._DropoutNd)]


@pytest.mark.parametrize(
    ("configured", "p", "expected"),
    [
        ((0.1, 0.1), 0.3, [0.3, 0.3]),
        ((0.1, 0.0, 0.2), 0.3, [0.3, 0.0, 0.3]),
        ((0.1, 0.2), 0.0, [0.0, 0.0]),
        ((0.0, 0.0), 0.3, [0.3, 0.3]),
        ((0.1, 0.2), 0.2, [0.1, 0.2]),
        ((1.0,), 0.0, [0.0]),
    ],
    ids=["all", "those that drop", "none of it", "all where none drops", "as configured", "from everything"],
)
def test_what_drops_gets_the_share_and_other_kinds_keep_theirs(configured, p, expected):
    module = net(*configured)
    assert set_dropout_(module, p) is module
    assert shares(module) == [*expected, 0.4, 0.4]
    assert configured_dropout(module) == max(expected)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan"), "0.1", None, False])
def test_a_share_that_is_none_is_refused(p):
    with pytest.raises(AutoactError, match=r"must be a share from 0 to below 1"):
        set_dropout_(net(0.1), p)


def test_a_network_without_such_a_layer_is_refused():
    assert configured_dropout(net()) is None
    with pytest.raises(
        AutoactError, match=r"^dropout=0\.3 cannot be set: Sequential has no nn\.Dropout layer, as the sea"
    ):
        set_dropout_(net(), 0.3)


def test_transformer_layers_drop_by_layers_but_for_their_attention():
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1)
    assert list(dropout_layers(layer)) == ["dropout", "dropout1", "dropout2"]
    assert other_dropout(layer) == ["self_attn (MultiheadAttention, 0.1)"]
