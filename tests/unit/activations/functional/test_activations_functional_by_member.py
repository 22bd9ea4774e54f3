"""With parameters as tensors, an activation computes for each member what it computes with that member's numbers."""

from __future__ import annotations

import pytest
import torch

from autoact.activations import registry

ROWS = [row.name for row in registry.all() if row.by_member is not None]
TOUCHED = (0.0, 0.5, -0.5, 1.0, -1.0, 25.0, -25.0)  # where kinks lie, and beyond softplus's threshold


def values_of(name: str, members: int) -> dict[str, list[float]]:
    """A value per member and parameter, within what is allowed."""
    row = registry.get(name)
    return {p.name: [p.default * (1.0 + 0.3 * m) for m in range(members)] for p in row.parameters}


@pytest.mark.parametrize("name", ROWS)
def test_values_and_gradients_are_each_members_own(name: str) -> None:
    row, members = registry.get(name), 4
    assert row.by_member is not None
    values = values_of(name, members)
    numbers = torch.cat([torch.randn(40, generator=torch.Generator().manual_seed(0)).double(), torch.tensor(TOUCHED)])
    x = numbers.expand(members, 2, -1).clone().requires_grad_()
    stacked = {key: torch.tensor(column, dtype=x.dtype).view(-1, 1, 1) for key, column in values.items()}
    y = row.by_member(x, **stacked)
    y.square().sum().backward()
    assert x.grad is not None
    for member in range(members):
        mine = numbers.expand(2, -1).clone().requires_grad_()
        want = row.function(mine, **{key: column[member] for key, column in values.items()})
        want.square().sum().backward()
        torch.testing.assert_close(y[member], want, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(x.grad[member], mine.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_type_is_kept_and_one_parameter_may_stay_a_number(name: str, dtype: torch.dtype) -> None:
    row = registry.get(name)
    assert row.by_member is not None
    first, *others = values_of(name, 3).items()
    y = row.by_member(
        torch.ones(3, 5, dtype=dtype),
        **{first[0]: torch.tensor(first[1]).view(-1, 1)},
        **{key: column[0] for key, column in others},
    )
    assert y.dtype == dtype and y.shape == (3, 5)


def test_what_a_search_varies_shares_a_call() -> None:
    """A parameter with a stated range is a tensor over members, or a weight."""
    searched = [row for row in registry.all() if any(parameter.search for parameter in row.parameters)]
    assert [row.name for row in searched if row.by_member is None and not row.learnable] == ["celu"]
    assert {"sine", "snake", "leaky_relu", "elu", "celu", "softplus", "threshold"} <= {row.name for row in searched}
