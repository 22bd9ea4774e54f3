"""A recommendation's columns decide how another file is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.data.columns_of_search import as_searched
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings

ROWS = 200


def table(path: Path, **columns: object) -> DataSettings:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "code": draw.choice(["1", "2", "X"], ROWS),
            "zip": draw.choice(["02134", "90210"], ROWS),
            "age": draw.integers(20, 80, ROWS),
            "y": draw.choice(["u", "v"], ROWS),
        }
    ).assign(**columns)  # type: ignore[arg-type]
    frame.to_csv(path, index=False)
    return DataSettings(path=str(path), target="y")


def profile(tmp_path: Path) -> dict[str, object]:
    return prepare(table(tmp_path / "old.csv"), "classification").profile


def test_the_same_columns_are_left_as_they_are(tmp_path: Path) -> None:
    given = table(tmp_path / "old.csv")
    assert as_searched(given, profile(tmp_path)) == (given, [])
    assert as_searched(given, {}) == (given, [])


def test_a_category_stays_one_where_the_file_holds_numbers_alone(tmp_path: Path) -> None:
    new = table(tmp_path / "new.csv", code=["1", "2"] * (ROWS // 2), zip=90210)
    assert prepare(new, "classification").frame_schema["code"] == "numeric"
    found, notes = as_searched(new, profile(tmp_path))
    assert prepare(found, "classification").frame_schema == {"code": "category", "zip": "category", "age": "numeric"}
    assert len(notes) == 2 and "data.numeric=[code] reads numbers" in notes[0]
    # The advice holds: what the user declares stays, and the line is gone.
    mine, notes = as_searched(DataSettings(path=new.path, target="y", numeric=["code"]), profile(tmp_path))
    assert prepare(mine, "classification").frame_schema["code"] == "numeric"
    assert len(notes) == 1 and "zip" in notes[0]


def test_a_number_is_no_category_for_a_word_in_every_ninth_row(tmp_path: Path) -> None:
    ages = pd.Series(range(20, 20 + ROWS)).astype(object).where(np.arange(ROWS) % 9 > 0, "many")
    new = table(tmp_path / "new.csv", age=ages)
    wanted = r"column 'age' must hold numbers, but row 1 holds 'many': .*; the search read numbers there, and data.cat"
    with pytest.raises(AutoactError, match=wanted):
        as_searched(new, profile(tmp_path))
    # The advice holds.
    mine = DataSettings(path=new.path, target="y", categorical=["age"])
    assert as_searched(mine, profile(tmp_path)) == (mine, [])


def test_further_and_lost_columns_are_told(tmp_path: Path) -> None:
    more = table(tmp_path / "new.csv", extra=range(ROWS))
    _, notes = as_searched(more, profile(tmp_path))
    assert notes == ["column 'extra' is learnt from here and not in the search: data.drop=[extra] leaves it out"]
    less = DataSettings(path=more.path, target="y", drop=["extra", "age"])
    assert as_searched(less, profile(tmp_path))[1] == [
        "the search learnt from 'age', which nothing is learnt from here"
    ]
