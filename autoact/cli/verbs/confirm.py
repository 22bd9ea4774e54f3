"""``python -m autoact confirm``: the final check again with more seeds, or of a recommendation on new data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoact.cli.config_arguments import ConfigArguments, answered, read
from autoact.cli.verbs.search import searched
from autoact.config.effective_keys import AGAIN, ELSEWHERE, Given
from autoact.config.key_names import renamed
from autoact.config.schema import Config
from autoact.core.errors import AutoactError, unknown

USAGE = """usage: python -m autoact confirm STUDY [seeds=20] [output=DIR] [key=value ...]
       python -m autoact confirm recommendation=recommended.yaml task=NAME data.path=new.csv [seeds=10] [key=value ...]

The first form makes the final check of a finished study again, with the settings of its own command: what was trained
stays, missing seeds are added, the test part opens once more, and the intervals are wider for that. STUDY is the name
that the search printed, and the name of its folder in the output folder.

The second form needs no search: it trains the recommended settings and the baseline on other data, say next month's,
chooses and claims as a search does, and says whether the recommendation holds there.
"""
# A search of so many trials tries what a recommendation holds, and nothing else.


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    study = arguments[0] if arguments and "=" not in arguments[0] and not arguments[0].startswith("-") else None
    options = read([_long(word) for word in arguments[study is not None :]])
    if answered(options, USAGE):
        return 0
    if study is not None:
        return _again(study, options)
    config, keys, notes = options.settings(ELSEWHERE)
    _with_seeds(config)
    if config.recommendation is None:
        raise AutoactError("confirm needs a STUDY, or recommendation=FILE with the task and the data to confirm it on")
    from autoact.engines.workers.prestart import early_workers

    with early_workers(config.engine):
        return _elsewhere(config, keys, notes)


def _long(word: str) -> str:
    """``seeds=20`` for ``confirm.seeds=20``."""
    return f"confirm.{word}" if word.startswith("seeds=") else word


def _again(study: str, options: ConfigArguments) -> int:
    """The final check of a study."""
    output = _output(options)
    command = _command(output, study)
    mine = ConfigArguments(
        [*map(renamed, command["overrides"]), *options.overrides], dict(options.flags), list(options.config_dirs)
    )
    mine.config_dirs += command["config_dirs"]
    mine.flags.setdefault("--config-name", command["config_name"])
    config, keys, notes = mine.settings(AGAIN, options)
    _with_seeds(config)
    from autoact.engines.workers.prestart import early_workers

    with early_workers(config.engine):
        from autoact.cli.from_config import prepared_search
        from autoact.study.storage.optuna_storage import storage_url
        from autoact.study.storage.trial_store import spent_in
        from autoact.tracking.store import shown

        storage = storage_url(config.search, output)
        spent = spent_in(storage, study)
        if not spent:
            raise AutoactError(
                f"{shown(storage)} holds no trials of the study {study}, so there is nothing to confirm: name the "
                "storage that the search used with search.storage=URL; its files stay as they are"
            )
        config = replace(config, search=replace(config.search, trials=spent, minutes=None))
        prepared = prepared_search(config, given=keys, notes=notes)
        if prepared.identity.name != study:
            raise AutoactError(
                f"with these settings the study is {prepared.identity.name}, not {study}: data, model or space changed"
            )
        return searched(prepared, config)


def _with_seeds(config: Config) -> None:
    """Refuse a check without trainings."""
    if not config.confirm.seeds:
        raise AutoactError("confirm.seeds=0: to confirm is to train under fresh seeds, 2 or more")


def _output(options: ConfigArguments) -> Path:
    """The output folder that the command line names."""
    given = [word.partition("=")[2] for word in options.overrides if word.startswith("output=")]
    return Path(given[-1] if given else Config().output)


def _command(output: Path, study: str) -> dict[str, Any]:
    """What the study's own command said."""
    file = output / study / "command.json"
    if not file.is_file():
        known = [found.parent.name for found in sorted(output.glob("*/command.json"))]
        advice = f"in {output}; name another folder with output=DIR"
        raise unknown("study", study, known, advice=advice)
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AutoactError(f"cannot read {str(file)!r}: {error}") from error
    return found


def _elsewhere(config: Config, keys: Sequence[Given], notes: Sequence[str]) -> int:
    """What a recommendation holds, on the data that the configuration names."""
    from autoact.cli.from_config import as_in_search, prepared_search
    from autoact.core.trial import Candidate, Role
    from autoact.workflows.checking.metric_match import same_metric
    from autoact.workflows.load_recommendation import load_recommendation

    recommendation = load_recommendation(
        str(config.recommendation), tracking_uri=config.tracking.uri, output=config.output
    )
    config, columns = as_in_search(config, recommendation)
    held = [recommendation.baseline, *recommendation.policies.values()]
    included = [
        Candidate(policy.assignment, dict(policy.settings), config.search.seed, Role.INCLUDED) for policy in held
    ]
    names = sorted({str(choice) for policy in held for choice in policy.assignment.values()})
    config = replace(
        config,
        space=replace(config.space, candidates=names),
        search=replace(config.search, trials=1 + len(included), minutes=None, tuning=0),
    )
    prepared = prepared_search(config, included, given=keys, notes=[*columns, *notes])
    same_metric(recommendation, prepared.task)
    return searched(prepared, config)
