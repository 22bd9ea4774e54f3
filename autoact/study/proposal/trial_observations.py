"""What the proposer learns from: every trial as a point, a stopped one with the quality that it would have reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from autoact.core.trial import FAILED, PRUNED, TrialRecord
from autoact.space.search_space import SearchSpace
from autoact.study.execution.successive_halving import FEWEST, so_far, typical_gain
from autoact.study.proposal.observations import Observation
from autoact.study.proposal.surrogate import LEAST_R2, fit
from autoact.tasks.objectives import QUALITY, Objective
from autoact.tasks.task import Task


def observations_of(
    records: Sequence[TrialRecord], space: SearchSpace, task: Task, objectives: Sequence[Objective]
) -> list[Observation]:
    """One point per trial, in the order of the trials."""
    forecast = forecasts(records, space, task)
    complete = [record for record in records if record.complete]
    middle = {
        o.name: statistics.median(r.values[o.name] for r in complete) for o in objectives if complete and o.compute
    }
    found = []
    for record in records:
        if record.status == PRUNED and record.number in forecast:
            values = {**middle, **record.values, QUALITY: forecast[record.number]}
        else:
            values = {} if record.status in (FAILED, PRUNED) else dict(record.values)
        outcome = tuple(values[o.name] for o in objectives) if values else None
        found.append(Observation(space.point_of(record.candidate), outcome, forecast=record.status == PRUNED))
    return found


def forecasts(records: Sequence[TrialRecord], space: SearchSpace, task: Task) -> dict[int, float]:
    """The final quality that each stopped trial would have reached, by its number.

    Two ways are compared on the trials that were trained to their end: the quality at the last rung with the gain that
    is typical behind it, and the model of quality. The one that explains more of them is taken; no forecast is worse
    than what was reached already.
    """
    stopped = [record for record in records if record.status == PRUNED and record.rungs]
    if not stopped:
        return {}
    better: Callable[[float, float], float] = max if task.mode == "max" else min
    complete = [record for record in records if record.complete and record.quality is not None]
    points = [(space.point_of(record.candidate).params, record.quality) for record in complete]
    model = fit(points, space.distributions(), task.mode) if len(complete) >= FEWEST * 4 else None
    found = {}
    by_rung: dict[int, tuple[float, float]] = {}
    for record in stopped:
        rung = max(record.rungs)
        there = record.rungs[rung]
        if rung not in by_rung:
            by_rung[rung] = _gain_and_share(complete, rung, task)
        gain, share = by_rung[rung]
        if model is not None and model.r2 > max(share, LEAST_R2):
            guess = model.predict(space.point_of(record.candidate).params)[0]
        else:
            guess = there + gain
        found[record.number] = better(guess, there)
    return found


def _gain_and_share(complete: Sequence[TrialRecord], rung: int, task: Task) -> tuple[float, float]:
    """What is typically gained behind a rung, and which share of the final qualities' variance that explains."""
    pairs = [
        (there, record.quality)
        for record in complete
        if record.quality is not None and (there := so_far(record, rung, task.monitor, task.mode)) is not None
    ]
    gain = typical_gain(pairs)
    if len(pairs) < FEWEST:
        return gain, 0.0
    mean = statistics.fmean(end for _, end in pairs)
    spread = sum((end - mean) ** 2 for _, end in pairs)
    missed = sum((end - there - gain) ** 2 for there, end in pairs)
    return gain, 1.0 - missed / spread if spread > 0 else 1.0
