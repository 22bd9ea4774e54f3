"""Functional calls become sites: found with their line, rewritten in the user's own class, everything else kept."""

import copy
import functools
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.activations.modules import ActivationModule, LearnableActivation
from autoact.core.errors import AutoactError
from autoact.sites import apply, apply_, find_sites, restore_
from autoact.sites.replacement.state_dict_marker import is_marker

FILE = Path(__file__).name


class Net(nn.Module):
    """Written by somebody else: every usual form of a call, control flow, dropout that knows training."""

    def __init__(self, relu: Callable[[Tensor], Tensor] = F.relu, gelu: Callable[[Tensor], Tensor] = F.gelu) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.bn, self.out = nn.Linear(4, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 2)
        self.by_hand = (relu, gelu)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self._encode(x)
        if mask is not None:
            x = x * mask
        if x.sum() > 0:  # depends on data: torch.fx cannot trace it
            x = x + 1
        x = F.dropout(F.gelu(x, approximate="none"), 0.5, self.training)
        return self.out(x)

    def _encode(self, x: Tensor) -> Tensor:
        return self.bn(self.fc(x)).relu()


class ByHand(Net):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.by_hand[0](self.bn(self.fc(x)))
        if mask is not None:
            x = x * mask
        if x.sum() > 0:
            x = x + 1
        return self.out(F.dropout(self.by_hand[1](x), 0.5, self.training))


X = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
BOTH = {"forward_gelu_1": "tanh", "encode_relu_1": "leaky_relu(negative_slope=0.2)"}


def changed() -> Net:
    model = apply(Net(), BOTH, example_input=X)
    assert isinstance(model, Net)
    return model


def equal_outputs(a: nn.Module, b: nn.Module, *args: Tensor) -> None:
    for training in (True, False):
        a.train(training), b.train(training)
        torch.manual_seed(3)
        one = a(*args)
        torch.manual_seed(3)
        assert torch.equal(one, b(*args)), training


def test_calls_are_sites_with_file_and_line() -> None:
    sites = find_sites(Net(), X)
    assert [(site.name, str(site.current), site.shape) for site in sites] == [
        ("encode_relu_1", "relu", (6, 8)),
        ("forward_gelu_1", "gelu", (6, 8)),
    ]
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    for site, text in zip(sites, (").relu()", "F.gelu("), strict=True):
        file, _, line = site.line.partition(":")
        assert file == FILE
        assert text in lines[int(line) - 1]
    assert f"a call at {sites[0].line}" in str(sites)
    assert sites.unreplaceable == ()


def test_searching_leaves_the_model_as_it_was() -> None:
    model = Net()
    find_sites(model, X)
    assert type(model) is Net
    assert list(dict(model.named_modules())) == ["", "fc", "bn", "out"]
    assert not any(vars(type(model)).get(name) for name in ("encode_relu_1", "forward_gelu_1"))


def test_outputs_equal_a_model_written_by_hand_in_both_branches() -> None:
    hand = ByHand(nn.LeakyReLU(0.2), nn.Tanh())
    equal_outputs(changed(), hand, X)
    equal_outputs(changed(), hand, X, torch.zeros(8))  # an argument that the example does not have
    equal_outputs(changed(), hand, X, -torch.ones(8))  # the other branch


def test_the_object_keeps_its_class_keys_and_attributes() -> None:
    model = changed()
    assert isinstance(model, Net)
    assert (type(model).__name__, type(model).__qualname__, type(model).__module__) == (
        Net.__name__,
        Net.__qualname__,
        Net.__module__,
    )
    assert [key for key in model.state_dict() if not is_marker(key)] == list(Net().state_dict())
    assert isinstance(model.forward_gelu_1, ActivationModule)
    assert type(changed()) is type(model), "equal changes give one class"
    assert type(Net()) is Net


def test_the_saved_weights_carry_the_assignment_and_bring_it_back() -> None:
    model = changed()
    with pytest.raises(RuntimeError, match=r"encode_relu_1\.autoact"):
        Net().load_state_dict(model.state_dict())
    equal_outputs(restore_(Net(), model.state_dict(), example_input=X), model, X)


def test_copies_and_pickles() -> None:
    model = changed()
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(again) is type(model)
        assert again.forward_gelu_1 is not model.forward_gelu_1
        equal_outputs(again, model, X)


