"""Logs a trained model to MLflow, in a format that holds no pickle."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autoact.core.errors import AutoactError
from autoact.tracking.store import Store, StoreError, reach, shown

WEIGHTS = "weights.pt"


@dataclass(frozen=True)
class LoggedModel:
    """Where a model was logged.

    Attributes:
        run_id: the run.
        model_uri: loads with ``mlflow.pyfunc.load_model``; None where the model cannot be exported as a graph.
        note: why not, in that case.
        store: the store's URI, without passwords.
    """

    run_id: str
    model_uri: str | None
    note: str
    store: str


def log_model(
    store: Store,
    experiment: str,
    module: Any,
    example: Any,
    *,
    name: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: Mapping[str, str],
) -> LoggedModel:
    """Log a trained module in a run of its own.

    The model is logged as a graph (``torch.export``, any number of rows); its weights lie beside it, to train on with
    the same class: ``module.load_state_dict(torch.load("weights.pt"))``.

    Args:
        store: where.
        experiment: its name.
        module: in evaluation mode, on the CPU.
        example: an input of two rows or more.
        name: of the run.
        params: of the run.
        metrics: of the run.
        tags: of the run.
        files: name -> text of further artefacts.

    Raises:
        AutoactError: the store did not take it.
    """
    import mlflow

    module.trainer = None  # a graph has no Trainer
    experiment_id = store.experiment(experiment)
    before = mlflow.get_tracking_uri() if mlflow.tracking.is_tracking_uri_set() else None
    # MLflow logs models into the process's active run only: a run of the user's own, if any, becomes the parent.
    nested = mlflow.active_run() is not None
    try:
        with reach(), tempfile.TemporaryDirectory() as folder:
            mlflow.set_tracking_uri(store.uri)
            with mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=dict(tags), nested=nested) as run:
                mlflow.log_params(dict(params))
                mlflow.log_metrics(dict(metrics))
                for file, text in files.items():
                    mlflow.log_text(text, file)
                weights = Path(folder) / WEIGHTS
                torch.save(module.state_dict(), weights)
                mlflow.log_artifact(str(weights))
                uri, note = _log_graph(module, example)
    except StoreError as trouble:
        raise AutoactError(f"cannot log the model to MLflow at {shown(store.uri)}: {trouble}") from trouble
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: as if it had never been set
    return LoggedModel(run.info.run_id, uri, note, shown(store.uri))


def _log_graph(module: Any, example: Any) -> tuple[str | None, str]:
    """The model as an exported graph; None and the reason where it cannot be exported."""
    import mlflow

    if not isinstance(example, torch.Tensor):
        return None, "the model takes more than one tensor: only its weights are logged"
    try:
        torch.export.export(module, (example,))
    except Exception as error:  # torch.export raises many kinds, for whatever a user's forward does
        return None, f"the model cannot be exported as a graph ({type(error).__name__}): only its weights are logged"
    info = mlflow.pytorch.log_model(
        module, name="model", input_example=example.numpy(), serialization_format="pt2", pip_requirements=["torch"]
    )
    return str(info.model_uri), ""
