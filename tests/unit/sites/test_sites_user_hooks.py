"""Hooks of users on activations and weights are there after activations were exchanged, and in copies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from autoact.sites import apply, apply_, find_sites
from autoact.sites.user_hooks import own_hooks


class Records(nn.Module):
    """Keeps what an activation gives, as code that looks at features does, and halves what another one gets."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 1))
        self.features: dict[str, torch.Tensor] = {}
        self.handle = self.net[1].register_forward_hook(self.keep)
        self.net[3].register_forward_pre_hook(lambda module, args: (0.5 * args[0],))

    def keep(self, module: nn.Module, args: Any, result: torch.Tensor) -> None:
        self.features["first"] = result

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) + self.features["first"].mean()


def test_hooks_on_an_activation_go_along():
    x = torch.randn(3, 4)
    model = apply(Records(), {"net.1": "tanh", "net.3": "tanh"}, example_input=x)
    first = model.net[0](x).tanh()
    expected = model.net[4]((0.5 * model.net[2](first)).tanh()) + first.mean()
    torch.testing.assert_close(model(x), expected)


def test_a_hook_that_changes_what_passes_keeps_no_site_from_being_replaced():
    sites = find_sites(Records(), torch.randn(3, 4))
    assert [site.name for site in sites.searchable] == ["net.1", "net.3"]
    assert not sites.unreplaceable


def test_a_handle_removes_its_hook_from_the_new_activation():
    model = Records()
    apply_(model, {"net.1": "tanh"})
    assert own_hooks(model.net[1]) == [model.keep]
    model.handle.remove()
    assert own_hooks(model.net[1]) == []


def test_hooks_and_copies_where_something_writes_into_the_output():
    class Writes(Records):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = self.net[1](self.net[0](x))
            first += 1
            return self.net[4](self.net[3](self.net[2](first)))

    x = torch.randn(3, 4)
    model = apply(Writes(), {"net.1": "tanh"}, example_input=x)
    model(x).sum().backward()
    assert model.features["first"].shape == (3, 6)


@pytest.mark.parametrize("kind", ["register_hook", "register_post_accumulate_grad_hook"])
def test_hooks_on_gradients_are_in_the_copy(kind):
    model, seen = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1)), []
    getattr(model[0].weight, kind)(lambda value: seen.append(value.shape))
    apply(model, {"1": "tanh"})(torch.randn(3, 4)).sum().backward()
    assert seen == [(6, 4)]
