"""Which trials matter at the end: the baselines, the best uniform assignment, the front, one trial per policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoact.core.trial import Role, TrialRecord
from autoact.space.search_space import SearchSpace
from autoact.study.confirmation.retraining import same
from autoact.study.pareto import dominates, front, knee
from autoact.tasks.constraints import UNLIMITED, Limits
from autoact.tasks.objectives import COST, QUALITY, Objective
from autoact.tasks.task import Task

# What the name of a policy's twin ends with: the baseline's own activations with that policy's training settings.
TWIN = ": baseline with its settings"
# What the name of a setting's ensemble ends with.
ENSEMBLE = ": ensemble"


@dataclass(frozen=True)
class Selection:
    """The trials that the final check trains again.

    Attributes:
        configured: the model as configured.
        tuned: the best trial of the baseline's own activations.
        uniform: the best trial with one activation everywhere, another than the baseline's; None where there is none.
        policies: policy -> its trial; ``quality`` always, the others where something besides quality is traded.
        front: numbers of the trials that no other beats.
        margin: the quality that ``balanced`` and ``economy`` may lose, in units of the metric.
        twins: policy -> the baseline's own activations with the training settings of that policy's trial; none where
            the policy's trial holds the baseline's own activations itself.
        doubts: policy -> why nothing can be claimed under it, whatever the test rows say: the baseline is not tuned
            well enough to be compared with.
        limited: whether limits of the user's left some trials out.
    """

    configured: TrialRecord
    tuned: TrialRecord
    uniform: TrialRecord | None
    policies: Mapping[str, TrialRecord]
    front: tuple[int, ...]
    margin: float
    twins: Mapping[str, TrialRecord] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    limited: bool = False

    def named(self) -> dict[str, TrialRecord]:
        """The trials by name: ``configured``, ``tuned``, ``uniform`` where there is one, each policy, and its twin.

        A twin that trains the same thing as one of the others goes by that one's name.
        """
        uniform = {} if self.uniform is None else {"uniform": self.uniform}
        found = {"configured": self.configured, "tuned": self.tuned, **uniform, **self.policies}
        taken = {same(record.candidate) for record in found.values()}
        for policy, twin in self.twins.items():
            if same(twin.candidate) not in taken:
                taken.add(same(twin.candidate))
                found[policy + TWIN] = twin
        return found

    def twin(self, policy: str) -> str | None:
        """The name of a policy's twin; None where it has none, or where the twin is the tuned baseline itself."""
        if policy not in self.twins:
            return None
        wanted = same(self.twins[policy].candidate)
        if wanted == same(self.tuned.candidate):
            return None
        return next(name for name, record in self.named().items() if same(record.candidate) == wanted)


class Front:
    """Counts the trials that no other beats, as trials come in; most need a look at the front alone."""

    def __init__(self, objectives: Sequence[Objective], epsilons: Mapping[str, float]) -> None:
        self._trade = Trade(objectives, epsilons)
        self._counted: set[int] = set()
        self._members: list[TrialRecord] = []

    def count(self, records: Sequence[TrialRecord]) -> int:
        """The size of the front of these records, which hold all that were given before."""
        fresh = [record for record in records if record.number not in self._counted and stands(record)]
        for record in fresh:
            self._counted.add(record.number)
            if any(self._trade.beats(member, record) for member in self._members):
                continue
            if any(self._trade.beats(record, member) for member in self._members):
                # What those members alone kept out may come back.
                self._members = self._trade.front([one for one in records if one.number in self._counted])
            else:
                self._members.append(record)
        return len(self._members)


def stands(record: TrialRecord) -> bool:
    """Whether a trial can be chosen: trained to its end, and not another one's setting under a further seed."""
    return record.complete and record.candidate.role != Role.REPLICATE


class Trade:
    """Trials as points of the traded objectives; ``estimates`` count instead of their measured qualities, by number."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        epsilons: Mapping[str, float],
        estimates: Mapping[int, float] | None = None,
    ) -> None:
        self.objectives = objectives
        self.directions = [objective.direction for objective in objectives]
        self.ties = [epsilons.get(objective.name, 0.0) for objective in objectives]
        self.estimates = estimates or {}

    def quality(self, record: TrialRecord) -> float:
        """The quality of a complete trial."""
        assert record.quality is not None
        return self.estimates.get(record.number, record.quality)

    def point(self, record: TrialRecord) -> list[float]:
        """The values of a complete trial, its quality as estimated."""
        values = {**record.values, QUALITY: self.quality(record)}
        return [values[objective.name] for objective in self.objectives]

    def beats(self, one: TrialRecord, other: TrialRecord) -> bool:
        """Whether one trial is better than another somewhere, and worse nowhere."""
        return dominates(self.point(one), self.point(other), self.directions, self.ties)

    def tie(self, one: TrialRecord, other: TrialRecord) -> bool:
        """Whether two trials differ by no more than measurement error in every objective."""
        pairs = zip(self.point(one), self.point(other), self.ties, strict=True)
        return all(abs(mine - theirs) <= tie for mine, theirs, tie in pairs)

    def front(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The trials that no other beats, of those that stand; differences within measurement error are ties."""
        standing = [record for record in records if stands(record)]
        kept = front([self.point(record) for record in standing], self.directions, self.ties)
        return [standing[index] for index in kept]


