"""Cost per million samples, by hand."""

from __future__ import annotations

import pytest

from autoact.core.errors import AutoactError
from autoact.latency.cost import cost_per_million


def test_cost_by_hand() -> None:
    # One sample per second at 3.6 per hour costs a thousandth each.
    assert cost_per_million(1000.0, 1, 3.6) == pytest.approx(1000.0)
    assert cost_per_million(1000.0, 500, 3.6) == pytest.approx(2.0)
    assert cost_per_million(5.0, 64, 0.0) == 0.0


@pytest.mark.parametrize(("batch", "price"), [(0, 1.0), (1, -0.1), (1, float("nan"))])
def test_nonsense_is_refused(batch: int, price: float) -> None:
    with pytest.raises(AutoactError):
        cost_per_million(1.0, batch, price)
