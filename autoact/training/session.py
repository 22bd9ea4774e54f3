"""What every runner is: a session that the study advances and the runner executes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from autoact.core.trial import Candidate, TrialRecord


class Session(Protocol):
    """A session trains numbered candidates, pauses where it is told to, and drops those that are not kept.

    The life of a session::

        session.start([(7, candidate), (8, other)])
        records = session.advance(to=5)      # both have trained 5 epochs; records tell their quality so far
        session.keep([8])                    # 7 is dropped
        records = session.advance()          # 8 trains to the end of its budget
        scores = session.score(test)         # with the weights of the best epoch
    """

    def start(self, candidates: Sequence[tuple[int, Candidate]]) -> None:
        """Take candidates in, untrained."""

    def advance(self, to: int | None = None) -> list[TrialRecord]:
        """Train all that are kept up to epoch ``to`` (None: the whole budget); one that fails, fails alone."""

    def keep(self, numbers: Collection[int]) -> None:
        """Drop every candidate whose number is not named."""

    def records(self) -> list[TrialRecord]:
        """What is known of each candidate now, without training."""

    def score(self, test: Any) -> dict[int, float]:
        """The monitored metric of every complete candidate on the opened test rows (see ``Task.open_test``).

        A candidate whose metric is not finite there is left out, and its record says that it failed.
        """

    def modules(self) -> Mapping[int, Any]:
        """The modules, by number, with the weights of the best epoch where complete."""

    def checkpoint(self) -> Mapping[str, Any]:
        """Everything that ``resume`` of a new session needs to go on from here."""

    def resume(self, checkpoint: Mapping[str, Any]) -> None:
        """Take in the candidates of another session's checkpoint."""
