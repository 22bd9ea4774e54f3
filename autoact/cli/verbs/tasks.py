"""``python -m autoact tasks [NAME]``: what can be searched by name."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from autoact.cli.config_arguments import read
from autoact.core.errors import AutoactError

if TYPE_CHECKING:
    from autoact.workflows.list_tasks import ListedTask, TaskList

USAGE = """usage: python -m autoact tasks            list the tasks
       python -m autoact tasks NAME       show one task in full
       python -m autoact tasks --names    the names of the tasks that run as they are, one a line
       python -m autoact tasks --json     the list as JSON

flags:
  --config-dir DIR  a folder with tasks of your own: DIR/task/NAME.yaml
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    words = list(arguments)
    name = words.pop(0) if words and not words[0].startswith("-") else None
    if wrong := [word for word in (name, *words[:1]) if word and "=" in word]:
        raise AutoactError(
            f"tasks takes no settings, but {wrong[0]!r}: python -m autoact tasks {wrong[0].split('=')[1]}"
        )
    if name is not None and words and not words[0].startswith("-"):
        raise AutoactError(f"tasks shows one task, and {name} and {words[0]} are given: leave out one")
    found = read(words, ("--names", "--json"), ("--config-dir",), configured=False)
    asked = sorted({"--names", "--json"} & found.flags.keys())
    if len(asked) + (name is not None) > 1:
        raise AutoactError(f"tasks: {' and '.join([*([name] if name else []), *asked])} exclude each other: give one")
    if "--names" in asked:
        from autoact.workflows.list_tasks import names_of_tasks

        print("\n".join(names_of_tasks(found.config_dirs)))
        return 0
    from autoact.workflows.list_tasks import list_tasks

    tasks = list_tasks(None if name is None else [name], config_dirs=found.config_dirs)
    if "--json" in asked:
        print(json.dumps([asdict(task) for task in tasks], indent=2, ensure_ascii=False))
    elif name is not None:
        _show(tasks.tasks[0])
    else:
        _list(tasks)
    return 0


def _list(tasks: TaskList) -> None:
    from rich.table import Table

    from autoact.report.console import console

    shown, out = tasks.table, console()
    # The longest word of each column: what is narrower would cut names that are to be typed.
    every = zip(shown.columns, *shown.rows, strict=True)
    widths = [max(len(word) for cell in cells for word in cell.split()) for cells in every]
    reached = itertools.accumulate(width + 3 for width in widths)  # with a rule and two blanks each
    count = max(1, sum(total < out.width for total in reached))
    table = Table(pad_edge=False)
    for name, width in zip(shown.columns[:count], widths, strict=False):
        table.add_column(name, min_width=width)
    for row in shown.rows:
        table.add_row(*row[:count])
    out.print(table)
    if left_out := shown.columns[count:]:
        out.print(f"This window is too narrow for: {', '.join(left_out)}.", markup=False)
    out.print(f"{shown.title}. One in full: python -m autoact tasks churn", markup=False)
    for line in shown.footnotes:
        out.print(line, markup=False, soft_wrap=True)


def _show(task: ListedTask) -> None:
    from autoact.report.console import console
    from autoact.workflows.list_tasks import COLUMNS

    best = task.best_known
    lines = [
        *zip(COLUMNS, task.cells(), strict=True),
        *([("", f"{best.model}; {best.split}"), ("", f"source: {best.source}")] if best else []),
        ("about", task.about),
    ]
    out = console()
    for label, text in lines:
        out.print(f"{label:<16} {text}", markup=False, soft_wrap=True)
