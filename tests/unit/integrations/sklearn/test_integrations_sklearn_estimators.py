"""The search as a scikit-learn estimator."""

import copy
import gc
import inspect
import pickle
import re
import sys
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autoact import AutoActClassifier, AutoactError, AutoActRegressor
from autoact.core.assignment import Assignment
from autoact.data.preparation.split import Split
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings
from autoact.integrations.sklearn.fit import settings_for, train_on_all
from autoact.integrations.sklearn.rows import Columns, prepared, typed_rows, whole
from autoact.recommendation import Policy

DOCS = Path(__file__).resolve().parents[4] / "docs" / "integrations" / "sklearn.md"
X, Y = make_classification(60, n_features=4, n_informative=3, n_redundant=0, random_state=0, class_sep=2.0)
SMALL = {"width": 8, "depth": 2, "max_epochs": 4, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    return AutoActClassifier(**SMALL).fit(X, Y)


@pytest.fixture(scope="module")
def large():
    """A whole search with its final check, on the fewest rows that allow it."""
    x, y = make_classification(500, n_features=4, n_informative=3, n_redundant=0, random_state=0, n_classes=3)
    small = dict(SMALL, max_epochs=2, trials=5, confirm_seeds=2, candidates=("relu", "tanh"), granularity="model")
    return AutoActClassifier(**small).fit(x, np.array(["c", "a", "b"])[y])


def test_few_rows_keep_the_baseline_and_say_why(fitted):
    assert fitted.protocol_ == "reduced" and fitted.note_.startswith("reduced protocol, 60 rows")
    assert not fitted.recommendation_.policy("quality").recommend
    assert [one["trial"] for one in fitted.front_] == [0]
    assert set(fitted.front_[0]["assignment"].values()) == {"relu"} and list(fitted.front_[0]["values"]) == ["quality"]
    assert len(fitted.study_.trials) == 1 and "nothing was compared" in fitted.verdict_


def test_enough_rows_are_searched_and_checked(large):
    assert (large.protocol_, large.note_) == ("full", "")
    evidence = large.recommendation_.policy("quality").evidence
    assert evidence["seeds"] == 2 and "seeds" in large.recommendation_.baseline.evidence
    assert len(large.study_.trials) >= 5 and large.classes_.tolist() == ["a", "b", "c"]
    assert {str(choice) for t in large.study_.trials for choice in t.params.values()} >= {"relu", "tanh"}


def test_probabilities_agree_with_predictions(fitted, large):
    for model, rows in ((fitted, X), (large, X)):
        shares = model.predict_proba(rows)
        assert shares.dtype == np.float64 and np.allclose(shares.sum(axis=1), 1.0, atol=1e-12)
        assert (model.classes_[shares.argmax(axis=1)] == model.predict(rows)).all()
        assert np.allclose(np.exp(model.predict_log_proba(rows)), shares)
    scores = fitted.decision_function(X)
    assert np.allclose(1 / (1 + np.exp(-scores)), fitted.predict_proba(X)[:, 1])


def test_what_is_recommended_is_what_is_trained(fitted):
    rows = typed_rows(Columns.of_numbers([f"x{k}" for k in range(4)]), X, Y, ["0", "1"])
    prepared = whole(rows, DataSettings(), "t")
    policy = Policy(True, Assignment({"layers.0.act": "tanh", "layers.1.act": "relu"}), {}, 3, "better")
    module = train_on_all(prepared, policy, fitted, torch.device("cpu"))
    assert [str(layer.act) for layer in module.layers] == ["ActivationModule(tanh)", "ReLU()"]
    assert all(p.dtype == torch.float64 for p in module.parameters()) and not module.training


def test_the_parameters_reach_the_search(fitted, tmp_path):
    from autoact.integrations.sklearn.rows import Protocol

    full = Protocol("full", Split(*(np.arange(k) for k in (3, 2, 1))), None, "")
    asked = clone(fitted).set_params(
        trials=7, minutes=2.0, objectives=("quality", "latency"), n_jobs=2, candidates=("tanh",)
    )
    settings = settings_for(asked, full, tmp_path, 0)
    assert (settings.search.trials, settings.search.minutes, settings.space.candidates) == (7, 2.0, ["tanh"])
    assert (settings.engine.name, settings.engine.workers, settings.hardware.rounds) == ("processes", 2, 15)
    assert (settings.confirm.seeds, settings.space.granularity) == (10, "site")
    quality = settings_for(clone(fitted), full, tmp_path, 0)
    assert (quality.engine.name, quality.hardware.rounds) == ("inline", 5)


def test_the_same_seed_gives_the_same_model(fitted):
    again = clone(fitted).fit(X, Y)
    assert np.array_equal(again.decision_function(X), fitted.decision_function(X))
    other = clone(fitted).set_params(random_state=1).fit(X, Y)
    assert not np.array_equal(other.decision_function(X), fitted.decision_function(X))


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_copies_predict_the_same_and_carry_the_study(fitted, large, copied):
    for model in (fitted, large):
        other = copied(model)
        assert np.array_equal(other.predict_proba(X), model.predict_proba(X))
        assert [t.values for t in other.study_.trials] == [t.values for t in model.study_.trials]
        assert other.recommendation_.to_dict() == model.recommendation_.to_dict()


def test_joblib_keeps_a_fitted_pipeline(tmp_path):
    model = make_pipeline(StandardScaler(), AutoActRegressor(**SMALL)).fit(X, X[:, 0])
    joblib.dump(model, tmp_path / "model.joblib")
    assert np.array_equal(joblib.load(tmp_path / "model.joblib").predict(X), model.predict(X))


def test_it_is_scored_and_searched_as_any_estimator():
    scores = cross_val_score(AutoActClassifier(**SMALL), X, Y, cv=2)
    assert scores.shape == (2,) and np.isfinite(scores).all()
    grid = GridSearchCV(AutoActRegressor(**SMALL), {"width": [4, 8]}, cv=2).fit(X, X[:, 0])
    assert grid.best_params_["width"] in (4, 8) and grid.best_estimator_.module_.layers[0].linear.out_features in (4, 8)


def test_a_frame_may_hold_categories_and_gaps():
    frame = pd.DataFrame({"city": np.where(Y > 0, "north", "south"), "size": X[:, 0], "late": X[:, 1] > 0})
    frame.loc[3, "size"] = np.nan
    model = AutoActClassifier(**dict(SMALL, max_epochs=30)).fit(frame, Y)
    assert model.feature_names_in_.tolist() == ["city", "size", "late"] and model.n_features_in_ == 3
    assert model.score(frame, Y) == 1.0
    unseen = frame.head(2).assign(city=["elsewhere", None])
    assert np.isfinite(model.predict_proba(unseen)).all()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"city": "town"}))


