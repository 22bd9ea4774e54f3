"""What ``search`` says first, at once, and at its end, which can be typed as it stands."""

from __future__ import annotations

import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest

from autoact.cli.config_arguments import read
from autoact.cli.verbs.search import _where
from autoact.config.compose import settings as typed
from autoact.config.schema import Config


@pytest.mark.parametrize("output", ["runs", "a folder/of runs", "it's", "100 % (new)", Config().output])
def test_the_command_that_opens_the_store_names_its_folder(output: str) -> None:
    config = Config(output=output)
    python, dash, module, verb, *words = shlex.split(_where(config, SimpleNamespace(address="")))
    assert (python, dash, module, verb) == ("python", "-m", "autoact", "ui")
    assert typed(read(words).config()).output == output


def test_a_server_has_an_address_instead() -> None:
    assert _where(Config(), SimpleNamespace(address="http://server/#/runs")) == "http://server/#/runs"


def test_the_first_line_comes_before_anything_slow_is_imported():
    code = (
        "import sys\n"
        "from autoact.cli.verbs import search\n"
        "from autoact.config.compose import compose, settings\n"
        "search.announce(settings(compose(['task=churn', 'data=csv', 'data.path=Telco.csv'])))\n"
        "print(sorted({'torch', 'lightning', 'mlflow', 'optuna', 'pandas', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, imported = done.stdout.splitlines()
    assert first == (
        "autoact: preparing task=churn, data Telco.csv: loading PyTorch, reading the data, finding activations ..."
    )
    assert imported == "[]"
