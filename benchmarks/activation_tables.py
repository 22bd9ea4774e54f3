"""Train every configuration of a small activation space on real data, for ``benchmarks.search_efficiency`` to replay.

    python -m benchmarks.activation_tables telco --path Telco-Customer-Churn.csv --out telco.json

One activation per site, a learning rate and a weight decay; each configuration under several seeds. Stored are the
validation quality of every training and a latency that is known beforehand: that of the network with ReLU everywhere,
as measured, plus what each site's activation takes longer, measured alone at the site's shape (medians, this machine).
What is done is kept: the same command goes on from there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from autoact.activations import build
from autoact.core.trial import Candidate
from autoact.training.population.session import PopulationSession
from benchmarks.machine import origin
from benchmarks.throughput.problem import DATA, Problem, make_ready

ACTIVATIONS = ("relu", "tanh", "gelu", "softplus")
RATES = (2e-4, 2e-3, 2e-2)  # the recipe's own, a tenth and ten times of it
DECAYS = (0.0, 1e-2)
SEEDS = 4
ROWS = 1024  # of the request whose latency counts
REPEATS = 200
TOGETHER = 48  # trainings between two writings of the file


def grid(groups: Sequence[str]) -> list[dict[str, Any]]:
    """Every configuration, in the order of its dimensions' values."""
    lists = [*([ACTIVATIONS] * len(groups)), RATES, DECAYS]
    return [
        dict(zip([*groups, "learning_rate", "weight_decay"], row, strict=True)) for row in itertools.product(*lists)
    ]


def milliseconds(function: Callable[[], Any]) -> float:
    """The median of repeated calls."""
    took = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        function()
        took.append(1e3 * (time.perf_counter() - started))
    return statistics.median(took[REPEATS // 10 :])


@torch.no_grad()
def latencies(task: Any, width: int) -> tuple[float, dict[str, float]]:
    """The network's latency with ReLU, and what each activation adds at one site."""
    module, batch = task.make_module().eval(), task.make_input(ROWS)
    hidden = torch.randn(ROWS, width)
    alone = {name: milliseconds(partial(build(name), hidden)) for name in ACTIVATIONS}
    return milliseconds(partial(module, batch)), {name: took - alone["relu"] for name, took in alone.items()}


def make(problem: Problem, out: Path) -> None:
    """Train what is missing in the file, and write it."""
    with tempfile.TemporaryDirectory() as folder:
        ready = make_ready(problem, Path(folder), f"space.candidates=[{','.join(ACTIVATIONS)}]")
        groups, task = list(ready.space.groups), ready.task
        configurations = grid(groups)
        table = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else None
        if table is None:
            base, added = latencies(task, problem.width)
            known = [base + sum(added[row[group]] for group in groups) for row in configurations]
            dimensions = {**dict.fromkeys(groups, ACTIVATIONS), "learning_rate": RATES, "weight_decay": DECAYS}
            table = {
                "dimensions": dimensions,
                "mode": task.mode,
                "metric": task.quality_unit,
                "known": known,
                "seeds": SEEDS,
            }
            table["baseline"] = dict(ready.space.point_of(Candidate(ready.space.baseline)).params)
            table |= {"origin": origin(("torch",)), "qualities": {}}
        todo = [
            (n, s) for n in range(len(configurations)) for s in range(SEEDS) if f"{n}/{s}" not in table["qualities"]
        ]
        for start in range(0, len(todo), TOGETHER):
            part = todo[start : start + TOGETHER]
            candidates = []
            for place, (number, seed) in enumerate(part):
                point = ready.space.point(configurations[number])
                candidates.append((place, Candidate(point.assignment, point.settings, seed)))
            session = PopulationSession(task)
            session.start(candidates)
            for record in session.advance():
                number, seed = part[record.number]
                table["qualities"][f"{number}/{seed}"] = record.quality if record.complete else None
            out.write_text(json.dumps(table), encoding="utf-8")
            print(f"{len(table['qualities'])} of {len(configurations) * SEEDS}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one table."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.activation_tables", description=(__doc__ or "").split("\n")[0]
    )
    found.add_argument("data", choices=DATA)
    found.add_argument("--path", help="the real file")
    found.add_argument("--out", type=Path, required=True, help="the table, JSON")
    found.add_argument("--width", type=int, default=32, help="of the hidden layers")
    found.add_argument("--epochs", type=int, default=15, help="of each training")
    given = found.parse_args(arguments)
    torch.set_num_threads(1)
    make(Problem(given.data, given.width, 0, 1, path=given.path, epochs=given.epochs), given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
