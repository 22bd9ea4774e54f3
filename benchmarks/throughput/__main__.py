"""Seconds to equal hypervolume and full-budget trials per minute, against plain scripts and Ray Tune.

    python -m benchmarks.throughput

The competitors (``--arms``), one after the other, each in a process of its own that imports before its clock starts:

    plain         benchmarks/throughput/plain_script.py: Optuna, one Lightning Trainer per trial, MLflow; one process
    plain2        the same in two processes on one Optuna SQLite study
    ray           benchmarks/throughput/ray_tune_script.py: OptunaSearch, two workers
    autoact       the search as it comes, latency calibration included
    autoact-full  the same with rungs off: every trial has its full budget

A run takes minutes. What is done is kept in ``--checkpoint``: the same command goes on from there, ``--minutes`` ends a
call early, ``--report`` prints the tables of what there is. Other trials, epochs or settings want another checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoact.core.errors import AutoactError
from benchmarks.machine import origin
from benchmarks.throughput.autoact_search import VARIANTS
from benchmarks.throughput.problem import DATA, Problem, Run
from benchmarks.throughput.rescoring import ever_on_front, key_of, reference_point
from benchmarks.throughput.tables import tables

ROOT = Path(__file__).resolve().parents[2]
ARMS = ("plain", "plain2", "ray", *VARIANTS)
WORKERS = 2


class Notebook:
    """The checkpoint: one JSON entry per line, the last one of a name counts."""

    def __init__(self, path: Path) -> None:
        """Read what is there."""
        self.path = path
        self.entries: dict[str, Any] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                name, value = json.loads(line)
                self.entries[name] = value

    def __contains__(self, name: str) -> bool:
        """Whether there is such an entry."""
        return name in self.entries

    def write(self, name: str, value: Any) -> None:
        """Add an entry, at once."""
        self.entries[name] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value]) + "\n")

    def runs(self) -> list[Run]:
        """Every finished search."""
        return [Run.from_dict(value) for name, value in self.entries.items() if name.startswith("run ")]


def setting(problem: Problem) -> str:
    """What the searches of one table row share: data and width, not the seed.

    Example:
        >>> setting(Problem("telco", 64, 3, 100))
        'telco 64'
    """
    return f"{problem.data} {problem.width}"


def run_arm(arm: str, problem: Problem, more: Sequence[str]) -> Run:
    """One search, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="autoact-benchmark-") as name:
        folder = Path(name)
        (folder / "problem.json").write_text(json.dumps(problem.to_dict()), encoding="utf-8")
        if arm.startswith("plain"):
            module, extra = "plain_script", [arm.removeprefix("plain") or "1"]
        elif arm == "ray":
            module, extra = "ray_tune_script", [str(WORKERS)]
        else:
            module, extra = "autoact_search", [*VARIANTS[arm], *more]
        command = [sys.executable, "-m", f"benchmarks.throughput.{module}", str(folder / "problem.json"), name, *extra]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"{arm} failed:\n{done.stderr[-3000:]}")
        run = Run.from_dict(json.loads((folder / "run.json").read_text(encoding="utf-8")))
    return Run(arm, run.problem, run.trials, run.seconds, run.notes)


def judge_setting(problem: Problem, notebook: Notebook, deadline: float) -> bool:
    """Fix the reference point and judge every point of this setting that needs it; false where time ran out."""
    from benchmarks.throughput import rescoring

    name = setting(problem)
    with tempfile.TemporaryDirectory(prefix="autoact-benchmark-") as folder:
        base, trivial, mode = rescoring.configured_params(problem, Path(folder))
        table = notebook.path.parent / f"{notebook.path.stem}-{name.replace(' ', '-')}-latency.json"
        latency, slowest = rescoring.shared_latencies(problem, Path(folder), table)
        directions = (mode, "min")
        wanted: dict[str, Mapping[str, Any]] = {key_of(base): base}
        for run in notebook.runs():
            if setting(run.problem) == name:
                wanted |= ever_on_front(run.trials, directions)
        missing = {key: params for key, params in wanted.items() if f"point {name} {key}" not in notebook}
        for key, qualities in rescoring.score_points(problem, Path(folder), missing):
            entry = {"qualities": qualities, "latency": latency(wanted[key])}
            notebook.write(f"point {name} {key}", entry)
            if time.monotonic() > deadline:
                return False
        configured = notebook.entries[f"point {name} {key_of(base)}"]["qualities"]
        reference = reference_point(mode, sum(configured) / len(configured), trivial, slowest)
        notebook.write(f"judge {name}", {"directions": directions, "reference": reference})
    return True


