"""What rungs cost: which members of the front are given up early, and how many epochs are saved.

    python -m benchmarks.rungs train telco --out telco-curves.json
    python -m benchmarks.rungs replay telco-curves.json california-curves.json

``train`` runs random candidates of the search space to their end and keeps their learning curves. ``replay`` sends them
in batches, in many random orders, through the same comparison that a search uses, which sees no more of a curve than a
search would.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore

from autoact.core.trial import Candidate, TrialRecord
from autoact.latency.hardware import HardwareSettings
from autoact.study.execution.predicted_costs import calibrate
from autoact.study.execution.successive_halving import Rung, Standing, rungs_of, so_far
from autoact.study.pareto import front
from autoact.study.proposal.local_search import points_at_random
from autoact.study.settings import RungSettings
from autoact.tasks.objectives import LATENCY, QUALITY, Objective
from autoact.training.lightning_session import SessionOptions
from autoact.training.population.session import PopulationSession
from benchmarks.machine import markdown_table, middle, origin, origin_lines
from benchmarks.throughput.problem import DATA, PATIENCE, Problem, make_ready

TOGETHER = 32
BATCH = 16
ORDERS = 50
# Reduction factor and first rung: the default, then what lies around it.
SETTINGS: tuple[tuple[float, float | None], ...] = ((3, None), (2, None), (4, None), (3, 0.2), (3, 2))


@dataclass(frozen=True)
class Curves:
    """What ``train`` kept.

    Attributes:
        data: the data set.
        monitor: the value that decides.
        mode: ``max`` or ``min``.
        epochs: the most epochs of a training.
        tie: latencies closer than this tie, in ms.
        records: complete trials with their curves.
        latencies: in ms, in the same order.
    """

    data: str
    monitor: str
    mode: str
    epochs: int
    tie: float
    records: tuple[TrialRecord, ...]
    latencies: tuple[float, ...]


def train(problem: Problem, count: int, out: Path) -> None:
    """Train random candidates to their end; what is done is kept: the same command goes on from there."""
    with tempfile.TemporaryDirectory() as folder:
        workshop = make_ready(problem, Path(folder))
        task, space = workshop.task, workshop.space
        kept = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
        if not kept:
            hardware = HardwareSettings(name="here", device=problem.device, threads=problem.threads)
            known = calibrate(task, space, hardware, Path(folder) / "latency.json")
            drawn = points_at_random(space.distributions(), random.Random(problem.seed), count)
            candidates = [
                Candidate(point.assignment, point.settings, problem.seed) for point in map(space.point, drawn)
            ]
            kept = {
                "data": problem.title,
                "monitor": task.monitor,
                "mode": task.mode,
                "epochs": problem.epochs,
                "tie": known.epsilons()[LATENCY],
                "candidates": [candidate.to_dict() for candidate in candidates[:count]],
                "latencies": [known.values(c.assignment)[LATENCY] for c in candidates[:count]],
                "records": [],
                "origin": origin(),
            }
        options = SessionOptions(patience=problem.patience, threads=problem.threads, population=TOGETHER)
        while len(kept["records"]) < len(kept["candidates"]):
            done = len(kept["records"])
            part = [Candidate.from_dict(c) for c in kept["candidates"][done : done + TOGETHER]]
            session = PopulationSession(task, options)
            session.start(list(enumerate(part, start=done)))
            kept["records"] += [record.to_json() for record in session.advance()]
            out.write_text(json.dumps(kept), encoding="utf-8")
            print(f"{len(kept['records'])} of {len(kept['candidates'])}", flush=True)


def read(file: Path) -> Curves:
    """What ``train`` wrote; candidates that failed are left out."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    pairs = [(TrialRecord.from_json(r), ms) for r, ms in zip(kept["records"], kept["latencies"], strict=False)]
    complete = [(record, ms) for record, ms in pairs if record.complete]
    return Curves(
        kept["data"], kept["monitor"], kept["mode"], kept["epochs"], kept["tie"],
        tuple(record for record, _ in complete), tuple(ms for _, ms in complete),
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One order of the candidates under rungs.

    Attributes:
        missed: members of the front of all candidates that were stopped.
        members: members of that front.
        epochs: epochs spent, as a share of those without rungs.
        kept: hypervolume of what was trained to its end, as a share of that of all.
        equal: the same for as many candidates, in the same order, as the epochs spent would have paid without rungs.
        lost: quality of the best of all less that of the best that went on.
    """

    missed: int
    members: int
    epochs: float
    kept: float
    equal: float
    lost: float


def replay(curves: Curves, rungs: Sequence[int], reduction: float, order: Sequence[int]) -> Outcome:
    """Send the candidates, in this order, through the rungs."""
    objectives = [Objective(QUALITY, "", curves.mode), Objective(LATENCY, "ms", "min")]
    rung = Rung(reduction, objectives, {LATENCY: curves.tie})
    passed: dict[int, list[Standing]] = {epoch: [] for epoch in rungs}
    finished: list[int] = []
    spent = 0
    for begin in range(0, len(order), BATCH):
        running = list(order[begin : begin + BATCH])
        for epoch in rungs:
            here: list[int] = []
            ended: list[int] = []
            for index in running:
                over = curves.records[index].epochs <= epoch
                (ended if over else here).append(index)
            standings = [_standing(curves, index, epoch) for index in here]
            others = [_standing(curves, index, epoch) for index in ended]
            go_on = rung.go_on(standings, [*passed[epoch], *others])
            passed[epoch] += [*standings, *others]
            spent += epoch * (len(here) - len(go_on)) + sum(curves.records[index].epochs for index in ended)
            finished += ended
            running = [here[place] for place in go_on]
        spent += sum(curves.records[index].epochs for index in running)
        finished += running
    return _outcome(curves, finished, spent, order)


def _standing(curves: Curves, index: int, epoch: int) -> Standing:
    """Where a candidate stands at a rung."""
    quality = so_far(curves.records[index], epoch, curves.monitor, curves.mode)
    assert quality is not None, "every curve was validated in every epoch"
    return Standing(quality, {LATENCY: curves.latencies[index]})


def _outcome(curves: Curves, finished: Sequence[int], spent: int, order: Sequence[int]) -> Outcome:
    """Compare what was trained to its end with all."""
    qualities = [record.quality or 0.0 for record in curves.records]
    points = list(zip(qualities, curves.latencies, strict=True))
    directions, ties = [curves.mode, "min"], [0.0, curves.tie]
    members = front(points, directions, ties)
    worst = (min if curves.mode == "max" else max)(qualities), max(curves.latencies)
    best = max if curves.mode == "max" else min

    def volume(indices: Sequence[int]) -> float:
        chosen, maximise = [points[index] for index in indices], [direction == "max" for direction in directions]
        return float(moocore.hypervolume(chosen, ref=worst, maximise=maximise)) if chosen else 0.0

    whole, total = volume(range(len(points))), sum(record.epochs for record in curves.records)
    affordable, paid = [], 0
    for index in order:
        paid += curves.records[index].epochs
        if paid > spent:
            break
        affordable.append(index)
    return Outcome(
        missed=len(set(members) - set(finished)),
        members=len(members),
        epochs=spent / total,
        kept=volume(finished) / whole,
        equal=volume(affordable) / whole,
        lost=abs(best(qualities) - best(qualities[index] for index in finished)),
    )


def table(files: Sequence[Path]) -> str:
    """The table of all settings and files."""
    rows = []
    for file in files:
        curves = read(file)
        for reduction, first in SETTINGS:
            rungs = rungs_of(RungSettings(reduction=reduction, first=first), curves.epochs, PATIENCE)
            shuffle = random.Random(0)
            orders = [shuffle.sample(range(len(curves.records)), len(curves.records)) for _ in range(ORDERS)]
            found = [replay(curves, rungs, reduction, order) for order in orders]
            rows.append([
                f"{curves.data}, {len(curves.records)} candidates",
                f"1/{reduction:g} at {', '.join(map(str, rungs))}",
                f"{statistics.median(o.epochs for o in found):.0%}",
                f"{statistics.fmean(o.missed for o in found):.2f} of {found[0].members}",
                middle([o.kept for o in found], ".4f"),
                middle([o.equal for o in found], ".4f"),
                middle([o.lost for o in found], ".3g"),
            ])  # fmt: skip
    header = [
        "data", "who goes on at which epochs", "epochs spent", "front members missed (mean)",
        "hypervolume with rungs", "without, for the same epochs", "quality of the best lost",
    ]  # fmt: skip
    return markdown_table(header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or replay and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    trained = verbs.add_parser("train", help="train random candidates to their end and keep their curves")
    trained.add_argument("data", choices=DATA)
    trained.add_argument("--path", help="the real file")
    trained.add_argument("--out", type=Path, required=True, help="where the curves are kept, as JSON")
    trained.add_argument("--candidates", type=int, default=192)
    trained.add_argument("--seed", type=int, default=0)
    replayed = verbs.add_parser("replay", help="send kept curves through rungs and print a table")
    replayed.add_argument("files", type=Path, nargs="+")
    given: Mapping[str, Any] = vars(parser.parse_args(arguments))
    if given["verb"] == "train":
        problem = Problem(given["data"], 64, given["seed"], given["candidates"], given["path"])
        train(problem, given["candidates"], given["out"])
        return
    print(table(given["files"]))
    print(f"\nMedian (range) over {ORDERS} orders; hypervolumes are shares of that of all candidates.\n")
    print(origin_lines())


if __name__ == "__main__":
    main()
