"""Which trials matter at the end: the baselines, the best uniform assignment, the front, one trial per policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoact.core.pareto import front, knee
from autoact.core.records import TrialRecord
from autoact.space.space import SearchSpace
from autoact.study.planner import CONFIGURED, is_uniform_alternative
from autoact.tasks.objectives import COST, QUALITY, Objective
from autoact.tasks.task import Task


@dataclass(frozen=True)
class Selection:
    """The trials that the final check trains again.

    Attributes:
        configured: the model as configured.
        tuned: the best trial of the baseline's own activations.
        uniform: the best trial with one activation everywhere, another than the baseline's; None where there is none.
        policies: policy -> its trial; ``quality`` always, the others where something besides quality is traded.
        front: numbers of the trials that no other beats.
        margin: the quality that ``economy`` may lose, in units of the metric.
    """

    configured: TrialRecord
    tuned: TrialRecord
    uniform: TrialRecord | None
    policies: Mapping[str, TrialRecord]
    front: tuple[int, ...]
    margin: float

    def named(self) -> dict[str, TrialRecord]:
        """The trials by name: ``configured``, ``tuned``, ``uniform`` where there is one, and each policy."""
        uniform = {} if self.uniform is None else {"uniform": self.uniform}
        return {"configured": self.configured, "tuned": self.tuned, **uniform, **self.policies}


def front_of(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], epsilons: Mapping[str, float]
) -> list[TrialRecord]:
    """The complete trials that no other beats; differences within measurement error are ties."""
    complete = [record for record in records if record.complete]
    points = [[record.values[o.name] for o in objectives] for record in complete]
    if not complete:
        return []
    kept = front(points, [o.direction for o in objectives], [epsilons.get(o.name, 0.0) for o in objectives])
    return [complete[index] for index in kept]


def select(
    records: Sequence[TrialRecord],
    task: Task,
    space: SearchSpace,
    objectives: Sequence[Objective],
    epsilons: Mapping[str, float],
    margin_share: float,
) -> Selection | None:
    """Pick the trials that matter; None as long as the baseline has no complete trial."""
    complete = [record for record in records if record.complete]
    baseline_key = space.key(space.baseline)
    mine = [r for r in complete if space.key(r.candidate.assignment) == baseline_key]
    configured = next((r for r in mine if r.candidate.role == CONFIGURED), None)
    if configured is None:
        return None
    tuned = _best(mine, task)
    uniforms = [r for r in complete if is_uniform_alternative(r.candidate.assignment, space)]
    members = front_of(complete, objectives, epsilons)
    margin = margin_of(task, tuned, margin_share)
    return Selection(
        configured=configured,
        tuned=tuned,
        uniform=_best(uniforms, task) if uniforms else None,
        policies=_policies(members, complete, task, objectives, epsilons, _quality(tuned), margin),
        front=tuple(record.number for record in members),
        margin=margin,
    )


def margin_of(task: Task, tuned: TrialRecord, share: float) -> float:
    """What a cheaper assignment may lose: a share of the tuned baseline's distance to the trivial predictor.

    Where the trivial predictor is unknown (a module that logs its own metric), a fifth of that share of the tuned
    value itself.
    """
    if task.trivial is None:
        return share / 5 * abs(_quality(tuned))
    return share * abs(_quality(tuned) - task.trivial)


def _policies(
    members: Sequence[TrialRecord],
    complete: Sequence[TrialRecord],
    task: Task,
    objectives: Sequence[Objective],
    epsilons: Mapping[str, float],
    tuned: float,
    margin: float,
) -> dict[str, TrialRecord]:
    """One trial per policy."""
    policies = {"quality": _best(complete, task)}
    cheap = [o for o in objectives if o.name != QUALITY]
    if not cheap:
        return policies
    sign = 1.0 if task.mode == "max" else -1.0
    policies["balanced"] = _balanced(members, task, objectives, epsilons, margin)
    near = [r for r in complete if sign * (_quality(r) - tuned) >= -margin]
    decisive = next((o for o in cheap if o.name == COST), cheap[0])
    lowest = (min if decisive.direction == "min" else max)(r.values[decisive.name] for r in near)
    tie = epsilons.get(decisive.name, 0.0)
    policies["economy"] = _best([r for r in near if abs(r.values[decisive.name] - lowest) <= tie], task)
    return policies


def _balanced(
    members: Sequence[TrialRecord],
    task: Task,
    objectives: Sequence[Objective],
    epsilons: Mapping[str, float],
    margin: float,
) -> TrialRecord:
    """The knee of the front. Two points have none: the cheaper one, unless it loses more than the margin.

    Where quality is not traded, or the two tie, the better of what is equal is taken, as in larger fronts.
    """
    points = [[r.values[o.name] for o in objectives] for r in members]
    ties = [epsilons.get(o.name, 0.0) for o in objectives]
    if len(members) == 2 and QUALITY in [o.name for o in objectives] and not _tie(points[0], points[1], ties):
        better = _best(members, task)
        other = next(r for r in members if r is not better)
        return other if abs(_quality(better) - _quality(other)) <= margin else better
    middle = points[knee(points, [o.direction for o in objectives], ties)]
    return _best([r for r, p in zip(members, points, strict=True) if _tie(p, middle, ties)], task)


def _tie(a: Sequence[float], b: Sequence[float], ties: Sequence[float]) -> bool:
    """Whether two points differ by no more than measurement error in every objective."""
    return all(abs(x - y) <= tie for x, y, tie in zip(a, b, ties, strict=True))


def _best(records: Sequence[TrialRecord], task: Task) -> TrialRecord:
    """The record with the best quality; the earlier one on ties."""
    sign = -1.0 if task.mode == "max" else 1.0
    return min(records, key=lambda record: (sign * _quality(record), record.number))


def _quality(record: TrialRecord) -> float:
    """The quality of a complete record."""
    assert record.quality is not None
    return record.quality
