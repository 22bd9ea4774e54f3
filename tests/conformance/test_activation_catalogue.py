"""Every pointwise row of the catalogue against torch, against formulas written here, and against its own facts."""

from __future__ import annotations

import copy
import functools
import math
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoact.activations import registry
from autoact.activations.catalogue import ROWS as EVERY_ROW
from autoact.activations.gain import gain
from autoact.activations.modules import ActivationModule, LearnableActivation, build, recognise
from autoact.activations.spec import Activation


def pure(choice: str) -> Callable[[Tensor], Tensor]:
    """The pure function of x that a choice means."""
    return functools.partial(registry.get(registry.canonical(choice).name).function, **registry.parameters(choice))


ROWS = [row for row in EVERY_ROW if not row.gated]  # those are in test_gated_catalogue.py
NAMES = [row.name for row in ROWS]
LEARNABLE = [row.name for row in ROWS if row.learnable]

every_row = pytest.mark.parametrize("row", ROWS, ids=NAMES)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def log1pexp(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def rational(x: float) -> float:
    a = (0.0335826, 0.505, 1.65131, 2.00452, 0.927936, 0.151537)
    b = (0.0, 3.96934, 0.0, 0.300074)
    return sum(c * x**k for k, c in enumerate(a)) / (1 + abs(sum(c * x ** (k + 1) for k, c in enumerate(b))))


XIELU_P, XIELU_N = log1pexp(0.20338232), 0.5 + log1pexp(-1.0502256)  # both are 0.8
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946

FORMULAS: dict[str, Callable[[float], float]] = {
    "identity": lambda x: x,
    "step": lambda x: 1.0 if x > 0 else 0.0,
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: -log1pexp(-x),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, 0.0), 1.0),
    "tanh": math.tanh,
    "hard_tanh": lambda x: min(max(x, -1.0), 1.0),
    "tanhshrink": lambda x: x - math.tanh(x),
    "softsign": lambda x: x / (1 + abs(x)),
    "softplus": log1pexp,
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "rrelu": lambda x: x if x > 0 else x * (1 / 8 + 1 / 3) / 2,
    "prelu": lambda x: x if x > 0 else 0.25 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "celu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x)),
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * sigmoid(x),
    "swish_beta": lambda x: x * sigmoid(x),
    "hardswish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "mish": lambda x: x * math.tanh(log1pexp(x)),
    "squared_relu": lambda x: max(x, 0.0) ** 2,
    "star_relu": lambda x: 0.8944 * max(x, 0.0) ** 2 - 0.4472,
    "softshrink": lambda x: math.copysign(max(abs(x) - 0.5, 0.0), x),
    "hardshrink": lambda x: x if abs(x) > 0.5 else 0.0,
    "threshold": lambda x: x if x > 1 else 0.0,
    "sine": math.sin,
    "snake": lambda x: x + math.sin(x) ** 2,
    "snake_learnable": lambda x: x + (1 - math.cos(x)),
    "gaussian": lambda x: math.exp(-x * x),
    "arctan": math.atan,
    "isru": lambda x: x / math.sqrt(1 + x * x),
    "isrlu": lambda x: x if x > 0 else x / math.sqrt(1 + x * x),
    "bent_identity": lambda x: (math.sqrt(x * x + 1) - 1) / 2 + x,
    "elish": lambda x: x * sigmoid(x) if x >= 0 else math.expm1(x) * sigmoid(x),
    "telu": lambda x: x * math.tanh(math.exp(min(x, 700.0))),
    "serf": lambda x: x * math.erf(log1pexp(x)),
    "acon_c": lambda x: x * sigmoid(x),
    "srelu": lambda x: x if x > 0 else 0.2 * x,
    "rational": rational,
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "clipped_gelu": lambda x: min(x * 0.5 * math.erfc(-x / math.sqrt(2)), 10.0),
    "golu": lambda x: x * math.exp(-math.exp(min(-x, 700.0))),
    "smish": lambda x: x * math.tanh(math.log1p(sigmoid(x))),
    "logish": lambda x: x * math.log1p(sigmoid(x)),
    "aptx": lambda x: x * sigmoid(2 * x),
    "laplace": lambda x: 0.5 * math.erfc(-(x - 0.707107) / (0.282095 * math.sqrt(2))),
    "natural_log_relu": lambda x: math.log1p(max(x, 0.0)),
    "sqrt_softplus": lambda x: math.sqrt(log1pexp(x)),
    "erfact": lambda x: x * math.erf(0.75 * math.exp(min(0.75 * x, 700.0))),
    "coslu": lambda x: (x + math.cos(x)) * sigmoid(x),
    "poly_relu": lambda x: sum(max(x, 0.0) ** k for k in (1, 2, 3)) / 3,
    "xielu": lambda x: 0.5 * x + (XIELU_P * x * x if x > 0 else XIELU_N * (math.expm1(x) - x)),
}
FORMULAS |= {f"blend_{name}": FORMULAS[name] for name in ("selu", "mish", "gelu", "silu", "tanh")}

