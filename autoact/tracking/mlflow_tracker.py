"""Logs a search to MLflow: a parent run per search, a child run per trial."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from autoact.core.trial import COMPLETE, FAILED, PRUNED, TrialRecord
from autoact.report.markdown import to_markdown
from autoact.study.callbacks import SearchCallback, SearchInfo
from autoact.study.outcome.result import SearchResult
from autoact.tasks.objectives import QUALITY
from autoact.tracking import payloads
from autoact.tracking.abandoned_runs import say_abandoned
from autoact.tracking.background_writer import PAUSE, BackgroundWriter
from autoact.tracking.mlflow_names import TAG, cut, key, renamed
from autoact.tracking.payloads import Entries, Point
from autoact.tracking.runs import PARENT, Child, Runs
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import PATIENCE, TRAINING, Store, StoreError, environment, reason_of, shown, sqlite_file

if TYPE_CHECKING:
    from mlflow.entities import Run

# How long the search waits for its tracker, in seconds: at its start and before timings; at its end since the last
# write that succeeded.
FLUSH, END = 10.0, 30.0
# Files of a result that become artifacts as they are.
FILES = ("recommendation", "latency table", "networks", "trials", "final check")
ENDS = {COMPLETE: "FINISHED", FAILED: "FAILED", PRUNED: "KILLED"}
STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MlflowTracker(SearchCallback):
    """Watches a search and logs it from a thread of its own.

    A store that cannot be reached at the start is an error. One that goes away later never costs the search: what
    could not be logged is tried again, and the same command logs it later. A study that goes on continues its parent
    run.

    Attributes:
        store: the store it logs to.
        parent: id of the search's run; None before the run was opened.
    """

    def __init__(self, settings: TrackingSettings, output: Path, task: str, pause: float = PAUSE) -> None:
        """Connect to the store.

        ``output`` is the folder for the store, and ``task`` names the experiment, where the settings name no other;
        ``pause`` is in seconds, from a failure of the store to the next try.

        Raises:
            AutoactError: unknown settings, no store, no such outer run.
        """
        self.store = Store(settings, output)
        self.parent: str | None = None
        self._children_wanted = settings.children
        self._outer, experiment = self._find_outer(settings)
        name = settings.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"autoact-{task}"
        self._runs = Runs(self.store, experiment or self.store.experiment(name))
        self._writer = BackgroundWriter(self._store_failed, pause)
        self._info: SearchInfo | None = None
        self._result: SearchResult | None = None
        self._children: dict[int, Child] = {}
        self._finished_at: dict[int, int] = {}
        self._count = 0
        self._best: float | None = None
        self._in_doubt = False
        self._renamed = False

    def _find_outer(self, settings: TrackingSettings) -> tuple[str | None, str | None]:
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
        self._put("the search", self._open_parent)
        self.before_timing()

    def trial_finished(self, record: TrialRecord, front: int, seconds_left: float | None) -> None:
        """Queue a trial and the search's progress."""
        at = self._finished_at[record.number] = _now()
        self._count += 1
        if self._children_wanted == "all":
            self._put(f"trial {record.number}", partial(self._write_trial, record, at))
        values: dict[str, float] = {"trials": self._count, "front_size": front}
        if record.complete and record.quality is not None:
            self._best = values["best_quality"] = self._better(record.quality)
        self._log_points([Point(name, float(value), self._count, at) for name, value in values.items()])

    def confirmed_one(self, name: str, seed: int, score: float | None) -> None:
        """Queue the test value of one training of the final check, with the seed as step."""
        if score is not None:
            self._log_points([Point(key(f"final_check_by_seed/{name}"), float(score), seed, _now())])

    def before_timing(self) -> None:
        """Let the thread come to rest: what it writes would disturb a measurement."""
        self._writer.flush(FLUSH)

    def search_finished(self, result: SearchResult) -> None:
        """Queue the trials that are missing, and the result."""
        self._result = result
        wanted = self._wanted()
        for record in result.records:
            if record.number in wanted:
                at = self._finished_at.get(record.number, _now())
                self._put(f"trial {record.number}", partial(self._write_trial, record, at))
        for what, write in self._result_steps(result):
            self._put(what, write)

    def close(self, status: str) -> None:
        """End the parent run; say so where something could not be logged."""
        if self._info is None:
            return
        if status == "failed" and (error := sys.exception()) is not None:
            note = cut(f"failed: {type(error).__name__}: {reason_of(error)}", TAG, "the terminal")
            tags = {"autoact.status": "failed", "mlflow.note.content": note}
            self._put("the error", lambda: self._runs.write(self._parent, Entries(tags=tags)))
        ended_at = _now()
        self._put("the end", lambda: self._runs.end(self._parent, STATUS[status], ended_at))
        try:
            left = self._writer.close(END)
        except KeyboardInterrupt:
            self._say_what_is_left([], "interrupted")
            raise
        if left:
            self._say_what_is_left(left, self._writer.failure or f"no answer for {END:.0f} s")
        if self._writer.refused:
            _say(f"MLflow refused {len(self._writer.refused)} entries, e.g. {self._writer.refused[0]}")

    def _say_what_is_left(self, left: list[str], why: object) -> None:
        wanted = self._finished_at if self._result is None and self._children_wanted == "all" else self._wanted()
        trials = sum(number not in self._children or not self._children[number].complete for number in wanted)
        parts = [f"{trials} trials" if trials else "", "the result" if self._result and left != ["the end"] else ""]
        what = " and ".join(filter(None, parts)) or "the end of the search"
        _say(
            f"{what} could not be logged to MLflow at {shown(self.store.uri)} ({why}). Nothing is lost: the same "
            "command logs them once the store is back"
        )

    def _store_failed(self, failure: StoreError) -> None:
        """Say once that the store fails; a request whose answer was lost may have been carried out."""
        if self._writer.failure is None:
            _say(f"MLflow at {shown(self.store.uri)} fails ({failure}); the search goes on and logs later")
        self._in_doubt = True

    def _wanted(self) -> set[int]:
        """Numbers of the result's trials that have to become child runs."""
        if self._result is None or self._children_wanted == "none":
            return set()
        front = set(self._result.selection.front) if self._result.selection else set()
        return front if self._children_wanted == "front" else {record.number for record in self._result.records}

    def _better(self, quality: float) -> float:
        assert self._info is not None
        directions = {o.name: o.direction for o in self._info.objectives}
        choose = min if directions.get(QUALITY) == "min" else max
        return quality if self._best is None else choose(self._best, quality)

    @property
    def _parent(self) -> str:
        """The search's run, in writes that come after the one that opens it."""
        assert self.parent is not None
        return self.parent

    def _put(self, what: str, write: Callable[[], None]) -> None:
        """Queue a write; one to a server is given up within seconds, to be tried again after the pause."""

        def bounded() -> None:
            with environment({} if sqlite_file(self.store.uri) else PATIENCE):
                write()

        self._writer.put(what, bounded)

    def _log_points(self, points: list[Point]) -> None:
        """Queue values of the parent run."""
        self._put("progress", lambda: self._runs.write(self._parent, Entries(points=points)))

    def _open_parent(self) -> None:
        """Continue the study's run, or start one; nothing can be logged without it, so a refusal is tried again."""
        try:
            self.parent = self._opened()
        except StoreError as failure:
            raise StoreError(str(failure)) from failure
        say_abandoned(self.store, self.parent)

    def _opened(self) -> str:
        assert self._info is not None
        info = self._info
        tags = {**payloads.search_tags(info, shown(info.storage)), **_source()}
        if self._outer:
            tags[PARENT] = self._outer
        params, run = payloads.search_params(info), self._earlier(info)
        if run is None:
            parent = self._runs.start(info.study, tags, _now())
        else:
            parent = str(run.info.run_id)
            self._children = self._runs.children(parent)
            if (best := run.data.metrics.get("best_quality")) is not None:
                self._best = self._better(best)
            # MLflow keeps a parameter's first value for ever.
            changed = {name: text for name, text in params.items() if run.data.params.get(name, text) != text}
            if changed:
                tags["autoact.changed_since"] = cut(json.dumps(changed, ensure_ascii=False), TAG, "facts.json")
            params = {name: text for name, text in params.items() if name not in run.data.params}
            self._runs.reopen(parent)
        self._runs.write(parent, Entries(params=params, tags=tags))
        self._runs.attach_text(parent, "facts.json", payloads.as_json({**info.facts, "notes": info.notes}))
        if self._outer:
            self._runs.write(self._outer, Entries(tags={"autoact.search_run": parent, "autoact.study": info.study}))
        return parent

    def _earlier(self, info: SearchInfo) -> Run | None:
        """The run that this study's earlier part was logged to; None where there is none.

        A run that knows more trials than the study belongs to a study of the same name that was deleted.
        """
        for run in self._runs.searches(info.study, shown(info.storage)):
            if run.data.metrics.get("trials", 0) <= info.done:
                return run
        return None

    def _write_trial(self, record: TrialRecord, at: int) -> None:
        """Write one child run, unless it is complete; one that was cut short is completed."""
        assert self._info is not None
        if self._in_doubt:
            self._children = self._runs.children(self._parent)
            self._in_doubt = False
        child = self._children.get(record.number)
        if child is not None and child.complete:
            return
        duration = round(1000 * record.seconds)
        started = at - duration if child is None else child.started
        entries = payloads.trial_entries(record, self._info, started + duration)
        if child is None:
            tags = {**entries.tags, PARENT: self._parent, **_source()}
            run_id = self._runs.start(payloads.trial_name(record), tags, started)
            child = self._children[record.number] = Child(run_id, started, tags=tags)
            if (sentence := renamed(payloads.trial_keys(record, self._info))) and not self._renamed:
                _say(sentence)
                self._renamed = True
        self._runs.write(child.run_id, Entries(entries.params, entries.points))
        self._runs.end(child.run_id, ENDS[record.status], started + duration)
        child.complete = True

    def _result_steps(self, result: SearchResult) -> list[tuple[str, Callable[[], None]]]:
        """What is logged at the end, step by step; each may be repeated."""
        runs, at = self._runs, _now()
        # The storage's password stays out of the report.
        report = to_markdown(replace(result, info=replace(result.info, storage=shown(result.info.storage))))
        final, tags = payloads.result_points(result, at), payloads.result_tags(result, report)
        steps: list[tuple[str, Callable[[], None]]] = [
            ("the result", lambda: runs.write(self._parent, Entries(points=final, tags=tags))),
            ("marks on trials", partial(self._mark_children, result)),
        ]
        if self._outer:
            points = [Point(name, float(value), 0, at) for name, value in result.best.items()]
            kept = {name: tags[name] for name in ("autoact.verdict", "autoact.recommended")}
            kept["autoact.simulated"] = str(result.info.simulated).lower()
            steps.append(("the outer run", partial(runs.write, self._outer, Entries(points=points, tags=kept))))
        texts = {
            "report.md": report,
            "summary.json": payloads.as_json(payloads.summary(result)),
            "front.json": payloads.as_json(payloads.front_trials(result)),
        }
        steps += [(name, partial(self._attach_text, name, text)) for name, text in texts.items()]
        files = [Path(result.files[name]) for name in FILES if name in result.files]
        return steps + [(file.name, partial(self._attach, file)) for file in files if file.is_file()]

    def _attach_text(self, name: str, text: str) -> None:
        self._runs.attach_text(self._parent, name, text)

    def _attach(self, file: Path) -> None:
        self._runs.attach(self._parent, file)

    def _mark_children(self, result: SearchResult) -> None:
        """Tag the children that matter; take tags back that an earlier part of the study gave to others."""
        wanted = payloads.chosen_tags(result)
        for number, child in self._children.items():
            tags = {**_UNMARKED, **wanted.get(number, {})}
            changed = {name: value for name, value in tags.items() if child.tags.get(name, _UNMARKED[name]) != value}
            if changed:
                self._runs.write(child.run_id, Entries(tags=changed))
                child.tags.update(changed)


_UNMARKED = {"autoact.front": "false", "autoact.chosen_as": ""}


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
    print(f"autoact: {text}", file=sys.stderr)
