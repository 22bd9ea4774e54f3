"""``python -m autoact train``: train a recommended configuration, log the model and register it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoact.cli.config_arguments import answered, print_notes, read
from autoact.config.effective_keys import TRAIN
from autoact.config.schema import Config
from autoact.core.errors import AutoactError

USAGE = """usage: python -m autoact train task=NAME recommendation=recommended.yaml [policy=NAME] [key=value ...]
       python -m autoact train module=... datamodule=... monitor=... mode=... trust=... recommendation=recommended.yaml

Trains the chosen configuration with the task's recipe (or your own module), logs the model to MLflow, and registers it
as a new version of TASK-autoact with the alias candidate. The test part stays sealed. With tracking=none the weights,
the recommendation and the preprocessing are written to a folder below output=.

recommendation   a file, runs:/RUN_ID/recommended.yaml, models:/NAME/3 or models:/NAME@candidate
policy           quality, balanced, economy or baseline; else the first of balanced, quality, economy that recommends
train.rows       train+validation (recipes): learn from both, for the confirmed number of epochs (within
                 trainer.min_epochs and trainer.max_epochs, where given), without early stopping
                 train (your own module): learn from the training rows, keep the best epoch on the validation rows
train.register   another name for the registered model; none registers nothing
"""
# What bounds the number of epochs, among the arguments of lightning.Trainer.
BOUNDS = ("min_epochs", "max_epochs")


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read(arguments)
    if answered(options, USAGE):
        return 0
    config, _, notes = options.settings(TRAIN)
    if config.recommendation is None:
        raise AutoactError("train needs recommendation=FILE, the recommended.yaml that a search wrote")
    config.tracking.check()
    from autoact.workflows.load_recommendation import load_recommendation

    uri, output = config.tracking.uri, config.output
    recommendation = load_recommendation(config.recommendation, tracking_uri=uri, output=output)
    recommendation.policy(config.policy)
    from autoact.cli.from_config import as_in_search
    from autoact.latency.hardware import resolve_device
    from autoact.report.console import console
    from autoact.workflows.train import WHOLE, chosen_rows, train_recommended

    config, columns = as_in_search(config, recommendation)
    print_notes([*notes, *columns])
    out = console()
    rows = chosen_rows(config.train.rows, recipe=config.module is None)
    if rows == WHOLE:
        config = replace(config, trainer=_bounded_by_user(config.trainer, options.overrides))
    task, prepared = _task(config, rows)
    store = _store(config, task)
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
    _print(config, task, trained, recommendation, out)
    _deliver(
        config, task, trained, recommendation, store, _beside(config, trained, recommendation, prepared, task), out
    )
    return 0


def _deliver(
    config: Config, task: Any, trained: Any, recommendation: Any, store: Any, files: dict[str, str], out: Any
) -> None:
    """Hand the model to the store; without one, or where it fails by now, write it into a folder."""
    from autoact.tracking.models.model_artifacts import keep_model

    def keep() -> str:
        folder = keep_model(trained.module, files, Path(config.output), task.name)
        return f"{folder}: load it with {_loading(folder)}"

    if store is None:
        out.print(f"  written to {keep()}", markup=False, soft_wrap=True)
        return
    try:
        _log(config, task, trained, recommendation, store, files, out)
    except AutoactError as error:
        raise AutoactError(f"{error}; the trained model is kept in {keep()}") from error
    except Exception as error:  # a bug must not cost the training either
        error.add_note(f"the trained model is kept in {keep()}")
        raise


def _store(config: Config, task: Any) -> Any:
    """The store that will take the model, found to do so before anything is trained; None without MLflow.

    Raises:
        AutoactError: the store does not answer, or would refuse the experiment's or the registered model's name;
            without MLflow, that the output folder cannot be written.
    """
    register, output = config.train.register, Path(config.output)
    if config.tracking.backend != "mlflow":
        if register not in (None, "none"):
            raise AutoactError(f"train.register={register} needs MLflow: leave it out, or leave out tracking=none")
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AutoactError(f"output={output} cannot be written: {error.strerror}") from error
        if not os.access(output, os.W_OK | os.X_OK):
            raise AutoactError(f"output={output} cannot be written: choose another folder with output=DIR")
        return None
    from autoact.tracking.abandoned_runs import say_abandoned
    from autoact.tracking.models.model_registry import Registry
    from autoact.tracking.store import Store

    store = Store(config.tracking, output)
    say_abandoned(store)
    if register != "none":
        Registry(store).check_name(_registered(config, task))
    store.experiment(_experiment(config, task))
    return store


def _experiment(config: Config, task: Any) -> str:
    """The name of MLflow's experiment."""
    return config.tracking.experiment or f"autoact-{task.name}"


