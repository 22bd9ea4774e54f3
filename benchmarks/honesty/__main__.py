"""Does the final check keep its word? False recommendations, power, and coverage of the intervals.

    python -m benchmarks.honesty null --out docs/studies/honesty-null.json
    python -m benchmarks.honesty power --out docs/studies/honesty-power.json
    python -m benchmarks.honesty settings --out docs/studies/honesty-settings.json
    python -m benchmarks.honesty coverage --out docs/studies/honesty-coverage.json
    python -m benchmarks.honesty report docs/studies/honesty-*.json

null      searches among activations that are equal as functions: relu(cx)/c, each with training paths of its own, since
          it rounds otherwise. Whatever is recommended is a false recommendation. Networks are trained once, into a
          pool; every study draws seeds and rows from it, and runs the real search and the real final check on them.
power     the same protocol on qualities that are drawn: a planted effect of some standard deviations of the paired
          difference between seeds. Found: recommended, and no more than one such deviation below the best assignment.
settings  the same protocol where learning rate and weight decay matter and activations do not: whatever is recommended
          is a false recommendation. The best learning rate lies inside the searched range, at its end, or beyond it, a
          little elsewhere for each assignment. With an effect of activations planted beside it: how often it is found.
coverage  two arms, a pool of networks each; intervals of draws of seeds and rows against the difference over the whole
          pool.

Every repetition is a line of the JSON file; the tables are computed from it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.confirmation.paired_differences import gain_of
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold
from autoact.tasks.metrics import METRICS, Metric
from autoact.training.predictions import left_out
from benchmarks.honesty.drawn import CLAIM, LABELS, SITES, Draw, study
from benchmarks.honesty.pool import Pool, opaque, train_pool
from benchmarks.machine import markdown_table, origin, origin_lines

FACTORS = (1.0, 1.1, 1.3, 0.7, 0.9, 1.7)
EFFECTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
NOISE = 0.01
# Effect of an activation in standard deviations; the best learning rate, as a power of ten times the configured one
# (the search looks from -1 to 1).
SETTINGS_CASES = ((0.0, 0.5), (0.0, 1.0), (0.0, 1.5), (1.5, 0.5), (2.0, 0.5))
METRICS_OF = {"income": ("roc_auc", "f1", "accuracy"), "friedman": ("mse",)}


def clopper_pearson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson, 1934).

    Example:
        >>> low, high = clopper_pearson(0, 500)
        >>> low, round(high, 4)
        (0.0, 0.0074)
    """
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, count - hits)) if hits < count else 1.0
    return low, high


# --- null


class PoolDraws:
    """A study's draw from a pool: its own seeds, its own validation and test rows.

    Args:
        pool: the networks; its arms are named ``label/label``.
        metric: judges.
        random: of this study.
        rows: validation rows and test rows.
        paired: whether all arms share the study's seeds, as in a real search; else each arm has its own, so that equal
            candidates differ as much as two seeds do.
    """

    def __init__(
        self, pool: Pool, metric: Metric, random: np.random.Generator, rows: tuple[int, int], *, paired: bool
    ) -> None:
        self._pool = pool
        self._metric = metric
        drawn = random.permutation(len(pool.truth))
        self._rows = {False: drawn[: rows[0]], True: drawn[rows[0] : sum(rows)]}
        shared = random.permutation(pool.seeds)
        self._order = {arm: shared if paired else random.permutation(pool.seeds) for arm in pool.scores}
        self._place: dict[int, int] = {}

    def __call__(self, candidate: Candidate, test: bool) -> Draw:
        """What a training of the candidate gives."""
        arm = "/".join(str(candidate.assignment[site]) for site in SITES)
        place = self._place.setdefault(candidate.seed, len(self._place))
        rows = self._rows[test]
        scores = self._pool.scores[arm][self._order[arm][place]][rows]
        truth = self._pool.truth[rows]
        again = candidate.role in (CLAIM, "choosing")
        return Draw(self._metric(truth, scores), left_out(self._metric, truth, scores, ordered=False) if again else ())


