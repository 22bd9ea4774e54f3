"""The logged model: loads back, computes the same for any number of rows, leaves the process's MLflow as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import autoact
from autoact.core.errors import AutoactError
from autoact.tracking.models.model_artifacts import WEIGHTS, fetch_model, log_model
from autoact.tracking.models.model_registry import Registry, using
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(TrackingSettings(), tmp_path_factory.mktemp("store"))


def log(store: Store, module: nn.Module, example: Any, **given: Any) -> Any:
    usual = {"params": {"act.1": "snake"}, "metrics": {"val_mse": 0.5}}
    return log_model(
        store,
        "autoact-demo",
        module.eval(),
        example,
        name="train",
        tags={"autoact.kind": "train"},
        files={"assignment.yaml": "a: b\n"},
        **usual | given,
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
    again.load_state_dict(load_file(weights))
    assert torch.equal(again(x), model(x))
    run = store.client.get_run(logged.run_id)
    assert run.info.status == "FINISHED" and run.data.params["act.1"] == "snake"


class Scaled(nn.Module):
    """Gives a mean and a deviation, of rows that it calls by their name."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        mean, raw = self.net(rows).chunk(2, -1)
        return {"mean": mean, "deviation": nn.functional.softplus(raw) + 1e-4}


def test_a_model_of_several_outputs_is_registered_and_says_what_loads_it(store: Store) -> None:
    import mlflow

    module = Scaled()
    logged = log(store, module, {"rows": torch.randn(4, 4)}, register="several-outputs", task="several")
    assert logged.version is not None and "load it with mlflow.pytorch" in logged.note and logged.flavor == "pytorch"
    with using(store.uri):
        loaded = mlflow.pytorch.load_model(logged.version.uri)
    fetched = fetch_model(store, "models:/several-outputs@candidate")
    for rows in (1, 2, 7):
        x = torch.randn(rows, 4)
        wanted = module(x)
        for found in (loaded(x), fetched.module(x)):
            torch.testing.assert_close(found, wanted)


class Sampling(nn.Module):
    """Draws in evaluation, as variational models do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) + torch.randn_like(x)


def test_a_model_that_draws_random_numbers_is_registered(store: Store) -> None:
    logged = log(store, Sampling(), torch.zeros(4, 4), register="drawn", task="drawn")
    assert logged.note == "" and logged.version is not None
    drawn = fetch_model(store, "models:/drawn@candidate").module(torch.zeros(7, 4))
    assert drawn.shape == (7, 4) and len(drawn.unique()) > 4


class ByName(nn.Module):
    """Takes one tensor under a name, as batches that are dicts hand it over."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.net(image)


@pytest.mark.parametrize("example", [{"image": torch.randn(4, 4)}, (torch.randn(4, 4),)])
def test_one_tensor_under_its_name_or_in_a_tuple_is_one_tensor(store: Store, example: Any) -> None:
    import mlflow

    module = ByName()
    logged = log(store, module, example)
    assert logged.note == "" and logged.flavor == "pyfunc"
    with using(store.uri):
        loaded = mlflow.pyfunc.load_model(logged.model_uri)
    x = torch.randn(7, 4)
    np.testing.assert_allclose(np.asarray(loaded.predict(x.numpy())), module(x).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("example", "why"),
    [((torch.ones(2, 4), torch.ones(2, 4)), "takes more than one tensor"), (({"x": torch.ones(2, 4)},), "inside of")],
)
def test_what_is_no_single_tensor_is_told(store: Store, example: Any, why: str) -> None:
    assert why in log(store, ByName(), example).note


class Untraceable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) if float(x.sum()) > 0 else -self.net(x)


def test_a_model_of_tokens_comes_back_with_an_example_of_tokens(store: Store) -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.ReLU(), nn.Linear(12, 1)).eval()
    example = torch.randint(0, 9, (4, 3))
    logged = log_model(
        store, "own", net, example, name="t", params={}, metrics={}, tags={}, files={}, register="tokens-autoact"
    )
    assert logged.version is not None
    fetched = fetch_model(store, logged.version.uri)
    assert fetched.example.dtype == "int64" and torch.equal(torch.from_numpy(fetched.example), example)


def test_a_model_that_is_no_graph_keeps_its_weights_and_says_so(store: Store) -> None:
    logged = log(store, Untraceable(), torch.randn(4, 4))
    assert logged.model_uri is None and "cannot be exported as a graph" in logged.note
    assert [file.path for file in store.client.list_artifacts(logged.run_id) if file.path == WEIGHTS]


