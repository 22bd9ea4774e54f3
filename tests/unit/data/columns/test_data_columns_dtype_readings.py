"""Every dtype of pandas and of Arrow has one reading: the table of ``dtype_readings``, row by row."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoact.core.errors import AutoactError
from autoact.data.columns.column_types import conform, infer
from autoact.data.columns.dtype_readings import tidy
from autoact.data.settings import DataSettings
from autoact.data.sources.load import load_table

NAN = float("nan")
DAY = datetime.date(2020, 1, 2)
NOON = datetime.datetime(2020, 1, 2, 12)
SECONDS = [datetime.timedelta(seconds=5), None, datetime.timedelta(days=1)]

ARROW = [
    (pa.array([1, None, 3], pa.int8()), "numeric", [1.0, NAN, 3.0]),
    (pa.array([1, 2, 3], pa.uint64()), "numeric", [1.0, 2.0, 3.0]),
    (pa.array([0.5, None, 1.0], pa.float32()), "numeric", [0.5, NAN, 1.0]),
    (pa.array([Decimal("1.50"), None, Decimal("2.00")], pa.decimal128(9, 2)), "numeric", [1.5, NAN, 2.0]),
    (pa.array([True, None, False]), "category", ["True", NAN, "False"]),
    (pa.array([True, True, False]), "category", ["True", "True", "False"]),
    (pa.array(["a", None, "b"]), "category", ["a", NAN, "b"]),
    (pa.array(["a", "b", "a"], pa.large_string()), "category", ["a", "b", "a"]),
    (pa.array(["1", None, "2.5"]), "numeric", [1.0, NAN, 2.5]),
    (pa.array(["01", "02", "03"]), "category", ["01", "02", "03"]),
    (pa.array([7, None, 8]).dictionary_encode(), "category", ["7", NAN, "8"]),
    (pa.array(["7", "7", "8"]).dictionary_encode(), "category", ["7", "7", "8"]),
    (pa.array(SECONDS, pa.duration("us")), "numeric", [5.0, NAN, 86400.0]),
    (pa.array([datetime.time(1, 0, 1), None, datetime.time(0)], pa.time64("us")), "numeric", [3601.0, NAN, 0.0]),
    (pa.array([DAY, DAY, None], pa.date32()), "holds dates", None),
    (pa.array([NOON, NOON, None], pa.timestamp("us")), "holds dates", None),
    (pa.array([NOON, NOON, None], pa.timestamp("us", tz="Europe/Berlin")), "holds dates", None),
    (pa.array([b"a", b"b", None]), "holds values of type bytes", None),
    (pa.array([[1], [2, 3], None]), "holds values of type ndarray", None),
    (pa.array([{"a": 1}, {"a": 2}, None]), "holds values of type dict", None),
]
PANDAS = [
    (pd.Series([1, None, 3], dtype="Int64"), "numeric", [1.0, NAN, 3.0]),
    (pd.Series([1.5, None, 3], dtype="Float32"), "numeric", [1.5, NAN, 3.0]),
    (pd.Series([True, None, False], dtype="boolean"), "category", ["True", NAN, "False"]),
    (pd.Series(["a", None, "b"], dtype="string"), "category", ["a", NAN, "b"]),
    (pd.Series(pd.Categorical([3, None, 1])), "category", ["3", NAN, "1"]),
    (pd.Series(pd.Categorical([3.0, 2.5, 1.0])), "category", ["3", "2.5", "1"]),
    (pd.Series(pd.Categorical([True, False, True])), "category", ["True", "False", "True"]),
    (pd.Series(SECONDS, dtype="timedelta64[ns]"), "numeric", [5.0, NAN, 86400.0]),
    (pd.Series(pd.arrays.SparseArray([0.0, 1.0, NAN])), "numeric", [0.0, 1.0, NAN]),
    (pd.Series([1, 2.5, None], dtype=object), "numeric", [1.0, 2.5, NAN]),
    (pd.Series([Decimal("1.50"), None, 2], dtype=object), "numeric", [1.5, NAN, 2.0]),
    (pd.Series([1, "b", 1.0], dtype=object), "category", ["1", "b", "1"]),
    (pd.Series([True, "b", 2.5], dtype=object), "category", ["True", "b", "2.5"]),
    (pd.Series([True, None, False], dtype=object), "category", ["True", NAN, "False"]),
    (pd.Series(pd.interval_range(0, 3)), "category", ["(0, 1]", "(1, 2]", "(2, 3]"]),
    (pd.Series(pd.period_range("2020", periods=3, freq="M")), "holds dates", None),
    (pd.Series([DAY, DAY, None], dtype=object), "holds dates", None),
    (pd.Series([1 + 2j, 2, 3]), "holds values of type complex", None),
    (pd.Series([{1}, {2}, {3}]), "holds values of type set", None),
]


def check(frame: pd.DataFrame, reading: str, values: list | None) -> None:
    trimmed = tidy(frame, ["", "?"])
    if values is None:
        with pytest.raises(AutoactError, match=rf"column 'c' {reading}.*data\.drop=\[c\] leaves") as caught:
            infer(trimmed, DataSettings())
        assert "\n" not in str(caught.value)
        return
    found = infer(trimmed, DataSettings())
    assert found.schema == {"c": reading}
    assert conform(trimmed, found.schema)["c"].tolist() == pytest.approx(values, nan_ok=True)


@pytest.mark.parametrize(("values", "reading", "wanted"), ARROW, ids=lambda v: str(getattr(v, "type", ""))[:40])
def test_arrow_by_way_of_parquet(tmp_path: Path, values: pa.Array, reading: str, wanted: list | None) -> None:
    pq.write_table(pa.table({"c": values}), tmp_path / "t.parquet")
    check(load_table(DataSettings(source="parquet", path=str(tmp_path / "t.parquet"))).frame, reading, wanted)


@pytest.mark.parametrize(("values", "reading", "wanted"), ARROW, ids=lambda v: str(getattr(v, "type", ""))[:40])
def test_arrow_in_memory(values: pa.Array, reading: str, wanted: list | None) -> None:
    column = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([values])))
    check(pd.DataFrame({"c": column}), reading, wanted)


@pytest.mark.parametrize(("column", "reading", "wanted"), PANDAS, ids=lambda v: str(getattr(v, "dtype", ""))[:40])
def test_pandas(column: pd.Series, reading: str, wanted: list | None) -> None:
    check(pd.DataFrame({"c": column}), reading, wanted)


def test_a_category_of_integers_survives_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"k": pd.Categorical([3, 1, 3])}).to_parquet(tmp_path / "t.parquet")
    frame = load_table(DataSettings(source="parquet", path=str(tmp_path / "t.parquet"))).frame
    assert infer(tidy(frame, [""]), DataSettings()).schema == {"k": "category"}


def test_a_named_index_is_data_and_an_unnamed_one_is_not(tmp_path: Path) -> None:
    settings = DataSettings(source="parquet", path=str(tmp_path / "t.parquet"))
    frame = pd.DataFrame({"a": [1, 2]})
    frame.set_index(pd.Index([5, 6], name="age")).to_parquet(settings.path)
    assert load_table(settings).frame.to_dict("list") == {"age": [5, 6], "a": [1, 2]}
    frame.set_index(pd.Index([5, 6])).to_parquet(settings.path)
    assert list(load_table(settings).frame.columns) == ["a"]
    index = pd.MultiIndex.from_arrays([[5, 6], ["x", "y"]], names=["age", None])
    frame.set_index(index).to_parquet(settings.path)
    assert list(load_table(settings).frame.columns) == ["age", "a"]
    frame.set_index(pd.Index([5, 6], name="a")).to_parquet(settings.path)
    with pytest.raises(AutoactError, match="an index and a column that are both named 'a': rename one"):
        load_table(settings)


def test_columns_named_with_integers_are_text(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(pd.DataFrame({0: [1, 2], 7: pd.Categorical([3, 4])}))
    pq.write_table(table, tmp_path / "t.parquet")
    frame = load_table(DataSettings(source="parquet", path=str(tmp_path / "t.parquet"))).frame
    assert infer(tidy(frame, []), DataSettings()).schema == {"0": "numeric", "7": "category"}


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AutoactError, match="2 columns named 'a': rename them"):
        tidy(pd.DataFrame([[1, 2]], columns=["a", "a"]), [])
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(AutoactError, match=r"named 'a'|cannot be read as parquet"):
        tidy(load_table(DataSettings(source="parquet", path=str(tmp_path / "t.parquet"))).frame, [])


def test_a_mark_that_is_a_number_marks_numbers_too() -> None:
    frame = pd.DataFrame({"a": [1.0, -999.0], "b": ["x", "-999"], "c": [1, -999], "d": [1.0, np.inf]})
    found = tidy(frame, ["-999", "inf"])
    assert found.isna().to_numpy().tolist() == [[False] * 4, [True] * 4]


def test_declared_numbers_that_are_dates_or_lists_are_refused() -> None:
    for values in (pd.date_range("2020", periods=3), pd.Series([[1], [2], [3]])):
        with pytest.raises(
            AutoactError, match=r"must hold numbers, but it holds|holds values of type list|holds dates"
        ):
            frame = pd.DataFrame({"c": values})
            conform(frame, infer(frame, DataSettings(numeric=["c"])).schema)
