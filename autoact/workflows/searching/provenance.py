"""Where results come from: data, model, hardware and versions, as plain data."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from autoact.core.imports import DISTRIBUTION
from autoact.core.value_holders import PlainData
from autoact.study.execution.predicted_costs import PredictedCosts, describe_hardware
from autoact.workflows.searching.search_setup import PreparedSearch

PACKAGES = ("torch", "lightning", "optuna", "scikit-learn", "mlflow", "hydra-core", "numpy")


def about(prepared: PreparedSearch, known: PredictedCosts) -> PlainData:
    """Plain data on a search's task, model, hardware and packages."""
    return {
        "data": {k: v for k, v in prepared.task.facts.items() if k != "settings"},
        "sites": {site.name: str(site.current) for site in prepared.sites.searchable},
        "space": prepared.space.describe(),
        "hardware": describe_hardware(known),
        "training": {"device": str(prepared.device), "trainer": {k: str(v) for k, v in prepared.task.trainer.items()}},
        "packages": packages(),
    }


def packages() -> dict[str, str]:
    """Versions of what results depend on."""
    from autoact import __version__

    # Of the code that runs: what pip has installed under a name like ours may be an older copy, or somebody else's.
    found = {DISTRIBUTION: __version__}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
