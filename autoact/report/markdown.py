"""The result as Markdown: for the report file and the MLflow description."""

from __future__ import annotations

from autoact.core.output_folder import for_people
from autoact.core.result_table import ResultTable
from autoact.study.outcome.result import (
    SearchResult,
    detail_tables,
    effect_lines,
    ensemble_line,
    final_table,
    tuning_line,
)


def to_markdown(result: SearchResult) -> str:
    """The whole report."""
    table = final_table(result)
    parts = [f"# {table.title}", f"**{result.verdict}**"]
    parts += [f"- {ruling.policy}: {ruling.reason}" for ruling in result.rulings.values()]
    parts += [f"- {line}" for line in filter(None, [ensemble_line(result)])]
    parts.append(table_markdown(table))
    for beside in detail_tables(result):
        parts += [f"## {beside.title}", table_markdown(beside)]
    said_at_the_start = [note for note in result.info.notes if note not in result.notes]
    notes = [tuning_line(result), *effect_lines(result), *table.footnotes, *result.notes, *said_at_the_start]
    parts += [f"- {note}" for note in filter(None, notes)]
    if result.opening:
        parts.append(f"- Sealed test part: opening number {result.opening}.")
    parts += [f"- {name}: `{for_people(path)}`" for name, path in result.files.items()]
    parts.append(f"- study: `{result.info.study}` in `{result.info.storage}`")
    return _spaced(parts)


def table_markdown(table: ResultTable) -> str:
    """A pipe table."""
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _spaced(parts: list[str]) -> str:
    text = ""
    for part in parts:
        joint = "\n" if part.startswith("- ") and text.split("\n")[-1].startswith("- ") else "\n\n"
        text = part if not text else f"{text}{joint}{part}"
    return text + "\n"
