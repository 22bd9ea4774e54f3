"""What ``confirm`` searches of a recommendation's normalisations."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoact.config.effective_keys import ELSEWHERE
from autoact.core.assignment import Assignment
from autoact.recommendation import Policy, Recommendation
from autoact.workflows.confirm import _of_recommendation
from autoact.workflows.task_source import configured

TODAY = {"blocks.0.act": "relu", "act": "relu", "blocks.0.norm": "layer_norm", "norm": "layer_norm"}


@pytest.mark.parametrize(
    ("change", "sites", "normalisations"),
    [
        ({"norm": "derf"}, set(TODAY), ["derf"]),
        ({"act": "tanh"}, {"blocks.0.act", "act"}, []),  # each normalisation stays as it is
    ],
)
def test_normalisations_are_sites_where_a_policy_changes_one(
    change: dict[str, str], sites: set[str], normalisations: list[str], tmp_path: Path
) -> None:
    kept = Policy(False, Assignment(TODAY), {"learning_rate": 0.002, "weight_decay": 0.01}, 1, "kept")
    better = Policy(True, Assignment({**TODAY, **change}), kept.settings, 1, "better")
    seen = {name: {"current": one, "shape": [4, 4], "channels": 4, "channel_dim": -1} for name, one in TODAY.items()}
    metric = {"name": "RMSE", "mode": "min"}
    made = Recommendation("diabetes", "2026-01-01T00:00:00+00:00", "", metric, {"quality": better}, kept, seen)
    words = ["recipe=tabular_regression", "hardware.device=cpu", f"output={tmp_path}"]
    words += [f"recipe.arguments.{one}" for one in ("norm=layer", "width=4", "depth=1")]
    prepared = _of_recommendation(configured("diabetes", words, ELSEWHERE), made)
    assert set(prepared.space.baseline) == sites
    assert [str(choice) for choice in prepared.space.normalisations] == normalisations
    assert all(set(one.assignment) == sites for one in prepared.settings.included)
    assert len({prepared.space.point_of(one).functions for one in prepared.settings.included}) == 2