TORCH: dict[str, tuple[nn.Module, str]] = {
    "identity": (nn.Identity(), "identity"),
    "sigmoid": (nn.Sigmoid(), "sigmoid"),
    "log_sigmoid": (nn.LogSigmoid(), "log_sigmoid"),
    "hard_sigmoid": (nn.Hardsigmoid(), "hard_sigmoid"),
    "tanh": (nn.Tanh(), "tanh"),
    "hard_tanh": (nn.Hardtanh(-0.3, 2.0), "hard_tanh(max_val=2, min_val=-0.3)"),
    "tanhshrink": (nn.Tanhshrink(), "tanhshrink"),
    "softsign": (nn.Softsign(), "softsign"),
    "softplus": (nn.Softplus(2.0, 10.0), "softplus(beta=2, threshold=10)"),
    "relu": (nn.ReLU(), "relu"),
    "relu6": (nn.ReLU6(), "relu6"),
    "leaky_relu": (nn.LeakyReLU(0.2), "leaky_relu(negative_slope=0.2)"),
    "rrelu": (nn.RReLU(0.1, 0.5), "rrelu(lower=0.1, upper=0.5)"),
    "prelu": (nn.PReLU(4, init=0.1), "prelu(weight=0.1)"),
    "elu": (nn.ELU(0.7), "elu(alpha=0.7)"),
    "celu": (nn.CELU(0.7), "celu(alpha=0.7)"),
    "selu": (nn.SELU(), "selu"),
    "gelu": (nn.GELU(), "gelu"),
    "gelu_tanh": (nn.GELU(approximate="tanh"), "gelu_tanh"),
    "silu": (nn.SiLU(), "silu"),
    "hardswish": (nn.Hardswish(), "hardswish"),
    "mish": (nn.Mish(), "mish"),
    "softshrink": (nn.Softshrink(0.3), "softshrink(lambd=0.3)"),
    "hardshrink": (nn.Hardshrink(0.3), "hardshrink(lambd=0.3)"),
    "threshold": (nn.Threshold(0.2, -3.0), "threshold(threshold=0.2, value=-3)"),
}

KINKS = {
    "relu6": (0, 6), "hard_sigmoid": (-3, 3), "hard_tanh": (-1, 1), "hardswish": (-3, 3), "softshrink": (-0.5, 0.5),
    "hardshrink": (-0.5, 0.5), "threshold": (1,), "srelu": (0, 1), "step": (0,),
}  # fmt: skip
"""Elsewhere than at zero alone."""


def points(low: float = -8.0, high: float = 8.0, count: int = 801) -> Tensor:
    return torch.linspace(low, high, count, dtype=torch.float64)


