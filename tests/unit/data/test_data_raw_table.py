"""Raw rows by part; sealed ones only when the seal is open."""

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError, SealedError
from autoact.data.prepare import prepare
from autoact.data.raw_table import plain_text, raw_table
from autoact.data.settings import DataSettings


@pytest.fixture
def file(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(100) + 500, "x": random.normal(size=100), "city": ["a", "b"] * 50})
    frame["y"] = np.where(frame["x"] > 0, "yes", "no")
    path = tmp_path / "rows.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("limit", [None, 60])
def test_the_parts_are_those_of_prepare(file, limit):
    settings = DataSettings(path=str(file), target="y", drop=["id"], max_rows=limit)
    prepared, raw = prepare(settings, "classification"), raw_table(settings, "classification")
    assert raw.columns == ["id", "x", "city"] and raw.features == ["x", "city"]
    assert raw.validation()["id"].tolist() == (prepared.validation.rows + 500).tolist()
    assert list(raw.training_columns().index) == prepared.train.rows.tolist()
    prepared.test.open("a test")
    assert raw.test(prepared.test)["id"].tolist() == (prepared.test.rows + 500).tolist()
    assert raw.ids("id", "test") == (prepared.test.rows + 500).tolist()


def test_sealed_rows_stay_sealed(file):
    settings = DataSettings(path=str(file), target="y", drop=["id"])
    prepared = prepare(settings, "classification")
    with pytest.raises(SealedError):
        raw_table(settings, "classification").test(prepared.test)


def test_a_changed_file_is_noticed(file):
    settings = DataSettings(path=str(file), target="y", drop=["id"])
    prepared = prepare(settings, "classification")
    prepared.test.open("a test")
    frame = pd.read_csv(file)
    frame["x"] += 1
    frame.to_csv(file, index=False)
    with pytest.raises(AutoactError, match="has changed since the search began"):
        raw_table(settings, "classification").test(prepared.test)


def test_an_official_test_file_has_rows_of_its_own(file, tmp_path):
    other = tmp_path / "test.csv"
    pd.read_csv(file).head(10).to_csv(other, index=False)
    settings = DataSettings(path=str(file), test_path=str(other), target="y", drop=["id"])
    prepared, raw = prepare(settings, "classification"), raw_table(settings, "classification")
    prepared.test.open("a test")
    assert raw.own_test and raw.test(prepared.test)["id"].tolist() == list(range(500, 510))


def test_only_tables():
    with pytest.raises(AutoactError, match="a forecast has no table of rows"):
        raw_table(DataSettings(), "forecast")


def test_text_is_plain_objects():
    found = plain_text(pd.DataFrame({"a": pd.Series(["x", None], dtype="str"), "b": [1, 2]}))
    assert found["a"].dtype == object and found["b"].dtype == "int64" and found["a"].isna().tolist() == [False, True]