def test_it_is_found_and_replaced_again_one_after_the_other() -> None:
    model = apply_(Net(), {"forward_gelu_1": "tanh"}, example_input=X)
    sites = find_sites(model, X)
    assert [(site.name, str(site.current), bool(site.line)) for site in sites] == [
        ("encode_relu_1", "relu", True),
        ("forward_gelu_1", "tanh", False),
    ]
    apply_(model, {"encode_relu_1": "leaky_relu(negative_slope=0.2)"}, example_input=X)
    equal_outputs(model, changed(), X)
    apply_(model, {"*_gelu_1": "gelu", "encode_*": "relu"}, example_input=X)
    equal_outputs(model, ByHand(), X)


def test_sites_found_once_serve_other_models_without_a_run() -> None:
    sites = find_sites(Net(), X)
    equal_outputs(apply(Net(), BOTH, sites=sites), changed(), X)
    with pytest.raises(AutoactError, match="sites do not fit the model"):
        apply(nn.Sequential(nn.Linear(4, 4)), BOTH, sites=sites)
    with pytest.raises(AutoactError, match=r"unknown site 'forward_gelu_1'.*only with an example_input"):
        apply(Net(), BOTH)


def test_weights_of_learnable_and_widths_of_gated_activations() -> None:
    model = apply(Net(), {"encode_relu_1": "prelu"}, example_input=X)
    assert isinstance(model.encode_relu_1, LearnableActivation)
    assert model.encode_relu_1.channels == 8

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(16, 64), nn.Linear(64, 16)

        def forward(self, x: Tensor) -> Tensor:
            return self.down(F.silu(self.up(x)))

    x = torch.randn(3, 16)
    gated = apply(Plain(), {"forward_silu_1": "swiglu"}, example_input=x)
    assert (gated.up.out_features, gated.down.in_features) == (84, 42)
    assert gated(x).shape == (3, 16)
    with pytest.raises(AutoactError, match="unknown activation"):
        apply(Plain(), {"forward_silu_1": "geluu"}, example_input=x)
    scaled, plain = (apply(Plain(), {"forward_silu_1": "tanh"}, example_input=x, rescale=r) for r in (True, False))
    assert not torch.equal(scaled.down.weight.std() / plain.down.weight.std(), torch.ones(()))


class Forms(nn.Module):
    """What a method may look like."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.fc, self.form, self.__hidden = nn.Linear(4, 4), form, 2.0
        self.act: Callable[[Tensor], Tensor] = functools.partial(F.leaky_relu, negative_slope=0.3)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return getattr(self, self.form)(self.fc(x)) * self.__hidden

    def keyword(self, x: Tensor) -> Tensor:
        return F.leaky_relu(negative_slope=0.3, input=x)

    def attribute(self, x: Tensor) -> Tensor:
        return self.act(x)

    def local(self, x: Tensor) -> Tensor:
        act = torch.tanh if x.numel() == 0 else self.act
        return act(x) + 1

    def by_mode(self, x: Tensor) -> Tensor:
        act = torch.tanh if self.training else self.act
        return act(x) + 1

    def comprehension(self, x: Tensor) -> Tensor:
        return torch.stack([F.leaky_relu(part, 0.3) for part in x.unbind(-1)], -1)

    def nested(self, x: Tensor) -> Tensor:
        return F.leaky_relu(F.leaky_relu(x - 1, 0.3) + 1, 0.3)


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.3)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("keyword", ["keyword_leaky_relu_1"]),
        ("attribute", ["attribute_act_1"]),
        ("local", ["local_act_1"]),
        ("comprehension", ["comprehension_leaky_relu_1"]),
        ("nested", ["nested_leaky_relu_2", "nested_leaky_relu_1"]),
    ],
)
def test_forms_of_calls(form: str, names: list[str]) -> None:
    model = Forms(form).eval()
    before = model(X)
    sites = find_sites(model, X)
    assert [(site.name, str(site.current)) for site in sites] == [(n, "leaky_relu(negative_slope=0.3)") for n in names]
    named = dict.fromkeys(names, "leaky_relu(negative_slope=1.0)")  # they are outputs: a glob leaves them
    new = apply(model, named, example_input=X).eval()
    linear = model.fc(X) * 2 + (2 if form == "local" else 0)
    assert torch.allclose(new(X), linear, atol=1e-6), "the identity stands there"
    assert not torch.allclose(before, linear)
    assert torch.equal(pickle.loads(pickle.dumps(new))(X), new(X))


def test_a_call_that_computes_something_else_in_training_is_told() -> None:
    found = find_sites(Forms("by_mode"), X)
    assert found.names == ()
    assert "changes what the model computes (outputs in training mode differ)" in found.unreplaceable[0].reason


class InPlace(nn.Module):
    def __init__(self, how: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.out, self.how = nn.Linear(4, 4), nn.Linear(4, 1), how

    def forward(self, x: Tensor) -> Tensor:
        kept = x = self.fc(x)
        if self.how == 0:
            x.relu_()
        elif self.how == 1:
            F.relu(x, inplace=True)
        elif self.how == 2:
            x = torch.relu_(x[:, :2].view(-1, 2)).repeat(1, 2)
        return self.out(x + kept)


@pytest.mark.parametrize("how", [0, 1, 2])
def test_in_place_calls_go_on_writing_into_their_input(how: int) -> None:
    x = torch.randn(5, 4)
    model = apply(InPlace(how), {"*": "tanh"}, example_input=x)
    kept = model.fc(x)
    if how == 2:
        first = kept[:, :2].tanh()
        wanted = model.out(first.repeat(1, 2) + torch.cat([first, kept[:, 2:]], 1))
    else:
        wanted = model.out(kept.tanh() * 2)
    assert torch.allclose(model(x), wanted)
    one, other = (torch.autograd.grad(y.sum(), model.fc.weight)[0] for y in (model(x), wanted))
    assert torch.allclose(one, other)


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc(x)) + 1


class Above(Base):
    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(super().forward(x)) + 1


class Children(nn.Module):
    """One module more would change it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for child in self.children():
            x = F.relu(child(x - 1))
        return x + 1


