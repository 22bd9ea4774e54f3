"""A batch of candidates through an engine: cut into jobs, paused at rungs, reported in a fixed order."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field, replace
from typing import TypeVar

from autoact.core.trial import PRUNED, STOPPABLE, STOPPED, Candidate, TrialRecord
from autoact.engines.engine import Engine
from autoact.engines.job import Job, Outcome
from autoact.study.execution.successive_halving import Rung, Standing, so_far
from autoact.tasks.task import Task
from autoact.training.state.best_epoch import State

T = TypeVar("T")
# Seconds between two looks at whether the user asked to stop.
STOP_POLL_SECONDS = 0.1
# Below this part of the fastest population's size, a step takes nearly as long however few its members are.
LEAST = 5


def shares(items: Sequence[T], most: int, workers: int = 1, least: int = 1) -> list[Sequence[T]]:
    """Parts of ``most`` items at most, of nearly equal size: as many for each worker, fewer where ``least`` forbids it.

    Example:
        >>> shares([1, 2, 3, 4, 5], 4), shares([1, 2, 3, 4, 5], 8, 2), shares([1, 2, 3, 4, 5], 8, 2, least=3)
        ([[1, 2, 3], [4, 5]], [[1, 2, 3], [4, 5]], [[1, 2, 3, 4, 5]])
        >>> [len(part) for part in shares(range(40), 16, 2)]
        [10, 10, 10, 10]
    """
    needed = math.ceil(len(items) / most)
    count = max(needed, min(len(items) // least, math.ceil(needed / workers) * workers))
    size, larger = divmod(len(items), count) if count else (0, 0)
    ends = [(i + 1) * size + min(i + 1, larger) for i in range(count)]
    return [items[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class Place:
    """Where a candidate was trained: what has to be the same for a search to be repeated bit by bit.

    Attributes:
        stage: 0 up to the first rung, 1 from there, and so on.
        job: which population of the stage.
        members: positions within the batch, in the population's order.
    """

    stage: int
    job: int
    members: tuple[int, ...]


Ended = tuple[TrialRecord, Sequence[Place]]
"""A training that came to its end, and where it ran."""


@dataclass
class Batch:
    """Candidates by position, and what is known of them while they train."""

    candidates: Mapping[int, Candidate]
    states: dict[int, State] = field(default_factory=dict)
    rungs: dict[int, dict[int, float]] = field(default_factory=dict)
    places: dict[int, list[Place]] = field(default_factory=dict)
    ended: dict[int, TrialRecord] = field(default_factory=dict)


@dataclass
class Trainer:
    """Trains batches.

    Attributes:
        population: candidates per job, at most.
        largest: the same where all of them are known beforehand and no rung stops any.
        repeatable: whether jobs hold the same candidates on any number of workers.
        epochs: the rungs; empty: all train to their end.
        costs: the objectives of a candidate that are predicted before training, by name.
        key: equal for candidates whose trainings would be equal.
        trained: called with how many epochs of candidates were trained, as soon as jobs end.
    """

    task: Task
    engine: Engine
    population: int
    largest: int
    epochs: tuple[int, ...]
    rung: Rung
    costs: Callable[[Candidate], Mapping[str, float]]
    key: Callable[[Candidate], Hashable]
    repeatable: bool = False
    stop_asked: Callable[[], bool] = lambda: False
    trained: Callable[[int], None] = lambda epochs: None

    def train(self, candidates: Sequence[Candidate], earlier: Sequence[TrialRecord]) -> Iterator[Ended]:
        """Train a batch; yields records in an order that does not depend on which job ends first.

        A candidate that the user's stop cut short is not among them. At the rungs the batch is compared with the
        study's ``earlier`` records.
        """
        batch = Batch(dict(enumerate(candidates)))
        mine = {self.key(candidate) for candidate in candidates}
        earlier = [record for record in earlier if self.key(record.candidate) not in mine]
        # Those that no rung stops pause there too, where others do: they share their populations.
        rungs = self.epochs if any(c.role in STOPPABLE for c in candidates) else ()
        first = rungs[0] if rungs else None
        yield from self._stage(batch, 0, [(p, first) for p in self.jobs(list(batch.candidates), self.population)])
        for stage, rung in enumerate(rungs, start=1):
            if self.stop_asked() or not batch.states:
                return
            stopped = self._compare(batch, rung, earlier)
            to = rungs[stage] if stage < len(rungs) else None
            jobs = [(p, to) for p in self.jobs(sorted(batch.states), self.population)]
            yield from self._stage(batch, stage, jobs, stopped)

    def jobs(self, items: Sequence[T], most: int) -> list[Sequence[T]]:
        """The work of each job, of ``most`` items at most: spread over the workers, unless it is to be repeatable."""
        if self.repeatable:
            return shares(items, most)
        return shares(items, most, self.engine.workers, max(1, self.population // LEAST))

    def _stage(
        self,
        batch: Batch,
        stage: int,
        jobs: Sequence[tuple[Sequence[int], int | None]],
        stopped: Sequence[Ended] = (),
    ) -> Iterator[Ended]:
        """Run the jobs of one stage; what is paused goes to the batch's states.

        What the rung before has stopped is reported first, while the others train on.
        """
        futures = []
        states, batch.states = batch.states, {}
        for number, (members, to) in enumerate(jobs):
            for position in members:
                batch.places.setdefault(position, []).append(Place(stage, number, tuple(members)))
            if self.stop_asked():
                break
            fresh = tuple((p, batch.candidates[p]) for p in members if p not in states)
            paused = {str(p): states[p] for p in members if p in states}
            futures.append(self.engine.submit(Job(fresh, paused, to)))
        yield from stopped
        for future in futures:
            outcome = self.await_one(future)
            if outcome is None:
                continue
            before = {number: record.epochs for number, record in batch.ended.items()}
            self.trained(sum(r.epochs - before.get(r.number, 0) for r in outcome.records))
            ends = [r for r in outcome.records if r.status != STOPPED]
            for record in ends:
                yield self._end(batch, record), batch.places[record.number]
            batch.states |= {int(number): state for number, state in outcome.states.items()}
            batch.ended |= {r.number: r for r in outcome.records if str(r.number) in outcome.states}

    def _end(self, batch: Batch, record: TrialRecord) -> TrialRecord:
        record = replace(record, rungs=batch.rungs.get(record.number, {}))
        batch.ended[record.number] = record
        return record

    def _compare(self, batch: Batch, rung: int, earlier: Sequence[TrialRecord]) -> list[Ended]:
        """Compare what is paused at a rung with all that came so far, and end those that do not go on."""
        stoppable = [p for p in sorted(batch.states) if batch.candidates[p].role in STOPPABLE]
        here = {p: s for p in stoppable if (s := self._standing(batch.ended[p], rung)) is not None}
        mates = [record for p, record in sorted(batch.ended.items()) if p not in set(stoppable)]
        others = [s for record in [*earlier, *mates] if (s := self._standing(record, rung)) is not None]
        for position, standing in here.items():
            batch.rungs.setdefault(position, {})[rung] = standing.quality
        positions = list(here)
        kept = {positions[index] for index in self.rung.go_on(list(here.values()), others)}
        stopped = [position for position in positions if position not in kept]
        ended: list[Ended] = []
        for position in stopped:
            del batch.states[position]
            reason = f"stopped after {rung} epochs: others are better"
            record = replace(batch.ended[position], status=PRUNED, quality=None, reason=reason)
            ended.append((self._end(batch, record), batch.places[position]))
        return ended

    def _standing(self, record: TrialRecord, rung: int) -> Standing | None:
        """Where a record stands at a rung; None where it never came that far."""
        quality = so_far(record, rung, self.task.monitor, self.task.mode)
        return None if quality is None else Standing(quality, self.costs(record.candidate))

    def await_one(self, future: Future[Outcome]) -> Outcome | None:
        """What came of a job; None where the user's stop cut it short, which ends all others too."""
        while not future.done():
            if self.stop_asked():
                self.engine.shutdown(cancel_futures=True)
                break
            wait([future], timeout=STOP_POLL_SECONDS)
        try:
            return future.result()
        except CancelledError:
            return None
