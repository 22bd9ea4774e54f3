"""Arguments of another kind are refused in one line, before anything is read or trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import autoact


@dataclass
class Result:
    recommendation: autoact.Recommendation


KEPT = autoact.Policy(False, autoact.Assignment({}), {}, 3, "kept")
RECOMMENDATION = autoact.Recommendation("t", "2026-01-01T00:00:00Z", "kept", {}, {"quality": KEPT}, KEPT, {})
RESULT: Any = Result(RECOMMENDATION)
OTHER: Any = 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autoact.load_recommendation(RESULT), r"give its attribute, result\.recommendation"),
        (lambda: autoact.train(RESULT, "churn"), r"a Result is no recommendation: give its attribute"),
        (lambda: autoact.check(RESULT, "churn"), r"a Result is no recommendation: give its attribute"),
        (lambda: autoact.check("x.yaml", "churn", seeds="2"), "seeds='2' must be a whole number"),  # type: ignore[arg-type]
        (lambda: autoact.check("x.yaml", "churn", tolerances=OTHER), r"tolerances=3 must be autoact\.Tolerances"),
        (lambda: autoact.Tolerances(quality="x"), r"tolerance\.quality='x' must be a finite number"),  # type: ignore[arg-type]
        (lambda: autoact.Tolerances(gain=True), r"tolerance\.gain=True must be a finite number"),
        (lambda: autoact.confirm(Path("runs/x")), "study is a PosixPath: give a study's name"),  # type: ignore[arg-type]
        (lambda: autoact.confirm(RECOMMENDATION), "study is a Recommendation: give"),  # type: ignore[arg-type]
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
