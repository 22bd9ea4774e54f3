"""Settings that cannot act on this model, its data or this device: what only a prepared search can tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from autoact.config.effective_keys import Given
from autoact.data.columns.column_types import CATEGORY
from autoact.space.training_settings import LEARNING_RATE, WEIGHT_DECAY
from autoact.tasks.objectives import QUALITY

if TYPE_CHECKING:
    from autoact.workflows.searching.search_setup import PreparedSearch


def idle_here(given: Sequence[Given], prepared: PreparedSearch) -> list[str]:
    """A line for each key that was set and that cannot act, with the reason."""
    lines = []
    for one in given:
        reasons = [why_idle_here(key, prepared) for key in one.keys or (one.key,)]
        if reasons and all(reasons):
            lines.append(f"{one.text} has no effect: {reasons[0]}")
    return lines


def why_idle_here(key: str, prepared: PreparedSearch) -> str:
    """Why a key cannot act in a search that is prepared; empty where it can."""
    rule = RULES.get(key)
    return "" if rule is None else rule(prepared)


def _on_gpus(prepared: PreparedSearch) -> str:
    return "" if prepared.device.type == "cuda" else f"it is for GPUs, and this search trains on {prepared.device}"


def _rungs(prepared: PreparedSearch) -> str:
    if prepared.rungs or not prepared.settings.search.rungs.enabled:
        return ""
    length = "without a number of epochs" if prepared.epochs is None else f"of {prepared.epochs} epochs"
    return f"trainings {length} leave no room for early stops"


def _learning_rate(prepared: PreparedSearch) -> str:
    return (
        ""
        if LEARNING_RATE in prepared.space.configured
        else "the model's optimisers have no learning rate of their own"
    )


def _weight_decay(prepared: PreparedSearch) -> str:
    return "" if WEIGHT_DECAY in prepared.space.configured else "the model's optimisers take no weight decay"


def _activation_rate(prepared: PreparedSearch) -> str:
    return (
        ""
        if prepared.space.learnable
        else "no activation on offer has weights of its own, as candidates=learnable have"
    )


def _margin(prepared: PreparedSearch) -> str:
    if any(objective.name != QUALITY for objective in prepared.objectives):
        return ""
    return "nothing is traded against quality, so no policy may lose any"


def _tested(prepared: PreparedSearch) -> str:
    return "" if prepared.task.test is not None else "there are no test rows, so there is no final check"


def _categories(prepared: PreparedSearch) -> str:
    columns = prepared.task.facts.get("profile", {}).get("columns", [])
    if not columns or any(column["kind"] == CATEGORY for column in columns):
        return ""
    return "no column that is learnt from holds categories"


RULES: dict[str, Callable[[PreparedSearch], str]] = {
    **dict.fromkeys(("engine.max_gpus", "engine.gpu_memory_fraction"), _on_gpus),
    **dict.fromkeys(("search.rungs.enabled", "search.rungs.reduction", "search.rungs.first"), _rungs),
    "objectives.margin": _margin,
    "space.learning_rate": _learning_rate,
    "space.weight_decay": _weight_decay,
    "space.activation_rate": _activation_rate,
    **{f"confirm.{name}": _tested for name in ("seeds", "finalists", "early", "confidence", "power", "ensemble")},
    **dict.fromkeys(("data.min_frequency", "data.max_categories"), _categories),
}