def null(options: argparse.Namespace) -> dict[str, Any]:
    """Studies without any difference to find."""
    names = opaque(FACTORS)
    meaning = dict(zip(LABELS, names.values(), strict=True))
    arms = {
        f"{a}/{b}": Assignment(dict(zip(("layers.0.act", "layers.1.act"), (meaning[a], meaning[b]), strict=True)))
        for a, b in itertools.product(LABELS, LABELS)
    }
    pool = train_pool("income", arms, options.seeds, options.epochs, 16, options.keep)
    repetitions = []
    for paired in (True, False):
        for number in range(options.repetitions):
            draws = PoolDraws(
                pool, METRICS["roc_auc"], np.random.default_rng([number, paired]), (500, 1000), paired=paired
            )
            rows = {"train": 2000, "validation": 500, "test": 1000}
            result = study(draws, mode="max", trials=30, seeds=10, rows=rows, seed=number)
            repetitions.append({"paired": paired, "study": number, **_summary(result)})
            if number % 50 == 49:
                print(f"null: {number + 1} studies", file=sys.stderr)
    return {
        "part": "null",
        "networks_per_arm": options.seeds,
        "epochs": options.epochs,
        "arms": len(arms),
        "repetitions": repetitions,
    }


def _summary(result: Any) -> dict[str, Any]:
    """One study in numbers."""
    gain = result.gains.get("quality")
    challenger = result.selection.policies["quality"].candidate.assignment.to_dict()
    return {
        "recommended": result.rulings["quality"].recommend,
        "challenger": "/".join(challenger.values()),
        "gain": None if gain is None else [gain.mean, gain.low, gain.high],
        "seeds": result.seeds,
    }


# --- power


def power(options: argparse.Namespace) -> dict[str, Any]:
    """Studies with a planted effect, on drawn qualities with a large test set."""
    repetitions = []
    for effect in EFFECTS:
        for number in range(options.repetitions):
            truth = _planted(effect * NOISE)
            random = np.random.default_rng([number, int(10 * effect)])
            draw = _noisy(lambda candidate, of=truth: of(candidate.assignment), random)
            rows = {"train": 20_000, "validation": 5000, "test": 100_000}
            result = study(draw, mode="max", trials=40, seeds=10, rows=rows, seed=number)
            chosen = result.selection.policies["quality"].candidate.assignment
            best = max(
                truth(Assignment(dict(zip(SITES, pair, strict=True)))) for pair in itertools.product(LABELS, LABELS)
            )
            found = _summary(result)
            short = best - truth(chosen)
            repetitions.append(
                {
                    "effect_sd": effect,
                    "study": number,
                    "short_of_best": short,
                    "found": bool(found["recommended"] and short <= NOISE),
                    **found,
                }
            )
        print(f"power: effect {effect} sd, {options.repetitions} studies", file=sys.stderr)
    return {"part": "power", "paired_sd": NOISE, "repetitions": repetitions}


def _planted(effect: float) -> Callable[[Assignment], float]:
    """The true quality: one activation at the first site brings it all, another one at the second half of it more."""

    def quality(assignment: Assignment) -> float:
        first, second = (str(assignment[site]) for site in SITES)
        return 0.7 + effect * (first == "tanh") - 0.5 * effect * (second == "mish")

    return quality


def _noisy(truth: Callable[[Candidate], float], random: np.random.Generator) -> Callable[[Candidate, bool], Draw]:
    """The true quality with noise of the seed, shared by all, and of each training: sd of a pair's difference NOISE."""
    shared: dict[int, float] = {}

    def draw(candidate: Candidate, test: bool) -> Draw:
        common = shared.setdefault(candidate.seed, float(random.normal(0, NOISE)))
        own = float(random.normal(0, NOISE / np.sqrt(2)))
        return Draw(truth(candidate) + common + own)

    return draw


