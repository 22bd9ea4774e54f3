"""A target that suggests the other kind of task gets a question, and following it ends the question."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from autoact.data.columns.target_kind import kind_remarks
from autoact.data.prepare import prepare
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import DataSettings


def _prepared(folder: Path, targets: list[str], kind: str) -> PreparedData:
    draw = random.Random(0)
    rows = [f"{draw.random():.3f},{targets[k % len(targets)]}" for k in range(120)]
    file = folder / "t.csv"
    file.write_text("\n".join(["a,y", *rows]), encoding="utf-8")
    return prepare(DataSettings(path=str(file), target="y"), kind)


@pytest.mark.parametrize(
    ("targets", "kind", "said", "other"),
    [
        (["0", "1"], "regression", "2 different whole numbers (0, 1): if they are classes, task=classification", "c"),
        (["1", "2", "3", "5"], "regression", "4 different whole numbers (1, 2, 3, 5)", "c"),
        (["0.5", "1.25", "3"], "classification", "3 classes, but holds numbers with fractions (0.5)", "r"),
    ],
)
def test_the_other_kind_is_asked_for(tmp_path: Path, targets: list[str], kind: str, said: str, other: str) -> None:
    assert any(said in note for note in _prepared(tmp_path, targets, kind).notes)
    followed = {"c": "classification", "r": "regression"}[other]
    assert not any("is meant" in note for note in _prepared(tmp_path, targets, followed).notes)


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        (["0", "1"], "classification"),
        (["1", "2", "3"], "classification"),
        (["no", "1.5", "2.5"], "classification"),
        (["0.5", "1"], "classification"),
        ([str(k) for k in range(40)], "regression"),
        (["0.5", "1.5"], "regression"),
    ],
)
def test_what_fits_its_kind_is_not_asked_about(tmp_path: Path, targets: list[str], kind: str) -> None:
    assert not any("is meant" in note for note in _prepared(tmp_path, targets, kind).notes)


def test_classes_that_differ_in_capitals_alone_are_told() -> None:
    y = np.array([0, 1, 2])
    assert kind_remarks("left", y, ["Yes", "no", "yes"]) == [
        "classes 'Yes' and 'yes' of target 'left' differ in capitals alone: if they are one, write them alike"
    ]
    assert kind_remarks("left", y[:2], ["no", "yes"]) == []
