"""What a single training and a member of a population have in common: what is known of a candidate, as a record."""

from __future__ import annotations

from autoact.core.trial import COMPLETE, FAILED, STOPPED, Candidate, TrialRecord
from autoact.training.state.best_epoch import Best


class TrainingState:
    """A candidate in training.

    Attributes:
        best: the best epoch and the curve.
        seconds: wall-clock seconds of its training.
        failure: status and reason, where it failed.
        finished: whether its training is over.
        replicates: of a scored test part, see ``TrialRecord``.
    """

    number: int
    candidate: Candidate
    best: Best
    seconds: float
    failure: tuple[str, str] | None
    finished: bool
    replicates: tuple[float, ...]

    def record(self) -> TrialRecord:
        """What is known of the candidate."""
        status, reason = self.failure or (COMPLETE if self.finished else STOPPED, "" if self.finished else "paused")
        return TrialRecord(
            number=self.number,
            candidate=self.candidate,
            status=status,
            quality=None if status == FAILED else self.best.value,
            metrics=self.best.metrics,
            curve=tuple(self.best.curve),
            best_epoch=self.best.epoch,
            epochs=len(self.best.curve),
            seconds=self.seconds,
            reason=reason,
            replicates=self.replicates,
        )
