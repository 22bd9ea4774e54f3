"""Fitted preprocessing: training rows alone, missing values, rare and unseen categories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from autoact.core.errors import AutoactError
from autoact.data.preparation.normal_scores import NormalScores
from autoact.data.preparation.preprocessing import encode, feature_names, fit_preprocessing
from autoact.data.settings import DataSettings


def _frame() -> pd.DataFrame:
    number = np.arange(40.0)
    number[3] = np.nan
    kind = ["a"] * 20 + ["b"] * 14 + ["rare1", "rare2", "rare3", "rare4"] + [np.nan] * 2
    return pd.DataFrame({"number": number, "full": np.arange(40.0), "kind": pd.Series(kind, dtype=object)})


SCHEMA = {"number": "numeric", "full": "numeric", "kind": "category"}


def test_inputs_have_names_and_are_finite_floats() -> None:
    transformer = fit_preprocessing(_frame(), SCHEMA, DataSettings(min_frequency=2))
    x = encode(transformer, _frame())
    assert feature_names(transformer) == [
        "number",
        "full",
        "missingindicator_number",
        "kind_a",
        "kind_b",
        "kind_missing",
        "kind_infrequent_sklearn",
    ]
    assert x.dtype == np.float32 and x.flags.c_contiguous and np.isfinite(x).all()
    assert x[3, 2] == 1 and x[:, 2].sum() == 1
    assert x[:, 3:].sum(axis=1).tolist() == [1.0] * 40 and x[:, 6].sum() == 4


def test_missing_and_unseen_values_of_new_rows() -> None:
    transformer = fit_preprocessing(_frame(), SCHEMA, DataSettings(min_frequency=2, scaling="none"))
    new = pd.DataFrame({"number": [np.nan], "full": [np.nan], "kind": pd.Series(["never seen"], dtype=object)})
    x = encode(transformer, new)[0]
    assert x[0] == np.nanmedian(_frame()["number"]) and x[1] == 19.5
    assert x[2:].tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]


def test_unseen_category_without_a_rare_group_is_all_zero() -> None:
    frame = pd.DataFrame({"kind": pd.Series(["a", "b"] * 10, dtype=object)})
    transformer = fit_preprocessing(frame, {"kind": "category"}, DataSettings())
    new = pd.DataFrame({"kind": pd.Series(["c"], dtype=object)})
    assert encode(transformer, new).tolist() == [[0.0, 0.0]]


def test_max_categories_limits_the_columns() -> None:
    frame = pd.DataFrame({"kind": pd.Series([f"k{n % 20}" for n in range(400)], dtype=object)})
    transformer = fit_preprocessing(frame, {"kind": "category"}, DataSettings(max_categories=6))
    assert len(feature_names(transformer)) == 6


def test_standard_scaling() -> None:
    x = encode(fit_preprocessing(_frame(), {"full": "numeric"}, DataSettings(scaling="standard")), _frame())
    assert abs(x.mean()) < 1e-6 and abs(x.std() - 1) < 1e-6


def test_a_column_without_training_values_or_no_column() -> None:
    frame = pd.DataFrame({"a": [np.nan, np.nan], "b": [1.0, 2.0]})
    with pytest.raises(AutoactError, match="column 'a' holds no value in the training rows"):
        fit_preprocessing(frame, {"a": "numeric", "b": "numeric"}, DataSettings())
    with pytest.raises(AutoactError, match="no column is left"):
        fit_preprocessing(frame, {}, DataSettings())


def test_normal_scores_are_normal_and_monotone() -> None:
    x = np.random.default_rng(0).lognormal(size=(4000, 1))
    scores = NormalScores(points=100).fit_transform(x)
    assert abs(scores.mean()) < 0.01 and abs(scores.std() - 1) < 0.02
    order = np.argsort(x[:, 0])
    assert (np.diff(scores[order, 0]) >= 0).all()


def test_normal_scores_keep_heavy_ties_moderate_and_outliers_inside() -> None:
    x = np.array([[0.0]] * 90 + [[float(k)] for k in range(1, 11)])
    scaler = NormalScores().fit(x)
    low, top, beyond = scaler.transform(np.array([[0.0], [10.0], [1e9]]))[:, 0]
    assert -0.2 < low < 0 and 2.5 < top < 2.6 and beyond == top


def test_normal_scores_is_a_scikit_learn_estimator() -> None:
    assert clone(NormalScores(points=7)).points == 7
    fitted = NormalScores().fit(pd.DataFrame({"a": [1.0, 2.0]}))
    assert fitted.get_feature_names_out().tolist() == ["a"]


def test_names_of_inputs_are_unique_and_a_columns_own_name_comes_first() -> None:
    rows = 30
    draw = np.random.default_rng(0)
    number = draw.normal(size=rows)
    gap = np.where(draw.random(rows) < 0.2, np.nan, number)
    frame = pd.DataFrame(
        {
            "x": gap,
            "missingindicator_x": number,
            "colour_red": number,
            "colour": draw.choice(["red", "blue"], rows),
            "a": draw.choice(["b_c", "d"], rows),
            "a_b": draw.choice(["c", "d"], rows),
            "kind": draw.choice(["missing", "v", None], rows),
        }
    )
    schema = {name: "numeric" if frame[name].dtype == "float64" else "category" for name in frame}
    transformer = fit_preprocessing(
        frame.assign(kind=frame["kind"].astype(object).where(frame["kind"].notna(), np.nan)),
        schema,
        DataSettings(min_frequency=1),
    )
    names = feature_names(transformer)
    assert names == [
        "x",
        "missingindicator_x",
        "colour_red",
        "missingindicator_x_2",
        "colour_blue",
        "colour=red",
        "a=b_c",
        "a_d",
        "a_b=c",
        "a_b_d",
        "kind_missing",
        "kind_missing_2",
        "kind_v",
    ]
    assert encode(transformer, frame).shape == (rows, len(names))
