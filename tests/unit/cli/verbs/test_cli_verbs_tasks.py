"""The list of tasks on the command line."""

import json

import pytest
import rich.console

from autoact.cli.main import main
from autoact.config.groups import options


def test_the_list_names_every_task_and_every_source(capsys):
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    assert [name for name in options("task") if f"{name} " not in out] == []
    assert "…" not in out and "too narrow" not in out
    assert "bring their data along" in out and "Source: Gorishniy et al., TabM" in out


def test_a_narrow_window_cuts_no_name_and_says_what_it_leaves_out(capsys, monkeypatch):
    monkeypatch.setattr("autoact.report.console.console", lambda: rich.console.Console(width=60))
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name} " in out for name in options("task")) and "…" not in out
    assert "This window is too narrow for: target, metric, recipe," in out


def test_names_alone(capsys):
    assert main(["tasks", "--names"]) == 0
    names = capsys.readouterr().out.split()
    assert {"churn", "credit", "income", "houses", "bike", "cancer", "diabetes", "digits", "digits-rows"} < set(names)
    assert "classification" not in names  # it needs a file


def test_one_in_full(capsys):
    assert main(["tasks", "houses"]) == 0
    out = capsys.readouterr().out
    assert "20,640 x 10" in out and "California" in out and "source: Gorishniy" in out


def test_json(capsys, tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("# @package _global_\n# Mine.\ntask: {name: mine}\n", encoding="utf-8")
    assert main(["tasks", "--json", "--config-dir", str(tmp_path)]) == 0
    found = {task["name"]: task for task in json.loads(capsys.readouterr().out)}
    assert found["mine"]["about"] == "Mine." and not found["mine"]["ready"]
    assert found["bike"]["best_known"]["value"] == 65.1 and found["digits"]["best_known"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hoses"], "unknown task 'hoses': did you mean houses"),
        (["houses", "bike"], "tasks shows one task, and houses and bike are given: leave out one"),
        (["task=houses"], "tasks takes no settings, but 'task=houses': python -m autoact tasks houses"),
        ([""], "unknown task ''"),
        (["houses", "--json"], "tasks: houses and --json exclude each other: give one"),
        (["--names", "--json"], "tasks: --json and --names exclude each other: give one"),
        (["--naems"], "unknown flag '--naems': did you mean --names"),
        (["--config-dir", "nowhere"], "--config-dir: no such folder: 'nowhere'"),
    ],
)
def test_mistakes(capsys, arguments, message):
    assert main(["tasks", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_an_unknown_task_of_a_search_points_to_the_list(capsys):
    assert main(["search", "task=chrun"]) == 2
    assert "python -m autoact tasks lists them" in capsys.readouterr().err
