"""Train a recommended configuration once, with the task's own recipe or module."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import lightning
import torch

from autoact.core.errors import AutoactError, unknown
from autoact.core.trial import COMPLETE, Candidate, Role, TrialRecord
from autoact.data.settings import HALF
from autoact.latency.timer import fixed_threads
from autoact.recommendation import Policy, Recommendation
from autoact.tasks.decision_threshold import VALIDATION, check_averaged
from autoact.tasks.task import Task
from autoact.training.callbacks import OptimizerSettings, PredictionScore
from autoact.training.ensembles.averaged_networks import averaged
from autoact.training.lightning_session import LightningSession, SessionOptions, build_module, trainer_from
from autoact.training.predictions import THRESHOLD
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.best_epoch import Diverged, weights_are_finite
from autoact.training.thread_count import fastest_threads
from autoact.workflows.checking.metric_match import same_positive_class

WHOLE, TRAIN = "train+validation", "train"
ROWS = (WHOLE, TRAIN)


@dataclass(frozen=True)
class TrainedModel:
    """A trained model.

    Attributes:
        module: in evaluation mode on the CPU; with the weights of its best epoch, or of the last one where the
            validation rows were learnt from.
        record: what the training measured; without a quality where the validation rows were learnt from.
        policy: what was trained.
        name: the policy's name.
        rows: ``train+validation`` or ``train``.
        threshold: of two classes: the probability above which the positive one is predicted.
        records: what each training measured; of an ensemble there are several, and ``record`` is the first.
    """

    module: lightning.LightningModule
    record: TrialRecord
    policy: Policy
    name: str
    rows: str = TRAIN
    threshold: float = HALF
    records: tuple[TrialRecord, ...] = ()


def chosen_rows(given: str | None, *, recipe: bool) -> str:
    """Which rows to learn from: those that ``train.rows`` names, else all that a recipe, or an own module, can.

    Raises:
        AutoactError: an unknown value, or one that the user's own datamodule cannot do.

    Example:
        >>> chosen_rows(None, recipe=True), chosen_rows(None, recipe=False)
        ('train+validation', 'train')
    """
    if given is None:
        return WHOLE if recipe else TRAIN
    if given not in ROWS:
        raise unknown("train.rows", given, ROWS)
    if given == WHOLE and not recipe:
        raise AutoactError(
            f"train.rows={WHOLE} is for recipes: which rows your own datamodule hands out for training, it decides "
            "itself (train.rows=train)"
        )
    return given


def train_recommended(
    task: Task,
    recommendation: Recommendation,
    policy: str | None,
    *,
    device: torch.device,
    patience: int | None = None,
    seed: int = 0,
    rows: str = TRAIN,
    ensemble: int = 0,
) -> TrainedModel:
    """Train a policy's assignment with its settings; the test part stays sealed.

    With ``ensemble``, so many trainings under seeds from ``seed`` on become one module, which averages their scores.

    With the rows ``train``, the best epoch on the validation rows is kept, and ``patience`` epochs without a better one
    end the training. With ``train+validation``, which the task then has among its training rows, it lasts for the
    confirmed number of epochs, within the trainer's ``min_epochs`` and ``max_epochs``, and the last is kept.

    A decision threshold that is to be fitted is that of the best epoch with ``train``, else the recommendation's.

    Raises:
        AutoactError: the recommendation does not fit the model, or holds no threshold of this positive class; an
            ensemble would need one; or training failed.
    """
    threshold = HALF if task.metric is None else task.metric.threshold
    if ensemble:
        check_averaged(threshold, f"train.ensemble={ensemble}")
    module = task.make_module()
    module.configure_model()
    name, chosen = recommendation.named(policy)
    recommendation.apply(module, policy, example_input=task.example_input)  # names every site that does not fit
    options = SessionOptions(
        device,
        patience,
        recommendation.rescale,
        threads=fastest_threads(task, device),
        activation_rate=recommendation.activation_rate,
    )
    seeds = range(seed, seed + max(1, ensemble))
    candidates = [Candidate(chosen.assignment, chosen.settings, one, Role.TRAIN) for one in seeds]
    if rows == WHOLE:
        if threshold == VALIDATION:
            same_positive_class(recommendation, task)
            task, threshold = _at_confirmed_threshold(task, chosen)
        made = [_train_to_the_end(task, candidate, chosen.epochs, options) for candidate in candidates]
    else:
        made = [_train_to_the_best(task, candidate, options) for candidate in candidates]
    modules, records = zip(*made, strict=True)
    if threshold == VALIDATION:
        threshold = records[0].metrics[THRESHOLD]
    trained = averaged(modules, task.example_input) if ensemble else modules[0]
    return TrainedModel(trained, records[0], chosen, name, rows, float(threshold), records)


def _train_to_the_best(
    task: Task, candidate: Candidate, options: SessionOptions
) -> tuple[lightning.LightningModule, TrialRecord]:
    """Train, and keep the best epoch on the validation rows."""
    session = LightningSession(task, options)
    session.start([(0, candidate)])
    (record,) = session.advance()
    if not record.complete:
        raise AutoactError(f"training failed: {record.reason}")
    return session.modules()[0].eval().cpu(), record


def _at_confirmed_threshold(task: Task, policy: Policy) -> tuple[Task, float]:
    """The task with the threshold that the final check found, and this: rows that are learnt from fit none.

    Raises:
        AutoactError: the recommendation holds none.
    """
    if policy.threshold is None:
        raise AutoactError(
            f"task.threshold={VALIDATION}: the recommendation holds no fitted threshold: train with train.rows=train, "
            f"which fits one, or search with task.threshold={VALIDATION}"
        )
    assert task.metric is not None
    return replace(task, metric=task.metric.at(policy.threshold)), policy.threshold


def epochs_within(confirmed: int, trainer: Mapping[str, Any]) -> int:
    """How long to train without validation rows: as long as confirmed, within the bounds that the user gave.

    Raises:
        AutoactError: the bounds contradict each other.

    Example:
        >>> epochs_within(20, {}), epochs_within(20, {"max_epochs": 5}), epochs_within(20, {"max_epochs": 50})
        (20, 5, 20)
        >>> epochs_within(20, {"min_epochs": 30})
        30
    """
    least, most = trainer.get("min_epochs") or 1, trainer.get("max_epochs")
    most = math.inf if most in (None, -1) else most
    if least > most:
        raise AutoactError(f"trainer.min_epochs={least} is more than trainer.max_epochs={most}: lower the one")
    return int(min(max(confirmed, least), most))


def _train_to_the_end(
    task: Task, candidate: Candidate, epochs: int, options: SessionOptions
) -> tuple[lightning.LightningModule, TrialRecord]:
    """Train for a number of epochs, whatever the validation value does."""
    if epochs < 1:
        raise AutoactError("the recommendation names no number of epochs: train with train.rows=train")
    epochs = epochs_within(epochs, task.trainer)
    task = replace(task, trainer={**task.trainer, "max_epochs": epochs, "min_epochs": epochs})
    callbacks = [*task.make_callbacks(), OptimizerSettings(candidate.settings, options.activation_rate)]
    if task.metric is not None:
        callbacks.insert(0, PredictionScore(task.metric, task.monitor))  # a schedule of the user's own may watch it
    started = time.perf_counter()
    with quiet_lightning(), fixed_threads(options.threads):
        lightning.seed_everything(candidate.seed, verbose=False)
        module = build_module(task, candidate, rescale=options.rescale)
        lightning.seed_everything(candidate.seed, verbose=False)
        try:
            trainer = trainer_from(task.trainer, options.device, callbacks)
            trainer.fit(module, datamodule=task.datamodule(candidate.seed))
        except (Diverged, FloatingPointError) as error:
            raise AutoactError(f"training failed: {error}") from error
    if not weights_are_finite(module):
        raise AutoactError("training failed: weights are not finite")
    seconds = time.perf_counter() - started
    done = trainer.current_epoch  # fewer where max_steps or max_time ended it
    record = TrialRecord(0, candidate, COMPLETE, best_epoch=done, epochs=done, seconds=seconds)
    return module.eval().cpu(), record


def output_form(module: torch.nn.Module, example: object, kind: str) -> str:
    """What turns the module's output into scores: ``sigmoid``, ``softmax`` or ``number``; empty where it is neither.

    The module's own ``score`` method, which the recipes have, is compared with each.

    ``example`` is an input of two rows or more.
    """
    score = getattr(module, "score", None)
    if not callable(score) or not isinstance(example, torch.Tensor):
        return ""
    with torch.no_grad():
        out = module(example)
        own = score(out)
        if out.ndim != 2:
            return ""
        if kind == "regression":
            forms = {"number": out[:, 0]}
        elif out.shape[1] > 1:
            forms = {"softmax": out.softmax(1)}
        else:
            forms = {"sigmoid": out[:, 0].sigmoid()}
        return next((name for name, form in forms.items() if own.shape == form.shape and torch.allclose(own, form)), "")
