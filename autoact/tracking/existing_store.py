"""The store that an import means, where nothing is trained: it is never created on the way."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from autoact.core.errors import AutoactError
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store, shown, sqlite_file, store_uri


def existing_store(settings: TrackingSettings, output: str | Path) -> Store:
    """A store that is there already.

    The setting decides; else the tracking URI that this process gave to MLflow; else ``MLFLOW_TRACKING_URI``; else the
    SQLite file in the output folder.

    Raises:
        AutoactError: there is no such store, or it does not answer.
    """
    if settings.uri is None and "mlflow" in sys.modules:
        import mlflow

        if mlflow.tracking.is_tracking_uri_set():
            settings = TrackingSettings(uri=mlflow.get_tracking_uri())
    uri = store_uri(settings, Path(output))
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        given = settings.uri or os.environ.get("MLFLOW_TRACKING_URI")
        advice = "" if given else ": name the folder that search and train wrote to, or set MLFLOW_TRACKING_URI"
        raise AutoactError(f"there is no MLflow store at {shown(uri)}{advice}")
    return Store(TrackingSettings(uri=uri) if settings.uri is None else settings, Path(output))
