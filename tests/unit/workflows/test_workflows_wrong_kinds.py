"""Arguments of another kind are refused in one line, before anything is read or trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import autoact
from autoact.workflows.task_source import configured


@dataclass
class Result:
    recommendation: autoact.Recommendation | None


KEPT = autoact.Policy(False, autoact.Assignment({}), {}, 3, "kept")
RECOMMENDATION = autoact.Recommendation("t", "2026-01-01T00:00:00Z", "kept", {}, {"quality": KEPT}, KEPT, {})
RESULT: Any = Result(RECOMMENDATION)
UNFINISHED: Any = Result(None)
OTHER: Any = 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: autoact.load_recommendation(UNFINISHED),
            "the result holds no recommendation: its search ended before",
        ),
        (lambda: autoact.train(UNFINISHED, "churn"), "the result holds no recommendation"),
        (lambda: autoact.check(UNFINISHED, "churn"), "the result holds no recommendation"),
        (lambda: autoact.load_recommendation(Result(OTHER)), "cannot load a recommendation from Result"),  # type: ignore[arg-type]
        (lambda: autoact.check("x.yaml", "churn", seeds="2"), "seeds='2' must be a whole number"),  # type: ignore[arg-type]
        (lambda: autoact.check("x.yaml", "churn", tolerances=OTHER), r"tolerances=3 must be autoact\.Tolerances"),
        (lambda: autoact.Tolerances(quality="x"), r"tolerance\.quality='x' must be a finite number"),  # type: ignore[arg-type]
        (lambda: autoact.Tolerances(gain=True), r"tolerance\.gain=True must be a finite number"),
        (lambda: autoact.confirm(Path("runs/x")), "study is a PosixPath: give a study's name"),  # type: ignore[arg-type]
        (lambda: autoact.confirm(RECOMMENDATION), "study is a Recommendation: give"),  # type: ignore[arg-type]
        (lambda: autoact.confirm("x", seeds="3"), "seeds='3' must be a whole number"),  # type: ignore[arg-type]
        (lambda: autoact.confirm("x", observers=print), "observers=.* must be a list of"),  # type: ignore[arg-type]
        (lambda: autoact.export(nn.Linear(1, 1), "x.onnx"), "^model is a Linear: give what autoact.train returned"),  # type: ignore[arg-type]
        (lambda: autoact.search(OTHER), "task is a int.*the name of a recipe's task, or an autoact.Config"),
        (lambda: autoact.search(autoact.Config), r"task is the class Config: give an object, autoact.Config"),  # type: ignore[arg-type]
        (lambda: autoact.search(nn.Linear), "a module of your own needs its data: give datamodule="),  # type: ignore[arg-type]
        (lambda: autoact.train(RESULT, nn.Linear), "task is the class Linear: give a task's name"),  # type: ignore[arg-type]
        (lambda: autoact.promote(OTHER, "champion"), "version=3 must be text"),
        (lambda: autoact.promote("models:/x/1", OTHER), "to=3 must be text"),
        (lambda: autoact.rollback(OTHER), "alias is a int: rollback needs models:/NAME@champion"),
        (lambda: autoact.predict("models:/x/1", {"a": [1]}), "rows is a dict: give a pandas.DataFrame"),  # type: ignore[arg-type]
        (lambda: autoact.predict("models:/x/1", pd.Series([1])), "rows is a Series: give a pandas.DataFrame"),
    ],
)
def test_arguments_of_another_kind_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(autoact.AutoactError, match=message):
        call()


def test_a_result_stands_for_its_recommendation() -> None:
    assert autoact.load_recommendation(RESULT) is RECOMMENDATION
    assert configured("churn").recommendation(RESULT, "") is RECOMMENDATION
    with pytest.raises(autoact.AutoactError, match="unknown policy 'x'"):
        autoact.train(RESULT, "churn", policy="x")
    with pytest.raises(autoact.AutoactError, match=r"the recommendation given and recommendation=a\.yaml both"):
        autoact.train(RESULT, "churn", overrides=["recommendation=a.yaml"])
    with pytest.raises(autoact.AutoactError, match="the recommendation of t keeps the baseline"):
        autoact.measure(nn.Linear(1, 1), torch.ones(1, 1), recommendation=RESULT)
