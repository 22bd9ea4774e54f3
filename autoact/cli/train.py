"""``python -m autoact train``: train a recommended configuration and log the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoact.cli.options import answered, read
from autoact.config.compose import settings as typed
from autoact.config.schema import Config
from autoact.core.errors import AutoactError

USAGE = """usage: python -m autoact train task=NAME recommendation=recommended.yaml [policy=NAME] [key=value ...]
       python -m autoact train module=... datamodule=... monitor=... mode=... trust=... recommendation=recommended.yaml

policy is quality, balanced, economy or baseline; balanced where there is one unless given. Trains the chosen
configuration with the task's recipe (or your own module) and logs the model to MLflow. The test part stays sealed.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read(arguments)
    if answered(options, USAGE):
        return 0
    config = typed(options.config())
    if config.recommendation is None:
        raise AutoactError("train needs recommendation=FILE, the recommended.yaml that a search wrote")
    from autoact.recommendation import load_recommendation

    recommendation = load_recommendation(config.recommendation)
    recommendation.policy(config.policy)
    from autoact.cli.build import make_task
    from autoact.faces.train import train_recommended
    from autoact.report.console import console
    from autoact.report.table import number
    from autoact.timing.settings import resolve_device

    out = console()
    task = make_task(config)
    _warn_of_differences(recommendation, task, out)
    trained = train_recommended(
        task,
        recommendation,
        config.policy,
        device=resolve_device(config.hardware.device),
        patience=config.search.patience,
        seed=config.search.seed,
    )
    record = trained.record
    simulated = " [SIMULATED DATA]" if task.simulated else ""
    word = "recommended" if trained.policy.recommend else "the baseline's activations"
    out.print(f"Trained {task.name}{simulated}: policy {trained.name} ({word})", markup=False)
    out.print(f"  {record.candidate.label()}", markup=False)
    out.print(
        f"  validation {task.quality_unit} {number(record.quality)} at epoch {record.best_epoch} of {record.epochs}, "
        f"{record.seconds:.1f} s",
        markup=False,
    )
    if config.tracking.backend == "mlflow":
        _log(config, task, trained, out)
    return 0


def _warn_of_differences(recommendation: Any, task: Any, out: Any) -> None:
    """Say so where the recommendation was found on other data."""
    was = recommendation.about.get("data", {}).get("fingerprint")
    now = task.facts.get("fingerprint")
    if was and now and was != now:
        out.print("note: this is other data than the recommendation was found on", markup=False)


def _log(config: Config, task: Any, trained: Any, out: Any) -> None:
    """Log the model, and say how to load it."""
    import yaml

    from autoact.tracking.model import log_model
    from autoact.tracking.store import Store

    record, metric = trained.record, task.monitor
    logged = log_model(
        Store(config.tracking, Path(config.output)),
        config.tracking.experiment or f"autoact-{task.name}",
        trained.module,
        task.example_input,
        name=f"train {trained.name}: {record.candidate.assignment.summary()}",
        params={
            **{f"act.{site}": choice for site, choice in record.candidate.assignment.to_dict().items()},
            **record.candidate.settings,
            "policy": trained.name,
        },
        metrics={metric: record.quality, "best_epoch": record.best_epoch, "train_seconds": record.seconds},
        tags={"autoact.kind": "train", "autoact.simulated": str(task.simulated).lower()},
        files={"assignment.yaml": yaml.safe_dump(record.candidate.to_dict(), sort_keys=False)},
    )
    out.print(f"  logged to MLflow run {logged.run_id} in {logged.store}", markup=False, soft_wrap=True)
    if logged.model_uri:
        out.print(f"  load it: mlflow.pyfunc.load_model({logged.model_uri!r})", markup=False, soft_wrap=True)
    else:
        out.print(f"  note: {logged.note}", markup=False, soft_wrap=True)
