"""``autoact.train``: train what a search recommends, log the model and register it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from autoact.config.effective_keys import TRAIN, Given
from autoact.config.recipe_task import recipe_task
from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.core.result_table import number
from autoact.core.typed_values import check_value
from autoact.data.prepare import prepare
from autoact.data.settings import HALF
from autoact.latency.hardware import resolve_device
from autoact.recommendation import Recommendation
from autoact.study.outcome.result import SearchResult
from autoact.tasks.decision_threshold import VALIDATION
from autoact.tasks.task import Task
from autoact.training.trainer_arguments import check_trainer
from autoact.workflows.checking.metric_match import other_metric, said_metric
from autoact.workflows.models.deliver_model import (
    Delivery,
    TrainResult,
    check_names,
    deliver,
    files_beside,
    opened_store,
)
from autoact.workflows.models.train_recommended import WHOLE, TrainedModel, chosen_rows, train_recommended
from autoact.workflows.task_source import TaskSource, configured

# What bounds the number of epochs, among the arguments of lightning.Trainer.
BOUNDS = ("min_epochs", "max_epochs")


def train(
    recommendation: str | Path | Recommendation | SearchResult | None = None,
    task: TaskSource | None = None,
    *,
    overrides: Sequence[str] = (),
    policy: str | None = None,
    ensemble: int | None = None,
) -> TrainResult:
    """Train a recommended configuration, log the model to MLflow and register it; the test part stays sealed.

    The registered model is called ``TASK-autoact``, and its new version gets the alias ``candidate``. With
    ``tracking=none`` among the overrides, weights, recommendation and preprocessing are written to a folder instead.

    Args:
        recommendation: what a search found: a path, ``runs:/ID``, ``models:/NAME/VERSION``, ``models:/NAME@ALIAS``, or
            a search's result or its ``recommendation``; as ``recommendation=`` among the overrides unless given.
        task: a recipe's task by name, a whole ``autoact.Config``, or ``autoact.lightning_task(...)``.
        overrides: settings as on the command line, such as ``"train.rows=train"`` and ``"output=runs"``.
        policy: ``"quality"``, ``"balanced"``, ``"economy"``, ``"baseline"``, or ``"ensemble"`` where one is
            recommended; else the first of balanced, quality and economy that recommends.
        ensemble: so many trainings under different seeds become one model, which averages their scores; 2 or more, as
            ``train.ensemble=`` among the overrides. With ``policy="ensemble"`` as many as recommended.

    Raises:
        AutoactError: something does not fit, training failed, or the store did not take the model.

    Example:
        >>> train("nowhere.yaml", "churn")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: cannot read the recommendation 'nowhere.yaml': No such file or directory
    """
    check_value(ensemble, int | None, "ensemble")
    source = configured(task, overrides, TRAIN)
    if ensemble is not None:
        source = replace(source, config=_with_ensemble(source.config, ensemble))
    chosen = source.recommendation(
        recommendation, "train needs recommendation=FILE, the recommended.yaml that a search wrote"
    )
    policy = policy or source.config.policy
    chosen.policy(policy)
    source = source.as_in_search(chosen)
    config, prepared = source.config, None
    rows = chosen_rows(config.train.rows, recipe=source.recipe)
    if rows == WHOLE:
        config = replace(config, trainer=bounded_by_user(config.trainer, source.given))
        source = replace(source, config=config)
    if source.recipe and config.task.name is not None:
        check_trainer(config.trainer)
        prepared = prepare(config.data, config.task.kind, whole=rows == WHOLE)
    made = source.task() if prepared is None else recipe_task(config, prepared)
    delivery = Delivery(
        config,
        made,
        chosen,
        str(recommendation or config.recommendation)
        if recommendation is None or isinstance(recommendation, str | Path)
        else chosen.source.get("uri", ""),
        opened_store(config),
    )
    check_names(delivery)
    trained = train_recommended(
        made,
        chosen,
        policy,
        device=resolve_device(config.hardware.device),
        patience=config.search.patience,
        seed=config.search.seed,
        rows=rows,
        ensemble=config.train.ensemble or chosen.policy(policy).ensemble,
    )
    result = TrainResult(
        made.name,
        trained.name,
        trained.module,
        trained.record,
        rows,
        _summary(config, made, trained, chosen),
        [
            *source.notes,
            *_differences(chosen, made),
            *_other_threshold(trained),
            *_passed_over(chosen, policy, trained),
        ],
        files=files_beside(trained, delivery, prepared),
        threshold=trained.threshold,
    )
    return deliver(result, delivery)


def _with_ensemble(config: Config, ensemble: int) -> Config:
    """The settings with what the argument says.

    Raises:
        AutoactError: an override says something else.
    """
    if config.train.ensemble not in (0, ensemble):
        raise AutoactError(f"ensemble={ensemble} and train.ensemble={config.train.ensemble} say different things")
    return replace(config, train=replace(config.train, ensemble=ensemble))


def bounded_by_user(trainer: Mapping[str, object], given: Sequence[Given]) -> dict[str, object]:
    """The Trainer's arguments without bounds of a search's trainings, which a task's file sets and no user asked for.

    Example:
        >>> bounded_by_user({"max_epochs": 30, "precision": 32}, [])
        {'precision': 32}
        >>> bounded_by_user({"max_epochs": 3}, [Given("trainer", "trainer.max_epochs=3")])
        {'max_epochs': 3}
    """
    mine = [one.text for one in given if one.key == "trainer" and not one.file]
    return {
        name: value
        for name, value in trainer.items()
        if name not in BOUNDS or any(re.search(rf"\b{name}\b", text) for text in mine)
    }


def _differences(recommendation: Recommendation, task: Task) -> list[str]:
    """A line where the recommendation was found on other data, and one where by another metric."""
    was, now = recommendation.about.get("data", {}).get("fingerprint"), task.facts.get("fingerprint")
    lines = []
    if was and now and was != now:
        lines += ["this is other data than the recommendation was found on", *task.facts.get("notes", ())]
    if other_metric(recommendation, task):
        lines.append(
            f"the recommendation was found by {said_metric(recommendation)}, this task measures "
            f"{task.quality_unit} ({task.mode}): their numbers cannot be compared"
        )
    return lines


def _other_threshold(trained: TrainedModel) -> list[str]:
    """A line where the search fitted a threshold that the model does not decide at."""
    found = trained.policy.threshold
    if found is None or trained.rows != WHOLE or trained.threshold == found:
        return []
    return [
        f"the model decides at {trained.threshold:g}, and the search fitted a threshold ({found:.4g}): "
        f"task.threshold={VALIDATION} decides there"
    ]


def _said_threshold(task: Task, trained: TrainedModel) -> list[str]:
    """Above which probability the model predicts the positive class, and why there; nothing where it is one half."""
    if task.metric is None or task.metric.threshold == HALF:
        return []
    found = f"best for {task.metric.name} on the validation rows"
    confirmed = "the median of those that the search's trainings fitted on their validation rows"
    fitted = confirmed if trained.rows == WHOLE else found
    why = fitted if task.metric.threshold == VALIDATION else "task.threshold"
    return [f"predicts the positive class above {trained.threshold:.4g} ({why})"]


def _passed_over(recommendation: Recommendation, policy: str | None, trained: TrainedModel) -> list[str]:
    """A line where several averaged trainings are recommended, and one model was trained without a word on it."""
    if policy is not None or len(trained.records) > 1:
        return []
    return [
        f"{one.ensemble} averaged trainings are recommended, and this is one: policy={name} makes one model of them"
        for name, one in recommendation.policies.items()
        if one.ensemble and one.recommend
    ]


def _summary(config: Config, task: Task, trained: TrainedModel, recommendation: Recommendation) -> list[str]:
    """What was trained, and how good it is as far as that is known."""
    record = trained.record
    simulated = " [SIMULATED DATA]" if task.simulated else ""
    word = "recommended" if trained.policy.recommend else "the baseline's activations"
    lines = [f"Trained {task.name}{simulated}: policy {trained.name} ({word})", record.candidate.label()]
    lines += filter(None, [recommendation.rate_of_weights(trained.policy), *_said_threshold(task, trained)])
    many = len(trained.records)
    if many > 1:
        first = record.candidate.seed
        lines.append(f"{many} trainings, seeds {first} to {first + many - 1}, whose scores the model averages")
    seconds = f"{sum(one.seconds for one in trained.records):.1f} s"
    if trained.rows == WHOLE:
        count = task.facts["rows"]["train"]
        each = " each" if many > 1 else ""
        lines.append(f"{record.epochs} epochs on {count:,} rows (training and validation){each}, {seconds}")
        return [*lines, *_of_the_search(config, trained, recommendation)]
    for one in trained.records:
        alone = f"seed {one.candidate.seed} by itself: " if many > 1 else ""
        lines.append(
            f"{alone}validation {task.quality_unit} {number(one.quality)} at epoch {one.best_epoch} of {one.epochs}, "
            f"{one.seconds:.1f} s"
        )
    return lines


def _of_the_search(config: Config, trained: TrainedModel, recommendation: Recommendation) -> list[str]:
    """What the final check of the search found: the number of epochs, where the user's bounds matter; the quality."""
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
        of = f" of {policy.ensemble} trainings, averaged," if policy.ensemble else " of single models"
        of = of if len(trained.records) > 1 else ""
        lines.append(f"the final check of the search found {unit} {number(mean)}{spread}{of} on test rows")
    return lines
