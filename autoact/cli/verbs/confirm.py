"""``python -m autoact confirm``: the final check again with more seeds, or of a recommendation on new data."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.cli.config_arguments import answered, read
from autoact.cli.main import BEGAN
from autoact.config.effective_keys import AGAIN, ELSEWHERE
from autoact.core.errors import AutoactError

USAGE = """usage: python -m autoact confirm STUDY [seeds=20] [output=DIR] [key=value ...]
       python -m autoact confirm recommendation=recommended.yaml task=NAME data.path=new.csv [seeds=10] [key=value ...]

The first form makes the final check of a finished study again, with the settings of its own command: what was trained
stays, missing seeds are added, the test part opens once more, and the intervals are wider for that. STUDY is the name
that the search printed, and the name of its folder in the output folder.

The second form needs no search: it trains the recommended settings and the baseline on other data, say next month's,
chooses and claims as a search does, and says whether the recommendation holds there.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    study = arguments[0] if arguments and "=" not in arguments[0] and not arguments[0].startswith("-") else None
    options = read([_long(word) for word in arguments[study is not None :]])
    if answered(options, USAGE):
        return 0
    if study is None:
        config, keys, notes = options.settings(ELSEWHERE)
    else:
        config, keys, notes = options.after_study(study).settings(AGAIN, options)
    from autoact.engines.workers.prestart import early_workers

    with early_workers(config.engine):
        from autoact.workflows.confirm import confirm
        from autoact.workflows.task_source import Configured

        result = confirm(study, Configured(config, given=keys, notes=notes, began=BEGAN))
    return 130 if result.status == "interrupted" else 0


def _long(word: str) -> str:
    key, _, value = word.partition("=")
    if key == "seed":
        raise AutoactError(f"{word}: did you mean seeds={value}, the number of fresh seeds, or data.seed?")
    return f"confirm.{word}" if word.startswith("seeds=") else word
