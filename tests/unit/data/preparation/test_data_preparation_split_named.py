"""A column that is named for time or group decides the split, or a line says why it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.data.preparation.split import split_name
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings

KINDS = ["classification", "regression", "sequence_classification"]
ROWS = 200


@pytest.fixture
def table(tmp_path: Path) -> DataSettings:
    """Rows in no order of time, with a day and a shop."""
    random = np.random.default_rng(0)
    day = random.permutation(ROWS)
    frame = pd.DataFrame(
        {
            "a": random.normal(size=ROWS).round(3),
            "b": random.normal(size=ROWS).round(3),
            "day": day,
            "shop": [f"s{k}" for k in random.integers(0, 25, ROWS)],
            "y": random.integers(0, 2, ROWS),
        }
    )
    file = tmp_path / "t.csv"
    frame.to_csv(file, index=False)
    return DataSettings(path=str(file), target="y", drop=["day", "shop"])


def _column(settings: DataSettings, name: str, rows: np.ndarray) -> np.ndarray:
    return pd.read_csv(str(settings.path))[name].to_numpy()[rows]


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_column_splits_by_time(table: DataSettings, kind: str) -> None:
    named = replace(table, time="day", drop=["shop"])
    prepared = prepare(named, kind)
    parts = [prepared.train.rows, prepared.validation.rows, prepared.test.open("try").prepared.validation.rows]
    days = [_column(named, "day", rows) for rows in parts]
    assert prepared.split == "time" and "time split" in prepared.summary()
    assert days[0].max() < days[1].min() and days[1].max() < days[2].min()
    assert prepared.fingerprint == prepare(replace(named, split="time"), kind).fingerprint
    assert not prepared.notes or "split" not in prepared.notes[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_column_keeps_each_group_in_one_part(table: DataSettings, kind: str) -> None:
    named = replace(table, group="shop", drop=["day"])
    prepared = prepare(named, kind)
    parts = [prepared.train.rows, prepared.validation.rows, prepared.test.open("try").prepared.validation.rows]
    shops = [set(_column(named, "shop", rows)) for rows in parts]
    assert prepared.split == "group"
    assert not (shops[0] & shops[1] or shops[0] & shops[2] or shops[1] & shops[2])
    assert prepared.fingerprint == prepare(replace(named, split="group"), kind).fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_where_both_are_named_time_decides_and_the_note_says_how_to_change_that(table: DataSettings, kind: str) -> None:
    both = replace(table, time="day", group="shop", drop=[])
    prepared = prepare(both, kind)
    assert prepared.split == "time"
    assert prepared.notes[0] == (
        "rows are split by time (data.time=day): rows of one 'shop' can lie in several parts; data.split=group keeps "
        "each in one part"
    )
    other = prepare(replace(both, split="group"), kind)
    assert other.split == "group" and other.notes[0].startswith("rows are split by group (data.group=shop): data.time=")


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("split", ["random", "stratified"])
@pytest.mark.parametrize(("name", "column"), [("time", "day"), ("group", "shop")])
def test_a_split_that_ignores_the_named_column_is_refused(
    table: DataSettings, kind: str, split: str, name: str, column: str
) -> None:
    if (kind, split) == ("regression", "stratified"):
        return
    other = ({"day", "shop"} - {column}).pop()
    with pytest.raises(AutoactError, match=rf"data.split={split} and data.{name}={column} contradict each other"):
        prepare(replace(table, **{"split": split, name: column, "drop": [other]}), kind)


def test_a_study_of_other_parts_is_another_study(table: DataSettings) -> None:
    """Before the column decided, the split was stratified under the same settings: such trials are not gone on with."""
    named = replace(table, time="day", drop=["shop"])
    assert prepare(named, "classification").fingerprint != prepare(replace(table), "classification").fingerprint
    old = prepare(replace(table, drop=["day", "shop"]), "classification")
    assert old.split == "stratified"


def test_sequences_without_columns_refuse_a_time_or_group_column() -> None:
    for name in ("time", "group"):
        settings = DataSettings(source="sklearn", name="digits", **{name: "day"})
        with pytest.raises(AutoactError, match="name columns of a table: these sequences have none"):
            prepare(settings, "sequence_classification")


def test_a_part_of_one_class_is_refused_with_advice_that_works(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=100), "day": range(100)})
    frame["y"] = ["no" if k > 60 or k % 2 else "yes" for k in range(100)]
    frame.to_csv(tmp_path / "t.csv", index=False)
    settings = DataSettings(path=str(tmp_path / "t.csv"), target="y", time="day")
    said = (
        r"every validation row is of class 'no' after the time split.*: more rows, or data.split=stratified without "
        r"data.time=day \(data.drop=\[day\]\)"
    )
    with pytest.raises(AutoactError, match=said):
        prepare(settings, "classification")
    followed = replace(settings, time=None, split="stratified", drop=["day"])
    assert prepare(followed, "classification").split == "stratified"


def test_the_simulated_shop_keeps_what_is_named_beside_its_own_columns() -> None:
    prepared = prepare(DataSettings(source="simulated", name="demand", known=["price"]), "forecast")
    assert "price" in prepared.features and "promotion" not in prepared.features


@pytest.mark.parametrize(
    ("settings", "kind", "name"),
    [
        (DataSettings(split="random"), "regression", "random"),
        (DataSettings(group="g"), "classification", "group"),
        (DataSettings(group="g", time="t"), "classification", "time"),
        (DataSettings(group="g"), "forecast", "time"),
        (DataSettings(), "classification", "stratified"),
    ],
)
def test_what_auto_stands_for(settings: DataSettings, kind: str, name: str) -> None:
    assert split_name(settings, kind) == name
