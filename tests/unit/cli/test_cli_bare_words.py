"""A word that is no setting gets the setting that it may have been meant for; each verb names what it takes alone."""

import pytest

from autoact.cli.config_arguments import read
from autoact.cli.main import main
from autoact.config.groups import GROUPS
from autoact.core.errors import AutoactError


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("churn", "task=churn"),
        ("chrun", "task=churn"),
        ("wide", "candidates=wide"),
        ("new.csv", "data.path=new.csv"),
        ("my file.CSV", '"data.path=my file.CSV"'),
        ("a/b.parquet", "data=parquet data.path=a/b.parquet"),
        ("x.npz", "data=npz data.path=x.npz"),
        ("my_pkg.models:Net", "module=my_pkg.models:Net"),
        ("recommended.yaml", "recommendation=recommended.yaml (read by confirm, check and train)"),
        ("models:/churn-autoact@champion", "recommendation=models:/churn-autoact@champion"),
        ("search.trials", "search.trials=..."),
        ("search.trials:9", "search.trials=9"),
    ],
)
def test_a_bare_word_gets_its_setting(word, meant):
    with pytest.raises(AutoactError, match="settings are given as key=value; did you mean ") as caught:
        read([word])
    said = str(caught.value).partition("did you mean ")[2].removesuffix("?")
    assert said.startswith(meant)


def test_a_word_that_means_nothing_is_not_guessed_at():
    with pytest.raises(AutoactError, match=r"settings are given as key=value$"):
        read(["q7#"])


def test_the_help_of_ui_lists_what_ui_takes_and_nothing_else(capsys):
    assert main(["ui", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("--port", "--host", "output=", "tracking.uri="))
    assert "groups" not in out and "--cfg" not in out
    assert not any(f"  {group}:" in out for group in GROUPS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=churn"], "unknown key 'task'"),
        (["outptu=x"], "unknown key 'outptu': did you mean output"),
        (["--prot", "3"], "unknown flag '--prot': did you mean --port"),
        (["--cfg", "job"], "unknown flag '--cfg'"),
        (["runs"], "cannot read 'runs': settings are given as key=value; allowed are output=..., tracking.uri=..."),
    ],
)
def test_ui_refuses_what_it_does_not_take(words, said, capsys):
    assert main(["ui", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
