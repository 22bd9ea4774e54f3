"""Judging searches without luck: fresh seeds, test rows, one latency table, one reference point for everyone.

A search's own numbers flatter it: it picks what looked best once. So every point that was ever on a running front is
trained anew under seeds that no search used and scored on test rows that no search saw; its latency comes from one
table. The hypervolume over time is that of the running front at these values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore

from autoact.study.pareto import front
from benchmarks.throughput.problem import Problem, Trial, make_ready

SEEDS = (9001, 9002, 9003, 9004, 9005)
# The reference point, fixed by rule before anything is searched: a twentieth of the way from the model as configured to
# the trivial predictor, and a little slower than the slowest assignment.
WORSE_QUALITY, SLOWER = 0.05, 1.05
BATCH = 8  # points that are trained before what is known is written down


@dataclass(frozen=True)
class Judge:
    """What points of one data set and one width are worth.

    Attributes:
        directions: of quality and latency.
        reference: quality and latency (ms) of the reference point.
        qualities: key of a point -> its quality on test rows under each fresh seed.
        latencies: key of a point -> ms, from the shared table.

    Example:
        >>> judge = Judge(("max", "min"), (0.5, 2.0), {"a": [0.7, 0.9]}, {"a": 1.0})
        >>> judge.volume(["a"])
        0.3
    """

    directions: tuple[str, str]
    reference: tuple[float, float]
    qualities: Mapping[str, Sequence[float]]
    latencies: Mapping[str, float]

    def volume(self, keys: Sequence[str]) -> float:
        """The hypervolume of some points; its unit is that of quality times ms."""
        points = [(math.fsum(self.qualities[k]) / len(self.qualities[k]), self.latencies[k]) for k in set(keys)]
        if not points:
            return 0.0
        maximise = [direction == "max" for direction in self.directions]
        return round(float(moocore.hypervolume(points, ref=self.reference, maximise=maximise)), 12)


def key_of(params: Mapping[str, Any]) -> str:
    """Equal for equal points of the space.

    Example:
        >>> key_of({"b": 1.0, "a": "tanh"})
        '{"a": "tanh", "b": 1.0}'
    """
    return json.dumps(dict(params), sort_keys=True)


def running_fronts(trials: Sequence[Trial], directions: Sequence[str]) -> Iterator[tuple[float, list[int]]]:
    """After each complete trial: the seconds, and which trials its search would call the front by its own values.

    Example:
        >>> trials = [Trial(1.0, {}, 0.8, 2.0), Trial(2.0, {}, 0.7, 3.0), Trial(3.0, {}, 0.9, 1.0)]
        >>> list(running_fronts(trials, ["max", "min"]))
        [(1.0, [0]), (2.0, [0]), (3.0, [2])]
    """
    current: list[int] = []
    for index, trial in enumerate(trials):
        if not trial.complete:
            continue
        contest = [*current, index]
        values = [(trials[i].quality or 0.0, trials[i].latency or 0.0) for i in contest]
        current = [contest[i] for i in front(values, directions)]
        yield trial.seconds, current


def ever_on_front(trials: Sequence[Trial], directions: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Key -> parameters of every point that has to be judged."""
    members = sorted({index for _, indices in running_fronts(trials, directions) for index in indices})
    return {key_of(trials[index].params): trials[index].params for index in members}


def curve(trials: Sequence[Trial], judge: Judge) -> list[tuple[float, float]]:
    """Seconds and hypervolume of the running front, at judged values, after each complete trial."""
    volumes: dict[tuple[int, ...], float] = {}
    points = []
    for seconds, members in running_fronts(trials, judge.directions):
        found = tuple(members)
        if found not in volumes:
            volumes[found] = judge.volume([key_of(trials[i].params) for i in members])
        points.append((seconds, volumes[found]))
    return points


def seconds_to(points: Sequence[tuple[float, float]], volume: float) -> float | None:
    """When a curve first has so much hypervolume; None where it never has.

    Example:
        >>> seconds_to([(1.0, 0.2), (2.0, 0.5), (3.0, 0.4)], 0.4)
        2.0
    """
    return next((seconds for seconds, reached in points if reached >= volume), None)


def reference_point(mode: str, configured: float, trivial: float, slowest_ms: float) -> tuple[float, float]:
    """The reference point, from the model as configured and the trivial predictor.

    Example:
        >>> reference_point("max", 0.85, 0.5, 0.1)
        (0.8325, 0.105)
    """
    step = WORSE_QUALITY * abs(configured - trivial)
    return round(configured - step if mode == "max" else configured + step, 12), round(SLOWER * slowest_ms, 12)


def score_points(
    problem: Problem, folder: Path, points: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, list[float]]]:
    """Train points under the fresh seeds and score them on test rows; a few at a time.

    A training that fails scores as the trivial predictor does.

    Yields:
        The key of a point, and its qualities.
    """
    from autoact.core.trial import Candidate, Role

    workshop = make_ready(problem, folder)
    task, space = workshop.task, workshop.space
    test = task.test.open("throughput benchmark: re-scoring")
    keys = list(points)
    for first in range(0, len(keys), BATCH):
        group = keys[first : first + BATCH]
        numbered = {(key, seed): n for n, (key, seed) in enumerate((k, s) for k in group for s in SEEDS)}
        session = _session(task, problem)
        session.start(
            [
                (n, Candidate(point.assignment, point.settings, seed, Role.CHOOSING))
                for (key, seed), n in numbered.items()
                for point in [space.point(points[key])]
            ]
        )
        session.advance()
        scores = session.score(test)
        for key in group:
            yield key, [scores.get(numbered[key, seed], task.trivial) for seed in SEEDS]


def _session(task: Any, problem: Problem) -> Any:
    """What trains the points: all seeds and points at once, which gives the results of separate trainings."""
    import torch

    from autoact.training.lightning_session import SessionOptions
    from autoact.training.population import PopulationSession

    device = torch.device(problem.device)
    return PopulationSession(task, SessionOptions(device, patience=problem.patience, threads=problem.threads))


def shared_latencies(problem: Problem, folder: Path, table: Path) -> tuple[Any, float]:
    """What tells every point's latency in ms, from one table that is measured once, and the slowest assignment's."""
    from autoact.core.assignment import Assignment
    from autoact.study.execution.predicted_costs import calibrate

    workshop = make_ready(problem, folder)
    space = workshop.space
    known = calibrate(workshop.task, space, workshop.prepared.settings.hardware, table)

    def latency(params: Mapping[str, Any]) -> float:
        return known.values(space.point(params).assignment)["latency"]

    slowest = {}
    for site in space.groups:
        times = {choice: known.table.predict({site: choice}).ms for choice in space.choices_of(site)}
        slowest[site] = max(times, key=times.__getitem__)
    return latency, known.values(Assignment(slowest))["latency"]


def configured_params(problem: Problem, folder: Path) -> tuple[dict[str, Any], float, str]:
    """Parameters of the model as configured, the trivial predictor's quality, and which qualities are better."""
    workshop = make_ready(problem, folder)
    space, task = workshop.space, workshop.task
    from autoact.core.trial import Candidate

    params = dict(space.point_of(Candidate(space.baseline)).params)
    return params, float(task.trivial), str(task.mode)
