"""The finalists: what is trained again before anything is claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from autoact.core.trial import TrialRecord
from autoact.space.search_space import SearchSpace
from autoact.study.confirmation.retraining import same
from autoact.study.selection import Selection, stands
from autoact.study.settings import ConfirmSettings
from autoact.study.tuned_baselines import OUTWARD
from autoact.tasks.task import Task

# Settings of the baseline's own activations that compete to be the tuned baseline: challengers are chosen from several
# under fresh seeds, and so is what they are compared with.
BASELINES, UNIFORMS = 3, 1
# Names of the second stage: configured, tuned, uniform and three policies.
CLAIMED = 6
# The policies whose challengers the baseline is trained beside with their settings, in the second stage too.
POLICIES = 3


def shortlist(
    records: Sequence[TrialRecord],
    selection: Selection,
    estimates: Mapping[int, float],
    task: Task,
    space: SearchSpace,
    most: int,
) -> list[TrialRecord]:
    """The trials that fresh seeds choose from: challengers, the best settings of the baseline, uniform assignments.

    Challengers are the trial of each policy, then the front, then the best of all others, by shrunken estimates; none
    holds the baseline's own activations, and there are ``most`` of them at most.
    """
    sign = 1.0 if task.mode == "max" else -1.0
    complete = [record for record in records if stands(record)]
    best = sorted(complete, key=lambda r: (-sign * estimates.get(r.number, r.quality or 0.0), r.number))

    def is_own(record: TrialRecord) -> bool:
        return space.is_baseline(record.candidate.assignment)

    front = [record for record in best if record.number in selection.front]
    chosen = _distinct([*selection.policies.values(), *front, *best], lambda r: not is_own(r), most)
    chosen += _distinct([selection.configured, selection.tuned, *best], is_own, BASELINES)
    chosen += _distinct(best, lambda r: space.is_uniform_alternative(r.candidate.assignment), UNIFORMS)
    return _distinct(chosen, lambda _: True, len(chosen))


def most_trainings(settings: ConfirmSettings) -> int:
    """Trainings of both stages of a final check, at most.

    Example:
        >>> most_trainings(ConfirmSettings(seeds=10, finalists=6))
        280
    """
    challengers = settings.finalists + UNIFORMS
    # Each challenger, and the baseline with its settings.
    return settings.seeds * (2 * challengers + BASELINES + OUTWARD + CLAIMED + POLICIES)


def _distinct(records: Iterable[TrialRecord], wanted: Callable[[TrialRecord], bool], most: int) -> list[TrialRecord]:
    """The first ``most`` records that are wanted, none of which trains the same thing as another."""
    found: dict[str, TrialRecord] = {}
    for record in records:
        if len(found) == most:
            break
        if wanted(record):
            found.setdefault(same(record.candidate), record)
    return list(found.values())
