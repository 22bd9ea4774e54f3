"""autoact's own search in the throughput benchmark: its command line's road, with a stopwatch as an observer.

Everything that a user gets is on: latency calibration, MLflow with a child run per trial, Optuna storage, files. The
final check is off, since the other competitors have none.

Run by ``benchmarks.throughput``; alone:
``python -m benchmarks.throughput.autoact_search PROBLEM.json FOLDER [KEY=VALUE ...]``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoact.core.trial import Candidate, TrialRecord
from autoact.engines.job import Job
from autoact.study.callbacks import SearchCallback, SearchInfo
from benchmarks.throughput.problem import Problem, Run, Trial, make_ready, mlflow_store

# What a competitor called autoact-NAME sets beside the defaults: the one place that knows of engines and rungs.
VARIANTS: dict[str, tuple[str, ...]] = {
    "autoact": (),
    "autoact-full": ("search.rungs.enabled=false",),
}


class Stopwatch(SearchCallback):
    """Notes when each trial ended."""

    def __init__(self, space: Any) -> None:
        """Keep the space, which tells a record's parameters."""
        self.space = space
        self.started = 0.0
        self.calibrated = self.ready = 0.0
        self.trials: list[Trial] = []

    def start(self) -> None:
        """Now."""
        self.started = time.perf_counter()

    def calibrating(self, done: int, swaps: int) -> None:
        """Remember the end of the latency table."""
        self.calibrated = time.perf_counter() - self.started

    def search_started(self, info: SearchInfo) -> None:
        """Remember when everything was measured and probed."""
        self.ready = time.perf_counter() - self.started

    def trial_finished(self, record: TrialRecord, front: int, seconds_left: float | None) -> None:
        """Note a trial; one that a rung stopped has no quality."""
        self.trials.append(
            Trial(
                seconds=time.perf_counter() - self.started,
                params=dict(self.space.point_of(record.candidate).params),
                quality=record.quality if record.complete else None,
                latency=record.values.get("latency"),
                epochs=record.epochs,
                took=record.seconds,
            )
        )


@contextmanager
def uncounted_imports(watch: Stopwatch, baseline: Candidate) -> Iterator[None]:
    """Stop the clock while worker processes import: it goes on when all of them stand ready.

    Lightning and torch import much of themselves when they are first used: so each worker trains one epoch first, as
    the workers of the other competitors do.
    """
    home: Any = importlib.import_module("autoact.workflows.searching.lazy_engine")
    original = home.open_engine

    def open_engine(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        engine = original(*arguments, **named)
        engine.ready()
        warm_ups = [engine.submit(Job(((number, baseline),), {}, 1)) for number in range(engine.workers)]
        for future in warm_ups:
            future.result()
        watch.started += time.perf_counter() - began
        return engine

    home.open_engine = open_engine
    try:
        yield
    finally:
        home.open_engine = original


def search(problem: Problem, folder: Path, more: Sequence[str], arm: str = "autoact") -> Run:
    """The search of ``python -m autoact search``, without its terminal and its final check."""
    import mlflow.pytorch  # noqa: F401  (imports do not count)

    from autoact.tracking.factory import make_tracker
    from autoact.tracking.settings import TrackingSettings
    from autoact.workflows.searching.run_search import run_search

    fixed = ["confirm=none", f"search.trials={problem.trials}", f"search.threads={problem.threads}"]
    workshop = make_ready(problem, folder, *fixed, *more)
    tracking = TrackingSettings(uri=mlflow_store(folder), experiment="benchmark")
    watch = Stopwatch(workshop.space)
    watch.start()
    tracker = make_tracker(tracking, folder, workshop.task.name)
    with uncounted_imports(watch, Candidate(workshop.space.baseline)):
        run_search(workshop.prepared, [*filter(None, [tracker]), watch])
    notes = {
        "calibration_s": watch.calibrated,
        "until_first_job_s": watch.ready,
        "stopped_at_rungs": sum(not trial.complete for trial in watch.trials),
        "settings": list(more),
    }
    return Run(arm, problem, tuple(watch.trials), max(trial.seconds for trial in watch.trials), notes)


def main(arguments: list[str]) -> None:
    """Run one search and write it as JSON."""
    problem, folder = Problem(**json.loads(Path(arguments[0]).read_text(encoding="utf-8"))), Path(arguments[1])
    run = search(problem, folder, arguments[2:])
    (folder / "run.json").write_text(json.dumps(run.to_dict()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
