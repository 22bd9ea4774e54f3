"""MLflow runs: started, found again, written in batches within MLflow's limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from autoact.tracking.payloads import Entries
from autoact.tracking.store import Store, answered

if TYPE_CHECKING:
    from mlflow.entities import Run

T = TypeVar("T")

# A request holds 1,000 metrics, 100 parameters, 100 tags and one million characters; parameters and tags can be long.
METRICS, PARAMS, TAGS = 800, 50, 20

PARENT = "mlflow.parentRunId"


@dataclass
class Child:
    """A trial's run.

    Attributes:
        run_id: the run.
        started: milliseconds since 1970.
        complete: whether everything was written; a run that was cut short is written again.
        tags: its tags so far.
    """

    run_id: str
    started: int
    complete: bool = False
    tags: dict[str, str] = field(default_factory=dict)


class Runs:
    """Writes runs of one experiment. Every method may raise ``StoreError``, and may then be called again."""

    def __init__(self, store: Store, experiment: str) -> None:
        self.store = store
        self.experiment = experiment

    def start(self, name: str, tags: Mapping[str, str], at: int) -> str:
        """A new run's id; ``at`` is in milliseconds since 1970."""
        first = dict(islice(tags.items(), TAGS))
        with answered():
            run = self.store.client.create_run(self.experiment, start_time=at, tags=first, run_name=name)
        self.write(run.info.run_id, Entries(tags={k: v for k, v in tags.items() if k not in first}))
        return str(run.info.run_id)

    def write(self, run_id: str, entries: Entries) -> None:
        """Log parameters, metrics and tags; writing the same again changes nothing."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(point.key, point.value, point.at, point.step) for point in entries.points]
        params = [Param(name, value) for name, value in entries.params.items()]
        tags = [RunTag(name, value) for name, value in entries.tags.items()]
        parts = zip_longest(_parts(metrics, METRICS), _parts(params, PARAMS), _parts(tags, TAGS), fillvalue=())
        for some_metrics, some_params, some_tags in parts:
            with answered():
                self.store.client.log_batch(run_id, some_metrics, some_params, some_tags, synchronous=True)

    def end(self, run_id: str, status: str, at: int) -> None:
        """Close a run: ``FINISHED``, ``FAILED`` or ``KILLED``; ``at`` is in milliseconds since 1970."""
        with answered():
            self.store.client.set_terminated(run_id, status=status, end_time=at)

    def reopen(self, run_id: str) -> None:
        """A run that ended goes on."""
        with answered():
            self.store.client.update_run(run_id, status="RUNNING")

    def attach(self, run_id: str, file: Path) -> None:
        """Log a file as an artifact."""
        with answered():
            self.store.client.log_artifact(run_id, str(file))

    def attach_text(self, run_id: str, name: str, text: str) -> None:
        """Log a text as an artifact."""
        with answered():
            self.store.client.log_text(run_id, text, name)

    def searches(self, study: str, storage: str) -> Iterator[Run]:
        """Runs of earlier searches in the same study, the newest first."""
        for run in self.store.runs([self.experiment], "tags.`autoact.kind` = 'search'"):
            if run.data.tags.get("autoact.study") == study and run.data.tags.get("autoact.storage") == storage:
                yield run

    def children(self, parent: str) -> dict[int, Child]:
        """Trial number -> its run."""
        children: dict[int, Child] = {}
        for run in self.store.runs([self.experiment], f"tags.`{PARENT}` = '{parent}'"):
            number = run.data.tags.get("autoact.trial", "")
            if number.isdigit() and int(number) not in children:
                complete = run.info.status in ("FINISHED", "FAILED", "KILLED")
                children[int(number)] = Child(run.info.run_id, run.info.start_time, complete, dict(run.data.tags))
        return children


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