# --- settings


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Studies in which training settings matter: without an effect of activations, and with one."""
    repetitions = []
    for effect, place in SETTINGS_CASES:
        for number in range(options.repetitions):
            random = np.random.default_rng([number, int(10 * effect), int(10 * place)])
            truth = _with_settings(effect * NOISE, 10.0**place, random)
            rows = {"train": 20_000, "validation": 5000, "test": 100_000}
            result = study(_noisy(truth, random), mode="max", trials=16, seeds=10, rows=rows, seed=number, tuned=True)
            repetitions.append({"effect_sd": effect, "place": place, "study": number, **_summary(result)})
        print(f"settings: effect {effect} sd, optimum at 1e{place:+g}, {options.repetitions} studies", file=sys.stderr)
    return {"part": "settings", "paired_sd": NOISE, "repetitions": repetitions}


def _with_settings(effect: float, best: float, random: np.random.Generator) -> Callable[[Candidate], float]:
    """A parabola over the logarithm of the learning rate, whose peak each assignment has a little elsewhere.

    Ten times too small or large a learning rate costs ten standard deviations of a pair, another weight decay one.
    """
    shifts: dict[Assignment, float] = {}

    def quality(candidate: Candidate) -> float:
        shift = shifts.setdefault(candidate.assignment, float(random.normal(0, 0.1)))
        away = np.log10(candidate.settings["learning_rate"] / 1e-3 / best) - shift
        decay = candidate.settings["weight_decay"] != 1e-3
        works = str(candidate.assignment["first"]) == "tanh"
        return 0.7 - 10 * NOISE * float(away) ** 2 - NOISE * decay + effect * works

    return quality


# --- coverage


def coverage(options: argparse.Namespace) -> dict[str, Any]:
    """Intervals of draws against the difference over the whole pool."""
    repetitions = []
    for problem, metrics in METRICS_OF.items():
        arms = {
            name: Assignment({"layers.0.act": name, "layers.1.act": name, "layers.2.act": name})
            for name in ("relu", "tanh")
        }
        pool = train_pool(problem, arms, options.seeds, options.epochs, 16, options.keep)
        for name in metrics:
            metric = METRICS[name]
            whole = {arm: [metric(pool.truth, one) for one in scores] for arm, scores in pool.scores.items()}
            sign = 1.0 if metric.mode == "max" else -1.0
            truth = sign * (statistics.fmean(whole["tanh"]) - statistics.fmean(whole["relu"]))
            for number in range(options.repetitions):
                random = np.random.default_rng([number, len(name)])
                repetitions.append(_one_interval(pool, metric, random, truth, number))
            print(f"coverage: {name}, {options.repetitions} draws", file=sys.stderr)
    return {"part": "coverage", "networks_per_arm": options.seeds, "epochs": options.epochs, "repetitions": repetitions}


def _one_interval(pool: Pool, metric: Metric, random: np.random.Generator, truth: float, number: int) -> dict[str, Any]:
    """The interval of ten seeds and a thousand rows."""
    seeds = random.permutation(pool.seeds)[:10]
    rows = random.permutation(len(pool.truth))[:1000]
    candidate, arms = Candidate(Assignment({"act": "relu"})), {}
    for arm in pool.scores:
        drawn = {SeedFold(int(seed)): pool.scores[arm][seed][rows] for seed in seeds}
        arms[arm] = RetrainedCandidate(
            candidate,
            scores={turn: metric(pool.truth[rows], one) for turn, one in drawn.items()},
            replicates={turn: left_out(metric, pool.truth[rows], one, ordered=False) for turn, one in drawn.items()},
        )
    gain = gain_of(arms["tanh"], arms["relu"], metric.mode)
    assert gain is not None
    return {
        "metric": metric.name,
        "draw": number,
        "gain": [gain.mean, gain.low, gain.high],
        "truth": truth,
        "covered": gain.low <= truth <= gain.high,
    }


# --- tables


def tables(parts: Sequence[dict[str, Any]]) -> str:
    """The tables of what was measured."""
    shown = {"null": _null_table, "power": _power_table, "settings": _settings_table, "coverage": _coverage_table}
    blocks = [f"### {part['part']}\n\n{origin_lines(part['origin'])}\n\n{shown[part['part']](part)}" for part in parts]
    return "\n\n".join(blocks)


def _null_table(part: dict[str, Any]) -> str:
    rows = []
    for paired, title in ((True, "all arms share seeds, as in a search"), (False, "every arm has seeds of its own")):
        mine = [one for one in part["repetitions"] if one["paired"] is paired]
        hits = sum(one["recommended"] for one in mine)
        low, high = clopper_pearson(hits, len(mine))
        bar = "met" if high <= 0.05 else "missed"
        rows.append([title, str(len(mine)), str(hits), f"{hits / len(mine):.3f}", f"{low:.4f} to {high:.4f}", bar])
    return markdown_table(
        ["studies", "count", "false recommendations", "share", "95 % interval", "bar: at most .05"], rows
    )


def _power_table(part: dict[str, Any]) -> str:
    rows = []
    for effect in EFFECTS:
        mine = [one for one in part["repetitions"] if one["effect_sd"] == effect]
        won, found = (sum(one[key] for one in mine) for key in ("recommended", "found"))
        low, high = clopper_pearson(found, len(mine))
        rows.append(
            [
                f"{effect:g} sd ({effect * part['paired_sd']:.3f})",
                str(len(mine)),
                f"{won / len(mine):.3f}",
                f"{found / len(mine):.3f} ({low:.3f} to {high:.3f})",
                f"{statistics.fmean(one['seeds'] for one in mine):.1f}",
            ]
        )
    return markdown_table(["planted effect", "studies", "recommended", "found", "seeds of the claim, mean"], rows)


def _settings_table(part: dict[str, Any]) -> str:
    cases = [(effect, f"{10**place:.3g} times the configured one", {place}) for effect, place in SETTINGS_CASES]
    without = {place for effect, place in SETTINGS_CASES if not effect}
    rows = []
    for effect, best, places in [*cases, (0.0, "all of these", without)]:
        mine = [one for one in part["repetitions"] if one["effect_sd"] == effect and one["place"] in places]
        hits = sum(one["recommended"] for one in mine)
        low, high = clopper_pearson(hits, len(mine))
        bar = "-" if effect else "met" if high <= 0.05 else "missed"
        share = f"{hits / len(mine):.3f} ({low:.4f} to {high:.4f})"
        rows.append([f"{effect:g} sd", best, str(len(mine)), str(hits), share, bar])
    return markdown_table(
        ["effect of activations", "best learning rate", "studies", "recommended", "share (95 %)", "bar: at most .05"],
        rows,
    )


def _coverage_table(part: dict[str, Any]) -> str:
    rows = []
    for metric in dict.fromkeys(one["metric"] for one in part["repetitions"]):
        mine = [one for one in part["repetitions"] if one["metric"] == metric]
        hits = sum(one["covered"] for one in mine)
        low, high = clopper_pearson(hits, len(mine))
        bar = "met" if 0.93 <= hits / len(mine) <= 0.97 else "missed"
        rows.append([metric, str(len(mine)), f"{hits / len(mine):.3f}", f"{low:.3f} to {high:.3f}", bar])
    return markdown_table(["metric", "draws", "covered", "95 % interval", "bar: .93 to .97"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a part, or print the tables of parts."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.honesty", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("part", choices=["null", "power", "settings", "coverage", "report"])
    found.add_argument("files", nargs="*", type=Path, help="for report: what the parts wrote")
    found.add_argument("--repetitions", type=int, help="500 studies, 200 per effect, or 1,000 draws unless given")
    found.add_argument("--seeds", type=int, default=320, help="networks per arm of a pool (default: %(default)s)")
    found.add_argument("--epochs", type=int, default=30, help="of every training, at most (default: %(default)s)")
    found.add_argument("--keep", type=Path, metavar="DIR", help="keep trained pools here, for the same command again")
    found.add_argument("--out", type=Path, help="the JSON file, with every repetition")
    options = found.parse_args(arguments)
    if options.part == "report":
        print(tables([json.loads(file.read_text(encoding="utf-8")) for file in options.files]))
        return 0
    parts = {"null": (null, 500), "power": (power, 200), "settings": (settings, 500), "coverage": (coverage, 1000)}
    run, usual = parts[options.part]
    options.repetitions = options.repetitions or usual
    part = {**run(options), "origin": origin()}
    if options.out:
        options.out.write_text(json.dumps(part, separators=(",", ":")) + "\n", encoding="utf-8")
    print(tables([part]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
