"""Objectives: what a search trades. Each has a name, a unit and a direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autoact.core.errors import AutoactError, nearest, unknown

QUALITY, LATENCY, COST = "quality", "latency", "cost"
BUILT_IN = (QUALITY, LATENCY, COST)


@dataclass(frozen=True)
class Objective:
    """One objective of a search.

    Attributes:
        name: ``quality``, ``latency``, ``cost`` or the user's own.
        unit: what a value counts, for people (``ms``, ``USD per million samples``, ``ROC AUC``).
        direction: ``max`` or ``min``: which values are better.
        compute: for the user's own: trained model -> value.
    """

    name: str
    unit: str
    direction: str
    compute: Callable[[Any], float] | None = None


_OWN: dict[str, Objective] = {}


def objective(name: str, unit: str, direction: str) -> Callable[[Callable[[Any], float]], Callable[[Any], float]]:
    """Declare an objective of your own: a function of the trained model.

    Args:
        name: how ``objectives.use`` and the tables call it.
        unit: what a value counts, for people.
        direction: ``max`` or ``min``.

    Returns:
        A decorator that registers the function and hands it back unchanged.

    Raises:
        AutoactError: another direction, or a name that is taken.

    Example:
        >>> @objective("parameters", unit="count", direction="min")
        ... def parameters(model):
        ...     return float(sum(p.numel() for p in model.parameters()))
        >>> own("parameters").unit
        'count'
        >>> forget("parameters")
    """
    if direction not in ("max", "min"):
        raise AutoactError(f"the direction of the objective {name!r} is {direction!r}. Allowed: max, min")

    def decorate(function: Callable[[Any], float]) -> Callable[[Any], float]:
        known = _OWN.get(name)
        if name in BUILT_IN or (known is not None and not _same_function(known.compute, function)):
            raise AutoactError(f"the objective name {name!r} is taken: choose another")
        _OWN[name] = Objective(name, unit, direction, function)
        return function

    return decorate


def _same_function(one: Any, other: Any) -> bool:
    """Whether two functions are one, or the same one defined again: a notebook cell that ran twice."""
    return one is other or (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def declared(function: Any) -> list[str]:
    """The names under which a function was declared as an objective."""
    return [name for name, one in _OWN.items() if one.compute is function]


def forget(name: str) -> None:
    """Take back ``objective(name, ...)``."""
    _OWN.pop(name, None)


def own(name: str) -> Objective:
    """The user's own objective called ``name``.

    Raises:
        AutoactError: no such objective.
    """
    if name not in _OWN:
        raise unknown("objective", name, [*BUILT_IN, *_OWN], advice="declare your own with autoact.objective")
    return _OWN[name]


def refuse_misspelt(names: Sequence[str]) -> None:
    """Refuse a name that nobody declared and that is all but one of autoact's own, where it is written.

    Any other may still be declared, by a module that the search imports.

    Raises:
        AutoactError: no such objective.

    Example:
        >>> refuse_misspelt(["quality", "parameters"])
    """
    for name in names:
        if name not in (*BUILT_IN, *_OWN) and nearest(name, BUILT_IN, count=1, alike=0.8):
            own(name)


def choose_objectives(
    names: Sequence[str], *, quality_unit: str, quality_mode: str, currency: str | None
) -> tuple[tuple[Objective, ...], str]:
    """The objectives of a search, in order, and a note on what had to be left out.

    Cost is left out where the hardware has no price: no price means no cost objective, not an invented number.

    Raises:
        AutoactError: an unknown or repeated name, or nothing left.
    """
    chosen, note = [], ""
    if len(set(names)) != len(names):
        raise AutoactError(f"objectives.use names an objective twice: {', '.join(names)}")
    for name in names:
        if name == QUALITY:
            chosen.append(Objective(QUALITY, quality_unit, quality_mode))
        elif name == LATENCY:
            chosen.append(Objective(LATENCY, "ms", "min"))
        elif name == COST and currency is None:
            note = (
                "no cost objective: this hardware has no price (name a priced machine, hardware=..., or give "
                "hardware.price_per_hour and hardware.currency)"
            )
        elif name == COST:
            chosen.append(Objective(COST, f"{currency} per million samples", "min"))
        else:
            chosen.append(own(name))
    if not chosen:
        raise AutoactError(f"no objective is left: {note or 'objectives.use is empty'}")
    return tuple(chosen), note
