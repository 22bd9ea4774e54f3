"""Settings of a study check themselves when they are made."""

from __future__ import annotations

import pytest

from autoact.core.errors import AutoactError
from autoact.study.settings import ObjectiveSettings


@pytest.mark.parametrize(
    ("use", "told"),
    [([], "no objective is left: objectives.use is empty"), (["cost", "cost"], "names an objective twice: cost, cost")],
)
def test_objectives_that_cannot_be_meant(use: list[str], told: str) -> None:
    with pytest.raises(AutoactError, match=told):
        ObjectiveSettings(use=use)
