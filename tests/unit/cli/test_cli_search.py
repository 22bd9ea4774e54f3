"""What ``search`` says at its end can be typed as it stands."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import pytest

from autoact.cli.options import read
from autoact.cli.search import _where
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
