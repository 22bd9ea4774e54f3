"""The final table as plain cells; the drawers (terminal, Markdown) only draw it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from autoact.study.confirmation.verdict import signed
from autoact.study.outcome.result import Row, SearchResult
from autoact.tasks.objectives import COST


class ResultTable(NamedTuple):
    """Cells as text.

    Attributes:
        title: says what was compared, on what.
        columns: headings with their units.
        rows: one list of cells per row.
        footnotes: how to read it.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    footnotes: list[str]


def number(value: float | None, digits: int = 4) -> str:
    """A number for people: four decimals or significant digits, a dash where there is none.

    Example:
        >>> number(0.85712), number(1.0), number(68532.4), number(0.0475, 3), number(None)
        ('0.8571', '1.0000', '68,532', '0.0475', '-')
    """
    if value is None:
        return "-"
    if digits == 4 and 0.1 <= abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:,.0f}" if abs(value) >= 10 ** min(digits, 4) else f"{value:.{digits}g}"


def final_table(result: SearchResult) -> ResultTable:
    """The table at the end of a search."""
    simulated = " (simulated data)" if result.info.simulated else ""
    objectives = {objective.name: objective for objective in result.info.objectives}
    own = [o for o in result.info.objectives if o.compute is not None]
    better = "higher is better" if result.mode == "max" else "lower is better"
    fresh = f", {result.fresh}" if result.fresh else ""
    columns = ["setting", "activations", "learning rate, weight decay", f"validation {result.quality_unit}{fresh}"]
    if result.seeds:
        columns.append(f"test {result.quality_unit}, {result.seeds} fresh seeds")
    timed = any(row.measured for row in result.rows)
    ratio = " (ratio)" if timed else ""
    columns += [f"latency ms{ratio}", "p90 ms"] if timed else ["latency ms"]
    if COST in objectives:
        columns.append(f"cost, {objectives[COST].unit}{ratio}")
    columns += [f"{o.name}, {o.unit}" for o in own]
    rows = [_cells(row, result, COST in objectives, [o.name for o in own]) for row in result.rows]
    footnotes = _footnotes(result, better, timed)
    sites = _site_names(result)
    if sites:
        footnotes.append(f"Activations in the order of {', '.join(sites)}; one name means the same one everywhere.")
    return ResultTable(f"{result.info.task}{simulated}: {len(result.records)} trials", columns, rows, footnotes)


def _footnotes(result: SearchResult, better: str, timed: bool) -> list[str]:
    """How to read the numbers: of what was measured, and of what was not."""
    said = [f"{result.quality_unit}: {better}"]
    if any(row.test_sd is not None for row in result.rows):
        said.append("± is the standard deviation over fresh seeds")
    if result.gains:
        said.append("gains are positive where better")
    found = ["; ".join(said) + "."]
    if result.fresh and any(row.fresh is None and row.validation is not None for row in result.rows):
        found.append(f"Validation: means over {result.fresh}, on which the choice was made; (1) is of one training.")
    if timed:
        paired = "ratios are to the tuned baseline, paired round by round as in the verdict"
        found.append(f"Latency: median at batch 1, measured end to end; {paired}.")
    trained = [row for row in result.rows if row.candidate is not None and row.latency_ms is not None]
    if not all(row.measured for row in trained):
        found.append("~: estimated by adding up the latency table, not measured end to end.")
    return found


def _site_names(result: SearchResult) -> list[str]:
    """Searched sites in order."""
    return list(result.selection.configured.candidate.assignment) if result.selection else []


def _cells(row: Row, result: SearchResult, with_cost: bool, own: Sequence[str]) -> list[str]:
    """One row."""
    settings = dict(row.candidate.settings) if row.candidate else {}
    cells = [
        row.title,
        row.candidate.assignment.summary() if row.candidate else "-",
        f"{number(settings.get('learning_rate'), 3)}, {number(settings.get('weight_decay'), 3)}" if settings else "-",
        _validation(row, result),
    ]
    if result.seeds:
        spread = f" ± {number(row.test_sd, 2)}" if row.test_sd is not None else ""
        some = f" ({row.finished} of {result.seeds} seeds)" if 0 < row.finished < result.seeds else ""
        cells.append(number(row.test) + spread + some)
    cells.append(_with_ratio(row.latency_ms, row.latency_ratio, row))
    if any(one.measured for one in result.rows):
        cells.append(number(row.p90_ms, 3))
    if with_cost:
        cells.append(_with_ratio(row.cost, row.cost_ratio, row))
    return cells + [number(row.own.get(name)) for name in own]


def _validation(row: Row, result: SearchResult) -> str:
    """The mean over fresh seeds, on which the choice was made; of one training, marked so, where there is none."""
    if not result.fresh or row.validation is None:
        return number(row.validation)
    return f"{number(row.validation)} (1)" if row.fresh is None else number(row.fresh)


def _with_ratio(value: float | None, ratio: float | None, row: Row) -> str:
    """``0.0475 (1.23x)``; ``~0.0475`` where the latency table estimates it."""
    estimated = "~" if value is not None and row.candidate is not None and not row.measured else ""
    return estimated + number(value, 3) + ("" if ratio is None else f" ({ratio:.2f}x)")


def effect_lines(result: SearchResult) -> list[str]:
    """What each other assignment does to the error, to training and to slow requests, beside the tuned baseline.

    Rows of equal assignments and settings share a line.
    """
    tuned = result.row("tuned")
    if tuned is None or tuned.candidate is None:
        return []
    lines: dict[str, str] = {}
    for row in result.rows:
        if row.candidate is None or row.candidate.assignment == tuned.candidate.assignment:
            continue
        said = list(filter(None, _effects(row, result)))
        if said:
            lines.setdefault(row.candidate.label(), f"{row.candidate.assignment.summary()}: {', '.join(said)}.")
    return list(lines.values())


def _effects(row: Row, result: SearchResult) -> list[str]:
    """The effects of one row that were measured."""
    found = []
    if row.error_reduction is not None:
        word = "less" if row.error_reduction >= 0 else "more"
        found.append(f"{abs(row.error_reduction):.1%} {word} {result.quality_unit} error".replace("%", " %"))
    if row.training_ratio is not None:
        found.append(f"a training step takes {row.training_ratio:.2f}x")
    if row.p99_ms is not None:
        found.append(f"latency p99 {number(row.p99_ms, 3)} ms")
    if row.table_error is not None:
        found.append(f"median latency {row.table_error:+.0%} against the latency table".replace("%", " %"))
    return found


def tuning_line(result: SearchResult) -> str:
    """What better training settings alone brought, apart from any activation."""
    gain = result.gains.get("configured")
    configured, tuned = result.row("configured"), result.row("tuned")
    if configured is None or tuned is None:
        return ""
    if configured.candidate == tuned.candidate:
        return "Training settings alone brought nothing: none that was tried beats the configured ones."
    if gain is None:
        return (
            f"Training settings alone: validation {result.quality_unit} {number(configured.validation)} -> "
            f"{number(tuned.validation)}."
        )
    # The gain of *configured* over *tuned*, turned round.
    return (
        f"Training settings alone (configured -> tuned baseline): {signed(-gain.mean)} {result.quality_unit} on test "
        f"rows ({signed(-gain.high)} to {signed(-gain.low)}; positive is better)."
    )
