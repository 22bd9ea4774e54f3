"""``python -m autoact train``: train a recommended configuration, log the model and register it."""

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

Trains the chosen configuration with the task's recipe (or your own module), logs the model to MLflow, and registers it
as a new version of TASK-autoact with the alias candidate. The test part stays sealed.

recommendation   a file, runs:/RUN_ID/recommended.yaml, models:/NAME/3 or models:/NAME@candidate
policy           quality, balanced, economy or baseline; else the first of balanced, quality, economy that recommends
train.rows       train+validation (recipes): learn from both, for the confirmed number of epochs, without early stopping
                 train (your own module): learn from the training rows, keep the best epoch on the validation rows
train.register   another name for the registered model; none registers nothing
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read(arguments)
    if answered(options, USAGE):
        return 0
    config = typed(options.config())
    if config.recommendation is None:
        raise AutoactError("train needs recommendation=FILE, the recommended.yaml that a search wrote")
    config.tracking.check()
    from autoact.faces.load import load_recommendation

    uri, output = config.tracking.uri, config.output
    recommendation = load_recommendation(config.recommendation, tracking_uri=uri, output=output)
    recommendation.policy(config.policy)
    from autoact.faces.train import chosen_rows, train_recommended
    from autoact.report.console import console
    from autoact.timing.settings import resolve_device

    out = console()
    rows = chosen_rows(config.train.rows, recipe=config.module is None)
    task, prepared = _task(config, rows)
    _warn_of_differences(recommendation, task, out)
    trained = train_recommended(
        task,
        recommendation,
        config.policy,
        device=resolve_device(config.hardware.device),
        patience=config.search.patience,
        seed=config.search.seed,
        rows=rows,
    )
    _print(task, trained, out)
    if config.tracking.backend == "mlflow":
        _log(config, task, trained, recommendation, prepared, out)
    return 0


def _task(config: Config, rows: str) -> tuple[Any, Any]:
    """The task, and its prepared data where autoact prepared them."""
    from autoact.cli.build import make_task
    from autoact.faces.train import WHOLE

    if config.module is not None or config.task.name is None:
        return make_task(config), None
    from autoact.config.assemble import recipe_task
    from autoact.data.prepare import prepare
    from autoact.training.lightning_session import check_trainer

    check_trainer(config.trainer)
    prepared = prepare(config.data, config.task.kind, whole=rows == WHOLE)
    return recipe_task(config, prepared), prepared


def _warn_of_differences(recommendation: Any, task: Any, out: Any) -> None:
    """Say so where the recommendation was found on other data."""
    was = recommendation.about.get("data", {}).get("fingerprint")
    now = task.facts.get("fingerprint")
    if was and now and was != now:
        out.print("note: this is other data than the recommendation was found on", markup=False)


def _print(task: Any, trained: Any, out: Any) -> None:
    """What was trained, and how good it is as far as that is known."""
    from autoact.faces.train import WHOLE
    from autoact.report.table import number

    record, policy = trained.record, trained.policy
    simulated = " [SIMULATED DATA]" if task.simulated else ""
    word = "recommended" if policy.recommend else "the baseline's activations"
    out.print(f"Trained {task.name}{simulated}: policy {trained.name} ({word})", markup=False)
    out.print(f"  {record.candidate.label()}", markup=False)
    if trained.rows == WHOLE:
        count = task.facts["rows"]["train"]
        out.print(
            f"  {record.epochs} epochs on {count:,} rows (training and validation), {record.seconds:.1f} s",
            markup=False,
        )
        mean, sd = policy.evidence.get("test_mean"), policy.evidence.get("test_sd_over_seeds")
        if mean is not None:
            spread = "" if sd is None else f" +- {number(sd)} over seeds"
            said = f"{task.quality_unit} {number(mean)}{spread}"
            out.print(f"  the final check of the search found {said} on test rows", markup=False)
    else:
        out.print(
            f"  validation {task.quality_unit} {number(record.quality)} at epoch {record.best_epoch} of "
            f"{record.epochs}, {record.seconds:.1f} s",
            markup=False,
        )


def _log(config: Config, task: Any, trained: Any, recommendation: Any, prepared: Any, out: Any) -> None:
    """Log and register the model, and say how to load it."""
    from autoact.tracking.model import log_model
    from autoact.tracking.store import Store

    record = trained.record
    summary = f"{trained.name}: {record.candidate.assignment.summary()}"
    metrics = {} if record.quality is None else {task.monitor: record.quality}
    register = config.train.register or f"{task.name}-autoact"
    logged = log_model(
        Store(config.tracking, Path(config.output)),
        config.tracking.experiment or f"autoact-{task.name}",
        trained.module,
        task.example_input,
        name=f"train {summary}",
        params={
            **{f"act.{site}": choice for site, choice in record.candidate.assignment.to_dict().items()},
            **record.candidate.settings,
            "policy": trained.name,
            "rows": trained.rows,
        },
        metrics={**metrics, "epochs": record.best_epoch, "train_seconds": record.seconds},
        tags={
            "autoact.kind": "train",
            "autoact.simulated": str(task.simulated).lower(),
            "autoact.summary": summary,
            "autoact.recommendation": recommendation.source.get("resolved") or str(config.recommendation),
            "autoact.recommendation_digest": recommendation.digest,
        },
        files=_beside(config, trained, recommendation, prepared, task),
        register=None if register == "none" else register,
        task=task.name,
    )
    out.print(f"  logged to MLflow run {logged.run_id} in {logged.store}", markup=False, soft_wrap=True)
    if logged.note:
        out.print(f"  note: {logged.note}", markup=False, soft_wrap=True)
    if logged.model_uri:
        uri = logged.version.uri if logged.version else logged.model_uri
        alias = f" ({logged.version.alias})" if logged.version else ""
        out.print(f"  load it{alias}: mlflow.pyfunc.load_model({uri!r})", markup=False, soft_wrap=True)


def _beside(config: Config, trained: Any, recommendation: Any, prepared: Any, task: Any) -> dict[str, str]:
    """The files that lie beside the model: what was trained, why, and how rows become inputs."""
    import yaml

    from autoact.data.saved import FILE, SavedPreprocessing
    from autoact.faces.load import FILE as RECOMMENDED
    from autoact.faces.train import output_form

    files = {
        RECOMMENDED: recommendation.to_yaml(),
        "assignment.yaml": yaml.safe_dump(trained.record.candidate.to_dict(), sort_keys=False),
    }
    if prepared is not None and prepared.preprocessing is not None:
        form = output_form(trained.module, task.example_input, config.task.kind)
        if form:
            files[FILE] = SavedPreprocessing.of(prepared, config.data, form).to_json()
    return files
