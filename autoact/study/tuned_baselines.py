"""The baseline as the final check knows it: with each challenger's own training settings, and tuned as far as it goes.

What good training settings bring must not pass for what activations bring. So the baseline's own activations are
trained with the settings of every challenger; and where its best learning rate lies at the edge of what was tried, it
is tuned on towards the end of the searched range before anything is compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoact.core.assignment import Assignment
from autoact.core.trial import COMPLETE, Candidate, Role, TrialRecord
from autoact.space.search_space import SearchSpace
from autoact.space.training_settings import LEARNING_RATE
from autoact.study.confirmation.retraining import same
from autoact.study.selection import Selection, stands
from autoact.tasks.objectives import QUALITY

# Settings beyond the edge of what was tried that the first stage trains at most: halfway to the end of the range, and
# its end.
OUTWARD = 2
# The outermost share of the searched range, on a log scale, in which a learning rate is at the range's end.
AT_THE_END = 0.05
# What a wider range is multiplied by.
WIDER = 10.0

Better = Callable[[TrialRecord, TrialRecord], bool]


def name_of(record: TrialRecord) -> str:
    """A finalist's name while it is one of many.

    Example:
        >>> one = TrialRecord(12, Candidate({}), COMPLETE)
        >>> name_of(one), name_of(replace(one, number=-13))
        ('trial 12', 'baseline with the settings of trial 12')
    """
    return (
        f"trial {record.number}" if record.number >= 0 else f"baseline with the settings of trial {-1 - record.number}"
    )


def with_settings_of(
    short: Sequence[TrialRecord], records: Sequence[TrialRecord], configured: TrialRecord, space: SearchSpace
) -> dict[int, TrialRecord]:
    """Number of a challenger -> the baseline's own activations with its training settings.

    A trial that trained just that stands for it; where there is none, a record with a negative number does, whose
    quality is known once it was trained.
    """
    tried: dict[str, TrialRecord] = {}
    for record in [configured, *short, *filter(stands, records)]:
        tried.setdefault(same(record.candidate), record)
    found = {}
    for record in short:
        if not space.is_baseline(record.candidate.assignment):
            twin = _untried(-1 - record.number, record.candidate.settings, configured)
            found[record.number] = tried.setdefault(same(twin.candidate), twin)
    return found


def measured(record: TrialRecord, mean: float) -> TrialRecord:
    """A record whose quality is the mean over fresh seeds, where no trial of the search measured it."""
    if record.number >= 0 or math.isnan(mean):
        return record
    return replace(record, quality=mean, values={**record.values, QUALITY: mean})


def _untried(number: int, settings: Mapping[str, float], configured: TrialRecord) -> TrialRecord:
    """The baseline's own activations with settings that no trial gave them: latency and cost are the baseline's."""
    values = {**configured.values, QUALITY: math.nan}
    candidate = Candidate(configured.candidate.assignment, dict(settings), configured.candidate.seed, Role.TUNING)
    return TrialRecord(number, candidate, COMPLETE, math.nan, values)


@dataclass(frozen=True)
class Edge:
    """Where the baseline's best learning rate lies, of those that were tried.

    Attributes:
        end: the end of the searched range on that side.
        upper: whether it is the largest that was tried, not the smallest.
        reached: whether it lies at the range's end, so that nothing is left to try there.
    """

    rate: float
    end: float
    upper: bool
    reached: bool

    def further(self) -> float:
        """The next learning rate to try: halfway to the range's end on a log scale, or the end where that is near.

        Example:
            >>> round(Edge(1e-3, 1e-1, True, False).further(), 12)
            0.01
        """
        return math.exp((math.log(self.rate) + math.log(self.end)) / 2)


def edge_of(rate: float, tried: Iterable[float], space: SearchSpace) -> Edge | None:
    """The edge at which the best learning rate lies; None where a smaller and a larger one were tried.

    Example:
        >>> from types import SimpleNamespace
        >>> space = SimpleNamespace(rate_range=(1e-4, 1e-2))
        >>> edge_of(1e-3, [1e-4, 1e-3], space)
        Edge(rate=0.001, end=0.01, upper=True, reached=False)
        >>> edge_of(1e-3, [1e-4, 1e-3, 5e-3], space) is None
        True
    """
    if space.rate_range is None:
        return None
    low, high = space.rate_range
    others = [other for other in tried if not math.isclose(other, rate, rel_tol=1e-9)]
    near = AT_THE_END * math.log(high / low)
    for end, upper in ((high, True), (low, False)):
        if not any(other > rate if upper else other < rate for other in others):
            return Edge(rate, end, upper, abs(math.log(end / rate)) <= near)
    return None


def baseline_edge(best: TrialRecord, tried: Iterable[TrialRecord], space: SearchSpace) -> Edge | None:
    """The edge at which the baseline's best setting lies among all that it was tried with; None where there is none."""
    settings = [r.candidate.settings for r in tried if space.is_baseline(r.candidate.assignment)]
    rate = best.candidate.settings.get(LEARNING_RATE)
    return None if rate is None else edge_of(rate, [s[LEARNING_RATE] for s in settings if LEARNING_RATE in s], space)


