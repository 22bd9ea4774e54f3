"""Engines: where candidates are trained. The study hands them over and hears back records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from autoact.core.errors import AutoactError
from autoact.core.records import FAILED, Candidate, TrialRecord
from autoact.tasks.objectives import Objective
from autoact.training.session import Session


class Engine(Protocol):
    """Trains numbered candidates, in any order, and hands back a record each."""

    def train(self, batch: Sequence[tuple[int, Candidate]]) -> Iterator[TrialRecord]:
        """Train every candidate of the batch to the end of its budget."""

    def score(self, candidate: Candidate, test: Any) -> tuple[TrialRecord, float | None]:
        """Train one candidate and score its best epoch on the opened test rows; None where training failed."""


class InlineEngine:
    """Trains in this process, one candidate after the other."""

    def __init__(self, make_session: Callable[[], Session], objectives: Sequence[Objective] = ()) -> None:
        """Take a session factory, and the user's own objectives, which are computed on each trained model."""
        self.make_session = make_session
        self.own = [objective for objective in objectives if objective.compute is not None]

    def train(self, batch: Sequence[tuple[int, Candidate]]) -> Iterator[TrialRecord]:
        """Train the batch; see ``Engine``."""
        for number, candidate in batch:
            session = self.make_session()
            session.start([(number, candidate)])
            (record,) = session.advance()
            yield self._with_own(record, session.modules()[number])

    def score(self, candidate: Candidate, test: Any) -> tuple[TrialRecord, float | None]:
        """Train and score; see ``Engine``."""
        session = self.make_session()
        session.start([(0, candidate)])
        session.advance()
        score = session.score(test).get(0)
        (record,) = session.records()
        return record, score

    def _with_own(self, record: TrialRecord, module: Any) -> TrialRecord:
        """The record with the values of the user's own objectives."""
        if not record.complete or not self.own:
            return record
        module.eval()
        values = dict(record.values)
        for objective in self.own:
            assert objective.compute is not None
            try:
                found = objective.compute(module)
                values[objective.name] = value = float(found.detach() if hasattr(found, "detach") else found)
            except AutoactError:
                raise
            except Exception as error:  # the user's code: its trial fails with the reason, the search goes on
                said = str(error).partition("\n")[0]
                reason = f"the objective {objective.name} failed: {type(error).__name__}: {said}"
                return replace(record, status=FAILED, quality=None, reason=reason)
            if not math.isfinite(value):
                reason = f"the objective {objective.name} is {value}"
                return replace(record, status=FAILED, quality=None, reason=reason)
        return replace(record, values=values)
