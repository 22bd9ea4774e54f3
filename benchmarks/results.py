"""What a default search reaches on each task that brings its data: the tables of docs/results.md.

    python -m benchmarks.results                      all tasks, one after the other
    python -m benchmarks.results --tasks houses,bike  these again; the others as they were
    python -m benchmarks.results --tables             the tables of what has run, and nothing else

Each search opens its task's test part once. What it found is kept in ``--store``, a file per task.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import autoact
from autoact.core.result_table import number
from autoact.study.confirmation.verdict import signed
from benchmarks.machine import markdown_table, origin, origin_lines

ROOT = Path(__file__).resolve().parents[1]
HEADER = (
    "task", "metric", "as configured", "tuned baseline", "best uniform", "recommended", "best reference", "published",
    "activations helped", "seconds",
)  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Search, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="", help="names, separated by commas; all that bring data unless given")
    parser.add_argument("--store", type=Path, default=ROOT / "docs" / "results", help="folder of what was found")
    parser.add_argument("--output", default="autoact-runs", help="folder of the studies")
    parser.add_argument("--tables", action="store_true", help="print the tables of what ran before")
    asked = parser.parse_args(words)
    listed = {task.name: task for task in autoact.list_tasks().tasks}
    names = [name for name in asked.tasks.split(",") if name] or [n for n, t in listed.items() if t.ready]
    asked.store.mkdir(parents=True, exist_ok=True)
    if not asked.tables:
        for name in names:
            text = json.dumps(searched(name, asked.output), indent=1)
            (asked.store / f"{name}.json").write_text(text, encoding="utf-8")
    records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(asked.store.glob("*.json"))]
    print(tables(records, {name: task.best_known for name, task in listed.items()}))


def searched(name: str, output: str) -> dict[str, Any]:
    """A default search of a task, as plain data."""
    started = time.perf_counter()
    result = autoact.search(name, output=output)
    return {
        "task": name,
        "unit": result.quality_unit,
        "mode": result.mode,
        "seconds": time.perf_counter() - started,
        "verdict": result.verdict,
        "opening": result.opening,
        "kept": result.kept,
        "recommends": sorted(policy for policy, ruling in result.rulings.items() if ruling.recommend),
        "rows": [
            {
                "name": row.name,
                "reference": row.candidate is None,
                "summary": "" if row.candidate is None else row.candidate.assignment.summary(),
                "test": row.test,
                "sd": row.test_sd,
                "latency": row.latency_ratio,
            }
            for row in result.rows
        ],
        "gains": {name: [i.mean, i.low, i.high] for name, i in result.gains.items()},
        "origin": origin(),
    }


def tables(records: Sequence[dict[str, Any]], known: dict[str, Any]) -> str:
    """Markdown: one row per task with the best result ``known``, then each verdict in words, then where it ran."""
    parts = [markdown_table(HEADER, [_row(record, known) for record in records])]
    parts += [f"**{record['task']}**: {record['verdict']}" for record in records]
    origins = {origin_lines({k: v for k, v in r["origin"].items() if k not in ("load", "command")}) for r in records}
    return "\n\n".join([*parts, *sorted(origins)])


def _row(record: dict[str, Any], known: dict[str, Any]) -> list[str]:
    rows = {row["name"]: row for row in record["rows"]}
    sign = 1 if record["mode"] == "max" else -1  # gains are better = positive
    references = [row for row in record["rows"] if row["reference"] and row["test"] is not None]
    best = max(references, key=lambda row: sign * row["test"], default=None)
    policy = next((name for name in ("quality", "balanced", "economy") if name in record["recommends"]), None)
    recommended = rows[policy] if policy else rows.get(record["kept"])
    return [
        record["task"],
        record["unit"],
        _cell(rows.get("configured")),
        _cell(rows.get("tuned")),
        _cell(rows.get("uniform"), named=True),
        _cell(recommended, named=bool(policy)) if policy else f"{_cell(recommended)} (the baseline)",
        "-" if best is None else f"{number(best['test'])} ({best['name']})",
        str(known.get(record["task"]) or "-"),
        _gain(record["gains"].get(policy)) if policy else "no gain",
        f"{record['seconds']:.0f}",
    ]


def _gain(interval: Sequence[float] | None) -> str:
    """A paired gain over the tuned baseline; cheaper is what the rest of a table's recommendations is."""
    if interval is None:
        return "yes"
    mean, low, high = map(signed, interval)
    return f"yes: {mean} ({low} to {high})" if interval[1] > 0 else f"cheaper, quality {mean} ({low} to {high})"


def _cell(row: dict[str, Any] | None, *, named: bool = False) -> str:
    if row is None or row["test"] is None:
        return "-"
    return f"{number(row['test'])} ({row['summary']})" if named else number(row["test"])


if __name__ == "__main__":
    main()
