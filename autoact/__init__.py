"""autoact chooses activation functions for neural networks, and proves its choice.

Names are imported when they are used, so that ``import autoact`` takes no time.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoact.core.moved_modules import find_moved_modules

if TYPE_CHECKING:
    from autoact.activations import Activation, Parameter, register
    from autoact.core.assignment import Assignment, Choice
    from autoact.core.errors import AutoactError
    from autoact.data.settings import register_task_kind
    from autoact.engines.settings import EngineSettings, register_engine
    from autoact.integrations.huggingface import from_pretrained
    from autoact.integrations.lightning.callback import ApplyActivations, load_from_checkpoint
    from autoact.integrations.lightning.search import search
    from autoact.integrations.optuna import assignment_from, suggest
    from autoact.integrations.sklearn.estimators import AutoActClassifier, AutoActRegressor
    from autoact.latency.hardware import HardwareSettings
    from autoact.recommendation import Recommendation
    from autoact.sites import Site, Sites, apply, apply_, assignment_in, find_sites, initialise_, rescale_, restore_
    from autoact.space.settings import SpaceSettings
    from autoact.study.settings import ConfirmSettings, RungSettings, SearchSettings
    from autoact.tasks.metrics import register_metric
    from autoact.tasks.objectives import objective
    from autoact.tracking.settings import TrackingSettings
    from autoact.workflows.load_recommendation import load_recommendation

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "ApplyActivations",
    "Assignment",
    "AutoActClassifier",
    "AutoActRegressor",
    "AutoactError",
    "Choice",
    "ConfirmSettings",
    "EngineSettings",
    "HardwareSettings",
    "Parameter",
    "Recommendation",
    "RungSettings",
    "SearchSettings",
    "Site",
    "Sites",
    "SpaceSettings",
    "TrackingSettings",
    "apply",
    "apply_",
    "assignment_from",
    "assignment_in",
    "find_sites",
    "from_pretrained",
    "initialise_",
    "load_from_checkpoint",
    "load_recommendation",
    "objective",
    "register",
    "register_engine",
    "register_metric",
    "register_task_kind",
    "rescale_",
    "restore_",
    "search",
    "suggest",
]

_HOMES = {
    "Activation": "autoact.activations",
    "ApplyActivations": "autoact.integrations.lightning.callback",
    "Assignment": "autoact.core.assignment",
    "AutoActClassifier": "autoact.integrations.sklearn.estimators",
    "AutoActRegressor": "autoact.integrations.sklearn.estimators",
    "AutoactError": "autoact.core.errors",
    "Choice": "autoact.core.assignment",
    "ConfirmSettings": "autoact.study.settings",
    "EngineSettings": "autoact.engines.settings",
    "HardwareSettings": "autoact.latency.hardware",
    "Parameter": "autoact.activations",
    "Recommendation": "autoact.recommendation",
    "RungSettings": "autoact.study.settings",
    "SearchSettings": "autoact.study.settings",
    "Site": "autoact.sites",
    "Sites": "autoact.sites",
    "SpaceSettings": "autoact.space.settings",
    "TrackingSettings": "autoact.tracking.settings",
    "apply": "autoact.sites",
    "apply_": "autoact.sites",
    "assignment_from": "autoact.integrations.optuna",
    "assignment_in": "autoact.sites",
    "find_sites": "autoact.sites",
    "from_pretrained": "autoact.integrations.huggingface",
    "initialise_": "autoact.sites",
    "load_from_checkpoint": "autoact.integrations.lightning.callback",
    "load_recommendation": "autoact.workflows.load_recommendation",
    "objective": "autoact.tasks.objectives",
    "register": "autoact.activations",
    "register_engine": "autoact.engines.settings",
    "register_metric": "autoact.tasks.metrics",
    "register_task_kind": "autoact.data.settings",
    "rescale_": "autoact.sites",
    "restore_": "autoact.sites",
    "search": "autoact.integrations.lightning.search",
    "suggest": "autoact.integrations.optuna",
}

# In a wheel conf/ and recipes/ lie inside this package; in a checkout they lie beside it.
_CHECKOUT = Path(__file__).resolve().parent.parent
if not (Path(__file__).resolve().parent / "recipes").is_dir() and (_CHECKOUT / "recipes").is_dir():
    __path__.append(str(_CHECKOUT))

find_moved_modules()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'autoact' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
