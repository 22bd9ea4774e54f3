"""Text of a csv file and typed values of a parquet file are the same row to a model."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from autoact.core.errors import AutoactError
from autoact.data.columns.typed_text import SECONDS, TRUTH, meaning, seconds_of
from autoact.data.prepare import prepare
from autoact.data.preprocessing_file import SavedPreprocessing
from autoact.data.settings import DataSettings

ROWS = 200


def days(draw: np.random.Generator) -> object:
    return pd.to_datetime(draw.choice(["2020-01-01", "2021-02-03"], ROWS))


# Name -> values, and how the columns are declared.
COLUMNS: dict[str, tuple[Callable[[np.random.Generator], object], str]] = {
    "truth": (lambda draw: draw.random(ROWS) < 0.5, "numeric"),
    "durations": (lambda draw: pd.to_timedelta(draw.integers(0, 10**6, ROWS), "s"), "numeric"),
    "times": (lambda draw: [datetime.time(int(h), 30) for h in draw.integers(0, 24, ROWS)], "numeric"),
    "duration levels": (lambda draw: pd.to_timedelta(draw.integers(0, 3, ROWS), "D"), "categorical"),
    "time levels": (lambda draw: [datetime.time(int(h)) for h in draw.integers(0, 3, ROWS)], "categorical"),
    "dates": (days, "categorical"),
    "moments": (lambda draw: days(draw) + pd.Timedelta("0.5s"), "categorical"),  # type: ignore[operator]
    "negative zero": (lambda draw: draw.choice([-0.0, 1.0, 2.5], ROWS), "categorical"),
    "large": (lambda draw: draw.choice([1e20, 1e16, 3.5], ROWS), "categorical"),
    "decimals": (lambda draw: [Decimal(int(v)).scaleb(-2) for v in draw.choice([100, 250], ROWS)], "categorical"),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("trained", ["csv", "parquet"])
def test_a_row_is_the_same_whatever_the_format(tmp_path: Path, name: str, trained: str) -> None:
    draw = np.random.default_rng(0)
    values, kind = COLUMNS[name]
    frame = pd.DataFrame({"a": values(draw), "b": draw.normal(size=ROWS), "y": draw.choice(["u", "v"], ROWS)})
    files = {ending: str(tmp_path / f"t.{ending}") for ending in ("csv", "parquet")}
    frame.to_csv(files["csv"], index=False)
    frame.to_parquet(files["parquet"])
    given = DataSettings(source=trained, path=files[trained], target="y", **{kind: ["a"]})  # type: ignore[arg-type]
    prepared = prepare(given, "classification")
    saved = SavedPreprocessing.from_json(SavedPreprocessing.of(prepared, given, "sigmoid").to_json())
    read = {ending: saved.read(file) for ending, file in files.items()}
    encoded = saved.encode(read["csv"])
    assert torch.equal(saved.encode(read["parquet"]), encoded)
    assert len(torch.unique(encoded[:, 1:] if kind == "categorical" else encoded[:, :1], dim=0)) > 1
    for rows in read.values():
        assert torch.equal(saved.encode(rows.iloc[[7, 3]]), encoded[[7, 3]])
        assert saved.unfamiliar(rows) == []
    # Files of models that were trained before hold neither: they load, and encode the same.
    before = SavedPreprocessing.from_json(_without(saved.to_json(), "amounts", "meanings"))
    assert torch.equal(before.encode(read[trained]), encoded)


def _without(text: str, *keys: str) -> str:
    return json.dumps({key: value for key, value in json.loads(text).items() if key not in keys})


def test_what_numbers_stand_for_is_told_where_training_had_something_else(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"age": draw.integers(20, 80, ROWS), "y": draw.choice(["u", "v"], ROWS)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    given = DataSettings(path=str(tmp_path / "t.csv"), target="y")
    saved = SavedPreprocessing.of(prepare(given, "classification"), given, "sigmoid")
    told = "column 'age' holds truth values, read as 1 and 0; training had plain numbers there"
    assert saved.unfamiliar(pd.DataFrame({"age": [True, False]})) == [told]
    assert saved.unfamiliar(pd.DataFrame({"age": ["TRUE", "False"]})) == [told]
    assert "read as seconds" in saved.unfamiliar(pd.DataFrame({"age": [datetime.time(7)]}))[0]
    assert saved.unfamiliar(pd.DataFrame({"age": [33, "44"]})) == []
    with pytest.raises(AutoactError, match="row 2 holds 'True': correct it"):
        saved.encode(pd.DataFrame({"age": ["33", "True"]}))


def test_times_in_a_csv_file_are_offered_as_seconds_and_read_so(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    times = [f"{h:02d}:{m:02d}" for h, m in zip(draw.integers(0, 24, ROWS), draw.integers(0, 60, ROWS), strict=True)]
    pd.DataFrame({"a": times, "y": draw.choice(["u", "v"], ROWS)}).to_csv(tmp_path / "t.csv", index=False)
    given = DataSettings(path=str(tmp_path / "t.csv"), target="y")
    with pytest.raises(AutoactError, match=r"holds times or durations, as .* data\.numeric=\[a\] reads them as"):
        prepare(given, "classification")
    prepared = prepare(DataSettings(path=given.path, target="y", numeric=["a"]), "classification")
    assert prepared.features == ["a"]
    seconds = int(times[0][:2]) * 3600 + int(times[0][3:]) * 60
    assert f"{times[0]!r} is read as {seconds} seconds" in prepared.notes[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("P1DT1M", 86460.0),
        ("-00:00:01", -1.0),
        ("1 day, 2:03:04", 93784.0),
        ("24:61", None),
        ("1:2", None),
        ("P", None),
    ],
)
def test_seconds(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_the_meaning_of_typed_columns() -> None:
    assert meaning(pd.Series([True, None], dtype="boolean")) == TRUTH
    assert meaning(pd.Series([datetime.timedelta(1), None], dtype=object)) == SECONDS
    assert meaning(pd.Series([1.0])) is None and meaning(pd.Series([None, None], dtype=object)) is None
