"""From a configuration to a task: data, recipe, metric."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autoact.config.network_arguments import OF_DATA, arguments_taken
from autoact.config.schema import Config
from autoact.config.trusted_code import load_trusted
from autoact.core.errors import AutoactError, unknown
from autoact.core.typed_values import unfit
from autoact.data.datamodule import TensorDataModule
from autoact.data.preparation.cross_validation import fold_of, has_folds
from autoact.data.prepare import KINDS, prepare
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import HALF, POINTS
from autoact.tasks.decision_threshold import VALIDATION, check_threshold
from autoact.tasks.metrics import (
    CLASSES,
    CLASSIFICATION,
    METRICS,
    OWN_UNIT,
    PROBABILITIES,
    Metric,
    resolve,
    with_threshold,
)
from autoact.tasks.production_model import ProductionModel, find_production_model
from autoact.tasks.reference_models import reference_rows
from autoact.tasks.task import Task

MAY_HAVE_SEEN = (
    "the production model may have been trained on rows that it is scored on here: autoact cannot know; "
    "its score would then be too good"
)


ENOUGH_TO_FIT = 10
"""Validation rows of the rarer class from which a fitted decision threshold is taken without a word."""
WEIGHTS = ("balanced", "none")
"""Of classes: what a recipe that takes ``class_counts`` knows as ``class_weights``."""


def recipe_task(config: Config, prepared: PreparedData | None = None) -> Task:
    """The task of a recipe on prepared data.

    Raises:
        AutoactError: wrong data, recipe or metric.
    """
    kind, settings = config.task.kind, config.recipe
    KINDS.find(kind)
    recipe = load_trusted(settings.module, "recipe.module", config.trust)
    check_recipe(recipe, config)
    metric = task_metric(config, kind)
    data = config.data
    prepared = prepare(data, kind) if prepared is None else prepared
    if metric.threshold != HALF and prepared.outputs != 2:
        raise AutoactError(
            f"task.threshold={config.task.threshold} is for two classes, and there are {prepared.outputs}"
        )
    scored = in_users_unit(metric, prepared)
    shape = prepared.input_shape
    production_model = _production_model(config, prepared, scored)

    shapes: dict[str, Any] = {"inputs": prepared.inputs, "outputs": prepared.outputs}
    shapes |= {name: getattr(prepared, name) for name in OF_DATA if name in arguments_taken(recipe)}

    def make_module() -> Any:
        try:
            module = recipe(**shapes, **settings.arguments)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise AutoactError(f"recipe.arguments do not fit {settings.module}: {error}") from error
        if settings.batch_size == 1 and len(shape) == 1:
            _check_batch_norm(module, arguments_taken(recipe))
        return module

    return Task(
        name=config.task.name or kind,
        make_module=make_module,
        make_datamodule=lambda seed: TensorDataModule(prepared, settings.batch_size, seed),
        make_fold=_folds(prepared, settings.batch_size) if has_folds(prepared) else None,
        monitor=f"val_{metric.name}",
        mode=metric.mode,
        quality_unit=_unit(scored, prepared),
        example_input=prepared.train.x[:4],
        make_input=lambda rows: torch.randn(rows, *shape, generator=torch.Generator().manual_seed(0)),
        metric=scored,
        also=_other_metrics(metric, kind, prepared),
        groups=tuple(dict.fromkeys(data.groups)),
        test=prepared.test,
        trainer=dict(config.trainer),
        identity={
            "data": prepared.fingerprint,
            "recipe": settings.module,
            "arguments": dict(settings.arguments),
            "batch_size": settings.batch_size,
            **({} if metric.threshold == HALF else {"threshold": metric.threshold}),
        },
        facts={
            "data": prepared.name,
            "description": prepared.description,
            "summary": prepared.summary(),
            "rows": prepared.sizes,
            "fingerprint": prepared.fingerprint,
            "recipe": settings.module,
            "arguments": dict(settings.arguments),
            "notes": [
                *prepared.notes,
                *_about_metric(metric, prepared),
                *(_about_probabilities(settings.arguments, metric, prepared) if "class_counts" in shapes else ()),
                *([] if production_model is None else filter(None, [MAY_HAVE_SEEN, production_model.note])),
            ],
            "settings": asdict(data),
            **({"classes": prepared.classes} if prepared.classes is not None and prepared.outputs == 2 else {}),
            **({"profile": prepared.profile} if prepared.profile else {}),
            **({"production_model": production_model.name} if production_model is not None else {}),
        },
        simulated=prepared.simulated,
        references=_references(prepared, scored, production_model, fitted=config.confirm.references),
        ordered=prepared.split == "time",
        trivial=_trivial(prepared, scored),
        warning="all results are on simulated data" if prepared.simulated else "",
    )


def check_recipe(recipe: Any, config: Config) -> None:
    """Refuse a recipe of another kind of task, and arguments that it does not take or that mean nothing.

    Raises:
        AutoactError: names the recipe or the argument, and what is allowed.
    """
    kind, settings = config.task.kind, config.recipe
    kinds, like = getattr(recipe, "kinds", ()), KINDS.find(kind).like
    # Points of an equation are taught by the recipe's own loss: one of another kind would learn something else.
    if kinds and not ({kind} if kind in POINTS else {kind, like}) & set(kinds):
        fitting = [name for name, wanted in _RECIPES.items() if wanted == kind] or [
            name for name, wanted in _RECIPES.items() if wanted == like
        ]
        raise AutoactError(
            f"recipe.module={settings.module} is for {' and '.join(kinds)}, and task.kind is {kind}: "
            f"recipe={' or recipe='.join(fitting)}"
        )
    taken = arguments_taken(recipe)
    for name in OF_DATA:
        taken.pop(name, None)
    least = getattr(recipe, "least", {})
    for name, value in settings.arguments.items():
        if taken and name not in taken:
            raise unknown("argument of the recipe", name, sorted(taken), advice="recipe.arguments.NAME=VALUE")
        declared = taken[name].kind if name in taken else None
        declared = declared or type(least.get(name))
        wanted = unfit(value, declared)
        if declared in (int, float) and name in least and (wanted or value < least[name]):
            wanted = f"{'a whole number' if declared is int else 'a number'}, {least[name]:g} or more"
        if wanted:
            raise AutoactError(f"recipe.arguments.{name}={value} must be {wanted}")
    weights = settings.arguments.get("class_weights", "none")
    if "class_counts" in arguments_taken(recipe) and weights not in WEIGHTS:
        raise unknown("recipe.arguments.class_weights", weights, WEIGHTS)


def _check_batch_norm(module: torch.nn.Module, taken: Collection[str]) -> None:
    norm = next((name for name, one in module.named_modules() if isinstance(one, torch.nn.BatchNorm1d)), None)
    if norm is not None:
        advice = "recipe.batch_size=2 or more" + (", or recipe.arguments.norm=layer" if "norm" in taken else "")
        raise AutoactError(f"recipe.batch_size=1 and the batch norm {norm}: one row has no variance; {advice}")


# The packaged recipes, with the kind of task that each is for.
_RECIPES = {
    "tabular_classification": "classification",
    "tabular_regression": "regression",
    "mlp_classification": "classification",
    "mlp_regression": "regression",
    "sequence_classification": "sequence_classification",
    "forecast": "forecast",
    "image_fit": "image",
    "heat": "heat",
}


def task_metric(config: Config, kind: str) -> Metric:
    """The metric that decides."""
    name = config.metric or config.task.metric
    if ":" in name:
        load_trusted(name, "metric", config.trust)
    metric, threshold = resolve(name, kind, config.metric_mode), check_threshold(config.task.threshold)
    if threshold != HALF and not {kind, KINDS.find(kind).like} & set(CLASSIFICATION):
        raise AutoactError(f"task.threshold={threshold} is for {' and '.join(CLASSIFICATION)}, and task.kind is {kind}")
    if threshold == VALIDATION and metric.needs != CLASSES:
        deciding = [one.name for one in METRICS.values() if one.needs == CLASSES]
        raise AutoactError(
            f"task.threshold={VALIDATION} has no effect on {metric.title}, which does not judge decisions: "
            f"metric={', '.join(deciding[:-1])} or {deciding[-1]}"
        )
    return with_threshold(metric, threshold)


def in_users_unit(metric: Metric, prepared: PreparedData) -> Metric:
    """The metric over targets in the user's own unit, not standardised; several series stay standardised.

    Raises:
        AutoactError: it means nothing on standardised targets, or cannot be scaled by these data.
    """
    if metric.of_data is not None:
        function, title = metric.of_data(prepared)
        return replace(metric, function=function, title=title)
    scale = prepared.target_scale
    if scale is not None and len(scale.names) > 1 and metric.needs == OWN_UNIT:
        raise AutoactError(
            f"metric={metric.name} needs targets in their own unit, and the {len(scale.names)} series are standardised "
            "(each by itself): use mase, or forecast one series"
        )
    if scale is None or len(scale.names) > 1:
        return metric

    def function_of_standardised(y_true: Any, y_score: Any) -> float:
        mean, std = float(scale.mean[0]), float(scale.std[0])
        return metric.function(y_true.astype("float64") * std + mean, y_score.astype("float64") * std + mean)

    return replace(metric, function=function_of_standardised)


def _other_metrics(deciding: Metric, kind: str, prepared: PreparedData) -> list[Metric]:
    """The other metrics of this kind of task that these data have; titles say where targets are standardised."""
    like, others = {kind, KINDS.find(kind).like}, []
    for metric in METRICS.values():
        if metric.name == deciding.name or not like & set(metric.kinds):
            continue
        try:
            scored = in_users_unit(metric, prepared)
        except AutoactError:  # it means nothing here: nobody asked for it
            continue
        others.append(with_threshold(replace(scored, title=_unit(scored, prepared)), deciding.threshold))
    return others


def _unit(metric: Metric, prepared: PreparedData) -> str:
    """What the quality is, for people; a metric that is scaled by the data is the same for any number of series."""
    scale = prepared.target_scale
    alone = scale is None or len(scale.names) == 1 or metric.of_data is not None
    return metric.title if alone else f"{metric.title} (standardised)"


def _about_metric(metric: Metric, prepared: PreparedData) -> list[str]:
    """What the reader has to know of the metric that decides."""
    if metric.threshold == VALIDATION:
        return [
            f"each training decides at the threshold that is best for {metric.name} on its validation rows: validation "
            "values are flattered by that, for all candidates alike; on test rows the threshold is given",
            *_few_to_fit_on(prepared),
        ]
    if metric.name != "mase":
        return []
    season, series = prepared.season, 1 if prepared.target_scale is None else len(prepared.target_scale.names)
    known = "the season of the data" if prepared.season_known else "no season is known: data.season=STEPS names one"
    shared = f"; the {series} series are standardised, each by itself, and share one scale" if series > 1 else ""
    return [
        "MASE divides errors by those of the seasonal naive forecast in the training part, which repeats the value of "
        f"{season} {'step' if season == 1 else 'steps'} ago ({known}){shared}"
    ]


def _few_to_fit_on(prepared: PreparedData) -> list[str]:
    """A line where luck has most of a threshold's say, since few validation rows are of the rarer class."""
    counts, names = np.bincount(prepared.validation.y.numpy(), minlength=2), prepared.classes or ["0", "1"]
    rare = int(counts.argmin())
    if counts[rare] >= ENOUGH_TO_FIT:
        return []
    rows = f"{counts[rare]} validation row{'s' * int(counts[rare] != 1)} of class {names[rare]!r}"
    return [f"the threshold is fitted on {rows}: luck has much of the say; more rows, or a number (task.threshold=0.2)"]


