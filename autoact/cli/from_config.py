"""From a configuration to a search that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoact.cli.main import BEGAN
from autoact.config.effective_keys import Given, at_rest
from autoact.config.groups import options
from autoact.config.schema import Config
from autoact.config.trusted_code import load_trusted
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.data.columns_of_search import as_searched
from autoact.data.raw_table import TABULAR
from autoact.recommendation import Recommendation
from autoact.tasks.objectives import declared
from autoact.tasks.task import Task
from autoact.training.trainer_arguments import check_trainer
from autoact.workflows.searching.search_setup import PreparedSearch, RunSettings, prepare_search
from autoact.workflows.searching.unused_settings import idle_here


def search_settings(
    config: Config, included: Sequence[Candidate] = (), command: Mapping[str, Any] | None = None
) -> RunSettings:
    """The settings of a search; see ``RunSettings`` for what is included, and for the command."""
    for reference in config.objectives.own:
        _check_used(load_trusted(reference, "objectives.own", config.trust), reference, config.objectives.use)
    return RunSettings(
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


def _check_used(function: Any, reference: str, use: Sequence[str]) -> None:
    """Refuse an objective of the user's own that is declared and not traded."""
    names = declared(function)
    if names and not set(names) & set(use):
        raise AutoactError(
            f"objectives.own={reference} has no effect: objectives.use does not name it "
            f"(objectives.use=[{','.join([*use, *names])}])"
        )


def as_in_search(config: Config, recommendation: Recommendation) -> tuple[Config, list[str]]:
    """The configuration that reads each column of a table as the search did, and what is to be said of that.

    A module of the user's own, and data that are no table, are left as they are.

    Raises:
        AutoactError: the table cannot be found or read.
    """
    if config.module is not None or config.task.name is None or config.task.kind not in TABULAR:
        return config, []
    profile = recommendation.about.get("data", {}).get("profile") or {}
    data, notes = as_searched(config.data, profile)
    return replace(config, data=data), notes


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
        from autoact.config.recipe_task import recipe_task

        return recipe_task(config)
    from autoact.cli.user_module import own_task

    return own_task(config)


def prepared_search(
    config: Config,
    included: Sequence[Candidate] = (),
    command: Mapping[str, Any] | None = None,
    given: Sequence[Given] = (),
    notes: Sequence[str] = (),
) -> PreparedSearch:
    """A search that is ready to run.

    Args:
        config: the whole configuration.
        included: candidates that are tried first.
        command: what the command line said.
        given: the keys that somebody set: a note is made of each that cannot act on this model, data or device.
        notes: what is to be said beside that.
    """
    prepared = prepare_search(make_task(config), search_settings(config, included, command))
    asked = [one for one in given if not all(at_rest(config, key) for key in one.keys or (one.key,))]
    return replace(prepared, notes=(*prepared.notes, *notes, *idle_here(asked, prepared)))
