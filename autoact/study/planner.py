"""What to try next: the baseline, its tuning, the uniform assignments, then the sampler's proposals."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import optuna

from autoact.core.choice import Assignment
from autoact.core.records import Candidate, TrialRecord
from autoact.space.space import WEIGHT_DECAY, SearchSpace
from autoact.study.ledger import DIRECTIONS, Ledger
from autoact.study.settings import SearchSettings
from autoact.tasks.task import Task

CONFIGURED, TUNING, UNIFORM, SAMPLED = "configured", "tuning", "uniform", "sampled"
# A sampler that proposes only what was trained already has settled; from then on candidates are drawn at random.
REPEATS_BEFORE_SETTLED = 10
# Small spaces are searched to the end; in large ones this many random draws find something new.
MOST_DRAWS = 5000


class Planner:
    """Decides what the next candidates are, from what is recorded; it keeps no state of its own."""

    def __init__(self, task: Task, space: SearchSpace, settings: SearchSettings, ledger: Ledger) -> None:
        self.task = task
        self.space = space
        self.settings = settings
        self.ledger = ledger

    def next(self, count: int) -> list[tuple[int, Candidate]]:
        """Up to ``count`` numbered candidates, none of which was trained before; empty when the space is exhausted."""
        batch: list[tuple[int, Candidate]] = []
        for _ in range(count):
            asked = self._next_one([candidate for _, candidate in batch])
            if asked is None:
                break
            batch.append(asked)
        return batch

    def _next_one(self, pending: Sequence[Candidate]) -> tuple[int, Candidate] | None:
        """One candidate: waiting from an interrupted search, due by plan, or sampled."""
        records = self.ledger.records()
        if self.ledger.waiting():
            return self.ledger.ask()
        due = self.due(records, pending)
        role = SAMPLED if due is None else due.role
        if pending and pending[-1].role != role:
            return None  # each phase learns from the one before: no batch holds two
        return self.ledger.ask(due) if due is not None else self._sampled(records, pending)

    def due(self, records: Sequence[TrialRecord], pending: Sequence[Candidate] = ()) -> Candidate | None:
        """The next candidate that the plan wants before the sampler has its turn."""
        tried = [record.candidate for record in records] + list(pending)
        finished = [record.candidate for record in records if record.complete] + list(pending)
        if not any(c.role == CONFIGURED for c in finished):
            return Candidate(self.space.baseline, self.space.configured_settings(), self.settings.seed, CONFIGURED)
        tuned = sum(c.role == TUNING for c in tried)
        if tuned < self.settings.tuning_trials() and (tuning := self.tuning(records, pending)) is not None:
            return tuning
        seen = {self.space.key(c.assignment) for c in tried}
        for assignment in self.space.uniform():
            if self.space.key(assignment) not in seen:
                return Candidate(assignment, self._tuned_settings(records), self.settings.seed, UNIFORM)
        if self._owed(tried, self._left(pending)):
            return self.tuning(records, pending)
        return None

    def _left(self, pending: Sequence[Candidate]) -> float:
        """Trials that the budget still holds."""
        return math.inf if self.settings.budget is None else self.settings.budget - self.ledger.spent - len(pending)

    def tuning(self, records: Sequence[TrialRecord], pending: Sequence[Candidate] = ()) -> Candidate | None:
        """The baseline's own activations under other training settings; None where all settings were tried.

        TPE proposes, on the baseline's trials alone. Where the weight decay alone is searched, its values are taken in
        turn.
        """
        baseline, seed = self.space.baseline, self.settings.seed
        tried = [record.candidate for record in records] + list(pending)
        mine = [c for c in tried if self.space.key(c.assignment) == self.space.key(baseline)]
        seen = {self._key(c) for c in mine}
        dimensions = {n: d for n, d in self.space.distributions().items() if n not in self.space.groups}
        if self.space.rate_range is None:
            proposals = iter([{WEIGHT_DECAY: decay} for decay in self.space.decays])
        else:
            proposals = self._propose(dimensions, [r for r in records if r.candidate in mine], len(mine))
        for params in proposals:
            candidate = Candidate(baseline, self.space.settings(params), seed, TUNING)
            if self._key(candidate) not in seen:
                return candidate
        return None

    def _propose(self, dimensions: Any, mine: Sequence[TrialRecord], count: int) -> Iterator[dict[str, Any]]:
        """Training settings that TPE proposes on the baseline's trials."""
        sampler = optuna.samplers.TPESampler(seed=self.settings.seed + 7919 * count, n_startup_trials=4)
        tuner = optuna.create_study(direction=DIRECTIONS[self.task.mode], sampler=sampler)
        for record in mine:
            if record.complete and record.quality is not None:
                params = {name: record.candidate.settings[name] for name in dimensions}
                tuner.add_trial(
                    optuna.trial.create_trial(params=params, distributions=dimensions, value=record.quality)
                )
        for _ in range(REPEATS_BEFORE_SETTLED):
            yield tuner.ask(dimensions).params

    def owed_to_baseline(self, records: Sequence[TrialRecord]) -> int:
        """How many more trials the baseline's activations need to have had as many as any other assignment."""
        return max(0, self._owed([record.candidate for record in records], math.inf))

    def _owed(self, tried: Sequence[Candidate], left: float) -> int:
        """Trials owed to the baseline now, so that with ``left`` trials to go it is not behind at the end."""
        if not self.space.has_settings:
            return 0
        counts = Counter(self.space.key(candidate.assignment) for candidate in tried)
        mine = counts.pop(self.space.key(self.space.baseline), 0)
        most = max(counts.values(), default=0)
        behind = max(0, most - mine)
        # The last trial of all cannot be paid back: where it could put another assignment ahead, it is the baseline's.
        return behind or int(left == 1 and most == mine)

    def _tuned_settings(self, records: Sequence[TrialRecord]) -> dict[str, float]:
        """The settings of the best trial of the baseline's activations."""
        mine = [r for r in records if r.complete and r.candidate.role in (CONFIGURED, TUNING)]
        if not mine:
            return self.space.configured_settings()
        pick = max if self.task.mode == "max" else min
        return dict(pick(mine, key=lambda record: record.quality or 0.0).candidate.settings)

    def _sampled(self, records: Sequence[TrialRecord], pending: Sequence[Candidate]) -> tuple[int, Candidate] | None:
        """The sampler's next proposal that is new; proposals that are not are answered with what is known."""
        known = {self._key(record.candidate): record for record in records}
        waiting = {self._key(candidate) for candidate in pending}
        for _ in range(REPEATS_BEFORE_SETTLED):
            number, candidate = self.ledger.ask()
            key = self._key(candidate)
            if not self.space.allowed(candidate.assignment):
                self.ledger.refuse(number, "identity at every site makes a linear network")
            elif key in known:
                self.ledger.repeat(number, known[key])
            elif key in waiting:
                self.ledger.refuse(number, "the same candidate is in training")
            else:
                return number, candidate
        fresh = self._fresh(known.keys() | waiting)
        return None if fresh is None else self.ledger.ask(fresh)

    def _fresh(self, taken: Collection[Any]) -> Candidate | None:
        """A candidate at random that nobody tried; None where the space is exhausted."""
        draw = random.Random(self.settings.seed * 100_003 + len(taken))
        for params in self.space.drawn(draw, MOST_DRAWS):
            found = Candidate(self.space.assignment(params), self.space.settings(params), self.settings.seed, SAMPLED)
            if self.space.allowed(found.assignment) and self._key(found) not in taken:
                return found
        return None

    def _key(self, candidate: Candidate) -> tuple[Any, ...]:
        """Equal for candidates whose trainings would be equal."""
        return (self.space.key(candidate.assignment), tuple(sorted(candidate.settings.items())), candidate.seed)


def is_uniform_alternative(assignment: Assignment, space: SearchSpace) -> bool:
    """Whether one activation, which differs from the baseline somewhere, stands at every site."""
    return len(set(space.key(assignment))) == 1 and space.key(assignment) != space.key(space.baseline)
