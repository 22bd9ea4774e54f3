"""``autoact.check``: the gate for CI and production, a recommendation measured again with tolerances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autoact.config.effective_keys import CHECK
from autoact.core.errors import AutoactError
from autoact.core.output_folder import make_folder
from autoact.core.typed_values import check_value
from autoact.engines.workers.prestart import settle
from autoact.latency.hardware import resolve_device
from autoact.recommendation import Recommendation
from autoact.study.outcome.result import SearchResult
from autoact.study.storage.optuna_storage import storage_url
from autoact.workflows.checking.check_result import CheckResult, Tolerances
from autoact.workflows.checking.measure_again import CheckSettings, measure_again
from autoact.workflows.task_source import TaskSource, configured


def check(
    recommendation: str | Path | Recommendation | SearchResult | None = None,
    task: TaskSource | None = None,
    *,
    overrides: Sequence[str] = (),
    policy: str | None = None,
    seeds: int = 5,
    tolerances: Tolerances | None = None,
    test: bool = False,
    strict: bool = False,
) -> CheckResult:
    """Measure a recommendation again on today's data: quality, gain, latency, cost and input drift.

    Args:
        recommendation: what a search found: a path, ``runs:/ID``, ``models:/NAME/VERSION``, ``models:/NAME@ALIAS``, or
            a search's result or its ``recommendation``; as ``recommendation=`` among the overrides unless given.
        task: a recipe's task by name, a whole ``autoact.Config``, or ``autoact.lightning_task(...)``.
        overrides: settings as on the command line, such as ``"data.path=new.csv"``.
        policy: ``"quality"``, ``"balanced"``, ``"economy"`` or ``"baseline"``; else the first of balanced, quality and
            economy that recommends.
        seeds: fresh seeds, 2 or more; more narrow the intervals.
        tolerances: how far measures may be from the stored ones.
        test: judge on the test rows: opens the test part, and counts the opening.
        strict: what is unclear counts as a regression.

    Returns:
        The result; ``result.passed`` says whether nothing lies outside of its tolerance.

    Raises:
        AutoactError: something does not fit, or the baseline cannot be trained.

    Example:
        >>> check("nowhere.yaml", "churn")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: cannot read the recommendation 'nowhere.yaml': No such file or directory
    """
    check_value(seeds, int, "seeds")
    if tolerances is not None and not isinstance(tolerances, Tolerances):
        raise AutoactError(f"tolerances={tolerances!r} must be autoact.Tolerances(...)")
    source = configured(task, overrides, CHECK)
    chosen = source.recommendation(
        recommendation, "check needs a recommendation: python -m autoact check recommended.yaml task=NAME"
    )
    policy = policy or source.config.policy
    if size := chosen.policy(policy).ensemble:
        raise AutoactError(
            f"policy={policy} averages {size} trainings, and check measures single models: name another policy"
        )
    source = source.as_in_search(chosen)
    config, storage = source.config, None
    if test:
        output = Path(config.output)
        make_folder(output)
        storage = storage_url(config.search, output)
    means = CheckSettings(config, resolve_device(config.hardware.device), source.recipe, seeds, storage, strict)
    made = source.task()
    settle()
    found = measure_again(made, chosen, policy, tolerances or Tolerances(), means)
    return replace(found, notes=[*source.notes, *found.notes])
