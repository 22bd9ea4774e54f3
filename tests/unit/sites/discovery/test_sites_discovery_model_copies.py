"""Copies of a part keep the activations of what they are copied from."""

from __future__ import annotations

import copy
from typing import Any

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel

from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites import apply_, find_sites, rescale_
from autoact.sites.discovery.model_copies import check_hidden_copies, copies_told
from autoact.space.build_space import build_space
from autoact.space.settings import SpaceSettings

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def part() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        return self.b(F.relu(self.a(x)))


class Averaged(nn.Module):
    """Trains ``net``, is judged by an average of it."""

    def __init__(self, make: Any = part, average: Any = copy.deepcopy, frozen: bool = True) -> None:
        super().__init__()
        self.net = make()
        self.ema = average(self.net)
        self.ema.requires_grad_(not frozen)
        self.head = nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return self.head(self.net(x) if self.training else self.ema(x))


class Teacher(Averaged):
    """The teacher is drawn by itself, and runs in training only."""

    def __init__(self) -> None:
        super().__init__(average=lambda _: part())

    def forward(self, x: Any) -> Any:
        seen = self.net(x)
        return self.head(seen + self.ema(x) if self.training else seen)


class Beside(Averaged):
    """A frozen teacher with the student's values runs in every forward."""

    def forward(self, x: Any) -> Any:
        return self.head(self.net(x)) + self.head(self.ema(x)).detach()


@pytest.mark.parametrize(
    ("make", "pairs"),
    [
        (Averaged, {"net.1": "ema.1"}),
        (lambda: Averaged(frozen=False), {"net.1": "ema.1"}),
        (lambda: Averaged(average=AveragedModel), {"net.1": "ema.module.1"}),
        (lambda: Averaged(Functional), {"net.forward_relu_1": "ema.forward_relu_1"}),
        (Teacher, {"ema.1": "net.1"}),
        (Beside, {"ema.1": "net.1"}),
    ],
)
@pytest.mark.parametrize("choice", ["tanh", "prelu"])
def test_both_hold_the_same_activation(make, pairs, choice):
    model = make()
    sites = find_sites(model, X)
    assert {site.name: site.twin_of for site in sites if site.twin_of} == pairs
    assert [item for item in sites.unreplaceable if item.kind == "unused"] == []
    space = build_space(sites, SpaceSettings(candidates=["relu", "tanh", "prelu"]), {})
    assert [set(names) for names in space.groups.values()] == [{*pairs, *pairs.values()}]
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    apply_(model, dict.fromkeys(space.baseline, choice), example_input=X, rescale=True)
    for name in space.baseline:
        assert model.get_submodule(name).choice == Choice(choice)
    ours, theirs = (model.get_submodule(name.split(".")[0]) for name in space.baseline)
    assert {len([*ours.parameters()]), len([*theirs.parameters()])} == {5 if choice == "prelu" else 4}
    for name, flag in before.items():
        assert model.get_parameter(name).requires_grad == flag
    frozen = not any(before[f"ema.{name}"] for name, _ in model.ema.named_parameters() if f"ema.{name}" in before)
    assert not frozen or not any(p.requires_grad for p in model.ema.parameters()), "it stays frozen as a whole"


@pytest.mark.parametrize("make", [Averaged, lambda: Averaged(average=AveragedModel), Beside])
def test_a_copy_stays_equal_when_weights_are_scaled(make):
    model = make()
    first = model.net[2].weight.detach().clone()
    names = [name for name in find_sites(model, X).names]
    apply_(model, dict.fromkeys(names, "tanh"), example_input=X, rescale=True)
    mine, copied = model.net.state_dict(), [*model.ema.parameters()]
    assert not torch.equal(mine["2.weight"], first), "it was scaled"
    assert all(torch.equal(a, b) for a, b in zip(model.net.parameters(), copied, strict=True))


def test_a_frozen_teacher_of_its_own_is_not_scaled():
    model = Teacher()
    held = copy.deepcopy(model.ema.state_dict())
    apply_(model, dict.fromkeys(find_sites(model, X).names, "tanh"), example_input=X, rescale=True)
    assert all(torch.equal(held[name], p) for name, p in model.ema.named_parameters())