def test_missing_numbers_are_taken_and_infinite_ones_are_not(fitted):
    gap = X.copy()
    gap[0, 0] = np.nan
    assert np.isfinite(fitted.decision_function(gap)).all()
    gap[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        fitted.predict(gap)


def test_nothing_is_left_behind(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = list(sys.path)
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    AutoActRegressor(**SMALL).fit(X, X[:, 0])
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert (np.random.get_state()[1] == numpy_state).all() and torch.equal(torch.get_rng_state(), torch_state)
    assert gc.get_freeze_count() == 0 and sys.path == path


def test_an_output_folder_keeps_study_and_report(tmp_path):
    AutoActRegressor(**SMALL, output=tmp_path).fit(X, X[:, 0])
    assert (tmp_path / "optuna.db").is_file()
    assert {"report.md", "recommended.yaml"} <= {file.name for file in tmp_path.glob("*/*")}


def test_verbose_prints_the_progress(capsys):
    AutoActRegressor(**SMALL, verbose=True).fit(X, X[:, 0])
    assert "No recommendation" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"metric": "roc_acu"}, "did you mean roc_auc"),
        ({"metric": "mse"}, "does not fit a classification task"),
        ({"candidates": ("relu", "geluu")}, "gelu"),
        ({"granularity": "layer"}, "unknown granularity"),
        ({"scaling": "minmax"}, "unknown scaling"),
        ({"policy": "balanced"}, "need a traded latency"),
        ({"objectives": ("speed",)}, "speed"),
        ({"trials": 0}, "trials=0 must be 1 or more"),
        ({"width": 0}, "width=0 must be 1 or more"),
        ({"confirm_seeds": 1}, "confirm_seeds=1"),
        ({"tracking": "mlflow"}, "give output="),
        ({"device": "gpu"}, "unknown device"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(wrong, message):
    with pytest.raises(ValueError, match=re.escape(message)) as found:
        AutoActClassifier(**{**SMALL, **wrong}).fit(X, Y)
    assert isinstance(found.value, AutoactError)


def test_every_parameter_is_listed_once_and_explained():
    for estimator in (AutoActClassifier, AutoActRegressor):
        signature = inspect.signature(estimator)
        assert sorted(signature.parameters) == sorted(estimator().get_params())
        assert all(one.kind is one.KEYWORD_ONLY for one in signature.parameters.values())
    explained = AutoActClassifier.__doc__.split("Args:")[1].split("Attributes:")[0]
    assert re.findall(r"^        (\w+):", explained, re.MULTILINE) == list(signature.parameters)


def test_arrays_are_prepared_as_a_table_of_a_file_is(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(city=["oslo", "rome", None] * 20)
    frame.assign(y=Y).to_csv(tmp_path / "t.csv", index=False)
    of_file = prepare(DataSettings(path=str(tmp_path / "t.csv"), target="y"), "classification")
    rows = typed_rows(Columns.of_frame(frame, list(frame)), frame, Y, ["0", "1"])
    of_file.test.open("a test")
    split = Split(*(part.rows for part in (of_file.train, of_file.validation, of_file.test.part)))
    given = prepared(rows, split, DataSettings(), "t")
    assert torch.equal(given.train.x, of_file.train.x) and torch.equal(given.validation.y, of_file.validation.y)
    assert (given.features, given.frame_schema, given.profile) == (
        of_file.features,
        of_file.frame_schema,
        of_file.profile,
    )


def test_a_metric_that_does_not_exist_on_the_rows_is_refused():
    rare = np.zeros(60, dtype=int)
    rare[7] = 1  # a single row of a class trains; no validation row shows that class
    with pytest.raises(ValueError, match="metric='roc_auc' does not exist on these 12 rows"):
        AutoActClassifier(**SMALL, metric="roc_auc").fit(X, rare)


def test_one_class_and_no_fit_are_refused():
    with pytest.raises(ValueError, match="one class only"):
        AutoActClassifier().fit(X, np.zeros(60))
    with pytest.raises(NotFittedError):
        AutoActRegressor().predict(X)


def test_the_page_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
    assert names["model"].protocol_ == "full" and names["small"].protocol_ == "reduced"
    assert capsys.readouterr().out


@pytest.mark.slow
def test_worker_processes_change_nothing():
    x, y = make_classification(200, n_features=4, n_informative=3, n_redundant=0, random_state=0)
    one, two = (AutoActClassifier(**SMALL, n_jobs=jobs).fit(x, y) for jobs in (None, 2))
    assert len(one.study_.trials) == 2
    assert np.array_equal(one.decision_function(x), two.decision_function(x))