def bits_equal(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and bool(torch.equal(a, b)) and bool(torch.equal(a.signbit(), b.signbit()))


def test_the_catalogue_has_forty_rows_and_this_file_knows_them_all() -> None:
    assert len(ROWS) >= 40
    assert set(FORMULAS) == set(NAMES)
    assert {row.name for row in ROWS if row.torch_type is not None} == set(TORCH)


@every_row
def test_a_row_is_documented(row: Activation) -> None:
    assert row.formula
    author, year = row.reference, row.reference[-4:]
    assert author
    assert year.isdigit() or "no first paper known" in row.reference
    assert all(p.meaning for p in row.parameters)
    assert None not in (row.smooth, row.monotonic, row.zero_centred)


@every_row
def test_values_against_a_formula_written_here(row: Activation) -> None:
    x = torch.cat([points(), torch.tensor([-1e4, -700.0, -50.0, 0.0, 50.0, 700.0, 1e4], dtype=torch.float64)])
    want = torch.tensor([FORMULAS[row.name](v) for v in x.tolist()], dtype=torch.float64)
    # softplus passes x unchanged above 20, as torch does: an error of exp(-20)
    torch.testing.assert_close(pure(row.name)(x), want, rtol=1e-9, atol=3e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", TORCH)
def test_torch_is_equalled_bit_for_bit(name: str, dtype: torch.dtype) -> None:
    module, choice = TORCH[name]
    module = copy.deepcopy(module).to(dtype).eval()
    ours = build(choice, channels=4, channel_dim=1).to(dtype).eval()
    values = torch.cat([points(), torch.tensor([-1e4, -300.0, -0.0, 300.0, 1e4, math.nan, math.inf])])
    x = values.to(dtype).repeat(4, 1).T.contiguous()
    x_theirs, x_ours = x.clone().requires_grad_(), x.clone().requires_grad_()
    y_theirs, y_ours = module(x_theirs), ours(x_ours)
    assert bits_equal(y_theirs.nan_to_num(123.0), y_ours.nan_to_num(123.0))
    assert torch.equal(y_theirs.isnan(), y_ours.isnan())
    y_theirs.nan_to_num(0, 0, 0).sum().backward()
    y_ours.nan_to_num(0, 0, 0).sum().backward()
    assert x_theirs.grad is not None and x_ours.grad is not None
    assert torch.equal(x_theirs.grad.nan_to_num(7.0), x_ours.grad.nan_to_num(7.0))


@pytest.mark.parametrize("name", TORCH)
def test_torch_modules_are_recognised(name: str) -> None:
    module, choice = TORCH[name]
    found = recognise(module)
    assert found is not None and found == registry.canonical(choice)


def test_rrelu_draws_in_training_as_torch_does() -> None:
    module = build("rrelu(lower=0.1, upper=0.9)").train()
    x = -torch.ones(1000)
    torch.manual_seed(3)
    want = F.rrelu(x, 0.1, 0.9, training=True)
    torch.manual_seed(3)
    assert torch.equal(module(x), want)
    assert want.std() > 0.1
    assert torch.equal(module.eval()(x), torch.full((1000,), -0.5))


@every_row
def test_gradients_away_from_kinks(row: Activation) -> None:
    x = points(-5.1, 5.1, 60)
    kinks = torch.tensor(KINKS.get(row.name, (0,)), dtype=torch.float64)
    x = x[((x[:, None] - kinks).abs() > 1e-3).all(dim=1)].requires_grad_()
    if row.name == "step":
        assert not pure("step")(x).requires_grad
        return
    theta = tuple(torch.tensor(v, dtype=torch.float64, requires_grad=row.learnable) for v in row.values().values())
    if row.learnable:
        assert torch.autograd.gradcheck(row.function, (x, *theta))
    else:
        assert torch.autograd.gradcheck(pure(row.name), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@every_row
def test_values_and_gradients_are_finite_wherever_the_truth_fits(row: Activation, dtype: torch.dtype) -> None:
    sizes = torch.logspace(-6, 4, 300, dtype=torch.float64)
    x = torch.cat([-sizes, torch.zeros(1, dtype=torch.float64), sizes, points()]).to(dtype)
    x64, x = x.double().requires_grad_(), x.clone().requires_grad_()
    function = pure(row.name)
    true, y = function(x64), function(x)
    assert y.dtype == dtype
    fits = true.detach().abs() < 0.99 * torch.finfo(dtype).max
    assert bool(y.isfinite()[fits].all())
    torch.testing.assert_close(
        y.detach()[fits].double(),
        true.detach()[fits],
        rtol=16 * torch.finfo(dtype).eps,
        atol=16 * torch.finfo(dtype).eps,
    )
    if y.requires_grad:
        (true_slope,) = torch.autograd.grad(true.sum(), x64)
        (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
        assert bool(true_slope.isfinite().all())
        assert bool(slope[true_slope.abs() < 0.99 * torch.finfo(dtype).max].isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LEARNABLE)
def test_the_weights_gradients_are_finite(name: str, dtype: torch.dtype) -> None:
    x = torch.cat([torch.logspace(-4, 4, 60), -torch.logspace(-4, 4, 60)])[:, None].to(dtype)
    row = registry.get(name)
    module, exact = build(name, channels=1).to(dtype), build(name, channels=1).double()
    for value in x:
        outputs = [(m, m(value.to(t))) for m, t in ((module, dtype), (exact, torch.float64))]
        slopes = [torch.autograd.grad(y.sum(), tuple(m.parameters())) for m, y in outputs]
        for parameter, got, want in zip(row.parameter_names, *slopes, strict=True):
            if want.abs().item() < 0.9 * torch.finfo(dtype).max:
                assert got.isfinite().all(), (parameter, value)


@every_row
def test_the_stated_facts_hold(row: Activation) -> None:
    f = pure(row.name)
    x = torch.cat([points(-60, 60, 120_001), points(-3, 3, 60_001)]).sort().values
    y = f(x)
    low, high = row.output_range
    assert y.min() >= low - 1e-12 and y.max() <= high + 1e-12
    far, further = (f(torch.tensor([-reach, reach], dtype=torch.float64)) for reach in (1e6, 1e12))
    assert row.bounded == (math.isfinite(low) and math.isfinite(high))
    for limit, seen, beyond in (
        (low, min(y.min(), far.min()), further.min()),
        (high, max(y.max(), far.max()), further.max()),
    ):
        if math.isfinite(limit):
            assert abs(float(seen) - limit) < 2e-6, "the range is not tight"
        else:
            assert abs(float(beyond)) > abs(float(seen)) + 1, "it looks bounded"  # a logarithm grows slowly
    assert row.monotonic == bool((y.diff() >= -1e-13).all())
    parity = "odd" if torch.allclose(f(-x), -y, atol=1e-12) else "even" if torch.allclose(f(-x), y) else None
    if row.name == "step":
        parity = None
    assert row.parity == parity


@every_row
def test_saturation(row: Activation) -> None:
    f = pure(row.name)
    for limit, sign in zip(row.saturation, (-1.0, 1.0), strict=True):
        near, far = f(sign * torch.tensor([1e6 + 0.7, 1e9 + 0.7], dtype=torch.float64)).tolist()
        if limit is None:
            assert abs(near - far) > 1e-2
        else:
            assert abs(far - limit) < 1e-8 and abs(near - limit) < 2e-6


@every_row
def test_smooth_means_that_the_derivative_has_no_jump(row: Activation) -> None:
    if row.name == "step":
        assert not row.smooth
        return
    h = 1e-6
    # grid points fall on every kink in the catalogue
    x = (torch.arange(-12000, 12001, dtype=torch.float64) / 1000).requires_grad_(False)
    sides = []
    for shift in (-h, h):
        at = (x + shift).requires_grad_()
        (slope,) = torch.autograd.grad(pure(row.name)(at).sum(), at)
        sides.append(slope)
    values = pure(row.name)(x + h) - pure(row.name)(x - h)
    jumps = bool(((sides[0] - sides[1]).abs() > 1e-3).any()) or bool((values.abs() > 1e-2).any())
    assert row.smooth == (not jumps)


def reference_moments(f: Callable[[float], float]) -> tuple[float, float]:
    """Mean and mean square for standard normal inputs: midpoint rule with panels that end at multiples of 1/1000."""
    step, mean, square = 1e-3, 0.0, 0.0
    for k in range(-10_000, 10_000):
        z = (k + 0.5) * step
        mass = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * step
        y = f(z)
        mean, square = mean + y * mass, square + y * y * mass
    return mean, square


@every_row
def test_gain_and_mean_against_another_quadrature(row: Activation) -> None:
    mean, square = reference_moments(FORMULAS[row.name])
    assert gain(row.name) == pytest.approx(1 / math.sqrt(square), rel=2e-6)
    assert row.zero_centred == (abs(mean) < 1e-3)


@every_row
def test_build_copy_pickle_and_state(row: Activation) -> None:
    module = build(row.name, channels=3)
    assert type(module) is (LearnableActivation if row.learnable else ActivationModule)
    assert sum(weight.numel() for weight in module.parameters()) == (3 * len(row.parameters) if row.learnable else 0)
    assert str(module.choice) == row.name and row.name in repr(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(torch.tensor([1.0, 1.1, 1.2]))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    module.eval()
    want = module(x)
    assert want.shape == x.shape
    fresh = build(row.name, channels=3).eval()
    fresh.load_state_dict(module.state_dict())
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), fresh):
        assert torch.equal(other(x), want)
        assert other.choice == module.choice and recognise(other) == module.choice


@pytest.mark.parametrize("name", LEARNABLE)
@pytest.mark.parametrize(("shape", "axis"), [((6, 3), -1), ((2, 5, 3), -1), ((2, 3, 4, 5), 1), ((2, 3, 4), -2)])
def test_each_channel_has_its_own_weights(name: str, shape: tuple[int, ...], axis: int) -> None:
    module = build(name, channels=3, channel_dim=axis).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.rand(3, generator=generator))
    x = torch.randn(shape, dtype=torch.float64, generator=generator)
    y = module(x)
    function = registry.get(name).function
    for channel in range(3):
        theta = [parameter[channel].item() for parameter in module.parameters()]
        torch.testing.assert_close(y.select(axis, channel), function(x.select(axis, channel), *theta))


@pytest.mark.parametrize("name", LEARNABLE)
def test_a_learnable_row_is_a_pure_function_under_vmap(name: str) -> None:
    row = registry.get(name)
    generator = torch.Generator().manual_seed(2)
    theta = [v + 0.1 * torch.rand(4, 3, generator=generator) for v in row.values().values()]
    x = torch.randn(4, 7, 3, generator=generator)
    stacked = torch.vmap(row.function)(x, *theta)
    for member in range(4):
        torch.testing.assert_close(stacked[member], row.function(x[member], *[t[member] for t in theta]))


@every_row
def test_shapes_and_layouts_are_kept(row: Activation) -> None:
    f = pure(row.name)
    for x in (torch.tensor(0.5), torch.zeros(0, 3), torch.randn(2, 3, 4).transpose(0, 2)):
        before = x.clone()
        assert f(x).shape == x.shape
        assert torch.equal(x, before), "the input was changed"
