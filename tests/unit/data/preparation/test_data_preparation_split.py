"""Splits: shares, disjointness, and what cannot be divided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autoact.core.errors import AutoactError
from autoact.data.preparation.split import Split, split_name, split_rows
from autoact.data.settings import DataSettings


def _whole(split: Split) -> list[int]:
    return sorted(np.concatenate([split.train, split.validation, split.test]).tolist())


@pytest.mark.parametrize("how", ["stratified", "random", "time", "group"])
def test_parts_are_disjoint_complete_and_reproducible(how: str) -> None:
    random = np.random.default_rng(1)
    details: dict[str, Any] = {
        "classes": random.integers(0, 3, 500),
        "order": random.integers(0, 90, 500).astype(float),
        "groups": random.integers(0, 60, 500),
    }
    split = split_rows(500, how, DataSettings(seed=4), **details)
    again = split_rows(500, how, DataSettings(seed=4), **details)
    assert _whole(split) == list(range(500))
    assert all(np.array_equal(getattr(split, p), getattr(again, p)) for p in ("train", "validation", "test"))
    assert abs(split.sizes["test"] - 100) <= 10 and abs(split.sizes["validation"] - 75) <= 10


def test_seed_changes_the_random_split() -> None:
    first, other = (split_rows(200, "random", DataSettings(seed=s)) for s in (0, 1))
    assert not np.array_equal(first.test, other.test)


def test_stratified_keeps_shares_of_a_rare_class() -> None:
    classes = np.array([1] * 20 + [0] * 980)
    split = split_rows(1000, "stratified", DataSettings(), classes=classes)
    assert [int(classes[rows].sum()) for rows in (split.train, split.validation, split.test)] == [13, 3, 4]


def test_a_class_with_too_few_rows_is_named() -> None:
    classes = np.array([0] * 50 + [1] * 2)
    with pytest.raises(AutoactError, match=r"class 'rare' has too few rows \(2\); a stratified split needs 3 of each"):
        split_rows(52, "stratified", DataSettings(), classes=classes, class_names=["common", "rare"])
    apart = split_rows(52, "stratified", DataSettings(test_path="t.csv"), classes=classes)
    assert apart.sizes["test"] == 0 and apart.sizes["train"] + apart.sizes["validation"] == 52


def test_time_split_keeps_order_and_moments_together() -> None:
    order = np.repeat(np.arange(40.0), 7)[::-1].copy()
    split = split_rows(280, "time", DataSettings(), order=order)
    assert order[split.train].max() < order[split.validation].min()
    assert order[split.validation].max() < order[split.test].min()


def test_time_split_without_ties_has_exact_sizes() -> None:
    settings = DataSettings(validation=0.2, test=0.2)
    assert split_rows(14400, "time", settings).sizes == {"train": 8640, "validation": 2880, "test": 2880}


@pytest.mark.parametrize("sizes", [(1, 98, 1), (98, 1, 1), (1, 1, 98)])
def test_time_split_with_huge_moments_leaves_no_part_empty(sizes: tuple[int, int, int]) -> None:
    split = split_rows(100, "time", DataSettings(), order=np.repeat(np.arange(3.0), sizes))
    assert tuple(split.sizes.values()) == sizes


def test_groups_stay_together() -> None:
    groups = np.random.default_rng(0).integers(0, 30, 400)
    split = split_rows(400, "group", DataSettings(), groups=groups)
    parts = [set(groups[rows]) for rows in (split.train, split.validation, split.test)]
    assert all(parts) and not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


@pytest.mark.parametrize(
    ("how", "details", "message"),
    [
        ("random", {}, "2 rows cannot be divided into 3 parts"),
        ("time", {"order": np.zeros(50)}, "the time column has 1 distinct values"),
        ("group", {"groups": np.repeat(["a", "b"], 25)}, "the group column has 2 distinct values"),
    ],
)
def test_too_little_to_divide(how: str, details: dict, message: str) -> None:
    rows = 2 if how == "random" else 50
    with pytest.raises(AutoactError, match=message):
        split_rows(rows, how, DataSettings(), **details)


@pytest.mark.parametrize("rows", [3, 4, 5, 10])
def test_few_rows_fill_every_part(rows: int) -> None:
    sizes = split_rows(rows, "random", DataSettings()).sizes
    assert min(sizes.values()) >= 1 and sum(sizes.values()) == rows


def test_auto_is_named() -> None:
    kinds = ["classification", "sequence_classification", "regression", "forecast"]
    assert [split_name(DataSettings(), kind) for kind in kinds] == ["stratified", "stratified", "random", "time"]
    assert split_name(DataSettings(split="group", group="g"), "regression") == "group"
