"""Flags of the configured verbs."""

import pytest
import yaml

from autoact.cli.config_arguments import read
from autoact.cli.main import main
from autoact.config.groups import GROUPS
from autoact.core.errors import AutoactError


def output(capsys, *arguments, code=0):
    assert main(["search", *arguments]) == code
    return capsys.readouterr()


def test_flags_and_settings_are_told_apart():
    words = "task=cancer --cfg job -p=data ~trainer.x -cd a --config-dir=b --plan --port 3"
    found = read(words.split(), ("--plan",), ("--port",))
    assert found.overrides == ["task=cancer", "~trainer.x"]
    assert found.flags == {"--cfg": "job", "--package": "data", "--plan": "yes", "--port": "3"}
    assert found.config_dirs == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pln"], "unknown flag '--pln': did you mean --plan"),
        (["-m"], "unknown flag '-m'"),
        (["--cfg"], "--cfg needs a value"),
        (["churn"], "cannot read 'churn': settings are given as key=value"),
    ],
)
def test_wrong_flags(arguments, message):
    with pytest.raises(AutoactError, match=message):
        read(arguments, ("--plan",))


def test_help_lists_groups_with_their_choices_and_flags(capsys):
    out = output(capsys, "--help").out
    assert all(f"  {group}:" in out for group in GROUPS)
    assert "cancer, churn" in out and "--config-dir" in out and "search.trials=100" in out


def test_help_lists_ones_own_choices(capsys, tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("# @package _global_\ntask: {name: mine}\n")
    assert "mine" in output(capsys, "--help", "--config-dir", str(tmp_path)).out
    config = yaml.safe_load(output(capsys, "--cfg", "job", "-cd", str(tmp_path), "task=mine").out)
    assert config["task"]["name"] == "mine"


def test_cfg_job_prints_the_whole_configuration(capsys):
    config = yaml.safe_load(output(capsys, "--cfg", "job", "task=cancer", "search.trials=7").out)
    assert (config["task"]["name"], config["search"]["trials"], config["recipe"]["batch_size"]) == ("cancer", 7, 32)


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ("search.sampler", {"search.sampler": "tpe"}),
        ("search.trials", {"search.trials": None}),
        ("trainer", {"trainer": {"max_epochs": 40}}),
        ("output", {"output": "/tmp/${task.name}"}),
    ],
)
def test_package_prints_one_sub_tree(capsys, package, expected):
    out = output(capsys, "--cfg", "job", "-p", package, "task=cancer", "output=/tmp/${task.name}").out
    assert yaml.safe_load(out) == expected


def test_resolve_replaces_interpolations(capsys):
    arguments = ["--cfg", "job", "-p", "output", "task=cancer", "output=/tmp/${task.name}", "--resolve"]
    assert output(capsys, *arguments).out == "output: /tmp/cancer\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cfg", "jbo"], "unknown --cfg 'jbo': did you mean job"),
        (["--cfg", "job", "-p", "serch"], "unknown --package 'serch': did you mean search"),
        (["--cfg", "job", "-p", "data.pth"], "unknown --package 'data.pth': did you mean path"),
        (["--cfg", "job", "--resolve", "output=${nope}"], "Interpolation key 'nope' not found"),
        (["--cfg", "job", "-cd", "nowhere"], "no such folder: 'nowhere'"),
        (["--cfg", "job", "-cn", "cnofig"], "unknown --config-name 'cnofig': did you mean config"),
    ],
)
def test_mistakes(capsys, arguments, message):
    error = output(capsys, *arguments, code=2).err
    assert message in error and error.count("\n") == 1
