"""What check, train and confirm read of another file: the columns of the search."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from autoact.cli.from_config import as_in_search, make_task
from autoact.config.compose import compose
from autoact.config.compose import settings as typed
from autoact.core.assignment import Assignment
from autoact.recommendation import Policy, Recommendation


def recommendation(about: dict[str, object]) -> Recommendation:
    kept = Policy(False, Assignment({}), {}, 3, "kept")
    return Recommendation("t", "2026-01-01T00:00:00Z", "kept", {}, {"quality": kept}, kept, {}, about=about)


def test_columns_are_read_as_in_the_search(tmp_path: Path) -> None:
    frame = pd.DataFrame({"code": ["1", "2", "X", "1"] * 30, "x": range(120), "y": ["u", "v"] * 60})
    frame.to_csv(tmp_path / "old.csv", index=False)
    frame.assign(code=[1, 2, 1, 2] * 30).to_csv(tmp_path / "new.csv", index=False)
    words = ["task=classification", "data.target=y"]
    old = typed(compose([*words, f"data.path={tmp_path / 'old.csv'}"]))
    found = recommendation({"data": {"profile": make_task(old).facts["profile"]}})
    assert as_in_search(old, found) == (old, [])
    new, notes = as_in_search(typed(compose([*words, f"data.path={tmp_path / 'new.csv'}"])), found)
    assert new.data.categorical == ["code"] and "was read as categories in the search" in notes[0]
    columns = make_task(new).facts["profile"]["columns"]
    assert [column["kind"] for column in columns] == ["category", "numeric"]
    assert as_in_search(old, recommendation({})) == (old, [])
