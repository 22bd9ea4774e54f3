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
        self._objectives = objectives
        self._epsilons = epsilons
        self._seen: set[int] = set()
        self._members: list[TrialRecord] = []

    def count(self, records: Sequence[TrialRecord]) -> int:
        """The size of the front of these records, which hold all that were given before."""
        fresh = [record for record in records if record.number not in self._seen and stands(record)]
        for record in fresh:
            self._seen.add(record.number)
            if any(self._beats(member, record) for member in self._members):
                continue
            if any(self._beats(record, member) for member in self._members):
                # What those members alone kept out may come back.
                known = [one for one in records if one.number in self._seen]
                self._members = front_of(known, self._objectives, self._epsilons)
            else:
                self._members.append(record)
        return len(self._members)

    def _beats(self, one: TrialRecord, other: TrialRecord) -> bool:
        mine, theirs = ([record.values[o.name] for o in self._objectives] for record in (one, other))
        ties = [self._epsilons.get(o.name, 0.0) for o in self._objectives]
        return dominates(mine, theirs, [o.direction for o in self._objectives], ties)


def stands(record: TrialRecord) -> bool:
    """Whether a trial can be chosen: trained to its end, and not another one's setting under a further seed."""
    return record.complete and record.candidate.role != Role.REPLICATE


def front_of(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    epsilons: Mapping[str, float],
    estimates: Mapping[int, float] | None = None,
) -> list[TrialRecord]:
    """The trials that no other beats; differences within measurement error are ties.

    Args:
        records: of them, those that were trained to their end; further seeds of a setting stand for nothing new.
        objectives: what is traded.
        epsilons: differences up to these are ties.
        estimates: qualities to go by instead of the measured ones, by number.
    """
    complete = [record for record in records if stands(record)]
    points = [_point(record, objectives, estimates or {}) for record in complete]
    if not complete:
        return []
    kept = front(points, [o.direction for o in objectives], [epsilons.get(o.name, 0.0) for o in objectives])
    return [complete[index] for index in kept]


def _point(record: TrialRecord, objectives: Sequence[Objective], estimates: Mapping[int, float]) -> list[float]:
    return [
        estimates.get(record.number, record.values[o.name]) if o.name == QUALITY else record.values[o.name]
        for o in objectives
    ]


def select_trials(
    records: Sequence[TrialRecord],
    task: Task,
    space: SearchSpace,
    objectives: Sequence[Objective],
    epsilons: Mapping[str, float],
    margin_share: float,
    estimates: Mapping[int, float] | None = None,
    limits: Limits = UNLIMITED,
) -> Selection | None:
    """Pick the trials that matter; None as long as the baseline has no complete trial.

    Picks go by ``estimates`` of the quality where there are any; the records picked keep what was measured. Policies
    pick among the trials that keep the limits; where none does, they fall back to the tuned baseline.
    """
    complete = [record for record in records if stands(record)]
    judge = _Judge(task, estimates or {})
    mine = [r for r in complete if space.is_baseline(r.candidate.assignment)]
    configured = next((r for r in mine if r.candidate.role == Role.CONFIGURED), None)
    if configured is None:
        return None
    tuned = judge.best(mine)
    uniforms = [r for r in complete if space.is_uniform_alternative(r.candidate.assignment)]
    within = [r for r in complete if limits.keeps({**r.values, QUALITY: judge.quality(r)})] or [tuned]
    members = front_of(within, objectives, epsilons, estimates)
    margin = margin_of(task, judge.quality(tuned), margin_share)
    return Selection(
        configured=configured,
        tuned=tuned,
        uniform=judge.best(uniforms) if uniforms else None,
        policies=_policies(members, within, judge, objectives, epsilons, judge.quality(tuned), margin),
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
class _Judge:
    """Which of two trials is better.

    Attributes:
        task: which qualities are better.
        estimates: qualities to go by instead of the measured ones, by number.
    """

    task: Task
    estimates: Mapping[int, float]

    @property
    def sign(self) -> float:
        return 1.0 if self.task.mode == "max" else -1.0

    def quality(self, record: TrialRecord) -> float:
        return self.estimates.get(record.number, _quality(record))

    def best(self, records: Sequence[TrialRecord]) -> TrialRecord:
        """The record with the best quality; the earlier one on ties."""
        return min(records, key=lambda r: (-self.sign * self.quality(r), r.number < 0, abs(r.number)))

    def point(self, record: TrialRecord, objectives: Sequence[Objective]) -> list[float]:
        return _point(record, objectives, self.estimates)


def _policies(
    members: Sequence[TrialRecord],
    complete: Sequence[TrialRecord],
    judge: _Judge,
    objectives: Sequence[Objective],
    epsilons: Mapping[str, float],
    tuned: float,
    margin: float,
) -> dict[str, TrialRecord]:
    policies = {"quality": judge.best(complete)}
    cheap = [o for o in objectives if o.name != QUALITY]
    if not cheap:
        return policies
    policies["balanced"] = _balanced(members, judge, objectives, epsilons, margin)
    near = [r for r in complete if judge.sign * (judge.quality(r) - tuned) >= -margin] or complete
    decisive = next((o for o in cheap if o.name == COST), cheap[0])
    lowest = (min if decisive.direction == "min" else max)(r.values[decisive.name] for r in near)
    tie = epsilons.get(decisive.name, 0.0)
    policies["economy"] = judge.best([r for r in near if abs(r.values[decisive.name] - lowest) <= tie])
    return policies


def _balanced(
    members: Sequence[TrialRecord],
    judge: _Judge,
    objectives: Sequence[Objective],
    epsilons: Mapping[str, float],
    margin: float,
) -> TrialRecord:
    """The knee of the front. Two points have none: the cheaper one, unless it loses more than the margin.

    Where quality is not traded, or the two tie, the better of what is equal is taken, as in larger fronts.
    """
    points = [judge.point(r, objectives) for r in members]
    ties = [epsilons.get(o.name, 0.0) for o in objectives]
    if len(members) == 2 and QUALITY in [o.name for o in objectives] and not _tie(points[0], points[1], ties):
        better = judge.best(members)
        other = next(r for r in members if r is not better)
        return other if abs(judge.quality(better) - judge.quality(other)) <= margin else better
    middle = points[knee(points, [o.direction for o in objectives], ties)]
    return judge.best([r for r, p in zip(members, points, strict=True) if _tie(p, middle, ties)])


def _tie(a: Sequence[float], b: Sequence[float], ties: Sequence[float]) -> bool:
    """Whether two points differ by no more than measurement error in every objective."""
    return all(abs(x - y) <= tie for x, y, tie in zip(a, b, ties, strict=True))


def _quality(record: TrialRecord) -> float:
    assert record.quality is not None
    return record.quality
