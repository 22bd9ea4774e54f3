"""``confirm``: advice for words that mean something else."""

from __future__ import annotations

import pytest

from autoact.cli.verbs.confirm import run
from autoact.core.errors import AutoactError


def test_seed_is_not_seeds() -> None:
    with pytest.raises(AutoactError, match=r"^seed=3: did you mean seeds=3, the number of fresh seeds, or data\.seed"):
        run(["churn-1", "seed=3"])
