"""What to try next: a sampler's proposals screened by a model of quality, then swaps around the front.

A proposer knows points of Optuna dimensions and their values only. It keeps no state: what it proposes is a function of
its seed, the history, what is in training and how much is left, so that a resumed search proposes what an uninterrupted
one would.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from optuna.distributions import BaseDistribution

from autoact.core.errors import AutoactError
from autoact.core.trial import Role
from autoact.space.point import Condition, Parameters, Point
from autoact.study.proposal.acquisition import Screen
from autoact.study.proposal.local_search import points_at_random, swaps
from autoact.study.proposal.observations import Axis, History, Observation
from autoact.study.proposal.optuna_samplers import Memory, SamplerFactory, sampler_factory

# A sampler that proposes only what was tried already has settled; from then on points are drawn at random.
REPEATS_BEFORE_SETTLED = 10
# Small spaces are searched to the end; in large ones this many random draws find something new.
MOST_DRAWS = 5000
# While refining, noise must not exceed the spread between this part of the points, the best ones.
IN_CONTENTION = 0.25


class Proposal(NamedTuple):
    """A point to try, and why: ``"sampled"``, ``"refined"`` or ``"replicate"``."""

    point: Point
    role: Role


@dataclass(eq=False)
class Proposer:
    """Proposes points; equal arguments give equal proposals.

    Phases, by what is left of the budget:

    1. *Sampled*: the sampler proposes ``screen`` times as many points as are asked for, and the model of quality keeps
       those that promise the largest hypervolume together, at their predicted costs. While the model predicts nothing
       (``Screen.worth``), the sampler's own proposals are taken as they come.
    2. *Refined*: in the last ``refine`` of the budget, swaps of one dimension around the members of the front, chosen
       by the model; at random while it predicts nothing.

    Before either, front members get *replicates* where the noise between seeds exceeds the spread between points; while
    refining, between the best quarter of them, which by then compete.

    Args:
        axes: the objectives, in the order of the values.
        sampler: ``tpe``, ``nsga2``, ``nsga3``, ``gp``, ``random``, a reference of an Optuna sampler, or what makes one
            from a seed.
        point: the point that Optuna parameters stand for, with its costs.
        conditions: of the dimensions that only some points have; ``point`` leaves out those that do not count.
        refine: the share of the budget, its last part, that refines; 0: none. Where no number of trials bounds the
            search, that share of the proposals refines from the start.
        screen: the sampler's proposals per point that is asked for; 1: they are not screened.
        most_seeds: seeds that a member of the front gets at most before the final check; 1: no replicates.

    Raises:
        AutoactError: there is no such sampler, or ``refine``, ``screen`` or ``most_seeds`` is out of range.
    """

    dimensions: Mapping[str, BaseDistribution]
    axes: Sequence[Axis]
    _: KW_ONLY
    sampler: str | SamplerFactory = "tpe"
    seed: int = 0
    point: Callable[[Parameters], Point] = Point.plain
    allowed: Callable[[Point], bool] = lambda _: True
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    refine: float = 0.7
    screen: int = 4
    most_seeds: int = 4

    def __post_init__(self) -> None:
        if not 0.0 <= self.refine <= 1.0:
            raise AutoactError(f"refine={self.refine} is a share of the budget: it must be within 0..1")
        if self.screen < 1:
            raise AutoactError(f"screen={self.screen} must be at least 1, which screens nothing")
        if self.most_seeds < 1:
            raise AutoactError(f"most_seeds={self.most_seeds} must be at least 1, which replicates nothing")
        self.make_sampler = sampler_factory(self.sampler) if isinstance(self.sampler, str) else self.sampler

    def propose(
        self, history: Sequence[Observation], count: int, *, pending: Sequence[Point] = (), left: int | None = None
    ) -> list[Proposal]:
        """Up to ``count`` points to try; fewer, or none, where the space is exhausted.

        The history begins with the oldest; ``pending`` points are in training. These trials are among the ones that
        are ``left`` in the budget, where a number of trials bounds the search. None repeats the history, the pending
        points or another one, except replicates, which repeat members of the front.

        Example:
            >>> from optuna.distributions import CategoricalDistribution
            >>> dimensions = {"layer": CategoricalDistribution(["relu", "tanh"])}
            >>> proposer = Proposer(dimensions, [Axis("quality", "max")], seed=1)
            >>> tried = Observation(Point.plain({"layer": "relu"}), (0.8,))
            >>> [(proposal.point.params, str(proposal.role)) for proposal in proposer.propose([tried], 4, left=10)]
            [({'layer': 'tanh'}, 'sampled')]
        """
        past = History(history, self.axes)
        place = len(history) + len(pending)
        refined = self._refined(place, count, left)
        chosen = self._replicates(past, pending, IN_CONTENTION if refined else 1.0)[:count]
        batch = _Batch(self, past, pending, self.seed * 100_003 + place)
        refined = min(refined, count - len(chosen))
        chosen += [Proposal(point, Role.REFINED) for point in batch.refined(refined)]
        chosen += [Proposal(point, Role.SAMPLED) for point in batch.sampled(count - len(chosen))]
        return chosen

    def _refined(self, past: int, count: int, left: int | None) -> int:
        if left is None:
            return math.floor((past + count) * self.refine) - math.floor(past * self.refine)
        return count if left <= self.refine * (past + left) else 0

    def _replicates(self, past: History, pending: Sequence[Point], share: float) -> list[Proposal]:
        """Front members that need more seeds, those with the fewest first; members in training count as trained.

        Noise is compared with the spread between the best ``share`` of the points.
        """
        needed = past.needed_seeds(past.modelled[0], self.most_seeds, share) if past.modelled else 1
        if needed == 1:
            return []
        training = Counter(pending)
        counts = {index: len(member.full) + training[member.point] for index, member in enumerate(past.front)}
        turns = [(seeds, index) for index, have in counts.items() for seeds in range(have, needed)]
        return [Proposal(past.front[index].point, Role.REPLICATE) for _, index in sorted(turns)]


class _Batch:
    """One answer in the making: what is taken, what the model says, what the sampler draws."""

    def __init__(self, proposer: Proposer, past: History, pending: Sequence[Point], seed: int) -> None:
        self._proposer = proposer
        self._past = past
        self._pending = list(pending)
        self._seed = seed
        self._draw = random.Random(seed)
        self._taken = {*past.points, *pending}

    @cached_property
    def _screen(self) -> Screen:
        return Screen(self._past, self._proposer.dimensions, self._pending)

    def refined(self, count: int) -> list[Point]:
        if count < 1 or not self._past.front:
            return []
        dimensions, conditions = self._proposer.dimensions, self._proposer.conditions
        front = [member.point.params for member in self._past.front]
        pool = self._new(swap for params in front for swap in swaps(params, dimensions, conditions))
        self._draw.shuffle(pool)
        return self._take(self._screen.best(pool, count) if self._screen.worth else pool[:count])

    def sampled(self, count: int) -> list[Point]:
        """The sampler's proposals, screened; what is missing is drawn at random."""
        if count < 1:
            return []
        memory = self._memory()
        screened: list[Point] = []
        if self._proposer.screen > 1 and self._screen.worth:
            pool = self._new(memory.ask(forget=True) for _ in range(count * self._proposer.screen))
            screened = self._take(self._screen.best(pool, count))
            for point in screened:
                memory.avoid(point.params)
        asked = self._asked(memory, count - len(screened))
        return screened + asked + self._drawn(count - len(screened) - len(asked))

    def _asked(self, memory: Memory, count: int) -> list[Point]:
        found: list[Point] = []
        repeats = 0
        while len(found) < count and repeats < REPEATS_BEFORE_SETTLED:
            fresh = self._take(self._new([memory.ask()]))
            found += fresh
            repeats += not fresh
        return found

    def _drawn(self, count: int) -> list[Point]:
        """New points at random: every point of a small space is looked at."""
        if count < 1:
            return []
        every = points_at_random(self._proposer.dimensions, self._draw, MOST_DRAWS)
        return self._take(list(islice(self._untried(every), count)))

    def _memory(self) -> Memory:
        """The study that the sampler learns from: forecast points are complete in it, failed ones failed."""
        evaluated = [(point.params, merged.values) for point, merged in self._past.points.items()]
        directions = [axis.direction for axis in self._proposer.axes]
        pending = [point.params for point in self._pending]
        return Memory(
            self._proposer.dimensions,
            directions,
            self._proposer.make_sampler,
            self._seed,
            evaluated,
            pending,
            self._proposer.conditions,
        )

    def _untried(self, every: Iterable[Parameters]) -> Iterator[Point]:
        taken = set(self._taken)
        for point in map(self._proposer.point, every):
            if point not in taken and self._proposer.allowed(point):
                taken.add(point)
                yield point

    def _new(self, every: Iterable[Parameters]) -> list[Point]:
        return list(self._untried(every))

    def _take(self, points: list[Point]) -> list[Point]:
        """The points, which from now on are taken and in training."""
        self._taken.update(points)
        self._pending += points
        return points
