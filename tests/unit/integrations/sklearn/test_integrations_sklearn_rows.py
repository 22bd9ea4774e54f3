"""Arrays and DataFrames as rows, and what so many rows allow."""

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError, SealedError
from autoact.data.settings import DataSettings
from autoact.integrations.sklearn.parameters import RefusedError, in_sklearn_terms
from autoact.integrations.sklearn.rows import (
    FULL_ROWS,
    RAREST_CLASS,
    Columns,
    prepared,
    protocol_for,
    typed_rows,
    whole,
)


def rows_of(count, y=None, columns=2):
    names = [f"x{k}" for k in range(columns)]
    table = np.random.default_rng(0).normal(size=(count, columns))
    classes = None if y is None else [str(name) for name in range(int(np.max(y)) + 1)]
    y = table[:, 0] if y is None else np.asarray(y)
    return typed_rows(Columns.of_numbers(names), table, y, classes)


def parts(split):
    return [set(part.tolist()) for part in (split.train, split.validation, split.test)]


def test_enough_rows_take_the_full_protocol():
    protocol = protocol_for(rows_of(FULL_ROWS), DataSettings())
    train, validation, test = parts(protocol.split)
    assert (protocol.name, protocol.trials, protocol.note) == ("full", None, "")
    assert protocol.epochs_chosen and not protocol.reduced
    assert train | validation | test == set(range(FULL_ROWS)) and len(train) + len(validation) + len(test) == FULL_ROWS
    assert len(test) == FULL_ROWS // 5


def test_one_row_less_takes_the_reduced_one_and_says_so():
    protocol = protocol_for(rows_of(FULL_ROWS - 1), DataSettings())
    train, validation, test = parts(protocol.split)
    assert protocol.reduced and protocol.trials == 4 and not test
    assert not train & validation and len(train | validation) == FULL_ROWS - 1
    assert "499 rows (the full one needs 500): 4 trial(s)" in protocol.note


def test_a_rare_class_reduces_any_number_of_rows():
    y = np.zeros(1000, dtype="int64")
    y[: RAREST_CLASS - 1] = 1
    protocol = protocol_for(rows_of(1000, y), DataSettings())
    assert protocol.reduced and "9 rows of the rarest class (the full one needs 10)" in protocol.note
    y[:RAREST_CLASS] = 1
    assert not protocol_for(rows_of(1000, y), DataSettings()).reduced


def test_a_handful_of_rows_all_train():
    protocol = protocol_for(rows_of(39), DataSettings())
    assert protocol.trials == 1 and not protocol.epochs_chosen and protocol.note.endswith("for max_epochs")
    assert parts(protocol.split)[0] == set(range(39))
    assert protocol_for(rows_of(40), DataSettings(seed=0)).epochs_chosen


def test_every_class_of_a_reduced_split_trains():
    y = np.array([0] * 60 + [1] * 2 + [2])
    split = protocol_for(rows_of(len(y), y), DataSettings(seed=3)).split
    assert np.bincount(y[split.train]).tolist() == [48, 1, 1]
    assert np.bincount(y[split.validation]).tolist() == [12, 1]


def test_the_split_follows_the_seed():
    rows = rows_of(100)
    one, same, other = (protocol_for(rows, DataSettings(seed=seed)).split.validation.tolist() for seed in (0, 0, 1))
    assert one == same != other


def test_a_frame_with_categories_is_read_as_csv_data_are():
    frame = pd.DataFrame({"city": ["a", "b", " a", None], "size": [1.0, 2.0, np.nan, 4.0], "yes": [True, False] * 2})
    columns = Columns.of_frame(frame, list(frame))
    assert columns.schema == {"city": "category", "size": "numeric", "yes": "category"}
    assert columns.table(frame)["city"].tolist()[:3] == ["a", "b", "a"]
    with pytest.raises(AutoactError, match="column 'size' of X must hold numbers"):
        columns.table(frame.assign(size=["1", "2", "3", "huge"]))


def test_preprocessing_learns_from_training_rows_and_seals_the_test_rows():
    rows = rows_of(FULL_ROWS)
    split = protocol_for(rows, DataSettings()).split
    data = prepared(rows, split, DataSettings(scaling="standard"), "t")
    assert float(data.train.x.mean().abs()) < 1e-6 < float(data.validation.x.mean().abs())
    assert abs(float(data.train.y.mean())) < 1e-6
    with pytest.raises(SealedError):
        _ = data.test.part
    assert data.test.open("a test").prepared.validation.rows.tolist() == split.test.tolist()


def test_after_the_search_all_rows_train():
    assert whole(rows_of(50), DataSettings(), "t").sizes == {"train": 50, "validation": 50, "test": 0}


def test_mistakes_are_value_errors_too():
    with pytest.raises(ValueError, match="no such thing") as found, in_sklearn_terms():
        raise AutoactError("no such thing")
    assert isinstance(found.value, AutoactError)
    with pytest.raises(RefusedError) as found, in_sklearn_terms():
        raise RefusedError("as it was")
    assert found.value.__cause__ is None


def test_a_data_frame_is_read_as_a_file_is():
    frame = pd.DataFrame(
        {
            "k": pd.Categorical([3, 1, 3, 1]),
            "flag": [True, False, True, True],
            "time": pd.to_timedelta([1, None, 3, 4], unit="s"),
            "x": pd.array([1, None, 3, 4], dtype="Int64"),
        }
    )
    columns = Columns.of_frame(frame, list(frame.columns))
    assert columns.schema == {"k": "category", "flag": "category", "time": "numeric", "x": "numeric"}
    table = columns.table(frame)
    assert table["k"].tolist() == ["3", "1", "3", "1"] and table["time"].tolist()[2:] == [3.0, 4.0]
    plain = columns.table(np.array([[3.0, 1.0, 2.0, 4.0]]))
    assert plain["k"].tolist() == ["3"]


def test_what_is_said_about_a_column_of_x_names_no_setting_of_the_command_line():
    prices = pd.DataFrame({"v": [f"${k}.5" for k in range(60)], "c": ["a", "b"] * 30})
    with pytest.raises(AutoactError, match=r"column 'v' holds numbers written as in .*to_numeric") as caught:
        Columns.of_frame(prices, ["v", "c"])
    assert "data." not in str(caught.value)
    codes = pd.DataFrame({"v": ["01", "02"] * 30})
    with pytest.warns(UserWarning, match="holds codes with leading zeros"):
        Columns.of_frame(codes, ["v"])
