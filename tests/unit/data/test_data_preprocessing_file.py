"""Preprocessing on disk: the same numbers as what was fitted, from JSON alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from autoact.core.errors import AutoactError
from autoact.data.columns.column_types import conform
from autoact.data.columns.dtype_readings import tidy
from autoact.data.preparation.preprocessing import encode
from autoact.data.preparation.tables import chosen
from autoact.data.prepare import prepare
from autoact.data.prepared_data import PreparedData
from autoact.data.preprocessing_file import SavedPreprocessing
from autoact.data.settings import DataSettings
from autoact.data.sources.load import load_table


def settings(tmp_path: Path, frame: pd.DataFrame | None = None, **given: object) -> DataSettings:
    frame = table(200, 0) if frame is None else frame
    frame.to_csv(tmp_path / "t.csv", index=False)
    return DataSettings(path=str(tmp_path / "t.csv"), target="y", drop=["who"], **given)  # type: ignore[arg-type]


def table(rows: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    a = draw.normal(size=rows)
    return pd.DataFrame(
        {
            "who": [f"id{k}" for k in range(rows)],
            "a": np.where(draw.random(rows) < 0.1, np.nan, a),
            "b": draw.exponential(size=rows).round(1),
            "kind": draw.choice(["u", "v", "w", "rare"], rows, p=[0.5, 0.3, 0.19, 0.01]),
            "flag": draw.choice(["yes", "no"], rows),
            "y": np.where(a + draw.normal(size=rows) > 0, "good", "bad"),
        }
    )


def strange(rows: int = 50) -> pd.DataFrame:
    """New rows with what training did not hold: gaps, new categories, columns in another order, values far out."""
    new = table(rows, 7).drop(columns="y")[["kind", "flag", "b", "who", "a"]]
    new.loc[0, "kind"], new.loc[1, "kind"], new.loc[2, "flag"] = "new", None, "maybe"
    new.loc[3, "b"], new.loc[4, "a"] = np.nan, 1e6
    return new


def encode_frame(prepared: PreparedData, frame: pd.DataFrame, given: DataSettings) -> torch.Tensor:
    """What the fitted scikit-learn pipeline makes of new rows."""
    wanted, where = prepared.frame_schema, "the given table"
    rows = tidy(chosen(frame, wanted, where), given.missing, given.strip)
    return torch.from_numpy(encode(prepared.preprocessing, conform(rows, wanted, where, prepared.forms)))


def there_and_back(prepared: PreparedData, given: DataSettings, output: str = "sigmoid") -> SavedPreprocessing:
    return SavedPreprocessing.from_json(SavedPreprocessing.of(prepared, given, output).to_json())


@pytest.mark.parametrize("scaling", ["quantile", "standard", "none"])
@pytest.mark.parametrize("min_frequency", [1, 5])
def test_it_computes_what_was_fitted(tmp_path: Path, scaling: str, min_frequency: int) -> None:
    given = settings(tmp_path, scaling=scaling, min_frequency=min_frequency)
    prepared = prepare(given, "classification")
    saved = there_and_back(prepared, given)
    new = strange()
    assert torch.equal(saved.encode(new), encode_frame(prepared, new, given))
    assert saved.encode(new).shape == (50, prepared.inputs)


def test_it_computes_what_was_fitted_on_a_large_table() -> None:
    given = DataSettings(source="packaged", name="churn", drop=["customerID"], target="Churn", positive="Yes")
    prepared = prepare(given, "classification")
    saved, new = there_and_back(prepared, given), load_table(given).frame.sample(500, random_state=3)
    assert torch.equal(saved.encode(new), encode_frame(prepared, new, given))
    assert saved.ids == ("customerID",) and saved.classes == ("No", "Yes")


def test_categories_alone_and_numbers_alone(tmp_path: Path) -> None:
    for kept in (["who", "kind", "y"], ["who", "b", "y"]):
        given = settings(tmp_path, table(200, 0)[kept])
        prepared = prepare(given, "classification")
        assert torch.equal(there_and_back(prepared, given).encode(strange()), encode_frame(prepared, strange(), given))


def test_scores_are_those_of_the_target(tmp_path: Path) -> None:
    given = settings(tmp_path)
    saved = there_and_back(prepare(given, "classification"), given)
    scores = saved.scored(torch.tensor([[0.0], [2.0], [-1.0]]))
    assert scores["prediction"].tolist() == ["bad", "good", "bad"]
    assert scores["score"].tolist() == pytest.approx([0.5, 0.880797, 0.268941], abs=1e-6)
    several = replace(saved, output="softmax", classes=("a", "b", "c")).scored(torch.tensor([[0.0, 0.0, 1.0]]))
    assert list(several.columns) == ["score_a", "score_b", "score_c", "prediction"]
    assert several["prediction"].tolist() == ["c"] and several.iloc[0, :3].sum() == pytest.approx(1.0)


def test_two_classes_are_told_apart_at_the_threshold_that_is_kept(tmp_path: Path) -> None:
    given = settings(tmp_path)
    prepared = prepare(given, "classification")
    out = torch.tensor([0.05, 0.2, 0.21, 0.9]).logit()[:, None]
    for threshold, positive in ((0.5, 1), (0.205, 2), (0.1, 3)):
        text = SavedPreprocessing.of(prepared, given, "sigmoid", threshold).to_json()
        saved = SavedPreprocessing.from_json(text)
        no, yes = prepared.classes
        assert saved.scored(out)["prediction"].tolist() == [no] * (4 - positive) + [yes] * positive
        assert ("threshold" in json.loads(text)) == (threshold != 0.5), "earlier versions read what is as it was"
        assert saved.decision == (
            ""
            if threshold == 0.5
            else f"{prepared.classes[1]!r} is predicted where the score is above {threshold}, the model's threshold"
        )


def test_numbers_come_back_in_the_targets_own_unit() -> None:
    given = DataSettings(source="sklearn", name="diabetes")
    prepared = prepare(given, "regression")
    saved = there_and_back(prepared, given, "number")
    assert prepared.target_scale is not None
    assert saved.scored(torch.tensor([[0.0], [1.0]]))["prediction"].tolist() == pytest.approx(
        [prepared.target_scale.mean[0], prepared.target_scale.mean[0] + prepared.target_scale.std[0]]
    )


FIRST = Path(__file__).parent / "format_1"


def test_a_file_of_the_first_format_encodes_as_it_did() -> None:
    """Its categories are as a reader had guessed them: 01 became 1, TRUE became True, 1.0 became 1."""
    saved = SavedPreprocessing.from_json((FIRST / "preprocessing.json").read_text())
    wanted = torch.tensor(json.loads((FIRST / "encoded.json").read_text()))
    rows = saved.read(str(FIRST / "rows.csv"))
    assert torch.allclose(saved.encode(rows), wanted, atol=1e-6)
    for k in range(len(rows)):
        assert torch.allclose(saved.encode(rows.iloc[[k]]), wanted[[k]], atol=1e-6)
    assert SavedPreprocessing.from_json(saved.to_json()) == saved


CODES = [["01", "02", "1A"], ["TRUE", "FALSE", "UNKNOWN"], ["1.0", "2.0", "X"], ["1.50", "1.5", "v"], ["1", "1.0", "k"]]
CODES += [
    ["2020-01-01", "2020-01-02", "later"],
    ["1e3", "1000", "x"],
    ["+1", "1", "x"],
    ["007", "7", "07"],
    ["1", "2", "NaN?"],
]


@pytest.mark.parametrize("levels", CODES)
def test_a_row_does_not_depend_on_the_rows_beside_it(tmp_path: Path, levels: list[str]) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"code": draw.choice(levels, 300), "x": draw.normal(size=300), "y": draw.choice(["a", "b"], 300)}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    given = DataSettings(path=str(tmp_path / "t.csv"), target="y")
    saved = there_and_back(prepare(given, "classification"), given)
    encoded = {}
    for rows in (levels, levels[:2], levels[:1], levels[1:2]):
        (tmp_path / "new.csv").write_text("code,x\n" + "".join(f"{level},0\n" for level in rows))
        for level, row in zip(rows, saved.encode(saved.read(str(tmp_path / "new.csv"))).tolist(), strict=True):
            assert encoded.setdefault(level, row) == row
            assert sum(row[1:]) == 1.0
    assert len({tuple(row) for row in encoded.values()}) == 3


def test_other_tools_write_the_same_column_in_other_types(tmp_path: Path) -> None:
    """Whole numbers, whole numbers beside a gap, and text; declared or dictionary categories all."""
    values = np.random.default_rng(0).integers(0, 4, 200)
    frame = pd.DataFrame({"k": values, "y": np.where(values > 1, "a", "b")})
    given = settings(tmp_path, frame.assign(who="x"), categorical=["k"])
    saved = there_and_back(prepare(given, "classification"), given)
    wanted = saved.encode(pd.DataFrame({"k": [0, 1, 2, 3]}))
    for dtype in ("int64", "float64", "Int64", "str", "string", "category", object):
        assert torch.equal(saved.encode(pd.DataFrame({"k": pd.Series([0, 1, 2, 3], dtype=dtype)})), wanted), dtype
    (tmp_path / "new.csv").write_text("k\n0.0\n1.0\n2.0\n3.0\n")
    assert torch.equal(saved.encode(saved.read(str(tmp_path / "new.csv"))), wanted)
    gap = saved.encode(pd.DataFrame({"k": [0, None, 2.0]}))
    assert torch.equal(gap[[0, 2]], wanted[[0, 2]]) and gap[1].sum() == 0


def test_a_rare_level_stays_apart_from_the_frequent_one_that_is_the_same_number(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": ["1"] * 99 + ["1.0"] + ["x"] * 100, "y": ["a", "b"] * 100, "who": "x"})
    given = settings(tmp_path, frame)
    prepared = prepare(given, "classification", whole=True)
    saved = there_and_back(prepared, given)
    new = pd.DataFrame({"k": ["1", "1.0", "x", "new"]})
    assert torch.equal(saved.encode(new), encode_frame(prepared, new, given))


def test_columns_named_with_integers_and_repeated_ones(tmp_path: Path) -> None:
    frame = table(200, 0).rename(columns={"a": "0"})
    given = settings(tmp_path, frame)
    saved = there_and_back(prepare(given, "classification"), given)
    assert torch.equal(saved.encode(frame.rename(columns={"0": 0})), saved.encode(frame))
    twice = pd.concat([frame, frame[["b"]]], axis=1)
    with pytest.raises(AutoactError, match="the given table has 2 columns named 'b': keep one"):
        saved.encode(twice)
    assert torch.equal(saved.encode(pd.concat([frame, frame[["who"]]], axis=1)), saved.encode(frame))


def test_files_are_read_as_the_training_file_was(tmp_path: Path) -> None:
    frame = table(200, 0)
    frame.to_csv(tmp_path / "t.csv", index=False, header=False, sep=";")
    names = list(frame.columns)
    given = DataSettings(
        path=str(tmp_path / "t.csv"), target="y", drop=["who"], header=False, names=names, delimiter=";"
    )
    saved = there_and_back(prepare(given, "classification"), given)
    assert list(saved.read(str(tmp_path / "t.csv")).columns) == names
    frame.drop(columns="y").to_csv(tmp_path / "new.csv", index=False, header=False, sep=";")
    assert list(saved.read(str(tmp_path / "new.csv")).columns) == names[:-1]
    frame.drop(columns="y").to_parquet(tmp_path / "new.parquet")
    assert torch.equal(saved.encode(saved.read(str(tmp_path / "new.parquet"))), saved.encode(frame))


def test_all_missing_columns_are_named(tmp_path: Path) -> None:
    given = settings(tmp_path)
    saved = there_and_back(prepare(given, "classification"), given)
    with pytest.raises(AutoactError, match=r"new\.csv has no column 'a', 'kind': it needs a, b, kind, flag"):
        saved.encode(table(5, 1).drop(columns=["a", "kind"]), "new.csv")


def test_a_column_with_nearly_the_same_name_is_asked_about(tmp_path: Path) -> None:
    given = settings(tmp_path)
    saved = there_and_back(prepare(given, "classification"), given)
    with pytest.raises(AutoactError, match=r"no column 'kind' \(is 'Kind' meant to be 'kind'\? rename it\): it needs"):
        saved.encode(table(5, 1).rename(columns={"kind": "Kind"}))


@pytest.mark.parametrize("min_frequency", [1, 5])
def test_what_training_did_not_hold_is_told_by_column(tmp_path: Path, min_frequency: int) -> None:
    given = settings(tmp_path, min_frequency=min_frequency)
    saved = there_and_back(prepare(given, "classification"), given)
    rows = strange()
    lines = saved.unfamiliar(rows)
    assert "column 'b': 1 of 50 rows has no value, and training had one in every row: its median stands in" in lines
    assert not [line for line in lines if "'a'" in line]  # training had gaps there: the model has learnt from them
    assert (
        "column 'flag': 1 of 50 rows holds a value that training never had ('maybe'): the model takes it for none"
        in str(lines)
    )
    rarely = "too rarely to tell apart, or never" if min_frequency > 1 else "never had"
    kind = next(line for line in lines if "'kind'" in line)
    assert rarely in kind and "'new'" in kind and "no value" in kind
    assert saved.unfamiliar(table(200, 0)[table(200, 0)["kind"] != "rare"]) == []


def test_sequences_are_refused() -> None:
    given = DataSettings(source="sklearn", name="digits")
    with pytest.raises(AutoactError, match="is no table"):
        SavedPreprocessing.of(prepare(given, "sequence_classification"), given, "softmax")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "autoact-preprocessing 9"}, "has format 'autoact-preprocessing 9'"),
        ({"output": "exec"}, "output='exec' is none of sigmoid, softmax, number"),
        ({"more": 1}, "cannot be read: .*more"),
        ({"threshold": "high"}, "threshold='high' must be a number from 0 to 1"),
        ({"threshold": 1.5}, "threshold=1.5 must be a number from 0 to 1"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    given = settings(tmp_path)
    data = json.loads(SavedPreprocessing.of(prepare(given, "classification"), given, "sigmoid").to_json())
    with pytest.raises(AutoactError, match=message):
        SavedPreprocessing.from_json(json.dumps({**data, **change}))
    for text in ("[]", "{", "{}"):
        with pytest.raises(AutoactError, match=r"is not JSON|has format None"):
            SavedPreprocessing.from_json(text)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (DataSettings(source="sklearn", name="iris"), "classification"),
        (DataSettings(source="sklearn", name="diabetes"), "regression"),
        (DataSettings(source="sklearn", name="digits"), "sequence_classification"),
        (DataSettings(source="simulated", name="demand"), "forecast"),
    ],
)
def test_the_whole_learns_from_the_validation_rows_and_the_test_rows_stay(given: DataSettings, kind: str) -> None:
    apart, whole = prepare(given, kind), prepare(given, kind, whole=True)
    assert whole.fingerprint == apart.fingerprint and whole.test.fingerprint == apart.test.fingerprint
    assert whole.sizes["test"] == apart.sizes["test"] and not whole.test.opened
    learnt = set(whole.train.rows.tolist())
    assert learnt >= set(apart.train.rows.tolist()) | set(apart.validation.rows.tolist())
    assert learnt.isdisjoint(whole.test.open("a test").prepared.validation.rows.tolist())
    assert len(whole.validation) > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;b;kind;flag\n1;2;u;yes\n", r"first line holds ';': write the file as the training file was .*',' between"),
        (
            "a,b,kind,flag\n1,2,u,yes\n1,2,u,yes,7\n",
            "line 3 holds 5 fields .* or write the file as the training file was",
        ),
        ("a,b,kind,flag\n1,tall,u,yes\n", r"column 'b' of the input must hold numbers, but row 1 holds 'tall': .*'\?'"),
        ("a,b,kind,flag\n1,2,u,yes\n1,inf,u,yes\n", "row 2 holds 'inf': correct it, or write it as the training file"),
    ],
)
def test_advice_on_new_rows_can_be_followed(tmp_path: Path, text: str, message: str) -> None:
    given = settings(tmp_path)
    saved = there_and_back(prepare(given, "classification"), given)
    (tmp_path / "new.csv").write_text(text, encoding="utf-8")
    with pytest.raises(AutoactError, match=message) as caught:
        saved.encode(saved.read(str(tmp_path / "new.csv")), "the input")
    assert "data.delimiter" not in str(caught.value) and "data.missing" not in str(caught.value)


def test_ids_are_handed_through_as_they_are_written(tmp_path: Path) -> None:
    given = settings(tmp_path)
    saved = there_and_back(prepare(given, "classification"), given)
    for ids, wanted in ((["007", "8"], ["007", "8"]), (["7", "8"], [7, 8]), (["1.0", "2"], ["1.0", "2"])):
        new = table(2, 3).assign(who=ids)
        new.to_csv(tmp_path / "new.csv", index=False)
        assert saved.read(str(tmp_path / "new.csv"))["who"].tolist() == wanted


def test_a_value_that_may_be_meant_to_be_a_known_one_is_named(tmp_path: Path) -> None:
    frame = table(200, 0).assign(zip=["02134", "90210"] * 100, member=[True, False] * 100)
    given = settings(tmp_path, frame)
    saved = there_and_back(prepare(given, "classification"), given)
    new = frame.assign(zip=frame["zip"].astype(int), kind=frame["kind"].str.upper(), member=[1, 0] * 100, a=np.nan)
    told = {line.split("'")[1]: line for line in saved.unfamiliar(new)}
    assert "('2134'; '2134' may be meant to be '02134': then write it so in the file)" in told["zip"]
    assert "'U' may be meant to be 'u'" in told["kind"]
    assert "'1' may be meant to be 'True'" in told["member"]
    assert told["a"] == "column 'a' has no value in any row: the median of the training rows stands in for all"
    assert not any("meant" in line for line in saved.unfamiliar(frame))


def test_a_number_of_more_digits_than_a_float_holds_is_refused(tmp_path: Path) -> None:
    given = settings(tmp_path)
    saved = there_and_back(prepare(given, "classification"), given)
    (tmp_path / "new.csv").write_text(f"a,b,kind,flag\n{'9' * 400},2,u,yes\n", encoding="utf-8")
    with pytest.raises(AutoactError, match="column 'a' of the input must hold numbers, but row 1 holds 'inf'"):
        saved.encode(saved.read(str(tmp_path / "new.csv")), "the input")


def test_endings_in_capitals(tmp_path: Path) -> None:
    given = settings(tmp_path)
    saved = there_and_back(prepare(given, "classification"), given)
    frame = table(20, 3)
    frame.to_parquet(tmp_path / "NEW.PARQUET")
    frame.to_csv(tmp_path / "new.csv.gz", index=False)
    (tmp_path / "new.csv.gz").rename(tmp_path / "NEW.CSV.GZ")
    wanted = saved.encode(frame)
    assert torch.equal(saved.encode(saved.read(str(tmp_path / "NEW.PARQUET"))), wanted)
    assert torch.equal(saved.encode(saved.read(str(tmp_path / "NEW.CSV.GZ"))), wanted)
