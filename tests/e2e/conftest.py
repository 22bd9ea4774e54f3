"""The smallest search that takes the whole road, and a way to run the command line in this process."""

import contextlib
import io
import json
from typing import NamedTuple

import pytest

from autoact.cli.main import main

# Seconds in all: two epochs, two candidates, a rough latency table, two fresh seeds, no worker to start.
SMALL = [
    "task=cancer",
    "trainer.max_epochs=2",
    "search.trials=4",
    "search.tuning=1",
    "candidates=[gelu,tanh]",
    "tracking=none",
    "engine=inline",
    "engine.population=4",
    "search.threads=1",
    "confirm.seeds=2",
    "confirm.references=false",
    "hardware.rounds=3",
    "hardware.min_ms=0.1",
]


class Done(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


def command_line(*arguments):
    """Run ``python -m autoact`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return Done(code, out.getvalue(), err.getvalue())


def trials_of(folder):
    """The records of the one study in an output folder."""
    (file,) = folder.glob("*/trials.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def small():
    """Overrides of the smallest search."""
    return list(SMALL)


@pytest.fixture(scope="session")
def cli():
    """``cli("search", "task=cancer")`` -> exit code, standard output, standard error."""
    return command_line


@pytest.fixture(scope="session")
def trials():
    """Output folder -> the records of its study."""
    return trials_of


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """An output folder after one small search, and what was printed; tests that go on copy the folder."""
    folder = tmp_path_factory.mktemp("searched")
    done = command_line("search", *SMALL, f"output={folder}")
    assert done.code == 0, done.err
    return folder, done
