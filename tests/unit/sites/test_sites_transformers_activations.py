"""Every activation that a configuration of transformers may name is a site, with the values that it has there."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from autoact.activations import build
from autoact.sites import apply, find_sites

activations = pytest.importorskip("transformers.activations", reason="transformers is not installed")

SITE = "encoder.layer.0.intermediate.intermediate_act_fn"
SAME = {
    "gelu_10": "clipped_gelu", "gelu_fast": "gelu_tanh", "gelu_new": "gelu_tanh", "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh", "gelu_python_tanh": "gelu_tanh", "gelu_accurate": "gelu_tanh",
    "linear": "identity", "relu2": "squared_relu", "sqrtsoftplus": "sqrt_softplus", "swish": "silu",
}  # fmt: skip
"""What is called otherwise here."""


def bert(name: str) -> nn.Module:
    import transformers

    config = transformers.BertConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, vocab_size=20,
        max_position_embeddings=16, hidden_act=name,
    )  # fmt: skip
    torch.manual_seed(0)
    model: nn.Module = transformers.BertModel(config, add_pooling_layer=False).eval()
    return model


EXAMPLE: dict[str, Any] = {"input_ids": torch.arange(2, 10).reshape(1, 8), "return_dict": False}


@pytest.mark.parametrize("name", list(activations.ACT2CLS))
def test_a_model_with_it_has_a_site(name: str) -> None:
    model = bert(name)
    sites = find_sites(model, EXAMPLE)
    assert sites.names == (SITE,), sites.unreplaceable
    current = sites[SITE].current
    assert current.name == SAME.get(name, name)
    ours, theirs = build(current, per="site").eval(), copy.deepcopy(model.get_submodule(SITE)).float()
    x = torch.linspace(-12, 12, 487)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=2e-6)
    with torch.no_grad():
        changed = apply(model, {SITE: "arctan"}, example_input=EXAMPLE, sites=sites)
        want = bert(name)
        want.get_submodule(SITE.rpartition(".")[0]).intermediate_act_fn = build("arctan")
        assert torch.equal(changed(**EXAMPLE)[0], want(**EXAMPLE)[0])


def test_clip_has_sites() -> None:
    import transformers

    config = transformers.CLIPTextConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, vocab_size=20,
        max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    sites = find_sites(transformers.CLIPTextModel(config), EXAMPLE)
    assert [str(site.current) for site in sites] == ["quick_gelu", "quick_gelu"]
