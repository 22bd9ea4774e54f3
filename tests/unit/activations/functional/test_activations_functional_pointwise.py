from __future__ import annotations

import inspect

import pytest
import torch

from autoact.activations import registry
from autoact.activations.functional import learnable, pointwise
from autoact.activations.functional.pointwise import computed_in_float32
from autoact.config.groups import conf_dir


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32_and_come_back(dtype: torch.dtype) -> None:
    seen = []

    @computed_in_float32
    def spy(x: torch.Tensor, a: float = 1.0) -> torch.Tensor:
        seen.append(x.dtype)
        return a * x

    assert spy(torch.ones(2, dtype=dtype), a=2.0).dtype == dtype
    assert seen == [torch.float32]
    assert list(inspect.signature(spy).parameters) == ["x", "a"]


def test_float64_stays_float64_inside() -> None:
    assert pointwise.gaussian(torch.tensor(0.1, dtype=torch.float64)).item() == pytest.approx(0.99004983374, abs=1e-11)


def test_a_frequency_does_not_overflow_float16() -> None:
    y = pointwise.sine(torch.tensor([1e4], dtype=torch.float16), omega=30.0)
    assert y.isfinite().all()


def test_bent_identity_keeps_its_digits_near_zero() -> None:
    x = torch.tensor([1e-4])
    assert (pointwise.bent_identity(x) - x).item() == pytest.approx(2.5e-9, rel=0.1, abs=8e-12)


@pytest.mark.parametrize("a", [0.0, 1e-9, -1e-9])
def test_snake_tends_to_the_identity_where_its_frequency_vanishes(a: float) -> None:
    weight = torch.tensor(a, requires_grad=True)
    x = torch.tensor([-3.0, 2.0])
    y = learnable.snake_learnable(x, weight)
    torch.testing.assert_close(y, x, rtol=1e-5, atol=1e-5)
    y.sum().backward()
    assert weight.grad is not None and weight.grad.isfinite()


def test_snake_is_mirrored_by_a_negative_frequency() -> None:
    x = torch.linspace(-2, 2, 9)
    torch.testing.assert_close(learnable.snake_learnable(x, torch.tensor(-0.5)), -learnable.snake_learnable(-x, 0.5))


@pytest.mark.parametrize(
    ("x_shape", "weight_shape"),
    [((5, 3), (3,)), ((4, 5, 3), (3,)), ((2, 3, 4), (3, 1)), ((2, 3, 4, 5), (3, 1, 1)), ((6, 1), (3,)), ((), (1,)),
     ((2, 4, 3), (4, 3)), ((3,), (3,)), ((2, 2), (1,)), ((2, 5, 3, 4), (3, 1))],
)  # fmt: skip
def test_prelu_broadcasts_by_any_of_its_ways(x_shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(x_shape, generator=generator), torch.rand(weight_shape, generator=generator)
    want = torch.where(x > 0, x, weight * x)
    got = learnable.prelu(x, weight)
    assert torch.equal(got, want if x_shape else want.reshape(()))


def test_srelu_bends_where_it_says() -> None:
    x = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0])
    y = learnable.srelu(x, left=-1.0, left_slope=0.5, right=1.0, right_slope=2.0)
    assert y.tolist() == [-1.5, -1.0, 0.0, 1.0, 5.0]


def test_acon_c_has_slopes_p1_and_p2_far_out() -> None:
    y = learnable.acon_c(torch.tensor([-100.0, 100.0]), p1=2.0, p2=0.5)
    torch.testing.assert_close(y, torch.tensor([-50.0, 200.0]))


def test_rational_takes_its_coefficients_by_place_or_name() -> None:
    x = torch.linspace(-2, 2, 5)
    values = [0.1 * k for k in range(1, 11)]
    named = dict(zip(learnable.RATIONAL_COEFFICIENTS, values, strict=True))
    p = sum(values[k] * x**k for k in range(6))
    q = 1 + torch.stack([values[5 + k] * x**k for k in range(1, 5)]).sum(dim=0).abs()
    torch.testing.assert_close(learnable.rational(x, *values), p / q)
    assert torch.equal(learnable.rational(x, **named), learnable.rational(x, *values))


def test_what_is_said_of_sine_holds_for_its_default_frequency() -> None:
    """It is offered with omega = 1, which turns twice where inputs are; nothing may sell that as high frequencies."""
    x = torch.linspace(-3, 3, 6001)
    turns = {omega: int((pointwise.sine(x, omega).diff().sign().diff() != 0).sum()) for omega in (1.0, 30.0)}
    assert turns[1.0] == 2 and turns[30.0] > 50
    assert (pointwise.sine(x[2500:3501]) - x[2500:3501].tanh()).abs().max() < 0.03
    for file in (conf_dir() / "candidates" / "default.yaml", conf_dir() / "plugin/autoact/candidates/default.yaml"):
        (line,) = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("  - sine ")]
        assert "with omega = 1 no network for high frequencies" in line
    assert registry.get("sine").initialisation.source.endswith("Periodic Activation Functions, 2020")
