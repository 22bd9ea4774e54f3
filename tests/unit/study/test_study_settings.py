"""Settings of a study check themselves when they are made."""

from __future__ import annotations

import pytest

from autoact.core.errors import AutoactError
from autoact.study.settings import ObjectiveSettings


def test_a_misspelt_objective_is_refused_where_it_is_written() -> None:
    with pytest.raises(AutoactError, match="unknown objective 'latancy': did you mean latency"):
        ObjectiveSettings(use=["quality", "latancy"])


def test_an_objective_may_be_declared_after_the_settings_are_made() -> None:
    assert ObjectiveSettings(use=["parameters"]).use == ["parameters"]
    assert ObjectiveSettings(use=["costs"], own=["my_pkg:costs"]).own == ["my_pkg:costs"]


@pytest.mark.parametrize(
    ("use", "told"),
    [([], "no objective is left: objectives.use is empty"), (["cost", "cost"], "names an objective twice: cost, cost")],
)
def test_objectives_that_cannot_be_meant(use: list[str], told: str) -> None:
    with pytest.raises(AutoactError, match=told):
        ObjectiveSettings(use=use)
