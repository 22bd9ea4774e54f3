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
from autoact.data.churn import simulate_churn
from autoact.data.prepare import prepare
from autoact.data.prepared import Prepared
from autoact.data.saved import SavedPreprocessing
from autoact.data.settings import DataSettings
from autoact.data.tables import encode_frame


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


def there_and_back(prepared: Prepared, given: DataSettings, output: str = "sigmoid") -> SavedPreprocessing:
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
    given = DataSettings(source="simulated", name="churn", drop=["customerID"], target="Churn", positive="Yes")
    prepared = prepare(given, "classification")
    saved, new = there_and_back(prepared, given), simulate_churn(500, seed=3)
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


def test_numbers_come_back_in_the_targets_own_unit() -> None:
    given = DataSettings(source="sklearn", name="diabetes")
    prepared = prepare(given, "regression")
    saved = there_and_back(prepared, given, "number")
    assert prepared.target_scale is not None
    assert saved.scored(torch.tensor([[0.0], [1.0]]))["prediction"].tolist() == pytest.approx(
        [prepared.target_scale.mean[0], prepared.target_scale.mean[0] + prepared.target_scale.std[0]]
    )


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
    assert learnt.isdisjoint(whole.test.open("a test").rows.tolist())
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
