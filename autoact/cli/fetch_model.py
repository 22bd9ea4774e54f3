"""The model that ``predict`` and ``export`` are given: of the registry, of a run, or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autoact.cli.simple_arguments import SimpleArguments
from autoact.core.errors import AutoactError

if TYPE_CHECKING:
    from autoact.tracking.models.model_artifacts import FetchedModel


def fetched(given: SimpleArguments, source: str) -> FetchedModel:
    """The model that ``model=...`` names.

    Raises:
        AutoactError: there is no such model, folder or store.
    """
    from autoact.tracking.models.model_artifacts import fetch_model
    from autoact.tracking.models.model_registry import Registry, is_registry_uri

    if is_registry_uri(source):
        return fetch_model(Registry.at(given.tracking, given.runs).store, source)
    if not Path(source).is_dir():
        raise AutoactError(
            f"model={source}: there is no such folder; write models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/model, "
            "or a folder that holds a logged model"
        )
    return fetch_model(None, source)