def _registered(config: Config, task: Any) -> str:
    """The name of the registered model; ``none``: it is not registered."""
    return config.train.register or f"{task.name}-autoact"


def _loading(folder: Path) -> str:
    """How weights in a folder are loaded."""
    from autoact.tracking.models.model_artifacts import WEIGHTS

    file = str(folder / WEIGHTS)
    return f"autoact.restore_(module, safetensors.torch.load_file({file!r}), example_input=x)"


def _bounded_by_user(trainer: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The Trainer's arguments without bounds of a search's trainings, which a task's file sets and no user asked for.

    Example:
        >>> _bounded_by_user({"max_epochs": 30, "precision": 32}, ["task=churn"])
        {'precision': 32}
        >>> _bounded_by_user({"max_epochs": 3}, ["task=churn", "trainer.max_epochs=3"])
        {'max_epochs': 3}
    """
    given = [text.lstrip("+") for text in overrides]
    mine = [text for text in given if text.startswith(("trainer.", "trainer="))]
    return {
        name: value
        for name, value in trainer.items()
        if name not in BOUNDS or any(re.search(rf"\b{name}\b", text) for text in mine)
    }


def _task(config: Config, rows: str) -> tuple[Any, Any]:
    """The task, and its prepared data where autoact prepared them."""
    from autoact.cli.from_config import make_task
    from autoact.workflows.train import WHOLE

    if config.module is not None or config.task.name is None:
        return make_task(config), None
    from autoact.config.recipe_task import recipe_task
    from autoact.data.prepare import prepare
    from autoact.training.trainer_arguments import check_trainer

    check_trainer(config.trainer)
    prepared = prepare(config.data, config.task.kind, whole=rows == WHOLE)
    return recipe_task(config, prepared), prepared


def _warn_of_differences(recommendation: Any, task: Any, out: Any) -> None:
    """Say so where the recommendation was found on other data, or by another metric."""
    was = recommendation.about.get("data", {}).get("fingerprint")
    now = task.facts.get("fingerprint")
    if was and now and was != now:
        out.print("note: this is other data than the recommendation was found on", markup=False)
        for note in task.facts.get("notes", ()):
            out.print(f"note: {note}", markup=False, soft_wrap=True)
    from autoact.workflows.checking.metric_match import other_metric, said_metric

    if other_metric(recommendation, task):
        out.print(
            f"note: the recommendation was found by {said_metric(recommendation)}, this task measures "
            f"{task.quality_unit} ({task.mode}): their numbers cannot be compared",
            markup=False,
            soft_wrap=True,
        )


def _print(config: Config, task: Any, trained: Any, recommendation: Any, out: Any) -> None:
    """What was trained, and how good it is as far as that is known."""
    from autoact.report.result_table import number
    from autoact.workflows.train import WHOLE

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
        for line in _of_the_search(config, trained, recommendation):
            out.print(f"  {line}", markup=False)
    else:
        out.print(
            f"  validation {task.quality_unit} {number(record.quality)} at epoch {record.best_epoch} of "
            f"{record.epochs}, {record.seconds:.1f} s",
            markup=False,
        )


def _of_the_search(config: Config, trained: Any, recommendation: Any) -> list[str]:
    """What the final check of the search found: the number of epochs, where the user's bounds matter; the quality."""
    from autoact.report.result_table import number

    policy, lines = trained.policy, []
    given = " and ".join(f"trainer.{name}={config.trainer[name]}" for name in BOUNDS if name in config.trainer)
    if given and trained.record.epochs == policy.epochs:
        lines.append(f"as many as the final check found best, within {given} (trainer.min_epochs=N trains longer)")
    elif given:
        lines.append(f"{given} decides; the final check of the search found {policy.epochs} epochs best")
    mean, sd = policy.evidence.get("test_mean"), policy.evidence.get("test_sd_over_seeds")
    if mean is not None:
        spread = "" if sd is None else f" +- {number(sd)} over seeds"
        unit = recommendation.metric.get("name") or "the quality"
        lines.append(f"the final check of the search found {unit} {number(mean)}{spread} on test rows")
    return lines


def _log(config: Config, task: Any, trained: Any, recommendation: Any, store: Any, files: Any, out: Any) -> None:
    """Log and register the model, and say how to load it."""
    from autoact.tracking.models.model_artifacts import log_model
    from autoact.tracking.payloads import renamed, unique

    record = trained.record
    summary = f"{trained.name}: {record.candidate.assignment.summary()}"
    metrics = {"epochs": record.best_epoch, "train_seconds": record.seconds}
    if record.quality is not None:
        keys = unique([task.monitor], taken=metrics)
        metrics[keys[task.monitor]] = record.quality
        if note := renamed(keys):
            out.print(f"  note: {note}", markup=False, soft_wrap=True)
    register = _registered(config, task)
    logged = log_model(
        store,
        _experiment(config, task),
        trained.module,
        task.example_input,
        name=f"train {summary}",
        params={
            **{f"act.{site}": choice for site, choice in record.candidate.assignment.to_dict().items()},
            **record.candidate.settings,
            "policy": trained.name,
            "rows": trained.rows,
        },
        metrics=metrics,
        tags={
            "autoact.kind": "train",
            "autoact.simulated": str(task.simulated).lower(),
            "autoact.summary": summary,
            "autoact.recommendation": recommendation.source.get("resolved") or str(config.recommendation),
            "autoact.recommendation_digest": recommendation.digest,
        },
        files=files,
        register=None if register == "none" else register,
        task=task.name,
    )
    out.print(f"  logged to MLflow run {logged.run_id} in {logged.store}", markup=False, soft_wrap=True)
    if logged.note:
        out.print(f"  note: {logged.note}", markup=False, soft_wrap=True)
    if logged.model_uri:
        uri = logged.version.uri if logged.version else logged.model_uri
        alias = f" ({logged.version.alias})" if logged.version else ""
        out.print(f"  load it{alias}: mlflow.{logged.flavor}.load_model({uri!r})", markup=False, soft_wrap=True)


def _beside(config: Config, trained: Any, recommendation: Any, prepared: Any, task: Any) -> dict[str, str]:
    """The files that lie beside the model: what was trained, why, and how rows become inputs."""
    import yaml

    from autoact.data.preprocessing_file import FILE, SavedPreprocessing
    from autoact.workflows.load_recommendation import FILE as RECOMMENDED
    from autoact.workflows.train import output_form

    files = {
        RECOMMENDED: recommendation.to_yaml(),
        "assignment.yaml": yaml.safe_dump(trained.record.candidate.to_dict(), sort_keys=False),
    }
    if prepared is not None and prepared.preprocessing is not None:
        form = output_form(trained.module, task.example_input, config.task.kind)
        if form:
            files[FILE] = SavedPreprocessing.of(prepared, config.data, form).to_json()
    return files
