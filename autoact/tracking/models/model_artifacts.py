"""Logs a trained model to MLflow, in formats that hold no pickle, and reads it back."""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from torch import nn

from autoact.core.errors import AutoactError, first_line
from autoact.core.value_holders import Batch
from autoact.sites.tracing.dry_run import tensors_in
from autoact.tracking.mlflow_names import PARAM, cut, unique
from autoact.tracking.models.model_registry import Registry, Version, is_registry_uri, using
from autoact.tracking.store import Store, failing, reach, reason_of, shown

if TYPE_CHECKING:
    import numpy as np
    from lightning.pytorch import LightningModule
    from torch.export import ExportedProgram

WEIGHTS = "model.safetensors"
# Where MLflow puts the files that lie beside a model.
EXTRA = "extra_files"
TOO_MANY = "the model takes more than one tensor"
NO_TENSOR = "the model takes its tensor inside of something else"
SEVERAL = "mlflow.pyfunc predicts one plain tensor, and the model returns something else: load it with mlflow.pytorch"
# Parts of MLflow.
PYFUNC, PYTORCH = "pyfunc", "pytorch"
# Numbers of rows that a graph has to take before it is registered.
ROWS = (1, 2, 7)


@dataclass(frozen=True)
class LoggedModel:
    """Where a model was logged.

    Attributes:
        run_id: the run.
        model_uri: loads with ``mlflow.pyfunc.load_model``; None where the model cannot be exported as a graph.
        note: why not, in that case; or what is unusual about loading it.
        store: the store's URI, without passwords.
        version: in the registry; None where it was not registered.
        flavor: the part of MLflow whose ``load_model`` loads it.
    """

    run_id: str
    model_uri: str | None
    note: str
    store: str
    version: Version | None = None
    flavor: str = PYFUNC


@dataclass(frozen=True)
class FetchedModel:
    """A logged model, read back.

    Attributes:
        module: takes any number of rows.
        graph: what was exported; None for a model that was trained in this process and not logged.
        files: name -> text of the files beside it.
        version: in the registry; None where it was not named by the registry.
        example: the input that it was logged with, as an array.
    """

    module: nn.Module
    graph: ExportedProgram | None
    files: Mapping[str, str]
    version: Version | None
    example: np.ndarray | None


def log_model(
    store: Store,
    experiment: str,
    module: LightningModule,
    example: Batch,
    *,
    name: str,
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: Mapping[str, str],
    register: str | None = None,
    task: str = "",
) -> LoggedModel:
    """Log a trained module in a run of its own, and register it.

    The model is logged as a graph (``torch.export``, any number of rows). Beside it lie ``files`` and its weights, to
    train on with the same class: ``autoact.restore_(module, safetensors.torch.load_file("model.safetensors"))``.

    The module is in evaluation mode, on the CPU; the example has two rows or more. ``files`` maps names to texts.
    ``tags`` belong to the run and to the version. Without a name to ``register`` it by, the model is not registered.

    Raises:
        AutoactError: the store did not take it.
    """
    module.trainer = None  # a graph has no Trainer
    experiment_id = store.experiment(experiment)
    trouble = f"cannot log the model to MLflow at {shown(store.uri)}"
    with failing(trouble), using(store.uri) as mlflow, tempfile.TemporaryDirectory() as folder:
        beside = _written(module, files, Path(folder))
        # MLflow logs models into the process's active run only: a run of the user's own, if any, is the parent.
        nested = mlflow.active_run() is not None
        with mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=dict(tags), nested=nested) as run:
            try:
                mlflow.log_params(_keyed(params))
                mlflow.log_metrics(_keyed(metrics))
                for file in beside:
                    mlflow.log_artifact(str(file))
                uri, note = _log_graph(module, example, beside)
            except KeyboardInterrupt:
                mlflow.end_run("KILLED")  # as an interrupted search ends
                raise
    run_id, version = str(run.info.run_id), None
    if uri is not None and register is not None:
        version = Registry(store).register(register, uri, run_id, task, tags)
    return LoggedModel(run_id, uri, note, shown(store.uri), version, PYTORCH if note == SEVERAL else PYFUNC)


def _keyed(values: Mapping[str, object]) -> dict[str, object]:
    """The same values under names that MLflow takes, as a search logs them."""
    keys = unique(values)
    return {
        keys[name]: cut(value, PARAM, "the model's files") if isinstance(value, str) else value
        for name, value in values.items()
    }


def keep_model(module: nn.Module, files: Mapping[str, str], output: Path, task: str) -> Path:
    """Write a trained model into a new folder below ``output``, where no store takes it; returns the folder.

    The module is in evaluation mode, on the CPU; ``files`` maps names to texts that lie beside its weights.

    Raises:
        AutoactError: the folder cannot be written.
    """
    name = f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', task)}-model-{datetime.now():%Y%m%d-%H%M%S-%f}"
    folder = output / name
    try:
        folder.mkdir(parents=True)
        _written(module, files, folder)
    except (OSError, SafetensorError) as error:
        raise AutoactError(f"the model cannot be written to {str(folder)!r}: {reason_of(error)}") from error
    return folder


