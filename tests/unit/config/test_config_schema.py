"""Settings of the schema's own check themselves when they are made."""

from __future__ import annotations

import pytest

from autoact.config.compose import compose, settings
from autoact.config.schema import RecipeSettings
from autoact.core.errors import AutoactError


@pytest.mark.parametrize("given", [0, -5])
def test_a_batch_holds_a_row(given: int) -> None:
    told = f"^recipe.batch_size={given} must be 1 or more$"
    with pytest.raises(AutoactError, match=told):
        RecipeSettings(batch_size=given)
    with pytest.raises(AutoactError, match=told):
        settings(compose(["task=cancer", f"recipe.batch_size={given}"]))
