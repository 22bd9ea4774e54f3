"""Numbers of other tools and scripts are named, with what they are; columns of them are never *nearly unique text*."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.data.columns.column_types import conform, infer
from autoact.data.columns.foreign_notations import plainly
from autoact.data.columns.month_names import date_form
from autoact.data.settings import DataSettings

DRAW = np.random.default_rng(0)
NUMBERS = DRAW.integers(1000, 99_999, 200)
WAYS = {
    "fortran": [f"{v / 7:.3f}D+02" for v in NUMBERS],
    "underscores": [f"{v:_d}" for v in NUMBERS],
    "quotes": [f'"{v}"' for v in NUMBERS],
    "hex": [hex(v) for v in NUMBERS],
    "full width": ["".join(chr(0xFF10 + int(c)) for c in str(v)) for v in NUMBERS],
    "arabic": ["".join(chr(0x660 + int(c)) for c in str(v)) for v in NUMBERS],
}


@pytest.mark.parametrize("way", WAYS)
def test_the_notation_is_named_and_the_advice_holds(way: str) -> None:
    column = pd.Series(WAYS[way], name="a", dtype=object)
    with pytest.raises(AutoactError, match=r"holds numbers written as in .* write them so in the file") as caught:
        infer(column.to_frame(), DataSettings())
    assert "decimal" not in str(caught.value) and "drop" not in str(caught.value)
    written = column.map(plainly)
    assert f"which are {written[0]} and the like" in str(caught.value)
    assert infer(written.to_frame(), DataSettings()).schema == {"a": "numeric"}
    assert infer(column.to_frame(), DataSettings(categorical=["a"])).schema == {"a": "category"}
    few = infer(pd.DataFrame({"a": WAYS[way][:3] * 9}), DataSettings())
    assert few.schema == {"a": "category"} and "written as in" in str(few.remarks[0])


def test_one_such_value_among_numbers_is_told_as_what_it_is() -> None:
    with pytest.raises(AutoactError, match="row 2 holds '0x1f': write it as 31"):
        conform(pd.DataFrame({"a": ["1", "0x1f"]}), {"a": "numeric"})


@pytest.mark.parametrize("text", ["12", "-1.5e3", "x", "1_2", "12_34", "D2", "''", "0x", "A1", "1D"])
def test_what_is_no_such_number(text: str) -> None:
    assert plainly(text) is None


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["25JAN2020", "01mar2021"], "%d%b%Y"),
        (["5-Feb-2020", "15-Mar-2021"], "%d-%b-%Y"),
        (["January 5, 2020", "May 6, 2021"], "%B %d, %Y"),
        (["25JAN2020:10:00:00"], "%d%b%Y:%H:%M:%S"),
        (["2020-01", "2020-12"], "%Y-%m"),
        (["2020-21", "2021-22"], None),
        (["may", "june"], None),
    ],
)
def test_dates_with_names_of_months(values: list[str], form: str | None) -> None:
    assert date_form(pd.Series(values)) == form


def test_dates_with_names_of_months_are_told_and_the_advice_holds() -> None:
    frame = pd.DataFrame({"day": ["25JAN2020", "26FEB2021", "01MAR2022"] * 20})
    found = infer(frame, DataSettings())
    assert "data.time=day \"data.time_format='%d%b%Y'\" orders the split by them" in str(found.remarks[0])
    many = pd.date_range("2020-01-01", periods=60).strftime("%d%b%Y").to_frame(name="day").reset_index(drop=True)
    with pytest.raises(AutoactError, match="holds dates, as '01Jan2020' in row 1"):
        infer(many, DataSettings())
    assert infer(many, DataSettings(categorical=["day"])).remarks == []
