"""From a configuration to a search that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoact.cli.main import BEGAN
from autoact.config.references import load_trusted
from autoact.config.schema import Config
from autoact.config.tree import options
from autoact.core.errors import AutoactError
from autoact.core.records import Candidate
from autoact.faces.road import Prepared, Settings, prepare_search
from autoact.tasks.task import Task
from autoact.training.lightning_session import check_trainer


def search_settings(
    config: Config, included: Sequence[Candidate] = (), command: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of a search; see ``Settings`` for what is included, and for the command."""
    for reference in config.objectives.own:
        load_trusted(reference, "objectives.own", config.trust)
    return Settings(
        space=config.space,
        objectives=config.objectives,
        hardware=config.hardware,
        search=config.search,
        confirm=config.confirm,
        output=Path(config.output),
        engine=config.engine,
        included=tuple(included),
        command=command,
        began=BEGAN,
    )


def make_task(config: Config) -> Task:
    """The task: a recipe's, or the user's own module's.

    Raises:
        AutoactError: neither or both are named, or they do not fit.
    """
    check_trainer(config.trainer)
    if config.module is None:
        if config.task.name is None:
            tasks = ", ".join(options("task"))
            raise AutoactError(f"name a task (task=NAME: {tasks}) or your own module=package.module:Class")
        from autoact.config.assemble import recipe_task

        return recipe_task(config)
    from autoact.cli.own import own_task

    return own_task(config)


def prepared_search(
    config: Config, included: Sequence[Candidate] = (), command: Mapping[str, Any] | None = None
) -> Prepared:
    """A search that is ready to run."""
    return prepare_search(make_task(config), search_settings(config, included, command))
