"""``python -m autoact train``: train a recommended configuration, log the model and register it."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.cli.config_arguments import answered, read
from autoact.config.effective_keys import TRAIN
from autoact.core.errors import AutoactError

USAGE = """usage: python -m autoact train task=NAME recommendation=recommended.yaml [policy=NAME] [key=value ...]
       python -m autoact train module=... datamodule=... monitor=... mode=... trust=... recommendation=recommended.yaml

Trains the chosen configuration with the task's recipe (or your own module), logs the model to MLflow, and registers it
as a new version of TASK-autoact with the alias candidate. The test part stays sealed. With tracking=none the weights,
the recommendation and the preprocessing are written to a folder below output=.

recommendation   a file, runs:/RUN_ID/recommended.yaml, models:/NAME/3 or models:/NAME@candidate
policy           quality, balanced, economy or baseline; else the first of balanced, quality, economy that recommends
                 ensemble, where one is recommended: its trainings become one model, which averages their scores
train.rows       train+validation (recipes): learn from both, for the confirmed number of epochs (within
                 trainer.min_epochs and trainer.max_epochs, where given), without early stopping
                 train (your own module): learn from the training rows, keep the best epoch on the validation rows
train.ensemble   5: five trainings under different seeds become one model, which averages their scores
train.register   another name for the registered model; none registers nothing
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read(arguments)
    if answered(options, USAGE):
        return 0
    config, keys, notes = options.settings(TRAIN)
    if config.recommendation is None:
        raise AutoactError("train needs recommendation=FILE, the recommended.yaml that a search wrote")
    from autoact.report.console import console
    from autoact.workflows.task_source import Configured
    from autoact.workflows.train import train

    trained, out = train(None, Configured(config, given=keys, notes=notes)), console()
    for note in trained.notes:
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    for line in (trained.summary[0], *(f"  {line}" for line in (*trained.summary[1:], *trained.delivered))):
        out.print(line, markup=False, soft_wrap=True)
    return 0
