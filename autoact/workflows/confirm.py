"""``autoact.confirm``: the final check of a study again with more seeds, or of a recommendation on other data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autoact.activations import get
from autoact.config.command_words import of_python
from autoact.config.effective_keys import AGAIN, ELSEWHERE
from autoact.config.schema import Config
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.output_folder import for_people
from autoact.core.trial import Candidate, Role
from autoact.core.typed_values import check_value
from autoact.recommendation import Recommendation
from autoact.study.callbacks import SearchCallback
from autoact.study.outcome.result import SearchResult
from autoact.study.storage.optuna_storage import storage_url
from autoact.study.storage.trial_store import spent_in
from autoact.tracking.store import shown
from autoact.workflows.checking.metric_match import same_metric, same_positive_class
from autoact.workflows.search import check_observers, watched_search
from autoact.workflows.searching.search_setup import PreparedSearch
from autoact.workflows.task_source import Configured, TaskSource, configured, from_words, prepared_search


def confirm(
    study: str | SearchResult | None = None,
    task: TaskSource | None = None,
    *,
    recommendation: str | Path | Recommendation | SearchResult | None = None,
    overrides: Sequence[str] = (),
    seeds: int | None = None,
    observers: Sequence[SearchCallback] = (),
    quiet: bool = False,
) -> SearchResult:
    """Make the final check again: of a finished study with more seeds, or of a recommendation on other data.

    Of a study, what was trained stays, missing seeds are added, the test part opens once more, and the intervals are
    wider for that. A recommendation needs no search: its settings and the baseline are trained on the data given.

    Args:
        study: the study's name or its result; None where a recommendation is confirmed.
        task: a recipe's task by name, a whole ``autoact.Config``, or ``autoact.lightning_task(...)``; of a study that a
            recipe's task or references made, its own unless given.
        recommendation: confirmed instead of a study; as ``recommendation=`` among the overrides unless given.
        overrides: settings as on the command line, such as ``"data.path=next_month.csv"``; of a study, beside its own.
        seeds: fresh seeds, 2 or more.
        observers: watch the check.
        quiet: print nothing.

    Raises:
        AutoactError: there is no such study or recommendation, or it does not fit.

    Example:
        >>> confirm("churn-1a2b3c4d", overrides=["output=nowhere"])
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown study 'churn-1a2b3c4d'...
    """
    check_observers(observers)
    check_value(seeds, int | None, "seeds")
    words = of_python(None, overrides, *([] if seeds is None else [f"confirm.seeds={seeds}"])).overrides
    if study is None:
        source = configured(task, words, ELSEWHERE)
        _check_seeds(source.config)
        prepared = _of_recommendation(source, recommendation)
    else:
        if recommendation is not None:
            raise AutoactError("study and recommendation exclude each other: give one of them")
        if not isinstance(study, str | SearchResult):
            raise AutoactError(
                f"study is a {type(study).__name__}: give a study's name, a search's result, or recommendation=..."
            )
        source = _source_of_study(study, task, words)
        _check_seeds(source.config)
        prepared = _of_study(source, study if isinstance(study, str) else study.info.study)
    return watched_search(prepared, observers, quiet=quiet)


def _check_seeds(config: Config) -> None:
    if not config.confirm.seeds:
        raise AutoactError("confirm.seeds=0: to confirm is to train under fresh seeds, 2 or more")


def _source_of_study(study: str | SearchResult, task: TaskSource | None, words: Sequence[str]) -> Configured:
    """The settings of a study's own command, with what is said now."""
    if isinstance(study, SearchResult) and not any(word.startswith("output=") for word in words):
        words = [f"output={for_people(Path(study.info.folder).parent)}", *words]
    if task is not None:
        return configured(task, words, AGAIN)
    said = of_python(None, words)
    return from_words(said.after_study(study if isinstance(study, str) else study.info.study), AGAIN, said)


def _of_study(source: Configured, study: str) -> PreparedSearch:
    """A search that finds all its trials in the study, and so makes the final check."""
    config = source.config
    storage = storage_url(config.search, Path(config.output))
    spent = spent_in(storage, study)
    if not spent:
        raise AutoactError(
            f"{shown(storage)} holds no trials of the study {study}, so there is nothing to confirm: name the "
            "storage that the search used with search.storage=URL; its files stay as they are"
        )
    search = replace(config.search, trials=spent, minutes=None)
    prepared = prepared_search(replace(source, config=replace(config, search=search)))
    if prepared.identity.name != study:
        raise AutoactError(
            f"with these settings the study is {prepared.identity.name}, not {study}: data, model or space changed, or "
            "the rules by which this version of autoact draws initial weights"
        )
    return prepared


def _of_recommendation(source: Configured, given: str | Path | Recommendation | SearchResult | None) -> PreparedSearch:
    """A search that tries what a recommendation holds, and nothing else."""
    recommendation = source.recommendation(
        given, "confirm needs a STUDY, or recommendation=FILE with the task and the data to confirm it on"
    )
    source = source.as_in_search(recommendation)
    config = source.config
    policies = [recommendation.baseline, *recommendation.policies.values()]
    held = {choice for policy in policies for choice in policy.assignment.values()}
    normalisations = {choice for choice in held if get(choice.name).normalisation}
    # Where every normalisation stays as it is, none is a site of the search.
    left = set() if any(get(choice.name).searchable for choice in normalisations) else normalisations
    included = [
        Candidate(
            Assignment({site: choice for site, choice in policy.assignment.items() if choice not in left}),
            dict(policy.settings),
            config.search.seed,
            Role.INCLUDED,
        )
        for policy in policies
    ]
    config = replace(
        config,
        space=replace(
            config.space,
            candidates=sorted(map(str, held - normalisations)),
            normalisations=sorted(str(choice) for choice in normalisations if get(choice.name).searchable),
            parameters=False,
            arguments={},
        ),
        search=replace(config.search, trials=1 + len(included), minutes=None, tuning=0),
    )
    prepared = prepared_search(replace(source, config=config), included)
    same_metric(recommendation, prepared.task)
    same_positive_class(recommendation, prepared.task)
    return prepared
