"""One module object at several places: one tied site, or a site for each place, as asked."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from autoact.core.errors import AutoactError
from autoact.sites import apply, find_sites, restore_


class Twice(nn.Module):
    """One activation called at two places of the text, one of them in a loop, and one in a Sequential."""

    def __init__(self, acts: tuple[nn.Module, ...] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.act = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU()
        self.by_hand = acts

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.a(x))
        for _ in range(2):
            x = self.act(self.b(x)) + x
        return x


class ByHand(Twice):
    def forward(self, x: Tensor) -> Tensor:
        assert self.by_hand is not None
        x = self.by_hand[0](self.a(x))
        for _ in range(2):
            x = self.by_hand[1](self.b(x)) + x
        return x


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def chain() -> nn.Sequential:
    torch.manual_seed(1)
    act = nn.ReLU()
    return nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 1))


def test_one_tied_site_is_the_default() -> None:
    (site,) = find_sites(Twice(), X)
    assert (site.name, site.uses) == ("act", 3)
    (shared,) = find_sites(chain(), X)
    assert shared.names == ("1", "3")


def test_a_site_per_call() -> None:
    model = Twice()
    sites = find_sites(model, X, per_use=True)
    assert [(site.name, str(site.current), site.uses) for site in sites] == [
        ("forward_act_1", "relu", 1),
        ("forward_act_2", "relu", 2),
    ]
    assert sites.unreplaceable == ()
    assert type(model) is Twice
    changed = apply(model, {"forward_act_2": "tanh"}, example_input=X, per_use=True)
    assert torch.equal(changed(X), ByHand((nn.ReLU(), nn.Tanh()))(X))
    both = apply(model, {"forward_act_2": "tanh", "forward_act_1": "gelu"}, sites=sites)
    assert torch.equal(both(X), ByHand((nn.GELU(), nn.Tanh()))(X))
    for again in (copy.deepcopy(both), pickle.loads(pickle.dumps(both))):
        assert torch.equal(again(X), both(X))
    assert torch.equal(restore_(Twice(), both.state_dict(), example_input=X)(X), both(X))
    with pytest.raises(AutoactError, match="unknown site 'forward_act_2'"):
        apply(model, {"forward_act_2": "tanh"}, example_input=X)


def test_a_site_per_name() -> None:
    model = chain()
    sites = find_sites(model, X, per_use=True)
    assert [(site.name, site.names, site.gateable) for site in sites] == [("1", ("1",), True), ("3", ("3",), True)]
    assert find_sites(model, per_use=True).names == ("1", "3")
    assert model[1] is model[3]
    changed = apply(model, {"3": "tanh"}, example_input=X, per_use=True)
    assert [str(m) for m in changed[1::2]] == ["ReLU()", "ActivationModule(tanh)"]
    scaled = apply(model, {"3": "tanh"}, example_input=X, per_use=True, rescale=True)
    same = [torch.equal(scaled[k].weight, model[k].weight) for k in (0, 2, 4)]
    assert same == [True, True, False]
    both = apply(model, {"3": "tanh", "1": "gelu"}, example_input=X, per_use=True)
    assert torch.equal(restore_(chain(), both.state_dict(), example_input=X)(X), both(X))
    assert torch.equal(restore_(chain(), changed.state_dict())(X), changed(X))


def test_a_tied_site_comes_back_tied() -> None:
    changed = apply(chain(), {"3": "tanh"}, example_input=X)
    assert changed[1] is changed[3]
    restored = restore_(chain(), changed.state_dict())
    assert restored[1] is restored[3]
    assert torch.equal(restored(X), changed(X))


def test_modules_with_weights_stay_tied() -> None:
    model = Twice()
    model.act = nn.PReLU()  # type: ignore[assignment]
    assert find_sites(model, X, per_use=True).names == ("act",)
    shared = nn.PReLU()
    assert find_sites(nn.Sequential(shared, nn.Linear(4, 4), shared), X, per_use=True).names == ("0",)
