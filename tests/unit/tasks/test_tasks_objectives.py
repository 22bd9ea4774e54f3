"""Objectives: the built-in ones and the user's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoact.core.errors import AutoactError
from autoact.tasks import objectives
from autoact.tasks.objectives import Objective, choose_objectives, forget, objective, own
from autoact.tasks.task import Task


@pytest.fixture(autouse=True)
def _as_found() -> Iterator[None]:
    before = dict(objectives._OWN)
    yield
    objectives._OWN.clear()
    objectives._OWN.update(before)


def chosen(*names: str, currency: str | None = "EUR") -> tuple[tuple[Objective, ...], str]:
    return choose_objectives(names, quality_unit="MSE", quality_mode="min", currency=currency)


def test_the_built_in_objectives():
    found, note = chosen("quality", "latency", "cost")
    assert [(o.name, o.unit, o.direction) for o in found] == [
        ("quality", "MSE", "min"),
        ("latency", "ms", "min"),
        ("cost", "EUR per million samples", "min"),
    ]
    assert note == ""


@pytest.mark.parametrize("names", [["quality"], ["latency"], ["cost", "quality"], ["latency", "cost"]])
def test_any_subset_in_any_order(names):
    assert [o.name for o in chosen(*names)[0]] == names


def test_no_price_means_no_cost():
    found, note = chosen("quality", "cost", currency=None)
    assert [o.name for o in found] == ["quality"]
    assert "this hardware has no price" in note
    with pytest.raises(AutoactError, match=r"no objective is left: no cost objective"):
        chosen("cost", currency=None)


def test_nothing_repeated_nothing_empty_nothing_unknown():
    with pytest.raises(AutoactError, match="names an objective twice: quality, quality"):
        chosen("quality", "quality")
    with pytest.raises(AutoactError, match=r"objectives\.use is empty"):
        chosen()
    with pytest.raises(AutoactError, match=r"unknown objective 'latncy': did you mean latency.*autoact\.objective"):
        chosen("latncy")


def test_ones_own_objective():
    @objective("size", unit="count", direction="min")
    def size(model: object) -> float:
        return 3.0

    assert size(None) == 3.0, "the function comes back unchanged"
    (found,), _ = chosen("size")
    assert (found.unit, found.direction, found.compute) == ("count", "min", size)
    forget("size")
    with pytest.raises(AutoactError, match="unknown objective 'size'"):
        own("size")


def test_a_name_is_taken_once():
    with pytest.raises(AutoactError, match="the objective name 'latency' is taken"):
        objective("latency", unit="ms", direction="min")(lambda model: 1.0)
    objective("mine", unit="1", direction="max")(test_ones_own_objective)
    with pytest.raises(AutoactError, match="the objective name 'mine' is taken"):
        objective("mine", unit="1", direction="max")(test_any_subset_in_any_order)


def test_a_notebook_cell_may_run_twice():
    def define(value: float) -> None:
        @objective("cell", unit="1", direction="max")
        def cell(model: object) -> float:
            return value

    define(1.0)
    define(2.0)
    assert own("cell").compute(None) == 2.0


def test_a_direction_is_max_or_min():
    with pytest.raises(AutoactError, match="direction of the objective 'x' is 'minimise'"):
        objective("x", unit="1", direction="minimise")


@pytest.mark.parametrize(("mode", "a_better"), [("max", True), ("min", False)])
def test_a_task_knows_which_quality_is_better(mode, a_better):
    task = Task("t", object, object, "m", mode, "m", None, object)  # type: ignore[arg-type]
    assert task.better(2.0, 1.0) is a_better
    assert task.better(1.0, 2.0) is not a_better
    assert not task.better(1.0, 1.0)