def test_frozen_weights_are_never_scaled():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    model[2].requires_grad_(False)
    held = model[2].weight.clone()
    assert set(rescale_(model, X, {"1": "relu", "3": "relu"}, {"1": "tanh", "3": "tanh"})) == {"4.weight"}
    apply_(model, {"1": "tanh", "3": "gelu"}, example_input=X, rescale=True)
    assert torch.equal(model[2].weight, held)


def test_widths_stay():
    sites = find_sites(Averaged(), X)
    for site in sites:
        assert site.refusal("swiglu").endswith("both have to keep their widths")


def test_layers_that_are_alike_are_no_copies():
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    sites = find_sites(nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), torch.zeros(2, 3, 4))
    assert len(sites) == 3
    assert [site.twin_of for site in sites] == [""] * 3
    assert copies_told(sites) == ()


def test_other_activations_on_purpose():
    model = Averaged()
    model.net[1] = nn.Tanh()
    sites = find_sites(model, X)
    assert sites.names == ("ema.1",)
    assert [item.name for item in sites.unreplaceable] == ["net.1"]


def test_it_is_told():
    assert copies_told(find_sites(Averaged(), X)) == (
        "ema and net are copies of each other: both get the same activations",
    )


class Holder:
    def __init__(self, model: Any) -> None:
        self.model = model


@pytest.mark.parametrize("hold", [lambda m: [m], lambda m: {"a": m}, Holder])
def test_a_copy_that_is_no_submodule_is_refused(hold):
    model = nn.Sequential(part(), nn.Linear(4, 1))
    model.average = hold(copy.deepcopy(model[0]))
    with pytest.raises(AutoactError, match=r"^average holds a copy of a part .* on_fit_start$"):
        check_hidden_copies(model, find_sites(model, X))
    model.average = hold(model[0])  # a second name of the part itself
    check_hidden_copies(model, find_sites(model, X))


@pytest.mark.filterwarnings("ignore:Attribute 'net' is an instance of `nn.Module`")
def test_what_save_hyperparameters_keeps_of_an_argument_is_never_run():
    class Module(lightning.LightningModule):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.save_hyperparameters(logger=False)
            self.net = net

        def forward(self, x: Any) -> Any:
            return self.net(x)

    model = Module(nn.Sequential(part(), nn.Linear(4, 1)))
    assert model._hparams_initial["net"] is not model.net
    check_hidden_copies(model, find_sites(model, X))


class Lambda(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.calls = 0

    def forward(self, x: Any) -> Any:
        return self.function(x)


def with_own(function: Any = lambda x: F.relu(x)) -> Any:
    return lambda: nn.Sequential(nn.Linear(4, 8), Lambda(function), nn.Linear(8, 4))


@pytest.mark.parametrize("training", [True, False])
def test_activations_of_the_users_own_have_twins(training):
    model = Averaged(with_own()).train(training)
    sites = find_sites(model, X)
    (twin,) = [site for site in sites if site.twin_of]
    assert {twin.name, twin.twin_of} == {"net.1", "ema.1"}
    assert not sites.unreplaceable
    chosen = apply_(model, {"net.1": "tanh", "ema.1": "tanh"}, sites=sites)
    assert set(chosen.net.state_dict()) == set(chosen.ema.state_dict())
    for mode in (True, False):
        h = chosen.net[0](X)
        torch.testing.assert_close(chosen.train(mode)(X), chosen.head(chosen.net[2](torch.tanh(h))))


def test_parts_that_are_alike_but_for_the_users_own_activation_are_no_copies():
    class Two(Teacher):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.ema = with_own()(), with_own(torch.tanh)()

    assert not any(site.twin_of for site in find_sites(Two(), X))


def test_copies_of_copies_are_copies_of_the_first():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.student = part()
            self.teacher = copy.deepcopy(self.student).requires_grad_(False)

        def forward(self, x: Any) -> Any:
            return self.student(x) + self.teacher(x)

    class Taught(Teacher):
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()
            self.ema = copy.deepcopy(self.net).requires_grad_(False)

    sites = find_sites(Taught(), X)
    first = [site.name for site in sites if not site.twin_of]
    assert len(first) == 1
    assert [site.twin_of for site in sites if site.twin_of] == first * 3
    space = build_space(sites, SpaceSettings(candidates=["tanh", "relu"]), {})
    assert {len(group) for group in space.groups.values()} == {4}
