"""What check, train and confirm read of another file: the columns of the search."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from autoact.config.compose import compose
from autoact.config.compose import settings as typed
from autoact.core.assignment import Assignment
from autoact.recommendation import Policy, Recommendation
from autoact.workflows.task_source import Configured, configured, make_task


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
    same = Configured(old).as_in_search(found)
    assert (same.config, list(same.notes)) == (old, [])
    new = configured("classification", [*words[1:], f"data.path={tmp_path / 'new.csv'}"]).as_in_search(found)
    assert new.config.data.categorical == ["code"] and "was read as categories in the search" in new.notes[0]
    columns = new.task().facts["profile"]["columns"]
    assert [column["kind"] for column in columns] == ["category", "numeric"]
    unread = Configured(old).as_in_search(recommendation({}))
    assert (unread.config, list(unread.notes)) == (old, [])
