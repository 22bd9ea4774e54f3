"""What each column is: numbers, categories, and what is neither."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.data.columns.column_types import as_text, conform, infer, numbers
from autoact.data.columns.dtype_readings import tidy
from autoact.data.columns.time_order import order_of
from autoact.data.settings import DataSettings


def test_kinds_are_inferred_from_values() -> None:
    frame = pd.DataFrame(
        {
            "number": [1.5, 2.5, None],
            "text": ["a", "b", "a"],
            "number as text": ["1", " ", "2.5"],
            "truth": [True, False, True],
            "code": [1, 2, 1],
            "level": pd.Categorical(["x", "y", "x"]),
        }
    )
    schema = infer(tidy(frame, ["", "?"]), DataSettings(categorical=["code"])).schema
    assert schema == {
        "number": "numeric",
        "text": "category",
        "number as text": "numeric",
        "truth": "category",
        "code": "category",
        "level": "category",
    }
    done = conform(tidy(frame, [""]), schema)
    assert done["number as text"].tolist()[::2] == [1.0, 2.5] and np.isnan(done["number as text"][1])
    assert done["code"].tolist() == ["1", "2", "1"] and done["truth"].tolist() == ["True", "False", "True"]


def test_pandas_nullable_and_objects_are_understood() -> None:
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "truth": pd.array([True, None, False], dtype="boolean"),
            "mixed": pd.Series([True, None, False], dtype=object),
        }
    )
    trimmed = tidy(frame, [""])
    schema = infer(trimmed, DataSettings()).schema
    assert schema == {"whole": "numeric", "truth": "category", "mixed": "category"}
    done = conform(trimmed, schema)
    assert done["whole"].dtype == "float64" and done["whole"].isna().tolist() == [False, True, False]
    assert done["truth"].dropna().tolist() == done["mixed"].dropna().tolist() == ["True", "False"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None] * 200, "holds no value at all"),
        ([f"id-{k}" for k in range(200)], "nearly every value is unique .*data.drop="),
        ([f"2024-01-{k % 28 + 1:02d}" for k in range(200)], "holds dates: data.time="),
        ([f"{k % 12 + 1}/3/2011 10:00" for k in range(200)], "holds dates"),
        (list(pd.date_range("2020-01-01", periods=200)), "holds dates"),
        ([datetime.date(2020, 1, k % 28 + 1) for k in range(200)], "holds dates"),
        ([str(k) for k in range(199)] + ["many"], "holds numbers, but row 200 holds 'many': add it to data.missing"),
    ],
)
def test_columns_that_can_be_neither(values: list, message: str) -> None:
    frame = tidy(pd.DataFrame({"col": values}), [""])
    with pytest.raises(AutoactError, match=message):
        infer(frame, DataSettings())


def test_unique_text_in_a_small_table_is_allowed() -> None:
    frame = pd.DataFrame({"a": [f"x{k}" for k in range(20)]})
    assert infer(frame, DataSettings()).schema == {"a": "category"}


def test_declared_numbers_name_column_row_and_value() -> None:
    column = pd.Series(["1", None, "abc"], name="TotalCharges")
    with pytest.raises(AutoactError, match="column 'TotalCharges' must hold numbers, but row 3 holds 'abc'"):
        numbers(column)
    with pytest.raises(AutoactError, match="column 'x' of the test file holds an infinite value in row 2"):
        numbers(pd.Series([1.0, np.inf], name="x"), "the test file")


def test_conform_wants_every_column() -> None:
    with pytest.raises(AutoactError, match="the test file has no column 'b'"):
        conform(pd.DataFrame({"a": [1]}), {"a": "numeric", "b": "numeric"}, "the test file")


def test_text_of_numbers_and_missing() -> None:
    # Each value by itself: that another one is broken must not change how a whole one is written.
    assert as_text(pd.Series([1.0, 2.5])).tolist() == ["1", "2.5"]
    text = as_text(pd.Series(["a", None]))
    assert text[0] == "a" and pd.isna(text[1])


def test_blanks_stay_where_they_are_wanted() -> None:
    frame = tidy(pd.DataFrame({"a": [" x", "?"]}), ["?"], strip=False)
    assert frame["a"][0] == " x" and pd.isna(frame["a"][1])


def test_moments_are_ordered_whatever_their_form() -> None:
    iso = order_of(pd.Series(["2020-01-02", "2020-01-01"]), None)
    stamps = order_of(pd.Series(pd.to_datetime(["2020-01-02", "2020-01-01"])), None)
    german = order_of(pd.Series(["02.01.2020", "01.01.2020"]), "%d.%m.%Y")
    assert iso.tolist() == stamps.tolist() == german.tolist() == [1577923200.0, 1577836800.0]
    assert order_of(pd.Series([3, 1]), None).tolist() == [3.0, 1.0]
    assert order_of(pd.Series([202003, 202001]), "%Y%m").tolist() == [1583020800.0, 1577836800.0]


def test_moments_that_cannot_be_read() -> None:
    with pytest.raises(AutoactError, match=r"time column 't' cannot be read as dates .*data.time_format"):
        order_of(pd.Series(["13/01/2020", "01/13/2020"], name="t"), None)
    with pytest.raises(AutoactError, match="time column 't' cannot be read as dates"):
        order_of(pd.Series(["soon", "later"], name="t"), None)
    with pytest.raises(AutoactError, match="time column 't' has no value in row 2"):
        order_of(pd.Series(["2020-01-01", None], name="t"), None)
