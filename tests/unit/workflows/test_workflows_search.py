"""``autoact.search``: how a task is named, what arguments become, and where its runs are seen."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from autoact.cli.config_arguments import read
from autoact.config.compose import settings as typed
from autoact.config.schema import Config
from autoact.tracking.settings import TrackingSettings
from autoact.workflows.search import where_runs_are


@pytest.mark.parametrize("output", ["runs", "a folder/of runs", "it's", "100 % (new)", Config().output])
def test_the_command_that_opens_the_store_names_its_folder(output: str) -> None:
    python, dash, module, verb, *words = shlex.split(where_runs_are(TrackingSettings(), Path(output), ""))
    assert (python, dash, module, verb) == ("python", "-m", "autoact", "ui")
    assert typed(read(words).config()).output == output


def test_a_server_has_an_address_instead() -> None:
    address = "http://server/#/runs"
    assert where_runs_are(TrackingSettings(), Path(Config().output), address) == address
