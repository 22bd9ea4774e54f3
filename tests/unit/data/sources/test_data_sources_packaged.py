"""The sets that come along: whole, small, licensed, and read as the files that they were made from."""

from __future__ import annotations

import numpy as np
import pytest

from autoact.core.errors import AutoactError
from autoact.data.prepare import prepare
from autoact.data.settings import PACKAGED, DataSettings
from autoact.data.sources.load import load_table
from autoact.data.sources.packaged import FOLDER, packaged_set

# Rows and columns, rows of the official test file, and what the target adds up to or how often it is positive.
KNOWN = {
    "churn": ((7043, 21), 0, lambda frame: (frame["Churn"] == "Yes").sum(), 1869),
    "credit": ((24000, 24), 0, lambda frame: frame["default"].sum(), 5306),
    "income": ((32561, 15), 16281, lambda frame: (frame["income"] == ">50K").sum(), 7841),
    "houses": ((20640, 10), 0, lambda frame: (frame["median_house_value"] == 500001).sum(), 965),
    "bike": ((17379, 15), 0, lambda frame: frame["cnt"].sum(), 3292679),
}


@pytest.mark.parametrize("name", PACKAGED)
def test_each_set_is_whole(name: str) -> None:
    shape, test_rows, count, expected = KNOWN[name]
    table = load_table(DataSettings(source="packaged", name=name))
    assert table.frame.shape == shape and not table.simulated
    assert (0 if table.test_frame is None else len(table.test_frame)) == test_rows
    assert count(table.frame) == expected
    assert table.description == f"packaged set {name}"


@pytest.mark.parametrize("name", PACKAGED)
def test_each_set_names_its_source_and_its_licence(name: str) -> None:
    found = packaged_set(name)
    assert found.licence in ("Apache License 2.0", "CC BY 4.0")
    for word in ("Source: ", "Changed: ", f"{name}.parquet"):
        assert word in found.notice


def test_together_they_are_small_and_nothing_else_lies_beside_them() -> None:
    files = {file.name for file in FOLDER.iterdir()}
    owned = {f"{name}.txt" for name in PACKAGED} | {packaged_set(name).file.name for name in PACKAGED}
    assert files == owned | {packaged_set(name).test_file.name for name, own in PACKAGED.items() if own}
    assert sum(packaged_set(name).size for name in PACKAGED) < 2_000_000


def test_an_official_test_file_is_the_test_part() -> None:
    given = DataSettings(source="packaged", name="income", target="income", label_strip=".", test=0.9)
    prepared = prepare(given, "classification")
    assert prepared.sizes == {"train": 27677, "validation": 4884, "test": 16281}
    # 3,846 of the official test rows earn more, as the source says.
    assert int(prepared.test.open("try").prepared.validation.y.sum()) == 3846
    assert "workclass_missing" in prepared.features  # its question marks


def test_hours_are_in_order_and_the_last_fifth_is_the_test_part() -> None:
    given = DataSettings(source="packaged", name="bike", target="cnt", time="instant", drop=["dteday"])
    prepared = prepare(given, "regression")
    assert prepared.sizes == {"train": 11296, "validation": 2607, "test": 3476}
    assert np.array_equal(prepared.test.open("try").prepared.validation.rows, np.arange(17379 - 3476, 17379))


def test_an_unknown_set_is_answered_with_the_nearest() -> None:
    with pytest.raises(AutoactError, match=r"set that comes along \(data.name\) 'huoses': did you mean houses"):
        packaged_set("huoses")
