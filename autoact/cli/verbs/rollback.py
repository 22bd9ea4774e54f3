"""``python -m autoact rollback``: move an alias back to the version that had it before the last ``promote``."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.cli.simple_arguments import PLACES, words

USAGE = """usage: python -m autoact rollback models:/NAME@champion [runs=DIR] [tracking.uri=URI]

Takes the last promote of this alias back; once more takes back the one before. Where no version had the alias, it is
taken away. Refused where the alias was moved by other means since.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    given = words(arguments, PLACES, most=1)
    from autoact.workflows.promote import rollback

    print(rollback("".join(given.plain), **given.places).summary)
    print("done")
    return 0