@dataclass(frozen=True)
class Selector:
    """What a search goes by when it picks trials; a cheaper assignment may lose the share ``margin``."""

    task: Task
    space: SearchSpace
    objectives: Sequence[Objective]
    epsilons: Mapping[str, float]
    margin: float
    limits: Limits = UNLIMITED

    def select(self, records: Sequence[TrialRecord], estimates: Mapping[int, float] | None = None) -> Selection | None:
        """Pick the trials that matter; None as long as the baseline has no complete trial.

        Picks go by ``estimates`` of the quality where there are any; the records picked keep what was measured.
        Policies pick among the trials that keep the limits; where none does, they fall back to the tuned baseline.
        """
        complete = [record for record in records if stands(record)]
        picks = _Picks(Trade(self.objectives, self.epsilons, estimates), 1.0 if self.task.mode == "max" else -1.0)
        mine = [r for r in complete if self.space.is_baseline(r.candidate.assignment)]
        configured = next((r for r in mine if r.candidate.role == Role.CONFIGURED), None)
        if configured is None:
            return None
        tuned = picks.best(mine)
        uniforms = [r for r in complete if self.space.is_uniform_alternative(r.candidate.assignment)]
        within = [r for r in complete if self.limits.keeps({**r.values, QUALITY: picks.trade.quality(r)})] or [tuned]
        members = picks.trade.front(within)
        margin = margin_of(self.task, picks.trade.quality(tuned), self.margin)
        policies = {"quality": picks.best(within)}
        if any(objective.name != QUALITY for objective in self.objectives):
            policies["balanced"] = picks.balanced(members, margin)
            policies["economy"] = picks.economy(within, tuned, margin)
        return Selection(
            configured=configured,
            tuned=tuned,
            uniform=picks.best(uniforms) if uniforms else None,
            policies=policies,
            front=tuple(record.number for record in members),
            margin=margin,
            limited=len(within) < len(complete),
        )


def margin_of(task: Task, tuned: float, share: float) -> float:
    """What a cheaper assignment may lose: a share of the tuned baseline's distance to the trivial predictor.

    Where the trivial predictor is unknown (a module that logs its own metric), a fifth of that share of the tuned
    value itself.
    """
    if task.trivial is None:
        return share / 5 * abs(tuned)
    return share * abs(tuned - task.trivial)


@dataclass(frozen=True)
class _Picks:
    """Picks one of several trials; ``sign`` is 1 where more quality is better, else -1."""

    trade: Trade
    sign: float

    def best(self, records: Sequence[TrialRecord]) -> TrialRecord:
        """The record with the best quality; the earlier one on ties."""
        return min(records, key=lambda r: (-self.sign * self.trade.quality(r), r.number < 0, abs(r.number)))

    def economy(self, records: Sequence[TrialRecord], tuned: TrialRecord, margin: float) -> TrialRecord:
        """The cheapest within the margin: by cost, or by the first other objective where cost is not traded."""
        quality = self.trade.quality
        near = [r for r in records if self.sign * (quality(r) - quality(tuned)) >= -margin] or records
        places = {o.name: place for place, o in enumerate(self.trade.objectives) if o.name != QUALITY}
        name, place = (COST, places[COST]) if COST in places else next(iter(places.items()))
        lowest = (min if self.trade.directions[place] == "min" else max)(r.values[name] for r in near)
        return self.best([r for r in near if abs(r.values[name] - lowest) <= self.trade.ties[place]])

    def balanced(self, members: Sequence[TrialRecord], margin: float) -> TrialRecord:
        """The knee of the front. Two points have none: the cheaper one, unless it loses more than the margin.

        Where quality is not traded, or the two tie, the better of what is equal is taken, as in larger fronts.
        """
        trade = self.trade
        if len(members) == 2 and QUALITY in [o.name for o in trade.objectives] and not trade.tie(*members):
            better = self.best(members)
            other = next(r for r in members if r is not better)
            return other if abs(trade.quality(better) - trade.quality(other)) <= margin else better
        middle = members[knee([trade.point(r) for r in members], trade.directions, trade.ties)]
        return self.best([r for r in members if trade.tie(r, middle)])
