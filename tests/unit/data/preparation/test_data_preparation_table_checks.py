"""Checks of names and targets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError
from autoact.data.preparation.table_checks import (
    check_columns,
    class_indices,
    class_labels,
    class_names,
    named_groups,
    remarks,
    target_numbers,
)
from autoact.data.settings import DataSettings


def test_names_that_no_column_has_answer_with_the_nearest() -> None:
    frame = pd.DataFrame({"customerID": [1], "Churn": [0]})
    with pytest.raises(AutoactError, match=r"unknown column in data.drop 'customerId': did you mean customerID"):
        check_columns(frame, DataSettings(drop=["customerId"]), {})
    with pytest.raises(AutoactError, match=r"unknown column in data.time 'date'"):
        check_columns(frame, DataSettings(), {"data.time": "date"})
    with pytest.raises(AutoactError, match=r"'Churn' is both data.target and in data.drop"):
        check_columns(frame, DataSettings(drop=["Churn"]), {"data.target": "Churn"})


def test_what_a_list_names_too_much_is_left_out_by_the_setting_that_is_advised() -> None:
    frame = pd.DataFrame({"a": [1], "b": [2]})
    with pytest.raises(AutoactError, match=r"\(data\.drop=\[a\] leaves it out\)"):
        check_columns(frame, DataSettings(drop=["a", "id"]), {})
    check_columns(frame, DataSettings(drop=["a"]), {})


def test_repeated_columns() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(AutoactError, match="2 columns named 'a'"):
        check_columns(frame, DataSettings(), {})


def test_classes_are_sorted_and_the_positive_one_comes_last() -> None:
    labels = class_labels(pd.Series(["Yes", "No", "Yes"], name="y"), DataSettings())
    assert class_names(labels, DataSettings()) == ["No", "Yes"]
    assert class_names(labels, DataSettings(positive="No")) == ["Yes", "No"]
    ten = class_labels(pd.Series([10, 9, 2], name="y"), DataSettings())
    assert class_names(ten, DataSettings()) == ["2", "9", "10"]
    assert class_indices(ten, ["2", "9", "10"]).tolist() == [2, 1, 0]


def test_label_endings_are_cut() -> None:
    labels = class_labels(pd.Series([">50K.", "<=50K"], name="y"), DataSettings(label_strip="."))
    assert labels.tolist() == [">50K", "<=50K"]


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        (["a", None], None, "has no value in 1 rows .the first is row 2"),
        (["a", "a"], None, "has only one class, 'a'"),
        (list(range(101)), None, "101 distinct values, more than the 100 classes allowed: use task=regression"),
        ([f"t{k}" for k in range(101)], None, "is it the right column"),
        (["Yes", "No"], "yes", "did you mean Yes"),
        (["a", "b", "c"], "a", "is for two classes; target 'y' has 3"),
    ],
)
def test_bad_class_targets(values: list, positive: str | None, message: str) -> None:
    settings = DataSettings(positive=positive)
    with pytest.raises(AutoactError, match=message):
        class_names(class_labels(pd.Series(values, name="y"), settings), settings)


def test_a_strange_label_in_the_test_file() -> None:
    with pytest.raises(AutoactError, match=r"unknown class in the test file '>50K.': did you mean >50K"):
        class_indices(pd.Series([">50K."]), ["<=50K", ">50K"], "the test file")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "b"], r"holds text \('a' in row 1\): regression needs numbers, classes need task=classification"),
        ([1.0, None], "has no value in 1 rows"),
        ([1.0, float("inf")], "infinite value in row 2"),
        ([3.0, 3.0], "is 3 in every row"),
    ],
)
def test_bad_regression_targets(values: list, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        target_numbers(pd.Series(values, name="y"))


def test_remarks_on_constant_columns() -> None:
    frame = pd.DataFrame({"a": [1.0] * 10, "b": ["x", "y"] * 5})
    assert remarks(frame, {"a": "numeric", "b": "category"}) == ["column 'a' is 1.0 in every row"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1,776.93", "2,000.10"], "\"data.thousands=','\" reads them as numbers, classes need task=classification"),
        (["1,500", "2,000"], "whichever is meant, classes need"),
        (["1_280", "2_000"], "regression needs numbers, such as 1280 for it"),
        (["00:30:00", "01:00:00"], r"regression needs numbers, such as 1800 \(seconds\) for it"),
        ([1.0, np.inf], "target 'y' holds an infinite value in row 2: correct it, or remove the row"),
        ([1e300, -1e300], r"as large as 1e\+300, whose deviation no float can hold"),
    ],
)
def test_what_a_regression_says_of_its_target_can_be_done(values: list[object], message: str) -> None:
    column = pd.Series(values, name="y")
    with pytest.raises(AutoactError, match=message) as caught:
        target_numbers(column)
    assert "categorical" not in str(caught.value) and "data.missing" not in str(caught.value)


def test_named_groups_are_text_and_rows_without_a_value_are_a_group_of_their_own() -> None:
    frame = pd.DataFrame({"gender": ["f", None, "m"], "senior": [0, 1, 1], "y": [1, 2, 3]})
    found = named_groups(frame, DataSettings(groups=["gender", "senior", "gender"]), "y")
    assert {name: values.tolist() for name, values in found.items()} == {
        "gender": ["f", "(missing)", "m"],
        "senior": ["0", "1", "1"],
    }


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (["gendr"], "unknown column in data.groups 'gendr': did you mean gender"),
        (["y"], "data.groups names 'y', which is the target"),
        (["age"], "column 'age' holds 40 distinct values, more than the 20 groups allowed: put its numbers into bins"),
        (["street"], "column 'street' holds 40 distinct values, more than the 20 groups allowed: name a column of few"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(groups: list[str], said: str) -> None:
    streets = [f"street {k}" for k in range(40)]
    frame = pd.DataFrame({"gender": ["f", "m"] * 20, "age": range(40), "street": streets, "y": range(40)})
    settings = DataSettings(groups=groups)
    with pytest.raises(AutoactError, match=said):
        check_columns(frame, settings, {"data.target": "y"})
        named_groups(frame, settings, "y")
