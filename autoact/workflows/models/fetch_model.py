"""The model that ``predict`` and ``export`` are given: just trained, of the registry, of a run, or in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from autoact.core.errors import AutoactError
from autoact.tracking.models.model_artifacts import FetchedModel, fetch_model
from autoact.tracking.models.model_registry import Registry, is_registry_uri
from autoact.tracking.settings import TrackingSettings
from autoact.workflows.models.deliver_model import TrainResult

# ``models:/NAME/3``, ``models:/NAME@alias``, ``runs:/ID/model``, a folder that holds a logged model, or what
# ``autoact.train`` returned.
ModelSource: TypeAlias = str | Path | TrainResult


def fetched(source: ModelSource, tracking_uri: str | None, runs: str | Path) -> tuple[FetchedModel, str]:
    """A model that was trained, and how messages call it.

    ``tracking_uri`` is as in ``load_recommendation``; ``runs`` is the folder that trainings write to.

    Raises:
        AutoactError: there is no such model, folder or store.
    """
    if isinstance(source, TrainResult):
        if source._store is not None and source.model_uri is not None:
            return fetch_model(source._store, source.model_uri), source.model_uri
        return FetchedModel(source.module, None, source.files, None, None), "the trained model"
    if not isinstance(source, str | Path):
        raise AutoactError(
            f"model is a {type(source).__name__}: give what autoact.train returned, models:/NAME@ALIAS, "
            "models:/NAME/VERSION, runs:/ID/model, or a folder that holds a logged model"
        )
    text = str(source)
    if is_registry_uri(text):
        registry = Registry.at(TrackingSettings(uri=tracking_uri), runs)
        model = fetch_model(registry.store, text)
        by_alias = model.version is not None and model.version.alias
        return model, f"{text} ({model.version.uri})" if model.version is not None and by_alias else text
    if not Path(text).is_dir():
        raise AutoactError(
            f"model={text}: there is no such folder; write models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/model, "
            "or a folder that holds a logged model"
        )
    return fetch_model(None, text), text
