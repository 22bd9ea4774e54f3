"""Logs a search to MLflow: a parent run per search, a child run per trial."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from autoact.core.trial import COMPLETE, FAILED, PRUNED, TrialRecord
from autoact.report.markdown import to_markdown
from autoact.study.callbacks import SearchCallback, SearchInfo
from autoact.study.outcome.result import SearchResult
from autoact.tasks.objectives import QUALITY
from autoact.tracking.abandoned_runs import say_abandoned
from autoact.tracking.payloads import (
    TAG,
    Entries,
    Point,
    as_json,
    chosen_tags,
    cut,
    front_trials,
    key,
    renamed,
    result_points,
    result_tags,
    search_params,
    search_tags,
    summary,
    trial_entries,
    trial_keys,
    trial_name,
)
from autoact.tracking.runs import PARENT, Child, Runs
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import TRAINING, Store, StoreError, environment, reason_of, shown

# How long a store that went away is left in peace, in seconds; at the end of the search it is asked once more.
PAUSE = 60.0
IMPATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
# Files of a result that become artifacts as they are.
FILES = ("recommendation", "latency table", "trials", "final check")
ENDS = {COMPLETE: "FINISHED", FAILED: "FAILED", PRUNED: "KILLED"}
STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class _Heard:
    """A trial that waits to be logged.

    Attributes:
        record: what came of it.
        at: when it ended, in milliseconds since 1970.
    """

    record: TrialRecord
    at: int


class MlflowTracker(SearchCallback):
    """Watches a search and logs it.

    A store that cannot be reached at the start is an error; one that goes away later never costs the search: what
    could not be logged is kept and tried again. A study that goes on continues its parent run.

    Attributes:
        store: the store it logs to.
        parent: id of the search's run; None before the search started.
    """

    def __init__(
        self, settings: TrackingSettings, output: Path, task: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Connect to the store.

        Args:
            settings: what the user said.
            output: folder for the store where no other is given.
            task: names the experiment where no other name is given.
            clock: seconds, for the pause after a failure.

        Raises:
            AutoactError: unknown settings, no store, no such outer run.
        """
        settings.check()
        self.store = Store(settings, output)
        self.parent: str | None = None
        self._children_wanted = settings.children
        self._clock = clock
        self._outer, experiment = self._find_outer(settings)
        name = settings.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"autoact-{task}"
        self._runs = Runs(self.store, experiment or self.store.experiment(name))
        self._info: SearchInfo | None = None
        self._result: SearchResult | None = None
        self._children: dict[int, Child] = {}
        self._waiting: dict[int, _Heard] = {}
        self._points: list[Point] = []
        self._count = 0
        self._best: float | None = None
        self._failed_at: float | None = None
        self._trouble = ""
        self._refused: list[str] = []
        self._renamed = False

    def _find_outer(self, settings: TrackingSettings) -> tuple[str | None, str | None]:
        """The outer run's id, and the experiment that its children belong to."""
        origin = "tracking.parent_run_id" if settings.parent_run_id else "MLFLOW_RUN_ID"
        run_id = settings.parent_run_id or os.environ.get("MLFLOW_RUN_ID")
        if not run_id:
            return None, None
        run = self.store.outer_run(run_id, origin)
        return run_id, None if settings.experiment else str(run.info.experiment_id)

    @property
    def address(self) -> str:
        """Where a browser finds the search's run; empty where ``python -m autoact ui`` has to be started first."""
        if self.parent is None or not self.store.uri.startswith(("http://", "https://")):
            return ""
        server = shown(self.store.uri).rstrip("/")
        return f"{server}/#/experiments/{self._runs.experiment}/runs/{self.parent}?{TRAINING}"

    def search_started(self, info: SearchInfo) -> None:
        """Open the parent run."""
        self._info = info
        self._count = info.done
        self._log()

    def trial_finished(self, record: TrialRecord, front: int, seconds_left: float | None) -> None:
        """Keep a trial and the parent's progress, to be logged while workers train."""
        at = _now()
        self._count += 1
        if self._children_wanted == "all":
            self._waiting[record.number] = _Heard(record, at)
        values: dict[str, float] = {"trials": self._count, "front_size": front}
        if record.complete and record.quality is not None:
            self._best = self._better(record.quality)
            values["best_quality"] = self._best
        self._points += [Point(name, float(value), self._count, at) for name, value in values.items()]

    def meanwhile(self) -> bool:
        """Log one trial that waits, then the parent's progress; returns whether there was anything."""
        if not (self._waiting or self._points):
            return False
        before = len(self._waiting), len(self._points)
        self._log(most=1)
        return (len(self._waiting), len(self._points)) != before

    def _better(self, quality: float) -> float:
        """The best quality so far."""
        assert self._info is not None
        directions = {o.name: o.direction for o in self._info.objectives}
        choose = min if directions.get(QUALITY) == "min" else max
        return quality if self._best is None else choose(self._best, quality)

    def confirmed_one(self, name: str, seed: int, score: float | None) -> None:
        """Log the test value of one training of the final check, with the seed as step."""
        if score is not None:
            self._points.append(Point(key(f"final_check_by_seed/{name}"), float(score), seed, _now()))

    def search_finished(self, result: SearchResult) -> None:
        """Log what is missing, and the result."""
        self._result = result
        wanted = {"all": {r.number for r in result.records}, "front": _front(result), "none": set()}
        logged = {number for number, child in self._children.items() if child.complete}
        for record in result.records:
            if record.number in wanted[self._children_wanted] - logged - set(self._waiting):
                self._waiting[record.number] = _Heard(record, _now())
        self._log(again=True)

    def close(self, status: str) -> None:
        """End the parent run; say so where something could not be logged."""
        if self._info is None:
            return
        whole = self._log(again=True)
        if self.parent is not None and status == "failed" and (error := sys.exception()) is not None:
            note = cut(f"failed: {type(error).__name__}: {reason_of(error)}", TAG, "the terminal")
            tags = {"autoact.status": "failed", "mlflow.note.content": note}
            self._attempt(partial(self._runs.write, self.parent, Entries(tags=tags)))
        if self.parent is not None:
            ended = self._attempt(partial(self._runs.end, self.parent, STATUS[status], _now()))
            whole = whole and ended
        if not whole:
            self._say_what_is_left()
        if self._refused:
            _say(f"MLflow refused {len(self._refused)} entries, e.g. {self._refused[0]}")

    def _say_what_is_left(self) -> None:
        """What could not be logged, and how to log it later."""
        parts = [f"{len(self._waiting)} trials" if self._waiting else "", "the result" if self._result else ""]
        left = " and ".join(filter(None, parts)) or "the end of the search"
        _say(
            f"{left} could not be logged to MLflow at {shown(self.store.uri)} ({self._trouble}). Nothing is lost: the "
            "same command logs them once the store is back"
        )

    def _log(self, *, again: bool = False, most: int | None = None) -> bool:
        """Write what waits; returns whether nothing is left.

        Args:
            again: ask a store that just failed once more, without a pause.
            most: write no more trials than this; what belongs to the parent's run is written once none waits.
        """
        if self._failed_at is not None and not again and self._clock() - self._failed_at < PAUSE:
            return False
        return self._attempt(partial(self._write, most))

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Do it; a store that is away is noted, reported once, and from then on waited for less."""
        try:
            with environment(IMPATIENCE if self._trouble else {}):
                action()
        except StoreError as trouble:
            if self._failed_at is None and not self._trouble:
                _say(f"MLflow at {shown(self.store.uri)} fails ({trouble}); the search goes on and logs later")
            self._failed_at, self._trouble = self._clock(), str(trouble)
            return False
        self._failed_at = None
        return True

    def _write(self, most: int | None) -> None:
        """What waits, in order."""
        if self.parent is None:
            self.parent = self._open_parent()
            say_abandoned(self.store, self.parent)
        elif self._failed_at is not None:
            # A request whose answer was lost may have been carried out.
            self._children = self._runs.children(self.parent)
        for number, heard in list(self._waiting.items())[:most]:
            self._unless_refused(f"trial {number}", partial(self._write_trial, heard, self.parent))
            del self._waiting[number]
        if most is not None and self._waiting:
            return
        if self._points:
            self._unless_refused("progress", partial(self._runs.write, self.parent, Entries(points=self._points)))
            self._points = []
        if self._result is not None:
            for what, action in self._result_steps(self._result, self.parent):
                self._unless_refused(what, action)
            self._result = None

    def _unless_refused(self, what: str, action: Callable[[], None]) -> None:
        """An entry that the store refuses must not hold up the others."""
        try:
            action()
        except StoreError as trouble:
            if not trouble.refused:
                raise
            self._refused.append(f"{what}: {trouble}")

    def _open_parent(self) -> str:
        """Continue the study's run, or start one; safe to repeat after a failure."""
        assert self._info is not None
        info = self._info
        tags = {**search_tags(info, shown(info.storage)), **_source()}
        if self._outer:
            tags[PARENT] = self._outer
        params, run = search_params(info), self._earlier(info)
        if run is None:
            parent = self._runs.start(info.study, tags, _now())
        else:
            parent = str(run.info.run_id)
            self._children = self._runs.children(parent)
            self._best = run.data.metrics.get("best_quality", self._best)
            # MLflow keeps a parameter's first value for ever.
            changed = {name: text for name, text in params.items() if run.data.params.get(name, text) != text}
            if changed:
                tags["autoact.changed_since"] = cut(json.dumps(changed, ensure_ascii=False), TAG, "facts.json")
            params = {name: text for name, text in params.items() if name not in run.data.params}
            self._runs.reopen(parent)
        self._runs.write(parent, Entries(params=params, tags=tags))
        self._runs.attach_text(parent, "facts.json", as_json({**info.facts, "notes": info.notes}))
        if self._outer:
            self._runs.write(self._outer, Entries(tags={"autoact.search_run": parent, "autoact.study": info.study}))
        return parent

    def _earlier(self, info: SearchInfo) -> Any:
        """The run that this study's earlier part was logged to; None where there is none.

        A run that knows more trials than the study belongs to a study of the same name that was deleted.
        """
        for run in self._runs.searches(info.study, shown(info.storage)):
            if run.data.metrics.get("trials", 0) <= info.done:
                return run
        return None

    def _write_trial(self, heard: _Heard, parent: str) -> None:
        """One child run; one that was cut short is completed."""
        assert self._info is not None
        record = heard.record
        child = self._children.get(record.number)
        duration = round(1000 * record.seconds)
        started = heard.at - duration if child is None else child.started
        entries = trial_entries(record, self._info, started + duration)
        if child is None:
            tags = {**entries.tags, PARENT: parent, **_source()}
            run_id = self._runs.start(trial_name(record), tags, started)
            child = self._children[record.number] = Child(run_id, started, tags=tags)
            self._say_renamed(renamed(trial_keys(record, self._info)))
        self._runs.write(child.run_id, Entries(entries.params, entries.points))
        self._runs.end(child.run_id, ENDS[record.status], started + duration)
        child.complete = True

    def _say_renamed(self, sentence: str) -> None:
        """Say once under which names a module's metrics are found."""
        if sentence and not self._renamed:
            _say(sentence)
            self._renamed = True

    def _result_steps(self, result: SearchResult, parent: str) -> list[tuple[str, Callable[[], None]]]:
        """What is logged at the end, step by step; each may be repeated."""
        runs, at = self._runs, _now()
        # The storage's password stays out of the report.
        report = to_markdown(replace(result, info=replace(result.info, storage=shown(result.info.storage))))
        tags = result_tags(result, report)
        steps: list[tuple[str, Callable[[], None]]] = [
            ("the result", partial(runs.write, parent, Entries(points=result_points(result, at), tags=tags))),
            ("marks on trials", partial(self._mark_children, result)),
        ]
        if self._outer:
            points = [Point(name, float(value), 0, at) for name, value in result.best.items()]
            kept = {name: tags[name] for name in ("autoact.verdict", "autoact.recommended")}
            kept["autoact.simulated"] = str(result.info.simulated).lower()
            steps.append(("the outer run", partial(runs.write, self._outer, Entries(points=points, tags=kept))))
        texts = {
            "report.md": report,
            "summary.json": as_json(summary(result)),
            "front.json": as_json(front_trials(result)),
        }
        steps += [(name, partial(runs.attach_text, parent, name, text)) for name, text in texts.items()]
        files = [Path(result.files[name]) for name in FILES if name in result.files]
        return steps + [(file.name, partial(runs.attach, parent, file)) for file in files if file.is_file()]

    def _mark_children(self, result: SearchResult) -> None:
        """Tag the children that matter; take tags back that an earlier part of the study gave to others."""
        wanted = chosen_tags(result)
        for number, child in self._children.items():
            tags = {**_UNMARKED, **wanted.get(number, {})}
            changed = {name: value for name, value in tags.items() if child.tags.get(name, _UNMARKED[name]) != value}
            if changed:
                self._runs.write(child.run_id, Entries(tags=changed))
                child.tags.update(changed)


_UNMARKED = {"autoact.front": "false", "autoact.chosen_as": ""}


def _front(result: SearchResult) -> set[int]:
    """Numbers of the trials on the front."""
    return set(result.selection.front) if result.selection else set()


def _source() -> dict[str, str]:
    """Who started this, and with what; MLflow shows both in its lists."""
    import getpass

    script = "python -m autoact" if sys.argv[0].endswith("__main__.py") else sys.argv[0] or "python"
    tags = {"mlflow.source.name": script, "mlflow.source.type": "LOCAL"}
    try:
        tags["mlflow.user"] = getpass.getuser()
    except (OSError, KeyError, ImportError):
        return tags
    return tags


def _now() -> int:
    """Milliseconds since 1970."""
    return round(time.time() * 1000)


def _say(text: str) -> None:
    """One line on standard error."""
    print(f"autoact: {text}", file=sys.stderr)
