"""Named groups: means over seeds, gaps, their growth with its interval, and what is said of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold
from autoact.study.outcome.group_scores import group_scores, group_table

DRAW = np.random.default_rng(0)


def entry(name: str, scores: dict[str, float], seeds: int = 5, rows: int = 100, **why: str) -> RetrainedCandidate:
    """Trainings whose groups score as given, but for a little noise of seeds and rows."""

    def one(score: float) -> dict[str, Any]:
        found = score + 0.001 * DRAW.normal()
        return {"rows": rows, "score": found, "replicates": list(found + 1e-5 * DRAW.normal(size=50))}

    turns = [SeedFold(seed) for seed in range(seeds)]
    unscored = {group: {"rows": 3, "why": reason} for group, reason in why.items()}
    details = {
        turn: {"metrics": {}, "absent": {}, "groups": {"gender": {g: one(s) for g, s in scores.items()} | unscored}}
        for turn in turns
    }
    every = dict.fromkeys(turns, 0.8)
    return RetrainedCandidate(Candidate(Assignment({"a": name})), scores=every, details=details)


def test_the_gap_is_between_the_best_and_the_worst_mean_and_its_growth_has_an_interval():
    tuned, better = entry("relu", {"f": 0.80, "m": 0.82}), entry("tanh", {"f": 0.80, "m": 0.87})
    (found,) = group_scores({"tuned": tuned, "quality": better}, ["quality"], ["gender"], "max")
    assert found.rows == {"f": 100, "m": 100} and not found.unscored
    assert found.means["quality"]["m"] == pytest.approx(0.87, abs=0.003)
    gap = found.gaps["quality"]
    assert (gap.best, gap.worst) == ("m", "f")
    assert gap.size == pytest.approx(found.means["quality"]["m"] - found.means["quality"]["f"])
    growth = found.growth["quality"]
    assert growth.mean == pytest.approx(gap.size - found.gaps["tuned"].size)
    assert 0 < growth.low < 0.05 < growth.high + 0.003
    assert "tuned" not in found.growth


def test_where_less_is_better_the_best_group_is_the_lowest_and_gaps_stay_positive():
    entries = {"tuned": entry("relu", {"f": 3.0, "m": 4.0}), "quality": entry("tanh", {"f": 3.0, "m": 5.0})}
    (found,) = group_scores(entries, ["quality"], ["gender"], "min")
    assert (found.gaps["tuned"].best, found.gaps["tuned"].size) == ("f", pytest.approx(1.0, abs=0.01))
    assert found.growth["quality"].mean == pytest.approx(1.0, abs=0.01)


def test_one_line_says_that_a_gap_grows_of_what_is_recommended_alone():
    entries = {"tuned": entry("relu", {"f": 0.80, "m": 0.82}), "quality": entry("tanh", {"f": 0.80, "m": 0.87})}
    (found,) = group_scores(entries, ["quality"], ["gender"], "max")
    (line,) = found.notes("ROC AUC", {"quality": "recommended: quality"})
    assert line.startswith(
        "recommended: quality treats the groups of gender less alike than the tuned baseline: the gap in ROC AUC grows"
    )
    assert "(m over f)" in line and "with 95 %" in line
    assert found.notes("ROC AUC", {}) == []
    (same,) = group_scores(
        {**entries, "quality": entry("tanh", {"f": 0.81, "m": 0.83})}, ["quality"], ["gender"], "max"
    )
    assert same.notes("ROC AUC", {"quality": "recommended: quality"}) == []


def test_tiny_groups_are_said_and_not_scored():
    entries = {"tuned": entry("relu", {"f": 0.8, "m": 0.82}, x="fewer than 30 rows")}
    (found,) = group_scores(entries, [], ["gender"], "max")
    assert "x" not in found.means["tuned"]
    assert found.notes("AUC", {}) == [
        "groups of gender without a score of their own: 'x' (3 test rows: fewer than 30 rows)"
    ]
    alone = group_scores({"tuned": entry("relu", {"f": 0.8}, x="fewer than 30 rows")}, [], ["gender"], "max")[0]
    assert not alone.gaps and not alone.growth


def test_candidates_that_are_equal_are_told_once_and_columns_without_scores_not_at_all():
    tuned = entry("relu", {"f": 0.8, "m": 0.82})
    (found,) = group_scores({"tuned": tuned, "quality": tuned}, ["quality"], ["gender", "age"], "max")
    assert list(found.means) == ["tuned"] and found.column == "gender"


def test_the_table_and_the_plain_data_hold_the_same():
    entries = {"tuned": entry("relu", {"f": 0.80, "m": 0.82}, x="fewer than 30 rows"),
               "quality": entry("tanh", {"f": 0.80, "m": 0.87}, x="fewer than 30 rows")}  # fmt: skip
    (found,) = group_scores(entries, ["quality"], ["gender"], "max")
    table = group_table(found, "ROC AUC", {"tuned": "tuned baseline", "quality": "recommended: quality"})
    assert table.columns == ["gender", "test rows", "tuned baseline", "recommended: quality"]
    assert [row[0] for row in table.rows[:4]] == ["f", "m", "x", "gap, best to worst"]
    assert table.rows[2][1:] == ["3", "-", "-"]
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["column"] == "gender" and plain["unscored"] == {"x": "fewer than 30 rows"}
    assert plain["gaps"]["quality"]["size"] == found.gaps["quality"].size
    assert plain["growth_over_tuned_baseline"]["quality"]["low"] == found.growth["quality"].low