def _about_probabilities(arguments: Mapping[str, Any], metric: Metric, prepared: PreparedData) -> list[str]:
    """What probabilities mean that were learnt with class weights or the focal loss, and where decisions stay then."""
    weighted, focal = arguments.get("class_weights") == "balanced", arguments.get("focal_gamma")
    if not (weighted or focal):
        return []
    if focal or arguments.get("prior_correction") is False:
        cause = f"focal_gamma={focal}" if focal else "class_weights=balanced with prior_correction=false"
        advice = f", which {metric.title} tells" if metric.needs == PROBABILITIES else ""
        return [f"{cause}: scores rank rows, and are no frequencies that could be taken at their word{advice}"]
    line = "class_weights=balanced: probabilities are corrected to the frequencies of the classes (Elkan, 2001)"
    if metric.needs != CLASSES or metric.threshold != HALF:
        return [line]
    moved = "task.threshold=validation, or " if prepared.outputs == 2 else ""
    return [f"{line}, so weights hardly move decisions: {moved}recipe.arguments.prior_correction=false moves them"]


def _folds(prepared: PreparedData, batch_size: int) -> Callable[[int, int, int], TensorDataModule]:
    """Returns the data of one fold of the training and validation rows; the test part stays sealed."""
    return lambda seed, fold, folds: TensorDataModule(fold_of(prepared, seed, fold, folds), batch_size, seed)


