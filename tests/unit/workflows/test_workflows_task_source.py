"""What check, train and confirm read of another file: the columns of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autoact.activations.initialisation import rules_of
from autoact.config.compose import compose
from autoact.config.compose import settings as typed
from autoact.config.schema import Config
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.recommendation import Policy, Recommendation
from autoact.workflows.task_source import Configured, configured, make_task


def recommendation(about: dict[str, object], **fields: Any) -> Recommendation:
    kept = Policy(False, Assignment({}), {}, 3, "kept")
    fields = {"initialisation": rules_of(["relu"]), "about": about, **fields}
    return Recommendation("t", "2026-01-01T00:00:00Z", "kept", {}, {"quality": kept}, kept, {}, **fields)


def test_initial_weights_that_were_drawn_by_other_rules_are_told_once() -> None:
    today, mine = rules_of(["relu", "tanh"]), make_task(typed(compose(["task=cancer"])))
    for source in (configured("cancer"), configured(mine)):  # with a table, and with a task of one's own

        def told(**fields: Any) -> list[str]:
            return list(source.as_in_search(recommendation({}, **fields)).notes)  # noqa: B023

        assert told(initialisation=today) == told(initialisation={}, rescale=False) == []
        (unknown,) = told(initialisation={})
        assert "does not note by which rules" in unknown and "confirm recommendation=FILE" in unknown
        (other,) = told(initialisation={**today, "tanh": "0" * 8})
        assert other.startswith("weights around tanh are drawn by other rules than in the search")


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


def test_a_whole_configuration_and_a_configured_task_are_taken_as_they_are() -> None:
    config = typed(compose(["task=churn", "trainer.max_epochs=3"]))
    source = configured(config)
    assert source.config is config and source.recipe
    assert [one.text for one in source.given] == ["trainer.max_epochs="]
    assert configured(source) is source


@pytest.mark.parametrize(
    ("task", "overrides", "message"),
    [
        (Config(), ["search.trials=3"], "set its fields instead"),
        ("chrun", [], "unknown task 'chrun': did you mean churn"),
        ("churn", "search.trials=3", "must be a list"),
        (3, [], "task is a int: give a task's name, an autoact.Config, or autoact.lightning_task"),
    ],
)
def test_what_names_no_task_is_refused(task: Any, overrides: Any, message: str) -> None:
    with pytest.raises(AutoactError, match=message):
        configured(task, overrides)


def test_the_network_is_that_of_the_search_but_for_what_was_set_here() -> None:
    recipe = configured("diabetes").config.recipe.module
    found = recommendation({"data": {"recipe": recipe, "arguments": {"width": 16, "depth": 1}}})
    source = configured("diabetes", ["recipe.arguments.depth=3"], "train").as_in_search(found)
    arguments = source.config.recipe.arguments
    assert (arguments["width"], arguments["depth"]) == (16, 3)
    assert list(source.notes) == [
        "the network is that of the search, as the recommendation says: width=16 (not 64, as configured here)",
        "recipe.arguments makes another network than that of the search: depth=3 (there 1)",
    ]
    same = configured("diabetes", ["recipe.arguments={width: 16, depth: 1}"], "train").as_in_search(found)
    assert list(same.notes) == []
    other = recommendation({"data": {"recipe": "mine:Net", "arguments": {"width": 16}}})
    assert configured("diabetes").as_in_search(other).config.recipe.arguments["width"] == 64


def test_the_module_of_ones_own_is_made_as_in_the_search() -> None:
    found = recommendation({"data": {"recipe": "mine.code:Net", "module": "mine:Net", "arguments": {"width": 16}}})
    source = Configured(Config(module="mine:Net", module_arguments={"depth": 2})).as_in_search(found)
    assert source.config.module_arguments == {"depth": 2, "width": 16} and "width=16" in source.notes[0]
    assert Configured(Config(module="other:Net")).as_in_search(found).config.module_arguments == {}
