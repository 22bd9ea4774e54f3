"""The activation that stands there is put back as a module: outputs and gradients stay, or the site is told."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.activations.modules import build
from autoact.core.errors import AutoactError
from autoact.sites import apply, find_sites
from autoact.sites.discovery.self_check import SelfCheck

X = torch.zeros(5, 4)
ROWS = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))


class Layers(nn.Module):
    """Two layers and what tests need between them."""

    def __init__(self, *, inplace: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.act, self.mid = nn.Linear(4, 4), nn.ReLU(inplace=inplace), nn.Linear(4, 4)
        self.act2, self.drop, self.out = nn.ReLU(inplace=inplace), nn.Dropout(0.5, inplace=True), nn.Linear(4, 2)


class Skip(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        return self.out(self.act2(self.mid(self.act(h))) + h)


class Statement(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        self.act(h)
        return self.out(self.act2(self.mid(h)))


class Chained(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.act2(self.mid(self.act(self.fc(x)))))


@pytest.mark.parametrize("kind", [Skip, Statement])
def test_a_module_that_writes_into_what_is_read_again_is_told(kind: type[Layers]) -> None:
    model = kind()
    found = find_sites(model, X)
    assert found.names == ("act2",)
    (told,) = found.unreplaceable
    assert (told.name, told.kind) == ("act", "in_place")
    assert "writes into its input, which the model reads again" in told.reason
    with pytest.raises(AutoactError, match="take inplace=True away"):
        apply(model, {"act": "tanh"}, example_input=X)
    assert type(model.act) is nn.ReLU


@pytest.mark.parametrize("kind", [Skip, Statement])
def test_the_advice_works(kind: type[Layers]) -> None:
    if kind is Skip:
        assert find_sites(Skip(inplace=False), X).names == ("act", "act2")
    else:
        assert find_sites(Chained(inplace=False), X).names == ("act", "act2")


def test_a_module_that_writes_into_what_nobody_reads_is_a_site() -> None:
    assert find_sites(Chained(), X).names == ("act", "act2")


class OutputWritten(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        y = self.act(h)
        y += h
        return self.out(y)


class OutputWrittenInTrainingOnly(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(self.act(self.fc(x))))


class InputWritten(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        h += self.act(h)
        return self.out(h)


class InputOfACallWritten(Layers):
    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        h += F.relu(h)
        return self.out(h)


@pytest.mark.parametrize("kind", [OutputWritten, OutputWrittenInTrainingOnly, InputWritten, InputOfACallWritten])
@pytest.mark.parametrize("choice", ["tanh", "gelu", "sin", "prelu", "relu6"])
def test_what_is_written_over_trains_with_every_activation(kind: type[Layers], choice: str) -> None:
    model = kind(inplace=False)
    if "Out" in str(kind):
        model.act = nn.SiLU()  # its backward reads its input; ReLU's would raise as it stands
    model.train()(ROWS).sum().backward()
    model.zero_grad()
    (site,) = find_sites(model, X)
    assert (site.input_written, site.output_written) == (
        kind in (InputWritten, InputOfACallWritten),
        "Out" in str(kind),
    )
    changed = apply(model, {"*": choice}, example_input=X).train()
    changed(ROWS).sum().backward()
    assert all(p.grad is not None for p in changed.fc.parameters())  # type: ignore[attr-defined]


def test_nothing_is_copied_where_nothing_is_written() -> None:
    changed = apply(Chained(), {"*": "tanh"}, example_input=X)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in changed.modules())


class Looks(Layers):
    """Computes something else with another type of module."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.fc(x))
        return self.out(x if isinstance(self.act, nn.ReLU) else x + 1)


class Detached(Layers):
    """Equal outputs, other gradients."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.fc(x))
        return self.out(x if isinstance(self.act, nn.ReLU) else x.detach())


class InTraining(Layers):
    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.fc(x))
        return self.out(x + 1 if self.training and not isinstance(self.act, nn.ReLU) else x)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Looks, "outputs in evaluation mode differ"),
        (Detached, "gradients in evaluation mode differ"),
        (InTraining, "outputs in training mode differ"),
    ],
)
def test_whatever_the_same_function_changes_is_told(kind: type[Layers], words: str) -> None:
    found = find_sites(kind(inplace=False), X)
    assert found.names == ()
    assert words in next(item.reason for item in found.unreplaceable if item.name == "act")


class Counts(Layers):
    """Everything that a run may leave behind."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.norm = 0, nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
            self.seen = x
        return self.out(self.drop(self.act(self.norm(self.fc(x)))) * random.random())


def test_the_model_is_left_as_it_was() -> None:
    model = Counts()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(7)
    random.seed(7)
    find_sites(model, X)
    drawn = torch.rand(1), random.random()
    torch.manual_seed(7)
    random.seed(7)
    assert drawn == (torch.rand(1), random.random())
    assert (model.steps, hasattr(model, "seen"), model.training) == (0, False, True)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_modes_that_cannot_run_are_not_compared() -> None:
    one_row = SelfCheck(Counts(), torch.zeros(1, 4), None)
    assert one_row.modes == ("evaluation",), "batch norm does not train on one row"
    drawn = iter(range(10**6))

    class Never(Layers):
        def forward(self, x: Tensor) -> Tensor:
            return self.out(F.relu(self.fc(x))) + next(drawn)

    assert SelfCheck(Never(), X, None).modes == ()
    told = find_sites(Never(), X).unreplaceable
    assert any("two runs of the model with one seed differ" in item.reason for item in told)


def test_functions_of_equal_values_agree_at_their_kink() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))
    check = SelfCheck(model, torch.zeros(3, 4), None)

    class Clamp(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(min=0)

    model[1] = Clamp()
    assert check.difference() == ""
    model[1] = build("leaky_relu")
    assert check.difference() == "outputs in evaluation mode differ"
