"""What travels to a worker and back, and what a worker does with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from autoact.activations import registry
from autoact.activations.catalogue import NORMALISATIONS, ROWS
from autoact.core.errors import AutoactError, first_line
from autoact.core.trial import FAILED, STOPPED, Candidate, TrialRecord
from autoact.tasks.objectives import Objective
from autoact.tasks.task import Task
from autoact.training.session import Rows, Session
from autoact.training.state.best_epoch import State


@dataclass(frozen=True)
class Job:
    """Candidates that one session trains: plain data and states, so that it travels.

    Attributes:
        candidates: number and candidate of each that starts untrained.
        states: those to go on with, by number, from ``Outcome.states``; of several outcomes where wanted.
        to: epoch up to which they train in all; None: to the end of their budget.
        test: why the test part is opened: complete candidates are then scored on it. None: it is not opened.
        validate: score complete candidates on the task's validation rows once more, which tells what each group of
            rows counts for (``TrialRecord.replicates``); not for candidates of a fold, whose rows are others.
    """

    candidates: tuple[tuple[int, Candidate], ...] = ()
    states: Mapping[str, State] = field(default_factory=dict)
    to: int | None = None
    test: str | None = None
    validate: bool = False

    @property
    def numbers(self) -> list[int]:
        """The numbers of all candidates, in the order of the records.

        Example:
            >>> Job(states={"4": None}).numbers
            [4]
        """
        return [*map(int, self.states), *(number for number, _ in self.candidates)]

    def label(self) -> str:
        """Its candidates, for messages: the first three, and how many more."""
        paused = [state["candidate"] for state in self.states.values() if state and "candidate" in state]
        every = [*map(Candidate.from_dict, paused), *(candidate for _, candidate in self.candidates)]
        first = "; ".join(candidate.label() for candidate in every[:3]) or f"{len(self.states)} paused candidates"
        return first + (f"; and {len(every) - 3} more" if len(every) > 3 else "")


@dataclass(frozen=True)
class Outcome:
    """The results of a job.

    Attributes:
        records: one per candidate, in the order of ``Job.numbers``.
        states: of the paused candidates, by number; what another job needs to go on with them.
        scores: metric on the test rows, by number, of what is complete; empty unless ``Job.test`` was given.
    """

    records: tuple[TrialRecord, ...]
    states: Mapping[str, State] = field(default_factory=dict)
    scores: Mapping[int, float] = field(default_factory=dict)


class WorkerContext:
    """What every worker holds; sent to it once.

    A copy that arrives in another process brings the user's own activations along and registers them there. Its test
    part is closed; ``run`` opens it where a job says why.

    Args:
        make_session: returns a fresh session. What it closes over travels with it: wrap a stop flag into ``AskedHere``.
        objectives: those that compute something on the trained model are the user's own; the others are left to the
            study.
    """

    def __init__(self, task: Task, make_session: Callable[[], Session], objectives: Sequence[Objective] = ()) -> None:
        self.task = task
        self.make_session = make_session
        self.own = tuple(objective for objective in objectives if objective.compute is not None)
        self._opened: dict[str, Rows] = {}

    def run(self, job: Job) -> Outcome:
        """Train, compute the user's own objectives, and score where the job asks for it.

        Own objectives belong to the search: a job that opens the test part does not compute them.

        Raises:
            AutoactError: a mistake of the user's that every candidate would meet, or a task without test rows.
        """
        session = self.make_session()
        if job.states:
            session.resume(job.states)
        if job.candidates:
            session.start(job.candidates)
        records = session.advance(job.to)
        scores: dict[int, float] = {}
        if job.test is None:
            if job.validate and any(record.complete and record.candidate.fold is None for record in records):
                session.score(self.task.datamodule(records[0].candidate.seed))
                records = session.records()
            records = self._with_own(records, session)
        elif any(record.complete for record in records):
            scores = session.score(self._test(job.test))
            records = session.records()
        by_number = {record.number: record for record in records}
        paused = {str(r.number) for r in records if r.status == STOPPED and r.reason == "paused"}
        states = session.checkpoint() if paused else {}
        states = {number: state for number, state in states.items() if number in paused}
        return Outcome(tuple(by_number[number] for number in job.numbers), states, scores)

    def _test(self, reason: str) -> Rows:
        """This worker's own copy of the test part, opened once for each reason."""
        if self.task.test is None:
            raise AutoactError(f"the task {self.task.name!r} has no test rows to score on")
        if reason not in self._opened:
            self._opened[reason] = self.task.test.open(reason)
        return self._opened[reason]

    def _with_own(self, records: Sequence[TrialRecord], session: Session) -> list[TrialRecord]:
        if not self.own:
            return list(records)
        modules = session.modules()
        return [self._measured(record, modules[record.number]) if record.complete else record for record in records]

    def _measured(self, record: TrialRecord, module: nn.Module) -> TrialRecord:
        """One record with these values; a failure of the user's code fails its trial alone."""
        module.eval()
        values = dict(record.values)
        for objective in self.own:
            assert objective.compute is not None
            try:
                result = objective.compute(module)
                values[objective.name] = value = float(result.detach() if hasattr(result, "detach") else result)
            except AutoactError:
                raise
            except Exception as error:  # the user's code: its trial fails with the reason, the search goes on
                reason = f"the objective {objective.name} failed: {type(error).__name__}: {first_line(error)}"
            else:
                if math.isfinite(value):
                    continue
                reason = f"the objective {objective.name} is {value}"
            return replace(record, status=FAILED, quality=None, reason=reason)
        return replace(record, values=values)

    def __getstate__(self) -> State:
        """What travels: no opened test part, and the user's activations, which the registry there does not know."""
        fixed = {row.name for row in (*ROWS, *NORMALISATIONS)}
        own = [row for row in [*registry.all(), *registry.normalisations()] if row.name not in fixed]
        return {**self.__dict__, "_opened": {}, "activations": own}

    def __setstate__(self, state: State) -> None:
        """Register the activations first, since modules are built from them."""
        registry.all()  # what installed packages bring comes first, and is then replaced by its equal
        for row in state.pop("activations"):
            registry.register(row, replace=True)
        self.__dict__.update(state)


class AskedHere:
    """A stop flag that is asked in the process that made it; a copy elsewhere says no, since workers are shut down.

    Example:
        >>> import pickle
        >>> stop = AskedHere(lambda: True)
        >>> stop(), pickle.loads(pickle.dumps(stop))()
        (True, False)
    """

    def __init__(self, asked: Callable[[], bool]) -> None:
        self.asked = asked

    def __call__(self) -> bool:
        """Whether the user has asked to stop."""
        return self.asked()

    def __reduce__(self) -> tuple[object, ...]:
        return AskedHere, (bool,)  # bool() is False
