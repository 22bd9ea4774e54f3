"""Runs that MLflow calls RUNNING although nobody runs them any more: what a killed process leaves behind."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autoact.study.storage.leases import living
from autoact.tracking.mlflow_names import TAG, cut
from autoact.tracking.runs import PARENT
from autoact.tracking.store import Store, StoreError, answered, sqlite_file

if TYPE_CHECKING:
    from mlflow.entities import Run

KINDS = ("search", "trial", "train")
# What cannot be seen from here (another machine's folder, a training that is being logged) is gone after a day of
# silence, in seconds.
SILENCE = 86_400.0
NOTE = "killed: the process that ran this is gone."
GOES_ON = "The same command goes on from what was finished."


def end_abandoned(store: Store, spare: str | None = None) -> list[str]:
    """End every run of autoact's that nobody runs any more, as KILLED and with a note; returns their names.

    A search is alive while a driver holds its lock in the study's folder. The locks end with their process, however
    it ended. The search ``spare``, which goes on, is left alone, and so are its trials.

    Raises:
        StoreError: the store does not answer.
    """
    runs = {run.info.run_id: run for run in _running(store)}
    alive = {name for name, run in runs.items() if name == spare or (_kind(run) != "trial" and _alive(store, run))}
    ended = []
    for name, run in runs.items():
        parent = run.data.tags.get(PARENT)
        if name in alive or (_kind(run) == "trial" and (parent == spare or parent in alive)):
            continue
        _end(store, run)
        if _kind(run) != "trial":
            ended.append(run.info.run_name or name)
    return ended


def sentence(ended: list[str]) -> str:
    """What was ended, for people; empty where nothing was.

    Example:
        >>> sentence(["churn-1a2b"])
        'MLflow showed churn-1a2b as running, which nobody runs any more: it is KILLED now'
    """
    if not ended:
        return ""
    those = ", ".join(ended[:3]) + (f" and {len(ended) - 3} more" if len(ended) > 3 else "")
    end = "it is KILLED now" if len(ended) == 1 else "they are KILLED now"
    return f"MLflow showed {those} as running, which nobody runs any more: {end}"


def say_abandoned(store: Store, spare: str | None = None) -> None:
    """End what nobody runs any more, and say so; a store that fails here fails where it matters, too."""
    with contextlib.suppress(StoreError):
        if told := sentence(end_abandoned(store, spare)):
            print(f"autoact: {told}", file=sys.stderr)


def _running(store: Store) -> Iterator[Run]:
    with answered():
        experiments = [experiment.experiment_id for experiment in store.client.search_experiments(max_results=1000)]
    for kind in KINDS:
        yield from store.runs(experiments, f"attributes.status = 'RUNNING' and tags.`autoact.kind` = '{kind}'")


def _kind(run: Run) -> str:
    return str(run.data.tags.get("autoact.kind"))


def _alive(store: Store, run: Run) -> bool:
    """Whether somebody runs it, as far as can be seen from here."""
    folders = [folder for folder in _folders(store, run) if folder.is_dir()]
    if any(living(folder) for folder in folders):
        return True
    storage = run.data.tags.get("autoact.storage", "")
    if folders and sqlite_file(storage) is not None:
        return False
    # Drivers on other machines may share the study.
    return time.time() - _last_sign(store, run) / 1000 < SILENCE


def _folders(store: Store, run: Run) -> Iterator[Path]:
    """Where the study's folder may lie: as it was noted, or in the folder of the store."""
    if _kind(run) != "search":
        return
    if (noted := Path(run.data.tags.get("autoact.folder", ""))).is_absolute():
        yield noted
    file, study = sqlite_file(store.uri), run.data.tags.get("autoact.study")
    if file is not None and study:
        yield file.parent / study


def _last_sign(store: Store, run: Run) -> int:
    """When it was last heard of, in milliseconds since 1970."""
    with answered():
        heard = store.client.get_metric_history(run.info.run_id, "trials")
    return int(max([run.info.start_time, *(one.timestamp for one in heard)]))


def _end(store: Store, run: Run) -> None:
    """Say that it was killed, and when it was last heard of."""
    before = run.data.tags.get("mlflow.note.content", "")
    said = f"{NOTE} {GOES_ON}" if _kind(run) == "search" else NOTE
    text = cut("\n\n".join(filter(None, [said, before])), TAG, "the run's files")
    with answered():
        store.client.set_tag(run.info.run_id, "mlflow.note.content", text)
        store.client.set_tag(run.info.run_id, "autoact.status", "killed")
    at = _last_sign(store, run)
    with answered():
        store.client.set_terminated(run.info.run_id, status="KILLED", end_time=at)
