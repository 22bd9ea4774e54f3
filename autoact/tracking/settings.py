"""What the user says about tracking; light to import, for the configuration."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Optional

from autoact.core.errors import unknown
from autoact.core.typed_values import check_values

BACKENDS, CHILDREN = ("mlflow", "none"), ("all", "front", "none")
# How addresses begin that MLflow opens itself.
SCHEMES = ("http", "https", "file", "sqlite", "postgresql", "mysql", "mssql", "databricks", "uc")


@dataclass
class TrackingSettings:
    """Where results are logged.

    Attributes:
        backend: ``mlflow`` or ``none``.
        uri: MLflow tracking URI; else ``MLFLOW_TRACKING_URI``; else an SQLite file in the output folder.
        experiment: MLflow experiment; else the outer run's; else ``MLFLOW_EXPERIMENT_NAME``; else ``autoact-<task>``.
        children: which trials become child runs: ``all``, ``front`` or ``none``.
        parent_run_id: an outer run that the search's run becomes a child of; else ``MLFLOW_RUN_ID``.

    Raises:
        AutoactError: names the setting, what was given and what is allowed.
    """

    backend: str = "mlflow"
    uri: Optional[str] = None
    experiment: Optional[str] = None
    children: str = "all"
    parent_run_id: Optional[str] = None

    def __post_init__(self) -> None:
        check_values(self, "tracking")
        if self.backend not in BACKENDS:
            raise unknown("tracking.backend", self.backend, BACKENDS)
        if self.children not in CHILDREN:
            raise unknown("tracking.children", self.children, CHILDREN)
        if self.uri is not None:
            _check_uri(self.uri)


def _check_uri(uri: str) -> None:
    """Refuse a URI that neither MLflow nor an installed plugin of it opens.

    Example:
        >>> _check_uri("htp://server:5000")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown scheme of tracking.uri 'htp': did you mean http or https? Allowed: ...
    """
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme.partition("+")[0].lower() in SCHEMES:
        return
    plugins = [one.name for one in importlib.metadata.entry_points(group="mlflow.tracking_store")]
    if scheme not in plugins:
        raise unknown("scheme of tracking.uri", scheme, [*SCHEMES, *plugins])
