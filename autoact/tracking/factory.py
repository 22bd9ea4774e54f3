"""The tracker by name."""

from __future__ import annotations

from pathlib import Path

from autoact.study.callbacks import SearchCallback
from autoact.tracking.settings import TrackingSettings


def make_tracker(settings: TrackingSettings, output: Path, task: str) -> SearchCallback | None:
    """The tracker that the settings name; None for none.

    Raises:
        AutoactError: the store cannot be reached.
    """
    if settings.backend == "none":
        return None
    from autoact.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(settings, output, task)
