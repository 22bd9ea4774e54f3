"""What a command says of a configuration, and what stays of it beside a study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoact.config.command_words import FILE, CommandWords, of_python
from autoact.core.errors import AutoactError


def test_the_words_of_a_study_come_before_those_of_today(tmp_path: Path) -> None:
    (tmp_path / "churn-1").mkdir()
    earlier = CommandWords(["task=churn", "search.trials=4"]).command()
    (tmp_path / "churn-1" / FILE).write_text(json.dumps(earlier), encoding="utf-8")
    words = of_python(None, [f"output={tmp_path}"], "confirm.seeds=20").after_study("churn-1")
    assert words.overrides == ["task=churn", "search.trials=4", f"output={tmp_path}", "confirm.seeds=20"]
    assert words.config_name == "config"


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ("chrun-1", "unknown study 'chrun-1': did you mean churn-1"),
        ("Net-1", "the study Net-1 was made in Python, from objects that no command names: give its task"),
        ("broken-1", "cannot read"),
        ("x.yaml", r"x\.yaml is no study: a recommendation is confirmed with recommendation=x\.yaml"),
        ("models:/churn-autoact/3", "is no study: a recommendation is confirmed with recommendation=models:/churn"),
    ],
)
def test_studies_that_cannot_be_taken_up(study: str, message: str, tmp_path: Path) -> None:
    for name, text in {"churn-1": "{}", "broken-1": "{", "Net-1": None}.items():
        (tmp_path / name).mkdir()
        if text is not None:
            (tmp_path / name / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(AutoactError, match=message):
        CommandWords([f"output={tmp_path}"]).after_study(study)