def _written(module: nn.Module, files: Mapping[str, str], folder: Path) -> list[Path]:
    """The files that lie beside a model: its weights, and texts."""
    from safetensors.torch import save_file

    # Copies: safetensors refuses weights that share their memory, and views.
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in (WEIGHTS, *files)]


def _log_graph(module: nn.Module, example: Batch, beside: list[Path]) -> tuple[str | None, str]:
    """The model as an exported graph; None and the reason where it cannot be exported.

    A model that returns one tensor has a signature of its output, too, for which MLflow has ``pyfunc`` predict.
    """
    import mlflow

    left = "only its weights are logged, and nothing is registered"
    tensor = only_tensor(module, example)
    if tensor is None:
        why = TOO_MANY if sum(1 for _ in tensors_in(example)) > 1 else NO_TENSOR
        return None, f"{why}: {left}"
    if trouble := _not_any_rows(module, tensor):
        return None, f"{trouble}: {left}"
    with torch.no_grad():
        one = isinstance(module(tensor), torch.Tensor)
    info = mlflow.pytorch.log_model(
        module,
        name="model",
        signature=None if one else mlflow.models.infer_signature(tensor.numpy()),
        input_example=tensor.numpy(),
        serialization_format="pt2",
        pip_requirements=["torch"],
        extra_files=[str(file) for file in beside],
    )
    return str(info.model_uri), "" if one else SEVERAL


def only_tensor(module: nn.Module, example: Batch) -> torch.Tensor | None:
    """The one tensor that a model takes, whether an example hands it over alone, in a tuple or by its name.

    None where ``module(tensor)`` is not what the example says.

    Example:
        >>> x, linear = torch.zeros(2, 3), torch.nn.Linear(3, 1)
        >>> [only_tensor(linear, example) is x for example in (x, (x,), {"input": x}, (x, x), {"other": x})]
        [True, True, True, False, False]
    """
    if isinstance(example, Mapping) and len(example) == 1:
        first = next(iter(inspect.signature(module.forward).parameters.values()), None)
        named = first is not None and first.kind is first.POSITIONAL_OR_KEYWORD and first.name in example
        example = tuple(example.values()) if named else None
    if isinstance(example, list | tuple) and len(example) == 1:
        (example,) = example
    return example if isinstance(example, torch.Tensor) else None


def _not_any_rows(module: nn.Module, example: torch.Tensor) -> str:
    """Why a module cannot be exported as a graph that takes any number of rows; empty where it can."""
    try:
        graph = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
    except Exception as error:  # torch.export raises many kinds, for whatever a user's forward does
        return f"the model cannot be exported as a graph ({type(error).__name__})"
    for rows in ROWS:
        x = example[torch.arange(rows) % len(example)]
        try:
            wanted, found = _with_one_seed(module, x), _with_one_seed(graph, x)
        except Exception as error:
            return f"the model's graph does not take {rows} rows ({first_line(error)})"
        for one, other in zip(tensors_in(wanted), tensors_in(found), strict=True):
            if one.shape != other.shape or not torch.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True):
                return f"the model's graph gives other values than the model for {rows} rows"
    return ""


def _with_one_seed(function: Callable[[torch.Tensor], Batch], x: torch.Tensor) -> Batch:
    """What a model gives, with the random numbers of one seed: some draw them in evaluation, too."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return function(x)


def fetch_model(store: Store | None, source: str) -> FetchedModel:
    """Read a logged model back; an alias is resolved once.

    Args:
        store: where it is; None for a folder.
        source: ``models:/NAME/VERSION``, ``models:/NAME@ALIAS``, ``runs:/ID/model``, or a folder that holds one.

    Raises:
        AutoactError: there is no such model, or it was not logged by ``log_model``.
    """
    with tempfile.TemporaryDirectory() as temporary:
        version, folder = None, Path(source)
        if is_registry_uri(source):
            assert store is not None, "only a folder needs no store"
            registry = Registry(store)
            version = registry.version(source) if source.startswith("models:/") else None
            folder = registry.fetch(source if version is None else version.uri, temporary)
        file = folder / "data" / "model.pt2"
        if not file.is_file():
            raise AutoactError(f"{source} holds no model that python -m autoact train logged (no {file.name})")
        with failing(f"{source}: its graph cannot be read by this version of torch"), reach():
            graph = torch.export.load(file)
            module = graph.module()
        texts = {
            file.name: file.read_text(encoding="utf-8")
            for file in (folder / EXTRA).glob("*")
            if file.suffix in (".json", ".yaml")
        }
        return FetchedModel(module, graph, texts, version, _example(folder, graph))


def _example(folder: Path, graph: ExportedProgram) -> np.ndarray | None:
    """The input example, as an array of the type that the graph takes; None where there is none."""
    file = folder / "input_example.json"
    if not file.is_file():
        return None
    import json

    import numpy as np

    data = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(data, list):
        return None
    taken = next(tensors_in(graph.example_inputs), torch.zeros(0))
    return np.array(data, dtype=torch.zeros(0, dtype=taken.dtype).numpy().dtype)