def rising_edge(
    own: Sequence[TrialRecord], best: TrialRecord, tried: Iterable[TrialRecord], better: Better, space: SearchSpace
) -> Edge | None:
    """The edge at which the baseline's best setting lies with quality still rising there; None where it is bracketed.

    ``own`` are its settings that were trained under fresh seeds, ``tried`` all trials.
    """
    rate = best.candidate.settings.get(LEARNING_RATE)
    if rate is None or (edge := baseline_edge(best, tried, space)) is None:
        return None
    inner = [r for r in own if not math.isclose(r.candidate.settings.get(LEARNING_RATE, rate), rate, rel_tol=1e-9)]
    return edge if all(better(best, other) for other in inner) else None


def beyond(edge: Edge, best: TrialRecord, configured: TrialRecord, step: int) -> TrialRecord:
    """The baseline with its best settings, but a learning rate beyond the edge; the last step goes to the end."""
    rate = edge.end if step == OUTWARD - 1 else edge.further()
    settings = {**best.candidate.settings, LEARNING_RATE: rate}
    return _untried(BEYOND - step, settings, configured)


# Numbers below every one of a twin.
BEYOND = -1_000_000_000


def doubt_at(edge: Edge, space: SearchSpace) -> str:
    """Why nothing can be claimed where the baseline is best at the end of the searched range."""
    assert space.rate_range is not None
    configured = space.configured[LEARNING_RATE]
    low, high = (rate / configured for rate in space.rate_range)
    wider = (low, high * WIDER) if edge.upper else (low / WIDER, high)
    side, word = ("upper", "larger") if edge.upper else ("lower", "smaller")
    return (
        f"the baseline does best with a learning rate of {edge.rate:.3g}, at the {side} end of the searched range, and "
        f"still better ones may lie beyond: let the search try {word} ones with "
        f"space.learning_rate=[{wider[0]:.4g},{wider[1]:.4g}]"
    )


def thinner(
    selection: Selection, records: Sequence[TrialRecord], pool: Sequence[TrialRecord], space: SearchSpace
) -> dict[str, str]:
    """Policy -> in words, where its assignment was tried with more training settings than the baseline was."""
    if not space.setting_names:
        return {}

    def count(assignment: Assignment) -> int:
        key = space.key(assignment)
        candidates = [r.candidate for r in [*records, *pool] if space.key(r.candidate.assignment) == key]
        return len({same(candidate) for candidate in candidates})

    mine = count(space.baseline)
    return {
        policy: f"{theirs} training settings of the challenger were tried, and {mine} of the baseline: the same "
        "command with a larger budget (more search.trials or search.minutes) tunes the baseline on"
        for policy, record in selection.policies.items()
        if (theirs := count(record.candidate.assignment)) > mine
    }