def problems(options: argparse.Namespace) -> list[Problem]:
    """Every data set, width and repetition that was asked for."""
    paths = {"telco": options.telco, "california": options.california}
    found = []
    for repeat in range(options.repeats):
        for data in options.data.split(","):
            for width in map(int, options.widths.split(",")):
                found.append(
                    Problem(
                        data,
                        width,
                        options.seed + repeat,
                        options.trials,
                        paths.get(data) and str(Path(paths[data]).resolve()),
                        epochs=options.epochs,
                        threads=options.threads,
                        latency_batch=options.latency_batch,
                        device=options.device,
                    )
                )
    return found


def work(options: argparse.Namespace, notebook: Notebook) -> bool:
    """Run what is missing; false where time ran out."""
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    todo = problems(options)
    for problem in todo:
        for arm in options.arms.split(","):
            name = f"run {arm} {json.dumps(problem.to_dict())}"
            if name in notebook:
                continue
            if time.monotonic() > deadline:
                return False
            run = run_arm(arm, problem, options.set)
            notebook.write(name, run.to_dict())
            said = f"{len(run.trials)} trials, {run.seconds:.1f} s {dict(run.notes)}"
            print(f"{arm}, {setting(problem)}, seed {problem.seed}: {said}", file=sys.stderr)
    if options.no_rescoring:
        return True
    return all(judge_setting(problem, notebook, deadline) for problem in {setting(p): p for p in todo}.values())


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = found.add_argument
    add("--telco", metavar="CSV", help="the IBM Telco file; the packaged one unless given")
    add("--california", metavar="CSV", help="the California housing file; the packaged one unless given")
    add("--data", default=",".join(DATA), help="which data sets (default: %(default)s)")
    add("--widths", default="32,64,128", help="of the recipe (default: %(default)s)")
    add("--arms", default=",".join(ARMS), help="competitors (default: %(default)s)")
    add("--trials", type=int, default=100, help="trials of every competitor (default: %(default)s)")
    add("--repeats", type=int, default=3, help="repetitions, each with a seed of its own (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the first repetition (default: %(default)s)")
    add("--epochs", type=int, default=30, help="most epochs of a training (default: %(default)s)")
    add("--threads", type=int, default=1, help="CPU threads of one training (default: %(default)s)")
    add("--latency-batch", type=int, default=1, help="rows of the timed request (default: %(default)s)")
    add("--device", default="cpu", choices=["cpu", "cuda"], help="where everybody trains and serves")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of autoact's search; repeatable")
    add(
        "--checkpoint", type=Path, default=Path("autoact-runs/benchmarks/throughput.jsonl"), help="default: %(default)s"
    )
    add("--minutes", type=float, help="start nothing new after so long; the same command goes on")
    add("--no-rescoring", action="store_true", help="only run the searches")
    add("--report", action="store_true", help="run nothing: print the tables of the checkpoint")
    add("--json", type=Path, metavar="FILE", help="write the raw results there too")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, re-score, print."""
    options = parser().parse_args(arguments)
    unknown_arms = sorted(set(options.arms.split(",")) - set(ARMS))
    if unknown_arms:
        print(f"no such arm: {', '.join(unknown_arms)}. There are: {', '.join(ARMS)}", file=sys.stderr)
        return 2
    notebook = Notebook(options.checkpoint)
    try:
        finished = options.report or work(options, notebook)
    except AutoactError as error:
        print(error, file=sys.stderr)
        return 2
    if not options.report:
        notebook.write("origin", origin())
    print(tables(notebook.entries))
    if options.json:
        options.json.write_text(json.dumps(notebook.entries, indent=1), encoding="utf-8")
    if not finished:
        print("\nTime is up and work is left: the same command goes on.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
