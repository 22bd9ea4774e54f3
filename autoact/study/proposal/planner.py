"""What to try next: the baseline, its tuning, the uniform assignments, then the proposer's batches."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from optuna.samplers import TPESampler

from autoact.core.trial import Candidate, Role, TrialRecord
from autoact.space.point import Point
from autoact.space.search_space import SearchSpace
from autoact.space.training_settings import LEARNING_RATE
from autoact.study.proposal.observations import Axis
from autoact.study.proposal.optuna_samplers import Memory, sampler_factory
from autoact.study.proposal.sampler import Proposal, Proposer
from autoact.study.proposal.trial_observations import observations_of
from autoact.study.settings import DEFAULT_TRIALS, SearchSettings
from autoact.study.storage.trial_store import TrialStore
from autoact.tasks.constraints import UNLIMITED, Limits
from autoact.tasks.task import Task

# Proposals for training settings that were tried already, before the search for new ones is given up.
REPEATS_BEFORE_SETTLED = 10
# Trials of the baseline from which TPE proposes its settings; before, they are spread evenly.
ENOUGH_FOR_TPE = 4
MOST_SPREAD = 10_000
# Settings of the baseline, spread over the ranges, the worst of which bounds what an activation may lose by them.
ENOUGH_FOR_WORST = 8
# Irrational steps around the unit circle, one for each training setting: the golden ratio, the roots of two and three.
IRRATIONAL_STEPS = ((math.sqrt(5) - 1) / 2, math.sqrt(2) - 1, math.sqrt(3) - 1)
# The last trials of a search try the training settings of its best trials on the baseline: what good settings bring
# must not pass for what activations bring.
HANDED_DOWN = 3


@dataclass(eq=False)
class Planner:
    """Decides what the next candidates are, from what is recorded; it keeps no state of its own.

    ``included`` candidates are tried right after the model as configured. What breaks ``limits`` by its predicted
    costs, which the points of ``space`` carry, is not proposed.
    """

    task: Task
    space: SearchSpace
    settings: SearchSettings
    ledger: TrialStore
    epsilons: Mapping[str, float]
    included: Sequence[Candidate] = ()
    limits: Limits = UNLIMITED

    def __post_init__(self) -> None:
        self._baseline = self.space.key(self.space.baseline)
        self._proposer = Proposer(
            self.space.distributions(),
            [Axis(o.name, o.direction, self.epsilons.get(o.name, 0.0)) for o in self.ledger.objectives],
            sampler=sampler_factory(
                self.settings.sampler, self.settings.sampler_options, conditional=bool(self.space.conditions)
            ),
            seed=self.settings.seed,
            point=self.space.point,
            allowed=self._allowed,
            conditions=self.space.conditions,
            refine=self.settings.refine,
        )

    def next(self, count: int, others: Sequence[Candidate] = (), left: float = math.inf) -> list[Candidate]:
        """Up to ``count`` candidates, none of which was tried before; empty when the space is exhausted.

        No batch holds two phases: each phase learns from the one before. Other drivers have ``others`` in training;
        the budget holds ``left`` more trials, these included.
        """
        records = self.ledger.records()
        expected = len(records) + len(others) + left
        for batch in (self._opening(records, others, expected), self._uniform(records, others)):
            if batch:
                return batch[:count]
        return self._proposed(records, others, count, left)

    def key(self, candidate: Candidate) -> tuple[Point, int]:
        """Equal for candidates whose trainings would be equal."""
        return (self.space.point_of(candidate), candidate.seed)

    def _allowed(self, point: Point) -> bool:
        """Whether a point may be proposed: it fits the model, and keeps the limits that are known by now."""
        return self.space.allowed(point.assignment) and self.limits.keeps(point.costs)

    def _is_baseline(self, candidate: Candidate) -> bool:
        return self.space.point_of(candidate).functions == self._baseline

    def _opening(self, records: Sequence[TrialRecord], others: Sequence[Candidate], expected: float) -> list[Candidate]:
        """The model as configured, under several seeds where the budget allows, and its tuning, in one batch."""
        seed = self.settings.seed
        configured = Candidate(self.space.baseline, self.space.configured_settings(), seed, Role.CONFIGURED)
        done = [r.candidate for r in records if r.complete] + list(others)
        batch = [] if any(c.role == Role.CONFIGURED for c in done) else [configured]
        tried = [record.candidate for record in records] + list(others)
        batch += self._included([*tried, *batch])
        point = self.space.point_of(configured)
        seeds = {c.seed for c in tried if self.space.point_of(c) == point}
        batch += [
            configured.with_seed(seed + further, Role.REPLICATE)
            for further in range(1, self.settings.configured_seeds(expected))
            if seed + further not in seeds
        ]
        missing = self.settings.tuning_trials(expected) - sum(c.role == Role.TUNING for c in tried)
        return batch + self.tuning(records, missing, [*others, *batch])

    def _included(self, tried: Sequence[Candidate]) -> list[Candidate]:
        keys, found = {self.key(candidate) for candidate in tried}, []
        for candidate in self.included:
            if self.key(candidate) not in keys:
                keys.add(self.key(candidate))
                found.append(candidate)
        return found

    def _uniform(self, records: Sequence[TrialRecord], others: Sequence[Candidate]) -> list[Candidate]:
        """The same activation at every site, with the settings that suit the baseline best."""
        tried = {self.space.point_of(c).functions for c in [*(r.candidate for r in records), *others]}
        settings, seed = self._tuned_settings(records), self.settings.seed
        every = [Candidate(assignment, settings, seed, Role.UNIFORM) for assignment in self.space.uniform()]
        points = map(self.space.point_of, every)
        due = [c for c, p in zip(every, points, strict=True) if p.functions not in tried and self._allowed(p)]
        return due or self._collapsed(records, others)

    def _collapsed(self, records: Sequence[TrialRecord], others: Sequence[Candidate]) -> list[Candidate]:
        """Uniform assignments that the baseline's settings ruined, with those of the model as configured.

        A sine of a high frequency needs a tenth of the learning rate that a ReLU likes best. Ruined is what did worse
        than the baseline under any setting that it was tried with, where it had enough of them.
        """
        mine = [r for r in records if r.complete and r.candidate.role in (Role.CONFIGURED, Role.TUNING)]
        sign = 1.0 if self.task.mode == "max" else -1.0
        if len(mine) < ENOUGH_FOR_WORST:
            return []
        floor = min(sign * (r.quality or 0.0) for r in mine)
        behind = [
            r.candidate
            for r in records
            if r.candidate.role == Role.UNIFORM and r.quality is not None and sign * r.quality < floor
        ]
        keys = {self.key(c) for c in [*(r.candidate for r in records), *others]}
        settings, seed = self.space.configured_settings(), self.settings.seed
        again = [Candidate(c.assignment, settings, seed, Role.UNIFORM) for c in behind]
        return [c for c in again if self.key(c) not in keys]

    def _proposed(
        self, records: Sequence[TrialRecord], others: Sequence[Candidate], count: int, left: float
    ) -> list[Candidate]:
        """The proposer's batch; the baseline is paid first what it is owed, and never left behind at the end."""
        tried = [record.candidate for record in records] + list(others)
        kept_back = min(HANDED_DOWN, (self.settings.budget or DEFAULT_TRIALS) // 6) if self.space.setting_names else 0
        if left <= kept_back:
            batch = self.handed_down(records, count, others)
        else:
            count = _even(count, left - kept_back)
            batch = self.tuning(records, min(count, self._behind(tried)), others)
        proposals = self._proposer.propose(
            observations_of(records, self.space, self.task, self.ledger.objectives),
            count - len(batch),
            pending=[self.space.point_of(c) for c in [*others, *batch]],
            left=None if math.isinf(left) else int(left) - len(batch),
        )
        for proposal in proposals if len(batch) < count else []:
            batch.append(self._candidate(proposal, [*tried, *batch]))
        while self._behind([*tried, *batch]) > left - len(batch) and batch[-1].role != Role.TUNING:
            dropped = batch.pop()
            paid = [c for c in batch if c.role == Role.TUNING]
            rest = [c for c in batch if c.role != Role.TUNING]
            more = self.tuning(records, 1, [*others, *batch])
            if not more:
                return [*paid, *rest, dropped]
            batch = [*paid, *more, *rest]
        return batch

    def _candidate(self, proposal: Proposal, tried: Sequence[Candidate]) -> Candidate:
        """A proposal as a candidate; a replicate gets a seed that its setting has not had."""
        point, first = proposal.point, self.settings.seed
        candidate = Candidate(point.assignment, point.settings, first, proposal.role)
        if proposal.role != Role.REPLICATE:
            return candidate
        seeds = {c.seed for c in tried if self.space.point_of(c) == point}
        return candidate.with_seed(next(n for n in itertools.count(first) if n not in seeds), proposal.role)

    def tuning(self, records: Sequence[TrialRecord], count: int, pending: Sequence[Candidate] = ()) -> list[Candidate]:
        """The baseline's own activations under other training settings; fewer where all settings were tried.

        The first ones are spread evenly; later TPE proposes, on the baseline's trials alone. Where no learning
        rate is searched, the values of the others are taken in turn.
        """
        if count <= 0 or not self.space.setting_names:
            return []
        mine = [r for r in records if self._is_baseline(r.candidate)]
        in_training = [c for c in pending if self._is_baseline(c)]
        taken = {self.space.point_of(c) for c in [*(r.candidate for r in mine), *in_training]}
        found: list[Candidate] = []
        repeats = 0
        for settings in self._settings(mine, in_training):
            candidate = Candidate(self.space.baseline, dict(settings), self.settings.seed, Role.TUNING)
            point = self.space.point_of(candidate)
            repeats = repeats + 1 if point in taken else 0
            if not repeats:
                taken.add(point)
                found.append(candidate)
            if len(found) == count or repeats > REPEATS_BEFORE_SETTLED + math.prod(
                map(len, self.space.listed_settings.values())
            ):
                break
        return found

    def _settings(self, mine: Sequence[TrialRecord], pending: Sequence[Candidate]) -> Iterator[Mapping[str, float]]:
        if self.space.rate_range is None:
            return _in_turn(self.space.listed_settings)
        complete = [record for record in mine if record.complete]
        if len({self.space.point_of(record.candidate) for record in complete}) < ENOUGH_FOR_TPE:
            return self._spread(len(mine) + len(pending))
        further = self._beyond_the_edge(complete, [*(record.candidate for record in mine), *pending])
        if further is not None:
            return itertools.chain([further], self._tpe(complete, pending))
        return self._tpe(complete, pending)

    def _beyond_the_edge(
        self, complete: Sequence[TrialRecord], tried: Sequence[Candidate]
    ) -> Mapping[str, float] | None:
        """The baseline's best settings with a learning rate halfway to the range's end; None where it is bracketed."""
        assert self.space.rate_range is not None
        best = self._best_settings(complete)
        rates = [c.settings[LEARNING_RATE] for c in tried if LEARNING_RATE in c.settings]
        rate = best.get(LEARNING_RATE)
        if rate is None or min(rates) < rate < max(rates):
            return None
        end = self.space.rate_range[1] if rate >= max(rates) else self.space.rate_range[0]
        return {**best, LEARNING_RATE: math.sqrt(rate * end)}

    def _spread(self, start: int) -> Iterator[Mapping[str, float]]:
        """Settings that lie evenly, however many are taken: a Kronecker sequence (Niederreiter, 1978)."""
        assert self.space.rate_range is not None
        low, high = self.space.rate_range
        shift = random.Random(self.settings.seed)
        starts = [shift.random() for _ in IRRATIONAL_STEPS]
        for index in range(start, start + MOST_SPREAD):
            u, *others = ((begin + index * step) % 1.0 for begin, step in zip(starts, IRRATIONAL_STEPS, strict=True))
            params: dict[str, float] = {LEARNING_RATE: min(high, low * (high / low) ** u)}
            for v, (name, values) in zip(others, self.space.listed_settings.items(), strict=False):
                params[name] = values[int(v * len(values))]
            yield params

    def _tpe(self, complete: Sequence[TrialRecord], pending: Sequence[Candidate]) -> Iterator[Mapping[str, float]]:
        """Settings that TPE proposes on the baseline's trials; those in training count as bad (constant liar)."""
        dimensions = {n: d for n, d in self.space.distributions().items() if n in self.space.setting_names}
        seed = self.settings.seed + 7919 * (len(complete) + len(pending))
        sampler = partial(TPESampler, n_startup_trials=ENOUGH_FOR_TPE, constant_liar=True)
        evaluated = [(r.candidate.settings, (r.quality,)) for r in complete if r.quality is not None]
        in_training = [candidate.settings for candidate in pending]
        memory = Memory(dimensions, [self.task.mode], lambda given: sampler(seed=given), seed, evaluated, in_training)
        while True:
            params = memory.ask()
            yield {name: float(params[name] or 0.0) for name in self.space.setting_names}

    def handed_down(
        self, records: Sequence[TrialRecord], count: int, pending: Sequence[Candidate] = ()
    ) -> list[Candidate]:
        """The baseline's own activations with the training settings of the best trials, where it has not had them."""
        sign = 1.0 if self.task.mode == "max" else -1.0
        tried = {self.space.point_of(c) for c in [*(record.candidate for record in records), *pending]}
        others = [r for r in records if r.complete and not self._is_baseline(r.candidate)]
        best = sorted(others, key=lambda record: (-sign * (record.quality or 0.0), record.number))
        found: list[Candidate] = []
        for record in best[:HANDED_DOWN]:
            candidate = Candidate(self.space.baseline, record.candidate.settings, self.settings.seed, Role.TUNING)
            if (point := self.space.point_of(candidate)) not in tried and len(found) < count:
                tried.add(point)
                found.append(candidate)
        return found

    def owed_to_baseline(self, others: Sequence[Candidate] = ()) -> int:
        """How many more trials the baseline's activations need to have had as many as any other assignment."""
        return self._behind([*(record.candidate for record in self.ledger.records()), *others])

    def _behind(self, tried: Sequence[Candidate]) -> int:
        """How many settings fewer the baseline had than another assignment; further seeds are no settings."""
        if not self.space.setting_names:
            return 0
        counts = Counter(self.space.point_of(c).functions for c in tried if c.role != Role.REPLICATE)
        mine = counts.pop(self._baseline, 0)
        return max(0, max(counts.values(), default=0) - mine)

    def _tuned_settings(self, records: Sequence[TrialRecord]) -> dict[str, float]:
        mine = [r for r in records if r.complete and r.candidate.role in (Role.CONFIGURED, Role.TUNING)]
        return self._best_settings(mine) if mine else self.space.configured_settings()

    def _best_settings(self, complete: Sequence[TrialRecord]) -> dict[str, float]:
        pick = max if self.task.mode == "max" else min
        return dict(pick(complete, key=lambda record: record.quality or 0.0).candidate.settings)


def _in_turn(listed: Mapping[str, Sequence[float]]) -> Iterator[Mapping[str, float]]:
    """All that the values of settings make together, so that the first ones hold every value of each.

    Example:
        >>> [tuple(one.values()) for one in _in_turn({"weight_decay": (0.0, 0.1), "dropout": (0.2, 0.3)})]
        [(0.0, 0.2), (0.1, 0.3), (0.0, 0.3), (0.1, 0.2)]
    """
    turns = itertools.product(*(range(len(values)) for values in listed.values()))
    for first, *shifts in sorted(turns, key=lambda turn: turn[1:]):
        places = [first, *(first + shift for shift in shifts)]
        yield {name: each[place % len(each)] for place, (name, each) in zip(places, listed.items(), strict=True)}


def _even(most: int, left: float) -> int:
    """The size of the next batch, so that what is left makes batches of equal size and no small one at the end.

    Example:
        >>> _even(32, 71), _even(32, 47), _even(32, 5), _even(32, math.inf)
        (24, 24, 5, 32)
    """
    return most if math.isinf(left) else math.ceil(int(left) / math.ceil(left / most))
