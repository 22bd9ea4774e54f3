"""What a single training and a member of a population have in common."""

from __future__ import annotations

from autoact.core.errors import AutoactError
from autoact.core.trial import COMPLETE, FAILED, STOPPED, Candidate, TrialRecord
from autoact.core.value_holders import PlainData
from autoact.tasks.task import Task
from autoact.training.state.best_epoch import Best


class TrainingState:
    """A candidate in training.

    Attributes:
        seconds: wall-clock seconds of its training.
        failure: status and reason, where it failed.
        replicates: of a scored test part, see ``TrialRecord``.
        details: of a scored test part, see ``TrialRecord``.
        restarts: it is paused and will train from its start, since a checkpoint would lose something (see ``Unsaved``).
    """

    best: Best

    def __init__(self, number: int, candidate: Candidate, task: Task) -> None:
        self.number = number
        self.candidate = candidate
        self.task = task
        self.seconds = 0.0
        self.failure: tuple[str, str] | None = None
        self.finished = False
        self.replicates: tuple[float, ...] = ()
        self.details: PlainData = {}
        self.restarts = False

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        return len(self.best.curve)

    @property
    def active(self) -> bool:
        """Whether it has something left to train."""
        return self.failure is None and not self.finished

    def check_validated(self, most_epochs: int | None) -> None:
        """Refuse a training that is over and was never validated.

        Raises:
            AutoactError: no epoch was validated.
        """
        if self.best.value is None:
            raise AutoactError(
                f"validation never ran: the monitored value {self.task.monitor} needs at least one validation "
                f"epoch (trainer.max_epochs={most_epochs})"
            )

    def record(self) -> TrialRecord:
        """The candidate with its status, its values and its learning curve so far."""
        status, reason = self.failure or (COMPLETE if self.finished else STOPPED, "" if self.finished else "paused")
        return TrialRecord(
            number=self.number,
            candidate=self.candidate,
            status=status,
            quality=None if status == FAILED else self.best.value,
            metrics=self.best.metrics,
            curve=tuple(self.best.curve),
            best_epoch=self.best.epoch,
            epochs=self.epochs,
            seconds=self.seconds,
            reason=reason,
            replicates=self.replicates,
            details=self.details,
        )
