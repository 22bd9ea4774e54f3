"""Every gated row of the catalogue against formulas written here, and against its own facts."""

from __future__ import annotations

import copy
import functools
import math
import pickle
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autoact.activations import registry
from autoact.activations.catalogue import ROWS as EVERY_ROW
from autoact.activations.fingerprint import function_key
from autoact.activations.gain import gain
from autoact.activations.modules import GatedActivation, build, recognise
from autoact.activations.spec import Activation


def pure(choice: str) -> Callable[[Tensor], Tensor]:
    """The pure function of x that a choice means."""
    return functools.partial(registry.get(registry.canonical(choice).name).function, **registry.parameters(choice))


ROWS = [row for row in EVERY_ROW if row.gated]
CHOICES = [*(row.name for row in ROWS), "maxout(pieces=3)", "maxout(pieces=5)"]

every_row = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
every_choice = pytest.mark.parametrize("choice", CHOICES)


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


FORMULAS: dict[str, Callable[[Sequence[float]], float]] = {
    "glu": lambda p: p[0] / (1 + math.exp(-p[1])),
    "reglu": lambda p: p[0] * max(p[1], 0.0),
    "geglu": lambda p: p[0] * p[1] * phi(p[1]),
    "swiglu": lambda p: p[0] * p[1] / (1 + math.exp(-p[1])),
    "bilinear": lambda p: p[0] * p[1],
    "maxout": max,
}


def formula(choice: str) -> Callable[[Sequence[float]], float]:
    return FORMULAS[choice.partition("(")[0]]


def inputs(choice: str, rows: int, channels: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(rows, registry.pieces(choice) * channels, generator=generator, dtype=dtype)


def test_this_file_knows_every_gated_row() -> None:
    assert {row.name for row in ROWS} == set(FORMULAS) == {"glu", "reglu", "geglu", "swiglu", "bilinear", "maxout"}


@every_row
def test_a_row_is_documented_and_may_be_searched(row: Activation) -> None:
    assert row.formula and row.reference[-4:].isdigit()
    assert row.family == "gated" and row.searchable and not row.learnable
    assert None not in (row.smooth, row.monotonic, row.zero_centred)
    assert all(p.meaning and p.whole for p in row.parameters)


@every_choice
def test_values_against_a_formula_written_here(choice: str) -> None:
    x, pieces = inputs(choice, 50), registry.pieces(choice)
    want = [[formula(choice)([float(row[c + 3 * k]) for k in range(pieces)]) for c in range(3)] for row in x]
    torch.testing.assert_close(pure(choice)(x), torch.tensor(want, dtype=torch.float64))


def test_glu_is_torchs() -> None:
    x = inputs("glu", 20)
    assert torch.equal(build("glu")(x), F.glu(x, -1))


@every_choice
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_the_last_axis_is_divided(choice: str, shape: tuple[int, ...]) -> None:
    pieces = registry.pieces(choice)
    module = build(choice)
    assert type(module) is GatedActivation and not list(module.parameters())
    assert module(torch.zeros(*shape, 7 * pieces)).shape == (*shape, 7)


@every_choice
def test_gradients(choice: str) -> None:
    x = inputs(choice, 6).requires_grad_()
    assert torch.autograd.gradcheck(pure(choice), (x,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@every_choice
def test_types_are_kept_and_gradients_finite(choice: str, dtype: torch.dtype) -> None:
    x = torch.cat([20 * inputs(choice, 50), torch.zeros(1, 3 * registry.pieces(choice)).double()]).to(dtype)
    x.requires_grad_()
    y = build(choice)(x)
    y.sum().backward()
    assert y.dtype == dtype and bool(y.isfinite().all())
    assert x.grad is not None and bool(x.grad.isfinite().all())


@every_choice
def test_the_gain_keeps_the_second_moment(choice: str) -> None:
    pieces = registry.pieces(choice)
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(1_000_000, pieces, generator=generator, dtype=torch.float64)
    moment = float(pure(choice)(torch.cat([z, -z])).square().mean())
    assert gain(choice) == pytest.approx(1 / math.sqrt(moment), rel=6e-3)


def test_gains_that_are_known_exactly() -> None:
    assert gain("bilinear") == pytest.approx(1.0, abs=1e-9)
    assert gain("reglu") == pytest.approx(math.sqrt(2), rel=1e-9)
    assert gain("swiglu") == gain("silu") and gain("geglu") == gain("gelu") and gain("glu") == gain("sigmoid")
    assert gain("maxout") == pytest.approx(1.0, abs=1e-9)  # E[max(z1, z2)^2] = 1
    assert gain("maxout(pieces=3)") == pytest.approx((1 + math.sqrt(3) / (2 * math.pi)) ** -0.5, rel=1e-9)


@every_row
def test_the_stated_facts_hold(row: Activation) -> None:
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(400_000, 2, generator=generator, dtype=torch.float64)
    y = row.function(z)
    assert row.zero_centred == (abs(float(y.mean())) < 1e-2)
    step = torch.tensor([0.3, 0.2], dtype=torch.float64)
    assert row.monotonic == bool((row.function(z + step) >= y).all())
    assert row.parity == ("even" if torch.allclose(row.function(-z), y) else None)
    ends = row.function(torch.tensor([[1e4, 1e4], [-1e4, 1e4], [-1e4, -1e4]], dtype=torch.float64)).flatten()
    assert not row.bounded and float(ends.max()) > 1e3
    assert float(ends.min()) < -1e3


@every_choice
def test_copy_pickle_state_and_recognition(choice: str) -> None:
    module = build(choice)
    assert not module.state_dict() and choice in repr(module)
    x = inputs(choice, 4)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(x), module(x))
        assert recognise(other) == module.choice == registry.canonical(choice)


@every_choice
def test_it_runs_under_vmap_and_exports(choice: str) -> None:
    x = inputs(choice, 5)
    assert torch.equal(torch.vmap(pure(choice))(x), build(choice)(x))
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(build(choice), (x,), dynamic_shapes=({0: batch},))
    assert torch.equal(exported.module()(x[:3]), build(choice)(x[:3]))


def test_no_two_are_equal_as_functions() -> None:
    prints = {function_key(choice) for choice in CHOICES}
    assert len(prints) == len(CHOICES)
    assert prints.isdisjoint({function_key(row.name) for row in EVERY_ROW if not row.gated})
    assert function_key("maxout(pieces=2)") == function_key("maxout")
