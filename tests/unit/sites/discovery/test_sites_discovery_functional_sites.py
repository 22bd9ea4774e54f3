"""Activations that are no modules are found by what they compute, and replaced or told with line and reason."""

from __future__ import annotations

import linecache
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.sites import Sites, apply, find_sites

FILE = Path(__file__).name
X = torch.zeros(5, 4)
ROWS = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
BY_NAME: dict[str, Callable[[], nn.Module]] = {"gelu": nn.GELU}
MADE = {"silu": nn.SiLU()}


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.tanh(F.softplus(x))


class Forms(nn.Module):
    """One activation, in many forms, between two layers."""

    def __init__(self, form: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.out, self.form, self.name, self.w0 = nn.Linear(4, 4), nn.Linear(4, 2), form, "relu", 3.0
        self.register_buffer("zero", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(getattr(self, self.form)(self.fc(x)))

    def sin(self, x: Tensor) -> Tensor:
        return torch.sin(x)

    def siren(self, x: Tensor) -> Tensor:
        return torch.sin(self.w0 * x)

    def clamp(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    def clamp_6(self, x: Tensor) -> Tensor:
        return torch.clamp(x, 0, 6)

    def clamp_in_place(self, x: Tensor) -> Tensor:
        x.clamp_(min=0)
        return x

    def maximum(self, x: Tensor) -> Tensor:
        return torch.maximum(x, torch.zeros(1))

    def maximum_turned(self, x: Tensor) -> Tensor:
        return torch.maximum(torch.tensor(0.0), x)

    def maximum_buffer(self, x: Tensor) -> Tensor:
        return torch.max(x, self.zero)  # type: ignore[arg-type]

    def times(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    def times_later(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(x)
        return gate * x

    def gelu_by_hand(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))

    def where(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def mask(self, x: Tensor) -> Tensor:
        return (x > 0) * x

    def relu6(self, x: Tensor) -> Tensor:
        return F.relu6(x)

    def relu_in_place(self, x: Tensor) -> Tensor:
        return torch.relu_(x)

    def method(self, x: Tensor) -> Tensor:
        return Tensor.relu(x)

    def on_the_fly(self, x: Tensor) -> Tensor:
        return nn.ReLU()(x)

    def on_the_fly_with_argument(self, x: Tensor) -> Tensor:
        return nn.LeakyReLU(0.3)(x)

    def on_the_fly_own(self, x: Tensor) -> Tensor:
        return Own()(x)

    def by_name(self, x: Tensor) -> Tensor:
        return BY_NAME["gelu"]()(x)

    def made_before(self, x: Tensor) -> Tensor:
        return MADE["silu"](x)

    def get_attribute(self, x: Tensor) -> Tensor:
        return getattr(F, self.name)(x)

    def get_attribute_in_c(self, x: Tensor) -> Tensor:
        return getattr(F, "softplus")(x)  # noqa: B009

    def helper(self, x: Tensor) -> Tensor:
        return swish(x)

    def squared(self, x: Tensor) -> Tensor:
        y = x.clamp(min=0)
        return y**2  # the whole has no name: its part is the site


@pytest.mark.parametrize(
    ("form", "name", "choice"),
    [
        ("sin", "sin_sin_1", "sine"),
        ("siren", "siren_sin_1", "sine"),
        ("clamp", "clamp_clamp_1", "relu"),
        ("clamp_6", "clamp_6_clamp_1", "relu6"),
        ("clamp_in_place", "clamp_in_place_clamp_1", "relu"),
        ("maximum", "maximum_maximum_1", "relu"),
        ("maximum_turned", "maximum_turned_maximum_1", "relu"),
        ("maximum_buffer", "maximum_buffer_max_1", "relu"),
        ("times", "times_mul_1", "silu"),
        ("times_later", "times_later_mul_1", "silu"),
        ("gelu_by_hand", "gelu_by_hand_mul_4", "gelu_tanh"),
        ("where", "where_where_1", "leaky_relu(negative_slope=0.2)"),
        ("mask", "mask_mul_1", "relu"),
        ("relu6", "relu6_relu6_1", "relu6"),
        ("relu_in_place", "relu_in_place_relu_1", "relu"),
        ("method", "method_relu_1", "relu"),
        ("on_the_fly", "on_the_fly_ReLU_1", "relu"),
        ("on_the_fly_with_argument", "on_the_fly_with_argument_LeakyReLU_1", "leaky_relu(negative_slope=0.3)"),
        ("on_the_fly_own", "on_the_fly_own_Own_1", "mish"),
        ("by_name", "by_name_BY_NAME_1", "gelu"),
        ("made_before", "made_before_MADE_1", "silu"),
        ("get_attribute", "get_attribute_getattr_1", "relu"),
        ("get_attribute_in_c", "get_attribute_in_c_getattr_1", "softplus"),
        ("helper", "helper_swish_1", "silu"),
        ("squared", "squared_clamp_1", "relu"),
    ],
)
def test_every_form_is_a_site(form: str, name: str, choice: str) -> None:
    model = Forms(form).eval()
    found = find_sites(model, X)
    assert [(site.name, str(site.current)) for site in found] == [(name, choice)]
    assert found[0].line.startswith(f"{FILE}:")
    assert found.unreplaceable == ()
    changed = apply(model, {name: "softsign"}, example_input=X).eval()
    inner = model.fc(ROWS) * (3 if form == "siren" else 1)
    wanted = F.softsign(inner)
    assert torch.allclose(changed(ROWS), model.out(wanted**2 if form == "squared" else wanted))


class Told(Forms):
    def cos(self, x: Tensor) -> Tensor:
        return torch.cos(x)

    def augmented(self, x: Tensor) -> Tensor:
        x *= x > 0
        return x

    def set_where(self, x: Tensor) -> Tensor:
        x[x < 0] = 0
        return x

    def nameless(self, x: Tensor) -> Tensor:
        return torch.log(1 + torch.exp(self.fc(x)))

    def mapped(self, x: Tensor) -> Tensor:
        return next(map(swish, [x]))


@pytest.mark.parametrize(
    ("form", "does", "why"),
    [
        ("cos", "calls cos()", "no activation of the catalogue has its values: autoact.register one"),
        ("augmented", "computes relu", "it is no call or operator of its own there, as in x *= y"),
        ("set_where", "computes relu", "it is no call or operator of its own there"),
        ("nameless", "computes softplus", "what it is computed from has no name in this line: give it one, as in x ="),
        ("mapped", "computes silu", "swish() is no method of a module"),
    ],
)
def test_what_cannot_be_replaced_is_told_with_its_line(form: str, does: str, why: str) -> None:
    found = find_sites(Told(form), X)
    assert found.names == ()
    (told,) = found.unreplaceable
    assert told.reason.startswith(f"{does} at {FILE}:")
    assert why in told.reason


def test_the_advice_to_name_it_works() -> None:
    class Named(Told):
        def nameless(self, x: Tensor) -> Tensor:
            x = self.fc(x)
            return torch.log(1 + torch.exp(x))

    assert [str(site.current) for site in find_sites(Named("nameless"), X)] == ["softplus"]


def test_what_a_module_computes_is_its_own() -> None:
    class Scaled(Forms):
        def scaled(self, x: Tensor) -> Tensor:
            return self.act(x) * 1.0

    model = Scaled("scaled")
    model.act = nn.ReLU()
    found = find_sites(model, X)
    assert (found.names, found.unreplaceable) == (("act",), ())


class Arithmetic(nn.Module):
    """What bends and is no activation: norms, guards, encodings of positions, squared errors, masks."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out, self.scale = nn.Linear(4, 4), nn.Linear(4, 2), nn.Parameter(torch.ones(4))
        self.register_buffer("frequencies", torch.arange(4.0))

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc(x + torch.sin(x * self.frequencies) + torch.cos(x))
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * torch.exp(self.scale)
        x = x / x.norm(dim=-1, keepdim=True).clamp(min=1e-8) + x.var(-1, keepdim=True).sqrt()
        return self.out(x) ** 2


def test_arithmetic_is_neither_searched_nor_told() -> None:
    found = find_sites(Arithmetic(), ROWS)
    assert (found.names, found.unreplaceable) == ((), ())


class Drawn(nn.Module):
    """What scales random numbers, and what is made of them alone: encoders of variational models, Gumbel noise."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.fc, self.out = how, nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        mean, raw = self.fc(x), self.fc(x)
        if self.how == "gumbel":
            return self.out(mean - torch.log(-torch.log(torch.rand_like(raw) + 1e-9) + 1e-9))
        deviation = torch.exp(0.5 * raw)
        if self.how == "distribution":
            return self.out(torch.distributions.Normal(mean, deviation).rsample())
        if self.how == "in_place":
            return self.out(torch.empty_like(deviation).normal_().mul(deviation).add_(mean))
        if self.how == "read_too":
            return self.out(mean + deviation)
        return self.out(mean + deviation * torch.randn(deviation.shape).to(deviation))


@pytest.mark.parametrize("how", ["product", "in_place", "distribution", "gumbel"])
def test_what_scales_random_numbers_is_no_activation_to_register(how: str) -> None:
    found = find_sites(Drawn(how), ROWS)
    assert (found.names, found.unreplaceable) == ((), ())


def test_the_same_function_without_random_numbers_is_told() -> None:
    (told,) = find_sites(Drawn("read_too"), ROWS).unreplaceable
    assert "calls exp()" in told.reason


class Chosen(nn.Module):
    """Reads the probabilities that a distribution of torch guards and bends."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        spread = torch.distributions.Categorical(F.softmax(self.fc(x), -1))
        return self.out(spread.logits) + spread.entropy()[..., None]


def test_the_arithmetic_of_a_distribution_is_not_told() -> None:
    found = find_sites(Chosen(), ROWS)
    assert (found.names, found.unreplaceable) == ((), ())


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(4, 4), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.glu(self.fc(x)))


def test_what_no_module_would_change_has_no_such_advice() -> None:
    (told,) = find_sites(Gated(), ROWS).unreplaceable
    assert told.reason.startswith(f"calls glu() at {FILE}:")
    assert told.reason.endswith("it is gated: it halves its input")


SOURCE = """
import torch
from torch import nn
from autoact import find_sites

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.out = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = self.fc(x)
        return self.out(h * torch.sigmoid(h) + torch.relu(h))
"""


def without_source(found: Sites, file: str) -> None:
    assert found.names == ()
    reasons = [item.reason for item in found.unreplaceable]
    assert any(r.startswith(f"computes silu at {file}:13: the source of") for r in reasons)
    assert any(r.startswith(f"calls relu() at {file}:13: the source of") for r in reasons)


def test_code_in_a_string_is_told_and_a_notebook_cell_is_replaced() -> None:
    names: dict[str, Any] = {"__name__": "written"}
    exec(compile(SOURCE, "<string>", "exec"), names)
    without_source(find_sites(names["Net"](), X), "<string>")
    cell = "<ipython-input-1>"
    linecache.cache[cell] = (len(SOURCE), None, SOURCE.splitlines(keepends=True), cell)
    exec(compile(SOURCE, cell, "exec"), names)
    found = find_sites(names["Net"](), X)
    assert [str(site.current) for site in found] == ["silu", "relu"]


def test_code_from_standard_input_is_told() -> None:
    text = SOURCE + "\nfor item in find_sites(Net(), torch.zeros(2, 4)).unreplaceable: print(item.reason)\n"
    done = subprocess.run([sys.executable, "-"], input=text, capture_output=True, text=True, check=True)
    assert "computes silu at <stdin>:13: the source of <stdin> is not at hand" in done.stdout
    assert "calls relu() at <stdin>:13" in done.stdout


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, about scripting
def test_a_scripted_function_is_told() -> None:
    scripted_swish = torch.jit.script(swish)

    class Scripted(Forms):
        def script(self, x: Tensor) -> Tensor:
            return scripted_swish(x)

    (told,) = find_sites(Scripted("script"), X).unreplaceable
    assert told.reason.startswith(f"calls sigmoid() at {FILE}:")
    assert "inside of a scripted function" in told.reason


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: object, *grad: Tensor) -> Tensor:
        return grad[0]


def test_a_function_with_its_own_backward_is_told() -> None:
    class ByHand(Forms):
        def custom(self, x: Tensor) -> Tensor:
            return Swish.apply(x)

    (told,) = find_sites(ByHand("custom"), X).unreplaceable
    assert told.reason.startswith(f"computes silu at {FILE}:")


def test_lambdas_in_a_sequential() -> None:
    class Lambda(nn.Module):
        def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.function = function

        def forward(self, x: Tensor) -> Tensor:
            return self.function(x)

    parts = [Lambda(lambda x: x.clamp(min=0)), Lambda(lambda x: x * torch.sigmoid(x)), Lambda(torch.cos)]
    layers = [layer for part in parts for layer in (nn.Linear(4, 4), part)]
    found = find_sites(nn.Sequential(*layers, nn.Linear(4, 1)), X)
    assert [(site.name, str(site.current)) for site in found] == [("1", "relu"), ("3", "silu")]
    assert [item.name for item in found.unreplaceable] == ["5"]
