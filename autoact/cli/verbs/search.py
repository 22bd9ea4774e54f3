"""``python -m autoact search``: the main job."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from autoact.cli.config_arguments import answered, read
from autoact.config.effective_keys import SEARCH
from autoact.config.schema import Config

USAGE = """usage: python -m autoact search task=NAME [key=value ...] [--plan]
       python -m autoact search module=PKG.MODULE:CLASS datamodule=PKG.MODULE:CLASS monitor=NAME mode=max|min trust=PKG

Searches the activation of each layer together with learning rate and weight decay, checks the finalists with fresh
seeds on data that the search never saw, and writes recommended.yaml.

often used:
  search.trials=100          how many trials (60 unless given)
  search.minutes=30          or how many minutes
  metric=f1                  what decides
  data.path=x.csv data.target=y
  candidates=wide            which activations
  space=model                one activation for all layers
  hardware=cuda              the serving target
  trainer.max_epochs=20      any argument of lightning.Trainer
  --plan                     print the forecast and stop
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read(arguments, own=("--plan",))
    if answered(options, USAGE):
        return 0
    config, keys, notes = options.settings(SEARCH)
    plan = "--plan" in options.flags
    announce(config)
    from autoact.engines.workers.prestart import early_workers

    with nullcontext() if plan else early_workers(config.engine):
        from autoact.cli.from_config import prepared_search

        prepared = prepared_search(config, command=options.command(), given=keys, notes=notes)
        return _plan(prepared) if plan else searched(prepared, config)


def announce(config: Config) -> None:
    """Say what is being prepared, before anything that takes seconds is imported."""
    subject = f"module={config.module}" if config.module else f"task={config.task.name}"
    where = f", data {config.data.path}" if config.data.path else ""
    print(
        f"autoact: preparing {subject}{where}: loading PyTorch, reading the data, finding activations ...", flush=True
    )


def _plan(prepared: object) -> int:
    """Print the forecast."""
    from autoact.report.console import console
    from autoact.report.terminal import print_plan
    from autoact.workflows.plan import forecast
    from autoact.workflows.searching.search_setup import PreparedSearch

    assert isinstance(prepared, PreparedSearch)
    out = console()
    print_plan(forecast(prepared, lambda what: out.print(what, markup=False)), out)
    return 0


def searched(prepared: object, config: Config) -> int:
    """Search with a view in the terminal and a tracker."""
    from autoact.report.terminal import TerminalView
    from autoact.tracking.factory import make_tracker
    from autoact.workflows.search import run_search
    from autoact.workflows.searching.search_setup import PreparedSearch

    assert isinstance(prepared, PreparedSearch)
    tracker = make_tracker(config.tracking, Path(config.output), prepared.task.name)
    view = TerminalView()
    result = run_search(prepared, [*filter(None, [tracker]), view])
    if tracker is not None:
        view.out.print(f"  MLflow: {_where(config, tracker)}", markup=False, soft_wrap=True)
    return 130 if result.status == "interrupted" else 0


def _where(config: Config, tracker: Any) -> str:
    """How to see the runs: an address, or the command that opens the store."""
    options = [f"output={config.output}"] if config.output != Config().output else []
    if config.tracking.uri:
        options.append(f"tracking.uri={config.tracking.uri}")
    return tracker.address or f"python -m autoact ui {shlex.join(options)}".rstrip()
