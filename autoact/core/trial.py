"""The plain records that travel between floors: what a trial trains, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from autoact.core.assignment import Assignment
from autoact.core.value_holders import PlainData

COMPLETE, FAILED, STOPPED, PRUNED = "complete", "failed", "stopped", "pruned"
# Begins the reason of a trial that failed by what the user's code raised.
RAISED = "raised"


class Role(StrEnum):
    """Why a candidate is trained; as text in studies, files and MLflow.

    Example:
        >>> Role("sampled") is Role.SAMPLED, str(Role.SAMPLED)
        (True, 'sampled')
    """

    CONFIGURED = "configured"  # the baseline as the user configured it, by which all else is measured
    TUNING = "tuning"  # the baseline's activations, under other training settings
    UNIFORM = "uniform"  # one activation everywhere
    SAMPLED = "sampled"  # a point of the sampler
    REFINED = "refined"  # a neighbour of the front
    REPLICATE = "replicate"  # one that was tried, under another seed
    INCLUDED = "included"  # what a recommendation holds
    CHOOSING = "choosing"  # the final check's first stage
    CLAIM = "claim"  # its second stage
    CHECK = "check"  # a recommendation that is measured again
    TRAIN = "train"  # a recommendation that is trained for use


# Candidates that a rung may stop. The others are trained to their end: these are measured by them.
STOPPABLE = frozenset({Role.SAMPLED, Role.REFINED})


@dataclass(frozen=True)
class Candidate:
    """What a trial trains.

    Attributes:
        assignment: the activation of each searched site.
        settings: training settings by name (``learning_rate``, ``weight_decay``, ``dropout``); a missing one stays
            as the user configured it.
        seed: seeds the initial weights and the order of batches.
        role: why it is tried.
        fold: of a cross-validation, and of how many; None where rows are split once.

    Example:
        >>> Candidate(Assignment({"act": "tanh"}), {"learning_rate": 0.01}).label()
        'tanh, learning_rate=0.01'
    """

    assignment: Assignment
    settings: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    role: Role = Role.SAMPLED
    fold: tuple[int, int] | None = None

    def label(self) -> str:
        """A short text for people."""
        settings = [f"{name}={value:.3g}" for name, value in sorted(self.settings.items())]
        return ", ".join([self.assignment.summary(), *settings])

    def with_seed(self, seed: int, role: Role, fold: tuple[int, int] | None = None) -> Candidate:
        """The same assignment and settings under another seed, and in a fold where one is given."""
        return replace(self, seed=seed, role=role, fold=fold)

    def to_dict(self) -> PlainData:
        """Plain data for JSON."""
        return {
            "assignment": self.assignment.to_dict(),
            "settings": dict(self.settings),
            "seed": self.seed,
            "role": str(self.role),
            **({} if self.fold is None else {"fold": list(self.fold)}),
        }

    @classmethod
    def from_dict(cls, data: PlainData) -> Candidate:
        """The inverse of ``to_dict``."""
        settings, fold = dict(data["settings"]), data.get("fold")
        whole = None if fold is None else (int(fold[0]), int(fold[1]))
        return cls(Assignment(data["assignment"]), settings, int(data["seed"]), Role(data["role"]), whole)


@dataclass(frozen=True)
class TrialRecord:
    """What came of a candidate.

    Attributes:
        number: the trial's number in its study.
        candidate: what was trained.
        status: ``complete``, ``failed`` (see ``reason``), ``pruned`` (stopped at a rung) or ``stopped`` (by the user,
            or paused).
        quality: the primary metric on validation rows at the best epoch; None where failed or pruned.
        values: every objective's value by name (``quality``, ``latency`` in ms, ``cost`` per million samples, ...).
        metrics: all that was logged at the best epoch, by name.
        curve: per epoch, what was logged.
        best_epoch: epoch of the kept weights, counted from 1.
        epochs: epochs trained.
        seconds: wall-clock seconds of the training.
        reason: why it failed or stopped.
        replicates: of a scored test part: the metric with one group of rows left out at a time (for the jackknife);
            empty where the module logs its metric itself.
        details: of a scored test part: what else its predictions say; see ``training/score_details.py``.
        rungs: epoch of a rung -> the quality so far that was compared there.
    """

    number: int
    candidate: Candidate
    status: str
    quality: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[Mapping[str, float], ...] = ()
    best_epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    replicates: tuple[float, ...] = ()
    rungs: Mapping[int, float] = field(default_factory=dict)
    details: PlainData = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the trial trained to its end and has a quality."""
        return self.status == COMPLETE

    def to_json(self, *, numbered: bool = True) -> str:
        """One line of JSON; ``numbered=False`` for a storage that gives the number itself."""
        data = {**asdict(replace(self, candidate=None)), "candidate": self.candidate.to_dict()}  # type: ignore[arg-type]
        return json.dumps({name: value for name, value in data.items() if numbered or name != "number"})

    @classmethod
    def from_json(cls, text: str) -> TrialRecord:
        """The inverse of ``to_json``; without a number, it is -1."""
        data = {"number": -1, **json.loads(text)}
        data["candidate"] = Candidate.from_dict(data["candidate"])
        data["curve"] = tuple(data["curve"])
        data["replicates"] = tuple(data.get("replicates", ()))
        data["rungs"] = {int(epoch): value for epoch, value in data.get("rungs", {}).items()}
        return cls(**data)
