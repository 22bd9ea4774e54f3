"""What a trial is worth: its quality drawn towards what similar trials reached, so that luck is not picked."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autoact.core.trial import TrialRecord
from autoact.space.point import Point
from autoact.space.search_space import SearchSpace
from autoact.study.proposal.surrogate import LEAST_R2, fit
from autoact.tasks.task import Task

# Complete trials from which the model is asked.
ENOUGH = 20


@dataclass(frozen=True)
class Estimates:
    """The expected quality over seeds by the number of each complete trial, and how they were made, for the reader."""

    values: Mapping[int, float] = field(default_factory=dict)
    note: str = ""


def estimate(records: Sequence[TrialRecord], space: SearchSpace, task: Task) -> Estimates:
    """The expected quality of every complete trial: by the model of quality where it predicts, else shrunken means.

    Several seeds of one setting share the mean of what they measured.
    """
    complete = [record for record in records if record.complete and record.quality is not None]
    why = f"fewer than {ENOUGH} trials were trained to their end"
    if len(complete) >= ENOUGH:
        points = [(space.point_of(record.candidate).params, record.quality) for record in complete]
        model = fit(points, space.distributions(), task.mode)
        if model.r2 >= LEAST_R2:
            found = {r.number: model.predict(p)[0] for r, (p, _) in zip(complete, points, strict=True)}
            explained = f"it predicts {min(model.r2, 0.99):.0%} of the variance of trials that it did not see"
            return Estimates(found, f"finalists were picked by shrunken estimates of a model of quality: {explained}")
        why = "the model of quality does not predict trials that it did not see"
    return _means(complete, space, why)


def _means(complete: Sequence[TrialRecord], space: SearchSpace, why: str) -> Estimates:
    """The mean over the seeds of each setting, drawn towards the mean of all, the more the fewer seeds it has.

    The shares are those of a random-effects model (James and Stein, 1961; Robinson, 1991): the variance between
    settings over that variance and the noise of the mean. The noise is known where settings were trained under several
    seeds, as the baseline is.
    """
    groups: dict[Point, list[TrialRecord]] = {}
    for record in complete:
        groups.setdefault(space.point_of(record.candidate), []).append(record)
    measured = [[one.quality for one in group if one.quality is not None] for group in groups.values()]
    means = [statistics.fmean(values) for values in measured]
    repeated = [values for values in measured if len(values) > 1]
    if not repeated or len(means) < 2:
        note = f"finalists were picked by their measured validation values: {why}, and no setting had several seeds"
        return Estimates(_spread(groups.values(), means), note)
    freedom = sum(len(values) - 1 for values in repeated)
    noise = sum(statistics.variance(values) * (len(values) - 1) for values in repeated) / freedom
    between = max(0.0, statistics.variance(means) - statistics.fmean(noise / len(values) for values in measured))
    center = statistics.fmean(means)
    shares = [between / (between + noise / len(values)) if noise > 0 else 1.0 for values in measured]
    drawn = [center + share * (mean - center) for share, mean in zip(shares, means, strict=True)]
    note = f"finalists were picked by validation values that were drawn towards their mean by the noise of seeds: {why}"
    # Where the spread is nothing but noise, the measured order still breaks the tie.
    return Estimates(_spread(groups.values(), drawn if between > 0 else means), note)


def _spread(groups: Iterable[Sequence[TrialRecord]], values: Sequence[float]) -> dict[int, float]:
    return {r.number: value for group, value in zip(groups, values, strict=True) for r in group}
