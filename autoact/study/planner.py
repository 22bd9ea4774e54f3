"""What to try next: the baseline, its tuning, the uniform assignments, then the sampler's proposals."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import optuna

from autoact.core.choice import Assignment
from autoact.core.records import Candidate, TrialRecord
from autoact.space.space import SearchSpace
from autoact.study.ledger import DIRECTIONS, Ledger
from autoact.study.settings import SearchSettings
from autoact.tasks.task import Task

CONFIGURED, TUNING, UNIFORM, SAMPLED = "configured", "tuning", "uniform", "sampled"
# A sampler that proposes only what was trained already has seen the space.
REPEATS_BEFORE_EXHAUSTED = 25


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
        return self.ledger.ask(due) if due is not None else self._sampled(records, pending)

    def due(self, records: Sequence[TrialRecord], pending: Sequence[Candidate] = ()) -> Candidate | None:
        """The next candidate that the plan wants before the sampler has its turn."""
        tried = [record.candidate for record in records] + list(pending)
        baseline, seed = self.space.baseline, self.settings.seed
        if not any(c.role == CONFIGURED for c in tried):
            return Candidate(baseline, self.space.configured_settings(), seed, CONFIGURED)
        if sum(c.role == TUNING for c in tried) < self.settings.tuning_trials() and self.space.has_settings:
            return self.tuning(records, tried)
        seen = {self.space.key(c.assignment) for c in tried}
        for assignment in self.space.uniform():
            if self.space.key(assignment) not in seen:
                return Candidate(assignment, self._tuned_settings(records), seed, UNIFORM)
        return None

    def tuning(self, records: Sequence[TrialRecord], tried: Sequence[Candidate]) -> Candidate:
        """The baseline's own activations under other training settings, proposed by TPE on the baseline's trials."""
        mine = [c for c in tried if self.space.key(c.assignment) == self.space.key(self.space.baseline)]
        sampler = optuna.samplers.TPESampler(seed=self.settings.seed + 7919 * len(mine), n_startup_trials=4)
        tuner = optuna.create_study(direction=DIRECTIONS[self.task.mode], sampler=sampler)
        dimensions = {n: d for n, d in self.space.distributions().items() if n not in self.space.groups}
        for record in records:
            if record.complete and record.quality is not None and record.candidate in mine:
                params = {name: record.candidate.settings[name] for name in dimensions}
                tuner.add_trial(
                    optuna.trial.create_trial(params=params, distributions=dimensions, value=record.quality)
                )
        trial = tuner.ask(dimensions)
        return Candidate(self.space.baseline, self.space.settings(trial.params), self.settings.seed, TUNING)

    def owed_to_baseline(self, records: Sequence[TrialRecord]) -> int:
        """How many more trials the baseline's activations need to have had as many as any other assignment."""
        if not self.space.has_settings:
            return 0
        counts = Counter(self.space.key(record.candidate.assignment) for record in records)
        mine = counts.pop(self.space.key(self.space.baseline), 0)
        return max(0, max(counts.values(), default=0) - mine)

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
        for _ in range(REPEATS_BEFORE_EXHAUSTED):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
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
        return None

    def _key(self, candidate: Candidate) -> tuple[Any, ...]:
        """Equal for candidates whose trainings would be equal."""
        return (self.space.key(candidate.assignment), tuple(sorted(candidate.settings.items())), candidate.seed)


def is_uniform_alternative(assignment: Assignment, space: SearchSpace) -> bool:
    """Whether one activation, which differs from the baseline somewhere, stands at every site."""
    return len(set(space.key(assignment))) == 1 and space.key(assignment) != space.key(space.baseline)
