"""The logged model: loads back, computes the same for any number of rows, leaves the process's MLflow as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import autoact
from autoact.tracking.model import WEIGHTS, log_model
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(TrackingSettings(), tmp_path_factory.mktemp("store"))


def log(store: Store, module: nn.Module, example: Any) -> Any:
    return log_model(
        store,
        "autoact-demo",
        module.eval(),
        example,
        name="train",
        params={"act.1": "snake"},
        metrics={"val_mse": 0.5},
        tags={"autoact.kind": "train"},
        files={"assignment.yaml": "a: b\n"},
    )


def test_it_loads_back_and_computes_the_same_for_any_number_of_rows(store: Store, tmp_path: Path) -> None:
    import mlflow

    model = autoact.apply(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), {"1": "snake"})
    logged = log(store, model, torch.randn(4, 4))
    assert logged.note == "" and "MLFLOW_TRACKING_URI" not in os.environ
    mlflow.set_tracking_uri(store.uri)
    try:
        loaded = mlflow.pyfunc.load_model(logged.model_uri)
        weights = mlflow.artifacts.download_artifacts(run_id=logged.run_id, artifact_path=WEIGHTS, dst_path=tmp_path)
    finally:
        mlflow.set_tracking_uri(None)
    for rows in (1, 7, 1000):
        x = torch.randn(rows, 4)
        np.testing.assert_allclose(np.asarray(loaded.predict(x.numpy())), model(x).detach().numpy(), atol=1e-6)
    again = autoact.apply(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), {"1": "snake"})
    again.load_state_dict(torch.load(weights, weights_only=True))
    assert torch.equal(again(x), model(x))
    run = store.client.get_run(logged.run_id)
    assert run.info.status == "FINISHED" and run.data.params["act.1"] == "snake"


class Untraceable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) if float(x.sum()) > 0 else -self.net(x)


def test_a_model_that_is_no_graph_keeps_its_weights_and_says_so(store: Store) -> None:
    logged = log(store, Untraceable(), torch.randn(4, 4))
    assert logged.model_uri is None and "cannot be exported as a graph" in logged.note
    assert [file.path for file in store.client.list_artifacts(logged.run_id) if file.path == WEIGHTS]
