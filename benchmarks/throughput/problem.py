"""What every competitor of the throughput benchmark works on: one data set, one network, one search space.

The runs travel between processes as JSON: a ``Problem`` says what is searched, a ``Trial`` what came of a try.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autoact.core.errors import unknown

# Names in the table.
DATA = ("telco", "california")
PATIENCE = 8
EXPERIMENT = "benchmark"


@dataclass(frozen=True)
class Problem:
    """One data set at one width of the recipe, under one seed.

    Attributes:
        data: ``telco`` or ``california``.
        width: of every hidden layer.
        seed: of the sampler, the initial weights and the order of batches.
        trials: full-budget trials that a competitor has.
        path: the file; None: the packaged one.
        epochs: most epochs of a training.
        patience: epochs without a better validation value before a training stops.
        threads: CPU threads of one training.
        latency_batch: rows of the request whose latency counts.
        device: ``cpu`` or ``cuda``.

    Example:
        >>> Problem("telco", 64, 0, 100).overrides()[:3]
        ['task=churn', 'recipe.arguments.width=64', 'trainer.max_epochs=30']
    """

    data: str
    width: int
    seed: int
    trials: int
    path: str | None = None
    epochs: int = 30
    patience: int = PATIENCE
    threads: int = 1
    latency_batch: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            AutoactError: an unknown data set.
        """
        if self.data not in DATA:
            raise unknown("data set", self.data, DATA)

    def overrides(self) -> list[str]:
        """The task as on autoact's command line."""
        source = {"telco": ["task=churn"], "california": ["task=houses"]}[self.data]
        if self.path is not None:
            source.append(f"data.path={self.path}")
        return [
            *source,
            f"recipe.arguments.width={self.width}",
            f"trainer.max_epochs={self.epochs}",
            f"search.patience={self.patience}",
            f"search.seed={self.seed}",
            f"hardware={self.device}",
            f"hardware.latency_batch={self.latency_batch}",
            f"hardware.threads={self.threads}",
            "objectives.use=[quality,latency]",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Trial:
    """What a competitor found out about one point of the space.

    Attributes:
        seconds: from the start of the clock to the end of this trial.
        params: Optuna parameters: one activation per site, ``learning_rate``, ``weight_decay``.
        quality: on validation rows at the best epoch, in the metric's unit; None where the trial did not run to its
            end (it failed, or a rung stopped it).
        latency: in ms, as the competitor believes it to be; None where it has none.
        epochs: epochs trained.
        took: seconds of this trial alone.
    """

    seconds: float
    params: Mapping[str, Any]
    quality: float | None
    latency: float | None
    epochs: int = 0
    took: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether it ran through its whole budget."""
        return self.quality is not None and self.latency is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "params": dict(self.params)}


@dataclass(frozen=True)
class Run:
    """One competitor's search.

    Attributes:
        arm: the competitor.
        problem: what it searched.
        trials: in the order in which they ended.
        seconds: from the start of the clock to the end of the last trial.
        notes: what the reader must know of this run.
    """

    arm: str
    problem: Problem
    trials: tuple[Trial, ...]
    seconds: float
    notes: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "arm": self.arm,
            "problem": self.problem.to_dict(),
            "trials": [trial.to_dict() for trial in self.trials],
            "seconds": self.seconds,
            "notes": dict(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Run:
        """The inverse of ``to_dict``."""
        trials = tuple(sorted((Trial(**trial) for trial in data["trials"]), key=lambda trial: trial.seconds))
        return cls(data["arm"], Problem(**data["problem"]), trials, data["seconds"], data.get("notes", {}))


@dataclass(frozen=True)
class Workshop:
    """A problem made ready: all that is imported, read and prepared before the clock starts.

    Attributes:
        problem: what is searched.
        prepared: task, sites and space as autoact's own road makes them, and so the same for everyone.
        data: training and validation rows.
        folder: where the run may write.
    """

    problem: Problem
    prepared: Any
    data: Any
    folder: Path

    @property
    def task(self) -> Any:
        """The task, as autoact sees it."""
        return self.prepared.task

    @property
    def space(self) -> Any:
        """The search space."""
        return self.prepared.space


def make_ready(problem: Problem, folder: Path, *more: str) -> Workshop:
    """Import, read the data and build the space; the same for every competitor.

    Args:
        problem: what is searched.
        folder: where the run may write.
        more: further settings of autoact's search, as on its command line.
    """
    from autoact.config.compose import compose, settings
    from autoact.workflows.task_source import Configured, prepared_search

    config = settings(compose([*problem.overrides(), f"output={folder}", *more]))
    prepared = prepared_search(Configured(config))
    return Workshop(problem, prepared, prepared.task.make_datamodule(problem.seed).prepared, folder)


def mlflow_store(folder: Path) -> str:
    """The URI of an SQLite store with its tables and an experiment made: nobody's clock counts that."""
    import mlflow

    uri = f"sqlite:///{folder.resolve() / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    if client.get_experiment_by_name(EXPERIMENT) is None:
        client.create_experiment(EXPERIMENT)
    return uri
