"""Names of modules, and putting one in another's place."""

import torch
from torch import nn

from autoact.activations.modules import build
from autoact.sites.tracing.locate import activation_modules, put


def test_parts_of_an_activation_module_are_no_sites() -> None:
    outer = build("tanh")
    outer.add_module("inner", nn.ReLU())
    model = nn.ModuleList([outer, nn.ReLU()])
    assert [item.names for item in activation_modules(model)] == [("0",), ("1",)]


def test_put_replaces_in_every_container() -> None:
    act = nn.ReLU()
    model = nn.Module()
    model.direct = act
    model.listed = nn.ModuleList([nn.Linear(2, 2), act])
    model.named = nn.ModuleDict({"a": nn.ModuleDict({"act": act})})
    model.steps = nn.Sequential(act, nn.Linear(2, 2))
    (item,) = activation_modules(model)
    assert item.names == ("direct", "listed.1", "named.a.act", "steps.0")
    new = build("tanh")
    put(model, item.names, new)
    assert model.direct is model.listed[1] is model.named["a"]["act"] is model.steps[0] is new
    assert [name for name, _ in model.steps.named_children()] == ["0", "1"]
    assert torch.is_tensor(model.steps(torch.zeros(1, 2)))
