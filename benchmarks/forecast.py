"""Record real searches, and replay what they were forecast to take.

    python -m benchmarks.forecast record FILE.json task=churn search.trials=60 [key=value ...]
    python -m benchmarks.forecast replay FILE.json [FILE.json ...]

A record holds when batches began, when epochs were trained, and when trials and the search ended, in seconds since the
command began. A replay gives the same events to the forecast of today's code, on a clock that jumps from one to the
next, and prints what it said of the time left against what was left.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate, TrialRecord
from autoact.study.budget import Budget
from autoact.study.callbacks import SearchCallback
from autoact.study.forecast import Expected, Forecast
from autoact.study.settings import ConfirmSettings, SearchSettings


def record(file: Path, overrides: Sequence[str]) -> None:
    """Run a search and write what happened when."""
    from autoact.config.compose import compose, settings
    from autoact.report.terminal import TerminalView
    from autoact.study import search
    from autoact.workflows.searching.run_search import run_search
    from autoact.workflows.task_source import Configured, prepared_search

    began = time.monotonic()
    events: list[list[Any]] = []

    def note(*event: Any) -> None:
        events.append([round(time.monotonic() - began, 3), *event])

    class Recording(Forecast):
        def __init__(self, expected: Expected, *given: Any, **options: Any) -> None:
            super().__init__(expected, *given, **options)
            note("expected", asdict(expected))

        def begin(self, *, check: bool = False) -> None:
            note("begin", check)
            super().begin(check=check)

        def trained(self, epochs: int) -> None:
            note("trained", epochs)
            super().trained(epochs)

        def end(self) -> None:
            note("end")
            super().end()

    class Watching(SearchCallback):
        def trial_finished(self, record: TrialRecord, front: int, seconds_left: float | None) -> None:
            note("trial", record.candidate.role, record.epochs, record.status)

    search.Forecast = Recording  # type: ignore[misc]
    config = settings(compose([*overrides, "tracking=none"]))
    run_search(prepared_search(Configured(config)), [Watching(), TerminalView()])
    written = {
        "command": [word for word in overrides if not word.startswith(("data.path", "output"))],
        "trials": config.search.trials,
        "minutes": config.search.minutes,
        "confirm": {"seeds": config.confirm.seeds, "finalists": config.confirm.finalists},
        "seconds": round(time.monotonic() - began, 3),
        "events": events,
    }
    file.write_text(json.dumps(written), encoding="utf-8")


@dataclass(frozen=True)
class Said:
    """What was forecast when a trial ended.

    Attributes:
        at: seconds since the command began.
        left: seconds that were left, as forecast.
        true: seconds that were left.
    """

    at: float
    left: float
    true: float


class _Replayed:
    """The ledger of a replay."""

    def __init__(self) -> None:
        self.spent = 0

    def noted(self, key: str) -> Any:
        """Nothing."""

    def note(self, key: str, value: Any) -> None:
        """Nothing is kept."""


def replay(file: Path) -> list[Said]:
    """What the forecast says after each trial of a recorded search."""
    recorded = json.loads(file.read_text(encoding="utf-8"))
    now, ledger, records, said = [0.0], _Replayed(), [], []
    settings = SearchSettings(trials=recorded["trials"], minutes=recorded["minutes"])
    forecast, budget = None, None
    for at, what, *given in recorded["events"]:
        now[0] = at
        if what == "expected":
            forecast = Forecast(Expected(**given[0]), clock=lambda: now[0])
            confirm = ConfirmSettings(**recorded["confirm"])
            budget = Budget(settings, confirm, forecast, ledger, checked=True, began=0.0, clock=lambda: now[0])
            continue
        assert forecast is not None and budget is not None, "comes first"
        if what == "begin":
            forecast.begin(check=given[0])
        elif what == "trained":
            forecast.trained(given[0])
        elif what == "end":
            forecast.end()
        else:
            role, epochs, status = given
            ledger.spent += 1
            candidate = Candidate(Assignment({}), role=role)
            records.append(TrialRecord(len(records), candidate, status, epochs=epochs))
            left = budget.seconds_left(records)
            assert left is not None, "epochs were trained"
            said.append(Said(at, left, recorded["seconds"] - at))
    return said


def main(arguments: Sequence[str]) -> None:
    """Record or replay."""
    if arguments[:1] == ["record"]:
        record(Path(arguments[1]), arguments[2:])
        return
    for name in arguments[1:]:
        said = replay(Path(name))
        late = said[len(said) // 5 :]
        ratios = [one.left / one.true for one in late if one.true > 0]
        middle = statistics.median(ratios)
        print(
            f"{name}: {len(said)} trials in {said[-1].at + said[-1].true:.0f} s; after a fifth of them the forecast of "
            f"the time left was {min(ratios):.2f} to {max(ratios):.2f} times the truth, {middle:.2f} in the median"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
