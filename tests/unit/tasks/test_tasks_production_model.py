"""The model in production, from a file or from a registry, as a row of the table."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autoact.core.errors import AutoactError, SealedError
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings
from autoact.tasks.metrics import METRICS, resolve, with_threshold
from autoact.tasks.production_model import find_production_model, production_note
from autoact.tasks.reference_models import reference_rows
from autoact.tasks.score_conversion import as_scores


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"c{k}" for k in range(200)], "x": random.normal(size=200), "z": 1.0})
    frame["z"] = random.normal(size=200)
    frame["y"] = np.where(frame["x"] + 0.5 * random.normal(size=200) > 0, "yes", "no")
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    frame.to_csv(path, index=False)
    return frame, DataSettings(path=str(path), target="y", drop=["id"])


class Thinks:
    """A model that scores by one column."""

    title = "models:/old/1"

    def __init__(self, columns=None, output=None):
        self.columns = columns
        self.output = output or (lambda frame: (1 / (1 + np.exp(-frame["x"])), None))
        self.seen = []

    def predict(self, frame):
        self.seen.append(frame)
        return self.output(frame)


def production_model(table, what, metric="roc_auc", model=None):
    prepared = prepare(table[1], "classification")
    return prepared, find_production_model(what, prepared, table[1], resolve(metric, "classification"), lambda _: model)


def write(tmp_path, frame, name="predictions.csv"):
    path = tmp_path / name
    frame.to_csv(path, index=False)
    return str(path)


def scored(frame, **more):
    return pd.DataFrame({**more, "score": 1 / (1 + np.exp(-frame["x"]))})


@pytest.mark.parametrize("key", ["row", "id"])
def test_a_file_is_scored_on_the_same_rows(key, table, tmp_path):
    frame = table[0]
    ids = np.arange(200) if key == "row" else frame["id"]
    path = write(tmp_path, scored(frame, **{key: ids}).sample(frac=1, random_state=0))
    prepared, found = production_model(table, path)
    with pytest.raises(SealedError):
        found.row(True)
    name, validation, test = found.row(False)
    metric = resolve("roc_auc", "classification")
    assert (name, test) == ("production model: predictions.csv", None)
    rows = prepared.validation.rows
    assert validation == metric(prepared.validation.y.numpy(), frame["x"].to_numpy()[rows])
    part = prepared.test.open("a test").prepared.validation
    assert found.row(True)[2] == metric(part.y.numpy(), frame["x"].to_numpy()[part.rows])
    assert reference_rows(prepared, metric, part, found, fitted=False) == [found.row(True)]
    assert len(reference_rows(prepared, metric, part, found)) == 3


def test_validation_rows_may_be_missing(table, tmp_path):
    rows = prepare(table[1], "classification").validation.rows
    path = write(tmp_path, scored(table[0], row=np.arange(200)).drop(index=rows[:1]))
    prepared, found = production_model(table, path)
    assert found.row(False)[1] is None
    prepared.test.open("a test")
    assert found.row(True)[2] > 0.5


def test_a_threshold_is_fitted_on_validation_rows_and_without_them_it_is_one_half_which_is_said(table, tmp_path):
    low = scored(table[0], row=np.arange(200)).assign(score=lambda frame: frame["score"] / 10)
    f1 = with_threshold(METRICS["f1"], "validation")
    prepared = prepare(table[1], "classification")
    whole = find_production_model(write(tmp_path, low), prepared, table[1], f1, None)
    few = low.drop(index=prepared.validation.rows[:1])
    lacking = find_production_model(write(tmp_path, few, "few.csv"), prepared, table[1], f1, None)
    assert "its decisions are at 0.5" in lacking.note and whole.note == ""
    prepared.test.open("a test")
    assert whole.row(True)[1] > 0.5 < whole.row(True)[2]
    assert lacking.row(True)[1:] == (None, 0.0), "no score is above one half"


def broken(frame, what):
    """The predictions with one fault."""
    good = scored(frame, row=np.arange(200))
    if what == "twice":
        return pd.concat([good, good.head(3)])
    if what == "infinite":
        return good.assign(score=good["score"].where(good.index != 7, np.inf))
    if what == "few":
        return good.head(100)
    if what == "score":
        return good.rename(columns={"score": "scores"})
    if what == "row":
        return good.rename(columns={"row": "nr"})
    if what == "from one":
        return good.assign(row=good["row"] + 1)
    if what == "point":
        return good.assign(row=good["row"] + 0.5)
    if what == "stranger":
        return scored(frame, id=frame["id"].where(frame.index != 5, "c500"))
    if what == "large at one test row":
        return good.assign(score=good["score"].where(good["row"] != 1, 1.5))
    return good.assign(score=good["score"] * 3)


@pytest.mark.parametrize(
    ("what", "metric", "message"),
    [
        ("twice", "roc_auc", "holds 3 ids more than once (the first: row 0)"),
        ("infinite", "roc_auc", "1 scores are not finite numbers (the first is that of row 7)"),
        ("few", "roc_auc", "of the 40 test rows (the first is row 1"),
        ("score", "roc_auc", "has no column 'score': did you mean scores?"),
        ("row", "roc_auc", "needs one column with row ids: 'row'"),
        ("large", "log_loss", "log loss needs probabilities, from 0 to 1"),
        ("large at one test row", "f1", "to 1.5: F1 needs probabilities, from 0 to 1"),
        ("large at one test row", "accuracy", "accuracy needs probabilities, from 0 to 1"),
        (
            "from one",
            "roc_auc",
            "1 ids that the data do not have (the first: row 200): rows are numbered from 0 to 199",
        ),
        ("point", "roc_auc", "200 ids that the data do not have (the first: row 0.5)"),
        ("stranger", "roc_auc", "1 ids that the data do not have (the first: id c500): give the scores of rows"),
    ],
)
def test_mistakes_in_a_file(what, metric, message, table, tmp_path):
    path = write(tmp_path, broken(table[0], what))
    with pytest.raises(AutoactError) as error:
        production_model(table, path, metric)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_ids_that_tell_nothing_apart(table, tmp_path):
    path = write(tmp_path, scored(table[0], z=table[0]["z"]).assign(z=np.arange(200)))
    settings = replace(table[1], path=write(tmp_path, table[0].assign(z=1.0), "same.csv"))
    with pytest.raises(AutoactError, match="column z does not tell rows apart"):
        production_model((table[0], settings), path)


def test_order_is_enough_for_auc(table, tmp_path):
    _, found = production_model(table, write(tmp_path, broken(table[0], "large")))
    assert 0.5 < found.row(False)[1] <= 1


def test_a_model_sees_raw_columns_and_sealed_rows_late(table):
    model = Thinks()
    prepared, found = production_model(table, "models:/old@champion", model=model)
    assert found.name == "production model: models:/old/1"
    assert [list(seen.columns) for seen in model.seen] == [["x", "z"]]
    assert model.seen[0]["x"].tolist() == table[0]["x"].iloc[prepared.validation.rows].tolist()
    with pytest.raises(SealedError):
        found.row(True)
    assert len(model.seen) == 1
    prepared.test.open("a test")
    assert found.row(True)[2] > 0.5 and len(model.seen[1]) == prepared.test.size


def test_a_model_gets_the_columns_that_it_names(table):
    model = Thinks(columns=["id", "x"])
    production_model(table, "models:/old/1", model=model)
    assert list(model.seen[0].columns) == ["id", "x"]
    with pytest.raises(AutoactError, match="wants a column 'idd' that the data do not have; the nearest is id"):
        production_model(table, "models:/old/1", model=Thinks(columns=["idd"]))


def labels(frame):
    return np.where(frame["x"] > 0, "yes", "no"), None


def test_classes_do_where_the_metric_asks_for_no_more(table):
    _, found = production_model(table, "models:/old/1", "accuracy", Thinks(output=labels))
    assert found.row(False)[1] > 0.7
    with pytest.raises(AutoactError, match="gives classes, and ROC AUC needs probabilities"):
        production_model(table, "models:/old/1", model=Thinks(output=labels))


def test_columns_are_brought_into_our_order():
    prepared = prepare(DataSettings(source="sklearn", name="wine"), "classification")
    metric, values = resolve("log_loss", "classification"), np.array([[0.2, 0.3, 0.5]])
    turned = as_scores(values, list(reversed(prepared.classes)), prepared, metric, "m")
    assert turned.tolist() == [[0.5, 0.3, 0.2]]
    assert as_scores(values, None, prepared, metric, "m").tolist() == values.tolist()
    with pytest.raises(AutoactError, match=r"sum up to 0\.9"):
        as_scores(values - [[0.1, 0, 0]], None, prepared, metric, "m")
    with pytest.raises(AutoactError, match="2 columns for 3 classes"):
        as_scores(values[:, :2], None, prepared, metric, "m")
    hard = as_scores(np.array([2, 0]), None, prepared, resolve("accuracy", "classification"), "m")
    assert hard.argmax(1).tolist() == [2, 0]


def test_numbers_are_standardised_as_targets_are():
    prepared = prepare(DataSettings(source="sklearn", name="diabetes"), "regression")
    scale = prepared.target_scale
    found = as_scores(np.array([[150.0], [200.0]]), None, prepared, resolve("mse", "regression"), "m")
    assert found.tolist() == pytest.approx([(v - scale.mean[0]) / scale.std[0] for v in (150.0, 200.0)])


def test_a_file_for_many_classes(tmp_path):
    settings = DataSettings(source="sklearn", name="wine")
    prepared, metric = prepare(settings, "classification"), resolve("log_loss", "classification")
    frame = pd.DataFrame({"row": range(178), **{name: 1 / 3 for name in prepared.classes}})
    found = find_production_model(write(tmp_path, frame), prepared, settings, metric, lambda _: None)
    assert found.row(False)[1] == pytest.approx(np.log(3))


def test_it_travels_to_workers(table, tmp_path):
    path = write(tmp_path, scored(table[0], row=np.arange(200)))
    _, found = production_model(table, path)
    assert pickle.loads(pickle.dumps(found)).row(False) == found.row(False)


def test_forecasts_are_refused(tmp_path):
    settings = DataSettings(source="simulated", name="demand")
    prepared = prepare(settings, "forecast")
    with pytest.raises(AutoactError, match="a forecast has none"):
        find_production_model("x.csv", prepared, settings, resolve("mse", "forecast"), lambda _: None)


def test_classes_taken_for_each_other_are_noticed(table, tmp_path):
    good = scored(table[0], row=np.arange(200))
    assert production_model(table, write(tmp_path, good))[1].note == ""
    note = production_model(table, write(tmp_path, good.assign(score=1 - good["score"])))[1].note
    assert "ranks the validation rows backwards" in note and "probability of 'yes'" in note


def test_the_note():
    assert "is worse on the test rows" in production_note("production model: a", 0.3, "b", 0.4, mode="min", unit="MSE")
    assert production_note("production model: a", None, "b", 0.4, mode="min", unit="MSE") == ""


def test_rows_of_a_test_file_are_counted_in_it(table, tmp_path):
    settings = replace(table[1], test_path=write(tmp_path, table[0].head(50), "test.csv"))
    scores = scored(table[0].head(50), row=np.arange(50))
    prepared, found = production_model((table[0], settings), write(tmp_path, scores))
    prepared.test.open("a test")
    assert found.row(True)[2] > 0.5
    with pytest.raises(AutoactError, match="rows are numbered from 0 to 49"):
        production_model((table[0], settings), write(tmp_path, scored(table[0], row=np.arange(200))))


def test_a_file_with_another_delimiter_is_told_what_to_write(table, tmp_path):
    path = tmp_path / "predictions.csv"
    scored(table[0], row=np.arange(200)).to_csv(path, index=False, sep=";")
    with pytest.raises(AutoactError, match="holds ';': write the file with ',' between fields"):
        production_model(table, str(path))
