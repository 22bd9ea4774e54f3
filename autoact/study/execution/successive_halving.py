"""Rungs: where trainings pause to be compared, who goes on, and what the others would have become.

Successive halving (Jamieson and Talwalkar, 2016) with several objectives: candidates at a rung are sorted by
non-domination on the quality so far and on the predicted costs; ties by crowding distance (Deb et al., 2002).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoact.core.trial import TrialRecord
from autoact.study.pareto import crowding_distance, ranks
from autoact.study.settings import RungSettings
from autoact.tasks.objectives import QUALITY, Objective

# Trainings that are allowed fewer epochs than this many times a rung gain too little from a pause there.
LEAST_EPOCHS_AFTER = 1.5
# Fewer finished trials than this at a rung say nothing of what is gained behind it.
FEWEST = 4
LEAST_FIRST = 3


def rungs_of(settings: RungSettings, epochs: int | None, patience: int | None) -> tuple[int, ...]:
    """The epochs at which trainings pause, ascending; none where rungs are off, or trainings are too short.

    ``epochs`` are the most that a training may take; None where only its own callbacks end it.

    Example:
        >>> rungs_of(RungSettings(), 50, 8), rungs_of(RungSettings(first=0.2), 50, 8), rungs_of(RungSettings(), 2, 8)
        ((6, 18), (10, 30), ())
    """
    if not settings.enabled or (epochs is None and patience is None and (settings.first or 0) < 1):
        return ()
    most = epochs if epochs is not None else round((settings.first or patience or 1) * settings.reduction**2)
    if settings.first is None:
        first = max(LEAST_FIRST, round(most / settings.reduction**2))
    else:
        first = int(settings.first) if settings.first >= 1 else max(1, round(settings.first * most))
    found: list[int] = []
    place = float(first)
    while LEAST_EPOCHS_AFTER * round(place) <= most:
        if round(place) not in found:
            found.append(round(place))
        place *= settings.reduction
    return tuple(found)


def so_far(record: TrialRecord, epoch: int, monitor: str, mode: str) -> float | None:
    """The best quality within the first epochs of a training; None where it never came that far.

    A training that ended by itself before the rung is compared there with what it ended with.
    """
    if epoch in record.rungs:
        return record.rungs[epoch]
    if record.quality is None and record.epochs < epoch:
        return None
    values = [point[monitor] for point in record.curve[:epoch] if monitor in point]
    values = [value for value in values if math.isfinite(value)]
    return (max if mode == "max" else min)(values) if values else None


@dataclass(frozen=True)
class Standing:
    """A candidate at a rung: its quality so far, and its predicted costs."""

    quality: float
    costs: Mapping[str, float]


class Rung:
    """The comparison at one rung: of all that came this far, the best 1/``reduction`` go on.

    The user's own objectives, which need a trained model, do not count here.
    """

    def __init__(self, reduction: float, objectives: Sequence[Objective], epsilons: Mapping[str, float]) -> None:
        self._reduction = reduction
        self._axes = [o for o in objectives if o.compute is None]
        self._epsilons = [epsilons.get(o.name, 0.0) for o in self._axes]

    def go_on(self, here: Sequence[Standing], earlier: Sequence[Standing]) -> list[int]:
        """Which of the candidates that are here now go on: those among the best of all that came this far."""
        everyone = [*here, *earlier]
        order = self.order(everyone)
        kept = order[: math.ceil(len(everyone) / self._reduction)]
        return sorted(index for index in kept if index < len(here))

    def order(self, standings: Sequence[Standing]) -> list[int]:
        """Indices from the best to the worst: by rank of non-domination, within a rank the loneliest first."""
        points = [[one.quality if o.name == QUALITY else one.costs[o.name] for o in self._axes] for one in standings]
        found: list[int] = []
        for rank in ranks(points, [o.direction for o in self._axes], self._epsilons):
            lonely = crowding_distance([points[index] for index in rank])
            found += [index for _, index in sorted(zip((-d for d in lonely), rank, strict=True))]
        return found


def typical_gain(finished: Sequence[tuple[float, float]]) -> float:
    """What is typically gained behind a rung, the median of (quality at the end - at the rung); 0 where few tell.

    Example:
        >>> typical_gain([(0.70, 0.75), (0.71, 0.75), (0.60, 0.66), (0.72, 0.80)])
        0.055
    """
    if len(finished) < FEWEST:
        return 0.0
    return round(statistics.median(end - there for there, end in finished), 12)
