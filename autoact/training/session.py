"""What every runner is: a session that the study advances and the runner executes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from lightning import LightningDataModule, LightningModule

from autoact.core.trial import Candidate, TrialRecord
from autoact.training.state.best_epoch import State

Rows = LightningDataModule
"""A datamodule whose validation rows are the rows to score."""


class Session(Protocol):
    """A session trains numbered candidates and pauses where it is told to.

    The life of a session::

        session.start([(7, candidate), (8, other)])
        records = session.advance(to=5)      # both have trained 5 epochs; records tell their quality so far
        states = session.checkpoint()        # another session may go on with some of them
        records = session.advance()          # both train to the end of their budget
        scores = session.score(test)         # with the weights of the best epoch
    """

    def start(self, candidates: Sequence[tuple[int, Candidate]]) -> None:
        """Take candidates in, untrained."""

    def advance(self, to: int | None = None) -> list[TrialRecord]:
        """Train all up to epoch ``to`` (None: the whole budget); one that fails, fails alone."""

    def records(self) -> list[TrialRecord]:
        """What is known of each candidate now, without training."""

    def score(self, test: Rows) -> dict[int, float]:
        """The monitored metric of every complete candidate on the opened test rows (see ``Task.test``).

        A candidate whose metric is not finite there is left out, and its record says that it failed.
        """

    def modules(self) -> Mapping[int, LightningModule]:
        """The modules, by number, with the weights of the best epoch where complete."""

    def checkpoint(self) -> Mapping[str, State]:
        """Everything that ``resume`` of a new session needs to go on from here."""

    def resume(self, checkpoint: Mapping[str, State]) -> None:
        """Take in the candidates of another session's checkpoint."""
