"""The whole way of a table: parts, scales, fingerprints, official test files."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from autoact.core.errors import AutoactError, SealedError
from autoact.core.registry import Registry
from autoact.data.prepare import prepare
from autoact.data.prepared_data import PreparedData
from autoact.data.preprocessing_file import SavedPreprocessing
from autoact.data.settings import KINDS, DataSettings, TaskKind, register_task_kind
from autoact.data.sources.load import load_table

CHURN = DataSettings(source="packaged", name="churn", target="Churn", drop=["customerID"])


def _table(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": random.normal(size=rows).round(3),
            "colour": random.choice(["red", "blue"], rows),
            "price": random.normal(100.0, 20.0, rows).round(2),
            "sold": random.choice(["yes", "no"], rows),
        }
    )


def _csv(folder: Path, frame: pd.DataFrame, name: str = "table.csv") -> str:
    frame.to_csv(folder / name, index=False)
    return str(folder / name)


def test_churn_from_start_to_end() -> None:
    prepared = prepare(CHURN, "classification")
    assert prepared.sizes == {"train": 4578, "validation": 1056, "test": 1409}
    assert prepared.classes == ["No", "Yes"] and prepared.outputs == 2 and not prepared.simulated
    assert prepared.inputs == len(prepared.features) == prepared.train.x.shape[1] == 46
    assert prepared.train.x.dtype == torch.float32 and prepared.train.y.dtype == torch.int64
    assert "missingindicator_TotalCharges" in prepared.features and prepared.frame_schema["TotalCharges"] == "numeric"
    rows = np.concatenate(
        [prepared.train.rows, prepared.validation.rows, prepared.test.open("try").prepared.validation.rows]
    )
    assert sorted(rows.tolist()) == list(range(7043))
    labels = load_table(CHURN).frame["Churn"].to_numpy()[prepared.validation.rows]
    assert [prepared.classes[int(k)] for k in prepared.validation.y] == labels.tolist()
    assert prepared.summary().startswith("churn: classification of Churn, 4,578 / 1,056 / 1,409 rows")


def test_the_test_part_stays_sealed_and_survives_pickling() -> None:
    prepared = pickle.loads(pickle.dumps(prepare(CHURN, "classification")))
    with pytest.raises(SealedError):
        prepared.test.x  # noqa: B018
    assert prepared.test.open("try").prepared.validation.x.shape == (1409, 46)


def test_preprocessing_does_not_see_other_rows(tmp_path: Path) -> None:
    frame = _table()
    settings = DataSettings(path=_csv(tmp_path, frame), target="price", scaling="standard")
    before = prepare(settings, "regression")
    train = before.train.rows
    changed = frame.copy()
    others = np.setdiff1d(np.arange(len(frame)), train)
    changed.loc[others, "size"] *= 1000
    changed.loc[others, "price"] += 5000
    _csv(tmp_path, changed)
    after = prepare(settings, "regression")
    assert torch.equal(before.train.x, after.train.x) and torch.equal(before.train.y, after.train.y)
    assert not torch.equal(before.validation.x, after.validation.x)
    assert before.fingerprint != after.fingerprint and before.test.fingerprint != after.test.fingerprint


def test_regression_targets_return_to_the_users_unit(tmp_path: Path) -> None:
    frame = _table()
    prepared = prepare(DataSettings(path=_csv(tmp_path, frame), target="price"), "regression")
    assert prepared.classes is None and prepared.outputs == 1 and prepared.train.y.dtype == torch.float32
    assert abs(float(prepared.train.y.mean())) < 1e-5 and prepared.target_scale is not None
    restored = prepared.target_scale.restore(prepared.validation.y)
    assert np.allclose(restored.numpy(), frame["price"].to_numpy()[prepared.validation.rows], atol=1e-3)


def test_fingerprint_knows_content_and_settings_but_not_the_place(tmp_path: Path) -> None:
    frame = _table()
    base = DataSettings(path=_csv(tmp_path, frame), target="sold")
    first = prepare(base, "classification")
    other = replace(base, path=_csv(tmp_path, frame, "elsewhere.csv"))
    assert prepare(other, "classification").fingerprint == first.fingerprint
    frame.to_parquet(tmp_path / "table.parquet")
    parquet = replace(base, source="parquet", path=str(tmp_path / "table.parquet"))
    assert prepare(parquet, "classification").fingerprint == first.fingerprint
    for change in ({"seed": 1}, {"scaling": "standard"}, {"drop": ["size"]}, {"positive": "no"}):
        assert prepare(replace(base, **change), "classification").fingerprint != first.fingerprint
    swapped = frame.assign(sold=frame["sold"].map({"yes": "no", "no": "yes"}))
    assert prepare(replace(base, path=_csv(tmp_path, swapped)), "classification").fingerprint != first.fingerprint


def test_identity_of_the_test_rows_outlives_other_settings(tmp_path: Path) -> None:
    base = DataSettings(path=_csv(tmp_path, _table()), target="sold")
    first = prepare(base, "classification").test.fingerprint
    for change in ({"scaling": "standard"}, {"drop": ["size"]}, {"categorical": ["size"]}):
        assert prepare(replace(base, **change), "classification").test.fingerprint == first
    assert prepare(replace(base, seed=1), "classification").test.fingerprint != first


def test_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "from autoact.data.prepare import prepare\n"
        "from autoact.data.settings import DataSettings as S\n"
        "print(prepare(S(source='sklearn', name='iris'), 'classification').fingerprint)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    here = prepare(DataSettings(source="sklearn", name="iris"), "classification").fingerprint
    assert printed.stdout.strip() == here


def test_an_official_test_file(tmp_path: Path) -> None:
    train, test = _table(200), _table(60).iloc[::-1]
    test = test.assign(sold=test["sold"] + ".")
    settings = DataSettings(
        path=_csv(tmp_path, train), test_path=_csv(tmp_path, test, "test.csv"), target="sold", label_strip="."
    )
    prepared = prepare(settings, "classification")
    assert prepared.sizes == {"train": 170, "validation": 30, "test": 60}
    part = prepared.test.open("try").prepared.validation
    assert prepared.classes is not None
    assert [prepared.classes[int(k)] + "." for k in part.y] == test["sold"].tolist()
    with pytest.raises(AutoactError, match="unknown class in the test file"):
        prepare(replace(settings, label_strip=""), "classification")
    _csv(tmp_path, test.drop(columns="size"), "test.csv")
    with pytest.raises(AutoactError, match="the test file has no column 'size'"):
        prepare(settings, "classification")
    _csv(tmp_path, test.assign(size="big"), "test.csv")
    with pytest.raises(AutoactError, match="column 'size' of the test file must hold numbers, but row 1 holds 'big'"):
        prepare(settings, "classification")


def test_time_and_group_columns_order_and_bind_but_do_not_teach(tmp_path: Path) -> None:
    frame = _table().assign(
        day=[f"{k % 28 + 1:02d}.{k // 28 + 1:02d}.2024" for k in range(200)], shop=[f"s{k % 20}" for k in range(200)]
    )
    base = DataSettings(path=_csv(tmp_path, frame), target="sold", time="day", time_format="%d.%m.%Y", group="shop")
    by_time = prepare(replace(base, split="time"), "classification")
    assert by_time.train.rows.max() < by_time.validation.rows.min()
    assert by_time.validation.rows.max() < by_time.test.open("try").prepared.validation.rows.min()
    by_group = prepare(replace(base, split="group"), "classification")
    shops = [set(frame["shop"][part.rows]) for part in (by_group.train, by_group.validation)]
    assert not shops[0] & shops[1]
    assert set(by_time.frame_schema) == {"size", "colour", "price"}


def test_max_rows(tmp_path: Path) -> None:
    base = DataSettings(path=_csv(tmp_path, _table()), target="sold", max_rows=100)
    some = prepare(base, "classification")
    assert sum(some.sizes.values()) == 100 and some.train.rows.max() > 150
    first = prepare(replace(base, split="time"), "classification")
    assert first.test.open("try").prepared.validation.rows.max() == 99


def test_new_rows_are_encoded_as_the_old_ones() -> None:
    prepared = prepare(CHURN, "classification")
    frame = load_table(CHURN).frame.drop(columns="Churn")
    encoded = SavedPreprocessing.of(prepared, CHURN, "sigmoid").encode(frame)
    assert torch.equal(encoded[prepared.train.rows], prepared.train.x)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({}, "classification", "data.target is not set: .*Columns: size, colour, price, sold"),
        ({"target": "Price"}, "regression", "unknown column in data.target 'Price': did you mean price"),
        ({"target": "colour"}, "regression", "regression needs numbers"),
        ({"target": "price"}, "classification", "use task=regression"),
        ({"target": "sold", "drop": ["sise"]}, "classification", "unknown column in data.drop 'sise'.*size"),
        ({"target": "sold", "numeric": ["colour"]}, "classification", "column 'colour' must hold numbers, but row 1"),
        ({"target": "sold", "drop": ["size", "colour", "price"]}, "classification", "no column is left"),
        ({"target": "sold", "source": "parquet"}, "classification", "cannot be read as parquet"),
    ],
)
def test_bad_input_is_said_in_one_line(tmp_path: Path, changes: dict, kind: str, message: str) -> None:
    with pytest.raises(AutoactError, match=message) as caught:
        prepare(DataSettings(path=_csv(tmp_path, _table()), **changes), kind)
    assert "\n" not in str(caught.value)


def test_a_class_lost_to_a_random_split(tmp_path: Path) -> None:
    frame = _table().assign(sold=["maybe"] + ["yes", "no"] * 99 + ["yes"])
    settings = DataSettings(path=_csv(tmp_path, frame), target="sold", split="random")
    outcomes = set()
    for seed in range(12):
        try:
            outcomes.add(len(prepare(replace(settings, seed=seed), "classification").classes or []))
        except AutoactError as error:
            assert "no training row of class 'maybe' after the random split" in str(error)
            outcomes.add(0)
    assert outcomes == {0, 3}


def test_diabetes_is_no_classification() -> None:
    with pytest.raises(AutoactError, match="use task=regression"):
        prepare(DataSettings(source="sklearn", name="diabetes"), "classification")


@pytest.mark.parametrize("levels", [["01", "02", "1A"], ["TRUE", "FALSE", "UNKNOWN"], ["1.50", "2.0", "X"]])
def test_a_test_file_without_a_level_is_read_as_the_training_file(tmp_path: Path, levels: list[str]) -> None:
    frame = _table().assign(code=np.random.default_rng(1).choice(levels, 200))
    test = frame[frame["code"] != levels[2]]
    settings = DataSettings(path=_csv(tmp_path, frame), test_path=_csv(tmp_path, test, "test.csv"), target="sold")
    prepared = prepare(settings, "classification")
    encoded = prepared.test.open("try").prepared.validation.x
    codes = [k for k, name in enumerate(prepared.features) if name.startswith("code_")]
    hot = [prepared.features[codes[int(k)]] for k in encoded[:, codes].argmax(1)]
    assert hot == [f"code_{level}" for level in test["code"]] and bool((encoded[:, codes].sum(1) == 1).all())


def test_a_category_that_is_called_missing_is_not_a_missing_one(tmp_path: Path) -> None:
    frame = _table().assign(code=["missing", "", "x", "y"] * 50)
    prepared = prepare(DataSettings(path=_csv(tmp_path, frame), target="sold"), "classification")
    assert [n for n in prepared.features if n.startswith("code")] == [
        "code_missing",
        "code_missing_2",
        "code_x",
        "code_y",
    ]


def test_the_test_file_may_have_the_other_format_and_its_strange_values_are_told(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"zip": draw.choice(["02134", "90210"], 200), "x": draw.normal(size=200), "y": draw.choice(["u", "v"], 200)}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    found = {}
    for source, other in (("csv", "t.parquet"), ("csv", "t.csv"), ("parquet", "t.csv"), ("parquet", "t.parquet")):
        given = DataSettings(
            source=source, path=str(tmp_path / f"t.{source}"), test_path=str(tmp_path / other), target="y"
        )
        prepared = prepare(given, "classification")
        assert not any("test file" in note for note in prepared.notes)
        found[source, other] = prepared.test.open("to compare").prepared.validation.x
    assert all(torch.equal(x, found["csv", "t.csv"]) for x in found.values())
    frame.assign(zip=frame["zip"].astype(int)).to_csv(tmp_path / "lost.csv", index=False)
    lost = DataSettings(path=str(tmp_path / "t.csv"), test_path=str(tmp_path / "lost.csv"), target="y")
    told = [note for note in prepare(lost, "classification").notes if note.startswith("the test file")]
    assert len(told) == 1 and "('2134'; '2134' may be meant to be '02134': then write it so in the file)" in told[0]


def test_a_declared_column_that_is_left_out_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(100), "b": [0.5, 1.5] * 50, "y": ["u", "v", "v", "u"] * 25})
    frame.to_csv(tmp_path / "t.csv", index=False)
    given = DataSettings(path=str(tmp_path / "t.csv"), target="y", drop=["a"], numeric=["a"], categorical=["y"])
    assert prepare(given, "classification").notes == [
        "data.numeric names 'a', which has no effect: it is left out by data.drop",
        "data.categorical names 'y', which has no effect: it is the column of data.target",
    ]


@pytest.fixture
def kinds() -> Iterator[Registry[TaskKind]]:
    yield KINDS
    for name in set(KINDS) - set(KINDS.built_in):
        KINDS.remove(name)


def test_a_kind_of_task_that_a_user_registers(kinds: Registry[TaskKind]) -> None:
    settings = DataSettings(source="sklearn", name="diabetes", split="random")

    def doubled(settings: DataSettings, whole: bool) -> PreparedData:
        found = prepare(settings, "regression", whole=whole)
        return replace(found, train=replace(found.train, y=2 * found.train.y))

    register_task_kind("doubled", doubled, like="regression")
    plain, own = prepare(settings, "regression"), prepare(settings, "doubled")
    assert own.kind == "regression" and torch.equal(own.train.y, 2 * plain.train.y)
    # Another preparation is other data, of which no file of preprocessing may be written; a note says so.
    assert own.fingerprint != plain.fingerprint and own.preprocessing is None and own.profile == {}
    assert "python -m autoact predict cannot score new rows" in own.notes[-1]
    with pytest.raises(AutoactError, match=r"unknown task.kind 'duobled': did you mean doubled"):
        prepare(settings, "duobled")
    with pytest.raises(AutoactError, match=r"data.split=stratified needs classes"):
        prepare(replace(settings, split="stratified"), "doubled")


def test_what_a_registered_kind_may_not_do(kinds: Registry[TaskKind]) -> None:
    settings = DataSettings(source="sklearn", name="diabetes", split="random")
    register_task_kind("other", lambda settings, whole: prepare(settings, "regression"), like="classification")
    with pytest.raises(AutoactError, match=r"^task.kind=other prepares data of kind regression: it must give "):
        prepare(settings, "other")
    register_task_kind("nothing", lambda settings, whole: None, like="regression")
    with pytest.raises(AutoactError, match=r"^task.kind=nothing prepares NoneType: it must give PreparedData of kind "):
        prepare(settings, "nothing")
    with pytest.raises(AutoactError, match=r"unknown kind that task.kind=third is like 'other'.* Allowed: classif"):
        register_task_kind("third", lambda settings, whole: None, like="other")
    with pytest.raises(AutoactError, match=r"task.kind name 'forecast' is taken"):
        register_task_kind("forecast", lambda settings, whole: None, like="forecast")
    with pytest.raises(AutoactError, match=r"^task.kind=fourth needs a function \(settings, whole\)"):
        register_task_kind("fourth", lambda: None, like="forecast")  # type: ignore[arg-type,misc]


@pytest.mark.parametrize("drop", [[], ["colour"]])
def test_the_opened_test_part_knows_its_groups_whether_they_are_learnt_from_or_not(
    tmp_path: Path, drop: list[str]
) -> None:
    frame = _table(200)
    plain = DataSettings(path=_csv(tmp_path, frame), target="sold", drop=drop)
    prepared = prepare(replace(plain, groups=["colour"]), "classification")
    part = prepared.test.open("try").prepared.validation
    assert part.groups["colour"].tolist() == frame["colour"].to_numpy()[part.rows].tolist()
    assert ("colour_red" in prepared.features) == (not drop)
    assert prepared.fingerprint == prepare(plain, "classification").fingerprint
    copied = pickle.loads(pickle.dumps(prepared.test)).open("in a worker").prepared.validation
    assert copied.groups["colour"].tolist() == part.groups["colour"].tolist()


def test_the_groups_of_an_official_test_file_are_its_own(tmp_path: Path) -> None:
    test = _table(60).iloc[::-1]
    paths = {"path": _csv(tmp_path, _table(200)), "test_path": _csv(tmp_path, test, "test.csv")}
    settings = DataSettings(**paths, target="sold", groups=["colour"], drop=["colour"])
    part = prepare(settings, "classification").test.open("try").prepared.validation
    assert part.groups["colour"].tolist() == test["colour"].tolist()
    _csv(tmp_path, test.drop(columns="colour"), "test.csv")
    with pytest.raises(AutoactError, match="unknown column of the test file: group 'colour'"):
        prepare(settings, "classification")


def test_groups_are_for_tables() -> None:
    with pytest.raises(AutoactError, match=r"data\.groups names columns of a table"):
        prepare(DataSettings(source="simulated", name="demand", groups=["product"]), "forecast")


@pytest.mark.parametrize("test_file", [False, True])
def test_groups_without_a_test_row_are_said(tmp_path: Path, test_file: bool) -> None:
    frame = _table()
    frame.loc[frame.index[0], "colour"] = "mauve"
    settings = DataSettings(path=_csv(tmp_path, frame), target="sold", groups=["colour"])
    if test_file:
        settings = replace(settings, test_path=_csv(tmp_path, frame[frame.colour == "blue"], "test.csv"))
    prepared = prepare(settings, "classification")
    said = [note for note in prepared.notes if note.startswith("data.groups: no test row is of ")]
    absent = "'mauve', 'red' in colour, so that the final check says nothing of them" if test_file else "'mauve' in"
    assert len(said) == 1 and absent in said[0]
    assert not [note for note in prepare(replace(settings, groups=[]), "classification").notes if "groups" in note]
