"""What a trial is worth: its quality drawn towards what similar trials reached, so that luck is not picked."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoact.core.records import TrialRecord
from autoact.space.space import SearchSpace
from autoact.study.history import params_of
from autoact.study.proposer import WORTH
from autoact.study.surrogate import fit
from autoact.tasks.task import Task

# Complete trials from which the model is asked.
ENOUGH = 20


@dataclass(frozen=True)
class Estimates:
    """Expected qualities.

    Attributes:
        values: number of a complete trial -> its expected quality over seeds.
        note: how they were made, for the reader of the result.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    note: str = ""


def estimate(records: Sequence[TrialRecord], space: SearchSpace, task: Task) -> Estimates:
    """The expected quality of every complete trial: by the model of quality where it predicts, else as measured.

    Several seeds of one setting share the mean of what they measured.
    """
    complete = [record for record in records if record.complete and record.quality is not None]
    why = f"fewer than {ENOUGH} trials were trained to their end"
    if len(complete) >= ENOUGH:
        points = [(params_of(record, space), record.quality) for record in complete]
        model = fit(points, space.distributions(), task.mode)
        if model.r2 >= WORTH:
            found = {r.number: model.predict(p)[0] for r, (p, _) in zip(complete, points, strict=True)}
            explained = f"it predicts {min(model.r2, 0.99):.0%} of the variance of trials that it did not see"
            return Estimates(found, f"finalists were picked by shrunken estimates of a model of quality: {explained}")
        why = "the model of quality does not predict trials that it did not see"
    return Estimates(_means(complete, space), f"finalists were picked by their measured validation values: {why}")


def _means(complete: Sequence[TrialRecord], space: SearchSpace) -> dict[int, float]:
    """The mean over the seeds of each setting."""
    groups: dict[Any, list[TrialRecord]] = {}
    for record in complete:
        key = (space.key(record.candidate.assignment), tuple(sorted(record.candidate.settings.items())))
        groups.setdefault(key, []).append(record)
    return {
        record.number: statistics.fmean(one.quality for one in group if one.quality is not None)
        for group in groups.values()
        for record in group
    }