class Chain(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return F.relu(super().forward(x)) + 1


class Various(nn.Module):
    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.fc, self.weight = function, nn.Linear(4, 4), nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.fc(x)) + 1


@pytest.mark.parametrize(
    ("model", "sites", "why"),
    [
        (Above(), ["forward_tanh_1"], "not the method that its class Above has"),
        (Children(), [], "changes what the model computes"),
        (Chain(nn.Linear(4, 4)), [], "Chain is a container"),
        (Various(lambda m, x: leaky(x)), [], r"leaky\(\) is no method of a module"),
        (Various(lambda m, x: F.prelu(x, m.weight)), [], "is not the method"),
        (Various(lambda m, x: next(map(F.relu, [x]))), [], "is not the method"),
    ],
    ids=["super", "children", "container", "helper", "prelu", "map"],
)
def test_what_cannot_be_rewritten_is_told_with_its_line(model: nn.Module, sites: list[str], why: str) -> None:
    before = [type(module) for module in model.modules()]
    found = find_sites(model, X)
    assert list(found.names) == sites
    (told,) = found.unreplaceable
    assert told.kind == "functional"
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(told.reason)
    assert f"at {FILE}:" in told.reason
    assert [type(module) for module in model.modules()] == before


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.weight, self.forward_relu_1 = nn.Linear(4, 4), nn.Parameter(torch.ones(1)), 0

    def forward(self, x: Tensor) -> Tensor:
        x = list(map(F.relu, [self.fc(x)]))[0]  # noqa: RUF015
        x = F.prelu(x, self.weight) + F.relu(*(x,))
        for act in (F.relu, F.tanh):
            x = act(x) + 1
        return F.relu(x) + F.glu(torch.cat([x, x], -1))


def test_calls_that_are_no_plain_ones_are_told_each() -> None:
    found = find_sites(Odd(), X)
    assert found.names == ("forward_relu_2",)
    reasons = [item.reason for item in found.unreplaceable]
    for words in (
        "what calls it is another function",
        "belong to the module",
        "it is gated",
        "not written as a plain argument",
    ):
        assert any(words in reason for reason in reasons), words
    assert sum("one place computes different activations" in reason for reason in reasons) == 2


def test_training_steps_are_no_part_of_the_network() -> None:
    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))

        def training_step(self, x: Tensor) -> Tensor:
            return F.softplus(-self.net(x)).mean()

    model = Module()
    sites = find_sites(model, call=lambda: model.training_step(X))
    assert sites.names == ("net.1",)
    assert "no part of the network" in sites.unreplaceable[0].reason


def test_a_failure_puts_the_class_back() -> None:
    class Refuses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(self.fc(x))
            if (y < 0).any():
                raise ValueError("negative")
            return self.out(y + 1)

    model = Refuses()
    with pytest.raises(AutoactError, match="negative"):
        apply_(model, {"*": "tanh"}, example_input=X)
    assert type(model) is Refuses
    assert list(dict(model.named_modules())) == ["", "fc", "out"]
