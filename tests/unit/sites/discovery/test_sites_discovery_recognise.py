"""Functions and modules that compute what the catalogue has are known by what they compute."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.activations import registry
from autoact.sites import apply, find_sites
from autoact.sites.discovery.recognise import FUNCTIONS, choice_of_call, choice_of_function, equal_choice, equal_module

X = torch.linspace(-4, 4, 101)


def gelu_by_hand(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize(
    ("function", "choice"),
    [
        (F.relu, "relu"),
        (torch.relu_, "relu"),
        (F.logsigmoid, "log_sigmoid"),
        (torch.special.expit, "sigmoid"),
        (functools.partial(F.leaky_relu, negative_slope=0.2), "leaky_relu(negative_slope=0.2)"),
        (functools.partial(F.gelu, approximate="tanh"), "gelu_tanh"),
        (gelu_by_hand, "gelu_tanh"),
        (lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2))), "gelu"),
        (lambda x: x.float() * torch.sigmoid(x.float()), "silu"),
        (lambda x: torch.clamp(x, 0, 6), "relu6"),
    ],
)
def test_functions(function: object, choice: str) -> None:
    assert str(choice_of_function(function)) == choice  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "function",
    [
        torch.cos,
        lambda x: x.sum(),
        lambda x: x.flip(0),
        lambda x: x > 0,
        lambda x: torch.relu(x) + 1e-3,
        lambda x: F.softmax(x, -1),
        lambda x: x.reshape(3, -1),
    ],
)
def test_other_functions(function: object) -> None:
    assert equal_choice(function) is None  # type: ignore[arg-type]


def test_every_pointwise_row_is_known_by_its_values_and_nothing_else() -> None:
    for row in registry.all():
        if row.gated or row.learnable or row.stochastic:
            continue
        found = equal_choice(lambda x, row=row: row.function(x, **row.values({})))
        assert found is not None, row.name
        other = registry.get(found.name)
        values = (r.function(X.double(), **r.values({})) for r in (row, other))
        assert torch.allclose(*values, rtol=1e-5, atol=1e-5), (row.name, found)


def test_arguments_of_torchs_functions_are_those_of_its_modules() -> None:
    for name in FUNCTIONS - {"glu", "prelu", "rrelu", "log_sigmoid", "special_expit", "_threshold"}:
        function = getattr(F, name, None) or getattr(torch, name)
        more = {"threshold": (0.5, 2.0), "hardtanh": (-2.0, 3.0), "softplus": (2.0, 15.0)}.get(name, ())
        more = (0.25,) if name in ("leaky_relu", "elu", "celu", "softshrink", "hardshrink") else more
        choice = choice_of_call(function, (X, *more), {})
        assert choice is not None, name
        values = dict(registry.parameters(choice))
        assert torch.allclose(registry.get(choice.name).function(X, **values), function(X, *more), atol=1e-6), name
    assert {nn.PReLU, nn.RReLU, nn.ReLU} < {row.torch_type for row in registry.all()}
    assert choice_of_call(F.rrelu, (X,), {}) is None
    assert choice_of_call(F.elu, (X, torch.ones(())), {}) is None


class Half(nn.Module):
    """Not the same in training."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) * (0.5 if self.training else 1.0)


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return gelu_by_hand(x)


class Weighted(Own):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


def test_modules_of_somebody_else_are_sites() -> None:
    x = torch.randn(3, 4)
    model = nn.Sequential(nn.Linear(4, 4), Own(), nn.Linear(4, 4), Half(), Weighted(), nn.Linear(4, 1))
    sites = find_sites(model, x)
    assert [(site.name, str(site.current), site.gateable) for site in sites] == [("1", "gelu_tanh", True)]
    assert {item.name: item.kind for item in sites.unreplaceable} == {"3": "unknown", "4": "unknown"}
    assert type(model[1]) is Own
    changed = apply(model, {"1": "tanh"}, example_input=x)
    model[1] = nn.Tanh()
    assert torch.equal(changed(x), model(x))
    assert equal_module(Half()) is None


class Picky(nn.Module):
    """Looks at what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.act = nn.Linear(4, 4), Own()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.fc(x)) + isinstance(self.act, Own)


def test_a_module_whose_type_is_looked_at_is_told() -> None:
    model = Picky()
    found = find_sites(model, torch.randn(2, 4))
    assert found.names == ()
    assert "computes gelu_tanh, but putting a module in its place changes" in found.unreplaceable[0].reason
    assert type(model.act) is Own