class Fixed(nn.Module):
    """Takes batches of four alone, in its graph: the number of rows is read as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x).view(4 if len(x) == 4 else -1, 1)


class Odd(nn.Module):
    """Adds up its rows where there is one row: a graph that was made of more does not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = [row for row in x]
        return torch.stack(rows)


@pytest.mark.parametrize("module", [Fixed(), Odd()], ids=["fixed", "odd"])
def test_a_graph_that_does_not_take_any_number_of_rows_is_not_registered(store: Store, module: nn.Module) -> None:
    logged = log(store, module, torch.randn(4, 4), register="fixed")
    assert logged.model_uri is None and logged.version is None
    assert "nothing is registered" in logged.note and (
        "does not take 1 rows" in logged.note or "graph (" in logged.note
    )


class Tied(nn.Module):
    """Two layers that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(self.act(self.one(x)))


def test_a_registered_model_comes_back_with_its_files_and_its_weights_train_on(store: Store, tmp_path: Path) -> None:
    model = autoact.apply(Tied(), {"act": "prelu"}, example_input=torch.zeros(2, 4))
    logged = log(store, model, torch.randn(2, 4), register="tied-autoact", task="tied")
    assert logged.version is not None and logged.version.uri == "models:/tied-autoact/1"
    fetched = fetch_model(store, "models:/tied-autoact@candidate")
    assert fetched.version == Registry(store).version("models:/tied-autoact@candidate")
    assert fetched.files == {"assignment.yaml": "a: b\n"} and fetched.example.shape == (2, 4)
    for rows in (1, 7, 1000):
        x = torch.randn(rows, 4)
        torch.testing.assert_close(fetched.module(x), model(x))
    weights = Registry(store).fetch("models:/tied-autoact/1/extra_files/model.safetensors", tmp_path)
    again = autoact.restore_(Tied(), load_file(weights), example_input=torch.zeros(2, 4))
    torch.testing.assert_close(again(x), model(x))
    again(x).sum().backward()
    with pytest.raises(RuntimeError, match="autoact:prelu"):
        Tied().load_state_dict(load_file(weights))
    folder = Registry(store).fetch("models:/tied-autoact/1", tmp_path / "whole")
    assert fetch_model(None, str(folder)).version is None
    assert not [file for file in folder.rglob("*") if file.suffix in (".pkl", ".pth", ".bin")]


def test_nothing_is_registered_where_there_is_no_graph(store: Store) -> None:
    logged = log(store, Untraceable(), torch.randn(4, 4), register="no-graph-autoact", task="t")
    assert logged.version is None and "nothing is registered" in logged.note
    with using(store.uri):
        assert store.client.search_registered_models("name = 'no-graph-autoact'") == []


def test_something_else_than_a_model_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(AutoactError, match=r"holds no model that python -m autoact train logged"):
        fetch_model(None, str(tmp_path))
    with pytest.raises(AutoactError, match=r"cannot fetch runs:/nothing/model from sqlite"):
        fetch_model(store, "runs:/nothing/model")


def test_names_that_mlflow_does_not_take_are_cleaned_and_stay_distinct(store: Store) -> None:
    params = {"act.layers[0]": "relu", "act.layers(0)": "tanh", "note": "x" * 7000}
    metrics = {"val/recall@5": 0.5, "val/recall 5": 0.6, "val/recall_5": 0.7, "précision %": 0.8}
    logged = log(store, nn.Linear(3, 1), torch.zeros(2, 3), params=params, metrics=metrics)
    run = store.client.get_run(logged.run_id)
    assert sorted(run.data.metrics.values()) == [0.5, 0.6, 0.7, 0.8]
    assert run.data.metrics["val/recall_5"] == 0.5
    assert [run.data.params["act.layers_0_"], run.data.params["act.layers_0__2"]] == ["relu", "tanh"]


def test_what_serves_a_model_installs_no_autoact(store: Store, tmp_path: Path) -> None:
    """A logged graph needs torch alone; ``autoact`` on the public index is somebody else's."""
    logged = log(store, nn.Linear(3, 1), torch.zeros(2, 3))
    with using(store.uri) as mlflow:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=logged.model_uri, dst_path=str(tmp_path)))
    for name in ("requirements.txt", "conda.yaml", "MLmodel"):
        lines = [line for line in (folder / name).read_text().splitlines() if "autoact" in line]
        assert lines == [], name
    assert "torch" in (folder / "requirements.txt").read_text()
