"""What a search shows in the terminal: progress while it runs, one table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from autoact.core.output_folder import for_people
from autoact.core.result_table import ResultTable, number
from autoact.core.trial import PRUNED, Role, TrialRecord
from autoact.report.console import console
from autoact.study.callbacks import SearchCallback, SearchInfo
from autoact.study.outcome.result import SearchResult, effect_lines, ensemble_line, final_table, tuning_line

# Something that takes long says how far it is each time that so many seconds have passed.
SAY_EVERY_SECONDS = 10.0


class TerminalView(SearchCallback):
    """Prints what happens, a line per trial."""

    def __init__(self, out: Console | None = None) -> None:
        self.out = out or console()
        self._best: float | None = None
        self._count = 0
        self._info: SearchInfo | None = None
        self._mode = "max"
        self._check = [0, 0]
        self._said_at = 0.0

    def preparing(self, what: str) -> None:
        """What takes a while."""
        self.out.print(what, markup=False)

    def calibrating(self, done: int, swaps: int) -> None:
        """The latency table grows: how far it is, from time to time."""
        now = time.monotonic()
        if done == 1:
            self._said_at = now
            self.out.print("Measuring what each activation costs on this device, one swap at a time ...")
        if done == swaps:
            self.out.print(f"  latency table: {swaps} {'group' if swaps == 1 else 'groups'} of swaps measured")
        elif now - self._said_at > SAY_EVERY_SECONDS:
            self._said_at = now
            self.out.print(f"  {done} of {swaps} groups of swaps measured")

    def search_started(self, info: SearchInfo) -> None:
        """What is searched, and for how long."""
        self._info = info
        self._count = info.done - info.reused
        simulated = " [SIMULATED DATA]" if info.simulated else ""
        self.out.print(f"Search {info.study}{simulated}", markup=False)
        summary = info.facts.get("data", {}).get("summary")
        if summary:
            self.out.print(f"  data: {summary}", markup=False)
        traded = ", ".join(f"{o.name} ({o.unit}, {o.direction})" for o in info.objectives)
        self.out.print(f"  trading: {traded}", markup=False)
        quality = next((o for o in info.objectives if o.name == "quality"), None)
        self._mode = quality.direction if quality else "max"
        bounds = [f"{info.budget} trials" if info.budget else "", f"{info.minutes:g} minutes" if info.minutes else ""]
        self.out.print(
            f"  budget: {' or '.join(filter(None, bounds))}; files in {for_people(info.folder)}", markup=False
        )
        for note in info.notes:
            self.out.print(f"  note: {note}", markup=False)

    def trial_finished(self, record: TrialRecord, front: int, seconds_left: float | None) -> None:
        """One line per trial."""
        self._count += 1
        if record.complete and record.quality is not None:
            better = self._best is None or (
                record.quality > self._best if self._mode == "max" else record.quality < self._best
            )
            self._best = record.quality if better else self._best
        # The number is the study's, under which Optuna, MLflow and trials.jsonl know the trial; the count stands apart.
        count = f" ({self._count} of {self._info.budget})" if self._info and self._info.budget else ""
        left = "" if seconds_left is None else f", about {_duration(seconds_left)} left"
        seed = f", seed {record.candidate.seed}" if record.candidate.role == Role.REPLICATE else ""
        self.out.print(
            f"trial {record.number}{count}  {_outcome(record)}  best {number(self._best)}, front {front}{left}  "
            f"| {record.candidate.label()}{seed}",
            markup=False,
            overflow="ellipsis",
            no_wrap=True,
        )

    def choosing(self, trainings: int) -> None:
        """The final check starts."""
        self._check = [0, trainings]
        self.out.print(f"Final check, to choose: {trainings} trainings with fresh seeds, judged on validation rows ...")

    def confirming(self, trainings: int, foresight: str = "") -> None:
        """The test part opens."""
        self._check = [0, trainings]
        if foresight:
            self.out.print(f"Before the test part opens: {foresight}", markup=False)
        self.out.print(
            f"Final check, to claim: {trainings} trainings with other fresh seeds, scored on the sealed test rows ..."
        )

    def confirmed_one(self, name: str, seed: int, score: float | None) -> None:
        """One training of the final check ended: failures are named, and every tenth part of the way."""
        self._check[0] += 1
        done, trainings = self._check
        if score is None:
            self.out.print(f"  {done}/{trainings}  {name}, seed {seed}: failed", markup=False)
        elif done * 10 // trainings > (done - 1) * 10 // trainings:
            self.out.print(f"  {done}/{trainings}", markup=False)

    def search_finished(self, result: SearchResult) -> None:
        """The final table, the verdict, the files."""
        print_result(result, self.out)


def _outcome(record: TrialRecord) -> str:
    """What came of a trial, in few words.

    Example:
        >>> from autoact.core.assignment import Assignment
        >>> from autoact.core.trial import Candidate
        >>> _outcome(TrialRecord(3, Candidate(Assignment({})), "pruned", rungs={6: 0.81234}))
        '0.8123 at epoch 6, stopped'
    """
    if record.complete:
        return number(record.quality)
    if record.status == PRUNED:
        rung = max(record.rungs)
        return f"{number(record.rungs[rung])} at epoch {rung}, stopped"
    return f"failed: {record.reason}"


def drawn(table: ResultTable, left: Sequence[int] = (0, 1), *, fold: bool = True) -> RichTable:
    """A table for the terminal; ``left`` are columns of text, ``fold`` lets all but the first take several lines."""
    made = RichTable(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(table.columns):
        justify: Literal["left", "right"] = "left" if index in left else "right"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=index == 0 or not fold)
    for row in table.rows:
        made.add_row(*row)
    return made


def print_result(result: SearchResult, out: Console) -> None:
    """The final table, the verdict in words, and where the files are."""
    table = final_table(result)
    if table.rows:
        out.print()
        out.print(drawn(table))
        for line in filter(None, [*table.footnotes, tuning_line(result), *effect_lines(result)]):
            out.print(line, markup=False)
    for note in result.notes:
        out.print(f"note: {note}", markup=False)
    out.print()
    out.print(f"Verdict: {result.verdict}", markup=False, style="bold")
    for policy, ruling in result.rulings.items():
        word = "recommended" if ruling.recommend else "keep the baseline"
        out.print(f"  {policy}: {word}: {ruling.reason}", markup=False)
    if line := ensemble_line(result):
        out.print(f"  {line}", markup=False)
    out.print(f"{result.status.capitalize()} in {_duration(result.seconds)}.", markup=False)
    for name, path in result.files.items():
        out.print(f"  {name}: {for_people(path)}", markup=False, soft_wrap=True)
    out.print(f"  study: {result.info.study} in {result.info.storage}", markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
