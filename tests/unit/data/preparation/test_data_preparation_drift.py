"""Column profiles and the population stability index."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from autoact.data.preparation.drift import BINS, LEVELS, chance_level, drift, profile, psi, shares
from autoact.data.prepare import prepare
from autoact.data.raw_table import raw_table
from autoact.data.settings import DataSettings

SCHEMA = {"age": "numeric", "flag": "numeric", "city": "category"}


def rows(count, seed=0, age=0.0, city=("a", "b")):
    """Rows with ``age`` moved by so much."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": random.normal(40 + age, 10, count),
            "flag": random.integers(0, 2, count).astype("float64"),
            "city": random.choice(list(city), count).astype(object),
        }
    )


def test_a_profile_is_small_plain_data():
    frame = rows(500, city=[f"city {k}" for k in range(60)])
    found = json.loads(json.dumps(profile(frame, SCHEMA)))
    assert found["rows"] == 500
    age, flag, city = found["columns"]
    assert len(age["edges"]) == BINS - 1 and len(age["shares"]) == BINS + 1
    assert age["shares"] == pytest.approx([0.1] * BINS + [0.0], abs=0.01)
    assert flag["edges"] == [0.0, 1.0]
    assert len(city["levels"]) == LEVELS and len(city["shares"]) == LEVELS + 2
    assert all(math.isclose(sum(column["shares"]), 1, abs_tol=1e-4) for column in (age, flag, city))


def test_rest_and_missing_have_bins_of_their_own():
    entry = {"kind": "category", "levels": ["a"], "shares": []}
    assert shares(entry, pd.Series(["a", "x", "y", None])) == [0.25, 0.5, 0.25]
    entry = {"kind": "numeric", "edges": [1.0], "shares": []}
    assert shares(entry, pd.Series([1, 2, "text", None], dtype=object)) == [0.25, 0.25, 0.5]


def test_numbers_as_categories_match_their_text():
    entry = {"kind": "category", "levels": ["1", "2"], "shares": []}
    assert shares(entry, pd.Series([1.0, 2.0, 2.0, np.nan])) == [0.25, 0.5, 0.0, 0.25]


def test_psi_by_hand():
    expected = sum((a - e) * math.log(a / e) for a, e in ((0.7, 0.5), (0.3, 0.5)))
    assert psi([0.5, 0.5], [0.7, 0.3], (10**9, 10**9)) == pytest.approx(expected, rel=1e-6)


def test_an_empty_bin_stays_finite():
    assert 0.25 < psi([0.5, 0.5, 0.0], [0.5, 0.0, 0.5], (100, 100)) < 10


def test_bins_must_agree():
    with pytest.raises(ValueError, match="2 and 1 bins"):
        psi([0.5, 0.5], [1.0])


def test_the_same_rows_have_not_moved():
    frame = rows(300)
    assert [one.psi for one in drift(profile(frame, SCHEMA), frame)] == [0.0, 0.0, 0.0]


def test_what_moved_comes_first():
    found = drift(profile(rows(2000), SCHEMA), rows(2000, seed=1, age=15.0, city=("a", "c")))
    assert [one.name for one in found] == ["city", "age", "flag"]
    assert found[0].psi > 0.25 and found[1].psi > 0.25 and found[2].psi < found[2].chance


def test_a_column_that_is_gone_comes_before_all():
    first, *_ = drift(profile(rows(100), SCHEMA), rows(100).drop(columns="flag"))
    assert (first.name, first.psi) == ("flag", None)


def test_chance_is_exceeded_as_often_as_it_says():
    random, level = np.random.default_rng(0), chance_level(10, (1000, 400))
    above = 0
    for _ in range(400):
        old, new = random.multinomial(1000, [0.1] * 10) / 1000, random.multinomial(400, [0.1] * 10) / 400
        above += psi(old, new, (1000, 400)) > level
    assert 0.02 < above / 400 < 0.085


def test_prepared_tables_carry_the_profile_of_training_rows_alone():
    settings = DataSettings(source="sklearn", name="wine")
    prepared = prepare(settings, "classification")
    assert prepared.profile["rows"] == prepared.sizes["train"]
    assert [column["name"] for column in prepared.profile["columns"]] == list(prepared.frame_schema)


@pytest.mark.parametrize("values", [["1.0", "2.0"], ["1", "2"], [1, 2], [1.0, 2.0]])
def test_another_way_to_write_a_column_is_no_drift(values):
    old = pd.DataFrame({"k": ["1.0", "2.0"] * 100})
    (found,) = drift(profile(old, {"k": "category"}), pd.DataFrame({"k": values * 100}))
    assert found.psi == 0.0


def test_truth_values_and_codes_of_another_file_are_no_drift(tmp_path):
    for levels, now in ((["TRUE", "FALSE", "UNKNOWN"], ["TRUE", "FALSE"]), (["01", "02", "1A"], ["01", "02"])):
        count = 3000
        random = np.random.default_rng(0)
        chance = [0.499, 0.499, 0.002]
        old = pd.DataFrame({"k": random.choice(levels, count, p=chance), "y": random.choice(["a", "b"], count)})
        old.to_csv(tmp_path / "old.csv", index=False)
        old[old["k"].isin(now)].to_csv(tmp_path / "new.csv", index=False)
        stored = prepare(DataSettings(path=str(tmp_path / "old.csv"), target="y"), "classification").profile
        rows = raw_table(DataSettings(path=str(tmp_path / "new.csv"), target="y"), "classification")
        (found,) = drift(stored, rows.training_columns())
        assert found.psi < 0.05
