"""Which ways of writing are one value, and which are never taken for one another."""

from __future__ import annotations

import pandas as pd
import pytest

from autoact.data.columns.category_levels import as_levels, same_amount, same_value


@pytest.mark.parametrize(
    "one",
    [
        ("0", "-0", "-0.0", "0.0"),
        ("100000000000000000000", "1e+20", "1E+20"),
        ("2024-05-01", "2024-05-01 00:00:00", "2024-05-01T00:00", "2024-05-01 00:00:00.000"),
        ("2024-05-01 10:00:00.5", "2024-05-01T10:00:00.500000"),
        ("86400", "1 days", "1 days 00:00:00", "24:00:00", "86400.0"),
        ("true", "TRUE", "True"),
    ],
)
def test_one_value(one: tuple[str, ...]) -> None:
    assert len({same_value(text) for text in one}) == 1 and same_value(one[0]) is not None


@pytest.mark.parametrize("text", ["01", "1.50", "1E5", "12:30", "x", "2024-05", "", "1_000"])
def test_text_is_text(text: str) -> None:
    """A version 1.10 is not 1.1, a code 1E5 not 100000, 12:30 may be a ratio."""
    assert same_value(text) is None
    assert as_levels(pd.Series([text]), ["1", "1.5", "100000", "45000", "2024-05-01"]).tolist() == [text]


def test_amounts_are_compared_as_numbers() -> None:
    assert same_amount("2.50") == same_amount("2.5") == same_amount("25e-1") != same_amount("2.05")
