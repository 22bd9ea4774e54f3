"""A tree model of MLflow's registry beside ours."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from autoact.core.errors import AutoactError
from autoact.tracking.models.registered_model import RegisteredModel
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:.*Add type hints to the:UserWarning")

FRAME = pd.DataFrame({"x": np.linspace(-1, 1, 60), "z": np.tile([0.0, 1.0], 30)})
TREE = HistGradientBoostingClassifier(max_iter=5).fit(FRAME, np.where(FRAME["x"] > 0, "yes", "no"))


def half(model_input):
    """A model without classes or probabilities of its own."""
    return np.full(len(model_input), 0.5)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a registered model, version 1 of which is the champion."""
    folder = tmp_path_factory.mktemp("registry")
    store = Store(TrackingSettings(), folder)
    experiment = store.experiment("production")
    mlflow.set_tracking_uri(store.uri)
    try:
        with warnings.catch_warnings(), mlflow.start_run(experiment_id=experiment):
            warnings.simplefilter("ignore")
            signature = mlflow.models.infer_signature(FRAME, np.array(["yes"]))
            for _ in range(2):
                mlflow.sklearn.log_model(
                    TREE,
                    name="model",
                    signature=signature,
                    registered_model_name="churn_prod",
                    serialization_format="cloudpickle",
                    pip_requirements=["scikit-learn"],
                )
            mlflow.sklearn.log_model(
                TREE,
                name="unnamed",
                registered_model_name="unnamed",
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
            )
            mlflow.pyfunc.log_model(  # a model in plain Python
                name="half",
                python_model=half,
                input_example=None,
                registered_model_name="half",
                pip_requirements=["mlflow"],
            )
        store.client.set_registered_model_alias("churn_prod", "champion", 1)
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    return folder


def test_an_alias_is_resolved_once_and_probabilities_are_found(output: Path) -> None:
    model = RegisteredModel("models:/churn_prod@champion", TrackingSettings(), output)
    assert model.title == "churn_prod@champion (version 1)"
    assert model.columns == ["x", "z"]
    values, classes = model.predict(FRAME)
    assert classes == ["no", "yes"] and np.allclose(values, TREE.predict_proba(FRAME))
    assert not mlflow.tracking.is_tracking_uri_set()


def test_it_travels_without_the_model(output: Path) -> None:
    model = RegisteredModel("models:/churn_prod/2", TrackingSettings(), output)
    before = model.predict(FRAME)[0]
    copied = pickle.loads(pickle.dumps(model))
    assert copied._loaded is None and np.array_equal(copied.predict(FRAME)[0], before)


def test_any_pyfunc(output: Path) -> None:
    model = RegisteredModel("models:/half/1", TrackingSettings(), output)
    values, classes = model.predict(FRAME)
    assert classes is None and values.tolist() == [0.5] * 60


@pytest.mark.parametrize("address", ["models:/nobody@champion", "models:/churn_prod@nobody", "models:/churn_prod/9"])
def test_what_is_not_there(address: str, output: Path) -> None:
    with pytest.raises(AutoactError, match="cannot be loaded from MLflow at sqlite") as error:
        RegisteredModel(address, TrackingSettings(), output).predict(FRAME)
    assert "\n" not in str(error.value)


def test_columns_get_the_types_of_the_signature(output: Path) -> None:
    model = RegisteredModel("models:/churn_prod/1", TrackingSettings(), output)
    values, _ = model.predict(FRAME.assign(x=FRAME["x"].map(str).astype(object), z=FRAME["z"].astype("int64")))
    assert np.allclose(values, TREE.predict_proba(FRAME))
    with pytest.raises(AutoactError, match="row 1 holds 'text'"):
        model.predict(FRAME.assign(x="text"))


def test_rows_that_it_does_not_take(output: Path) -> None:
    rows = FRAME.assign(x=[*FRAME["x"][:-1], float("inf")])
    with pytest.raises(AutoactError, match="infinite"):
        RegisteredModel("models:/churn_prod/1", TrackingSettings(), output).predict(rows)
    unnamed = RegisteredModel("models:/unnamed/1", TrackingSettings(), output)
    assert unnamed.columns is None
    with pytest.raises(AutoactError, match="cannot score the rows"):
        unnamed.predict(FRAME[["x"]])