def _references(
    prepared: PreparedData, metric: Metric, production_model: ProductionModel | None, *, fitted: bool
) -> Callable[[bool], Any]:
    """Scores of the production model and of reference models; on test rows only after they were opened."""
    return lambda test: reference_rows(
        prepared, metric, prepared.test.part if test else None, production_model, fitted=fitted
    )


def _production_model(config: Config, prepared: PreparedData, metric: Metric) -> ProductionModel | None:
    """The model in production, where the user names one."""

    def load(address: str) -> Any:
        from autoact.tracking.models.registered_model import RegisteredModel

        return RegisteredModel(address, config.tracking, Path(config.output))

    return find_production_model(config.production_model, prepared, config.data, metric, load)


def _trivial(prepared: PreparedData, metric: Metric) -> float | None:
    """Quality of a constant prediction made from training targets, on validation rows."""
    y = prepared.validation.y.numpy()
    train = prepared.train.y.numpy()
    if prepared.kind in CLASSIFICATION:
        shares = np.bincount(train, minlength=prepared.outputs) / len(train)
        score = np.full(len(y), shares[1]) if len(shares) == 2 else np.tile(shares, (len(y), 1))
    else:
        score = np.broadcast_to(train.mean(axis=0), y.shape)
    try:
        return metric.fitted(y, score)(y, score)
    except (ValueError, ArithmeticError):
        return None  # the user's own metric may not take a constant
