"""``python -m autoact promote``: give a version of a registered model an alias, such as the one that serves."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from autoact.cli.simple_arguments import PLACES, words
from autoact.core.errors import AutoactError

USAGE = """usage: python -m autoact promote models:/NAME@candidate to=champion [runs=DIR] [tracking.uri=URI]

Moves the alias, and prints which version had it before. models:/NAME/3 names a version by its number. What loads
models:/NAME@champion gets the new version from then on; python -m autoact rollback moves the alias back. MLflow is
looked for as in search: tracking.uri, else MLFLOW_TRACKING_URI, else the file mlflow.db in runs (autoact-runs).
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    given = words(arguments, ("to", *PLACES), most=1)
    if not given.plain:
        raise AutoactError("promote needs a version: models:/NAME@candidate or models:/NAME/3")
    alias = given.need("to", "the alias that the version gets, such as to=champion")
    from autoact.workflows.promote import promote

    move = promote(given.plain[0], alias, **given.places)
    places = [f"{key}={given.values[key]}" for key in PLACES if key in given.values]
    print(move.summary)
    if not move.idle:
        print(f"done; take it back with: python -m autoact rollback {shlex.join([move.uri, *places])}")
    return 0
