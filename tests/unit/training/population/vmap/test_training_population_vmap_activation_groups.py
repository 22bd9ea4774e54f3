"""Which members share a call at a site, and what that call computes for each."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autoact.activations import build
from autoact.core.assignment import Choice
from autoact.training.population.vmap.activation_groups import Groups, part_of_values, shared_by

ALIKE = (
    ("sine", "sine(omega=3)"),
    ("softplus(beta=2)", "softplus(beta=2, threshold=5)"),
    ("snake_learnable", "snake_learnable(a=5)"),
)


def shared(choice: str, **options: int) -> object:
    return shared_by(Choice.parse(choice), build(choice, **options))


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_values_of_one_activation_share_a_call(one: str, other: str) -> None:
    assert shared(one, channels=4) == shared(other, channels=4)


@pytest.mark.parametrize(
    ("one", "other"), [("sine", "tanh"), ("celu", "celu(alpha=2)"), ("maxout", "maxout(pieces=3)"), ("prelu", "sine")]
)
def test_others_do_not(one: str, other: str) -> None:
    assert shared(one, channels=4) != shared(other, channels=4)


def test_weights_of_other_shapes_do_not() -> None:
    assert shared("prelu", channels=4) != shared("prelu", channels=5)
    assert shared("prelu", channels=4) != shared_by(Choice("prelu"), nn.PReLU())


def test_a_module_that_computes_something_else_keeps_its_own_call() -> None:
    class Own(nn.LeakyReLU):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -x

    choice = Choice.parse("leaky_relu(negative_slope=0.2)")
    assert shared_by(choice, nn.LeakyReLU(0.2)) == "leaky_relu"
    assert shared_by(choice, Own(0.2)) == choice


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_each_member_has_its_own_value_wherever_it_lies(dtype: torch.dtype) -> None:
    names = ["softplus(beta=2)", "softplus", "softplus(beta=0.5)"]
    part = part_of_values([Choice.parse(name) for name in names])
    x = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    groups = Groups([part, lambda x_r, _: torch.tanh(x_r)], [[0, 2, 3], [1]], torch.device("cpu"))
    want = [build(name)(x_r) for name, x_r in zip(["softplus(beta=2)", "tanh", *names[1:]], x, strict=True)]
    torch.testing.assert_close(groups(x), torch.stack(want))
