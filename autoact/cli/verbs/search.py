"""``python -m autoact search``: the main job."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from autoact.cli.config_arguments import answered, read
from autoact.cli.main import BEGAN
from autoact.config.effective_keys import SEARCH
from autoact.config.schema import Config

if TYPE_CHECKING:
    from autoact.workflows.task_source import Configured

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
  'space.arguments={width: [64,128], depth: [2,3]}'
                             choose the network first
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
        from autoact.workflows.task_source import Configured

        source = Configured(config, given=keys, notes=notes, command=options.command(), began=BEGAN)
        if plan:
            _print_plan(source)
            return 0
        from autoact.workflows.search import search

        return 130 if search(source).status == "interrupted" else 0


def announce(config: Config) -> None:
    """Say what is being prepared, before anything that takes seconds is imported."""
    subject = f"module={config.module}" if config.module else f"task={config.task.name}"
    where = f", data {config.data.path}" if config.data.path else ""
    print(
        f"autoact: preparing {subject}{where}: loading PyTorch, reading the data, finding activations ...", flush=True
    )


def _print_plan(source: Configured) -> None:
    from autoact.report.console import console
    from autoact.workflows.plan import plan

    out = console()
    for name, value in plan(source, say=lambda what: out.print(what, markup=False)).lines:
        out.print(f"{name:<26} {value}", markup=False, soft_wrap=True)
