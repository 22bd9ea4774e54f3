"""What autoact costs beside training: per trial, in memory, at start-up, and in the model that is served.

    python -m benchmarks.overhead

Four tables (``--parts``):

    trial    seconds of a search that were not spent training (Optuna, MLflow, files), per trial
    memory   peak memory of a population against as many single trainings
    start    how long the command line takes to answer
    applied  a model that autoact changed against the same model written by hand
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from autoact.study.callbacks import SearchCallback
from benchmarks.machine import judged, markdown_table, middle, origin, origin_lines

ROOT = Path(__file__).resolve().parents[1]
MOST_MS, MOST_SHARE, MOST_SLOWDOWN = 30.0, 5.0, 1.0
COMMANDS = {
    "python alone": ["-c", "pass"],
    "--help": ["-m", "autoact", "--help"],
    "search --help": ["-m", "autoact", "search", "--help"],
    "a wrong key": ["-m", "autoact", "search", "task=churn", "search.trails=3"],
    "activations": ["-m", "autoact", "activations"],
}
ASSIGNMENTS = ("relu", "gelu", "mish", "gelu/tanh/silu")
BATCHES = (1, 1024)


class Times(SearchCallback):
    """Notes when a search started and when trials ended, in seconds."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self.started = 0.0
        self.ended: list[float] = []

    def search_started(self, info: Any) -> None:
        """Everything is known but the results."""
        self.started = time.perf_counter()

    def trial_finished(self, record: Any, front: int, seconds_left: float | None) -> None:
        """A trial came to its end."""
        self.ended.append(time.perf_counter())


@contextmanager
def timed_jobs() -> Iterator[list[float]]:
    """Seconds of every job that an engine runs in this process: building models, training, validating."""
    from autoact.engines.job import WorkerContext

    taken: list[float] = []
    run = WorkerContext.run

    def timed(self: Any, job: Any) -> Any:
        began = time.perf_counter()
        try:
            return run(self, job)
        finally:
            taken.append(time.perf_counter() - began)

    WorkerContext.run = timed  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        WorkerContext.run = run  # type: ignore[method-assign]


def time_search(trials: int, tracking: str, more: Sequence[str]) -> dict[str, float]:
    """Seconds of a search from its start to its last trial, and how many of them were jobs of the engine."""
    from autoact.config.compose import compose, settings
    from autoact.tracking.factory import make_tracker
    from autoact.workflows.searching.run_search import run_search
    from autoact.workflows.task_source import Configured, prepared_search

    with tempfile.TemporaryDirectory() as folder, timed_jobs() as jobs:
        fixed = ["task=churn", "confirm=none", "hardware=cpu", "engine=inline", f"search.trials={trials}"]
        config = settings(compose([*fixed, f"output={folder}", f"tracking={tracking}", *more]))
        prepared = prepared_search(Configured(config))
        tracker = make_tracker(config.tracking, Path(folder), prepared.task.name)
        # The first to hear of the start and the last to hear of each end: the tracker's work lies between.
        first, last = Times(), Times()
        run_search(prepared, [first, *filter(None, [tracker]), last])
        return {"trials": len(last.ended), "seconds": last.ended[-1] - first.started, "training": sum(jobs)}


def trial_part(options: argparse.Namespace) -> tuple[str, Any]:
    """Time outside training, per trial."""
    rows, raw, lines = [], {}, []
    for tracking in ("none", "mlflow"):
        found = [time_search(options.trials, tracking, options.set) for _ in range(options.repeats)]
        outside = [1000 * (one["seconds"] - one["training"]) / one["trials"] for one in found]
        share = [100 * (1 - one["training"] / one["seconds"]) for one in found]
        per_trial = [1000 * one["training"] / one["trials"] for one in found]
        rows.append([f"tracking={tracking}", middle(per_trial, ".1f"), middle(outside, ".1f"), middle(share, ".1f")])
        raw[tracking] = found
        if tracking == "mlflow":
            lines = [
                f"- time outside training per trial: {judged(_median(outside), MOST_MS, least=False, unit=' ms')}",
                f"- its share of the search: {judged(_median(share), MOST_SHARE, least=False, unit=' %')}",
            ]
    header = ["churn, width 64, in this process", "training, ms / trial", "outside, ms / trial", "outside, %"]
    return "\n".join([markdown_table(header, rows), "", *lines]), raw


def _median(values: Sequence[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def probe_memory(kind: str, members: int) -> float:
    """Peak memory of this process in MiB, after two epochs of so many trainings."""
    import torch

    from autoact.config.compose import compose, settings
    from autoact.config.recipe_task import recipe_task
    from autoact.core.assignment import Assignment
    from autoact.core.trial import Candidate
    from autoact.training.lightning_session import LightningSession, SessionOptions
    from autoact.training.population import PopulationSession

    task = recipe_task(settings(compose(["task=churn"])))
    options = SessionOptions(torch.device("cpu"), patience=8, threads=1)
    sites = ("layers.0.act", "layers.1.act", "layers.2.act")
    session = (PopulationSession if kind == "population" else LightningSession)(task, options)
    session.start([(n, Candidate(Assignment(dict.fromkeys(sites, "tanh")), {}, 0)) for n in range(members)])
    session.advance(2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def memory_part(options: argparse.Namespace) -> tuple[str, Any]:
    """Peak memory of a population and of single trainings, each measured in a process of its own."""
    cases = [("single", 1), ("single", options.members), ("population", 2), ("population", options.members)]
    raw: dict[str, list[float]] = {f"{kind} {members}": [] for kind, members in cases}
    for _ in range(options.repeats):
        for kind, members in cases:
            raw[f"{kind} {members}"].append(float(_said(["--probe", kind, "--members", str(members)])))
    one = _median(raw["single 1"])
    rows = []
    for kind, members in cases:
        found = raw[f"{kind} {members}"]
        more = _median(found) - one
        rows.append([_case(kind, members), middle(found, ".0f"), f"{more:.0f}", f"{more / max(1, members - 1):.2f}"])
    header = ["two epochs of", "peak MiB", "more than one training", "per further training"]
    return markdown_table(header, rows), raw


def _case(kind: str, members: int) -> str:
    """A case of the memory table, in words."""
    if kind == "population":
        return f"a population of {members}"
    return "one training" if members == 1 else f"{members} trainings, one after the other, all kept"


def _said(arguments: Sequence[str]) -> str:
    """What this program prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.overhead", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()[-1]


def start_part(options: argparse.Namespace) -> tuple[str, Any]:
    """How long the command line takes to answer, in turn."""
    raw: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.starts + 1):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, check=False)
            raw[name].append(1000 * (time.perf_counter() - began))
    warm = {name: found[1:] for name, found in raw.items()}  # the first one reads files that are not cached yet
    return markdown_table(["command", "ms"], [[name, middle(found, ".0f")] for name, found in warm.items()]), warm


def write_by_hand(width: int, inputs: int, names: Sequence[str]) -> Any:
    """The recipe's network as one would write it for production: no autoact in it."""
    from torch import nn

    layers: list[nn.Module] = []
    own = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "mish": nn.Mish}
    for number, name in enumerate(names):
        layers += [nn.Linear(width if number else inputs, width), own[name](), nn.Dropout(0.0)]
    return nn.Sequential(*layers, nn.Linear(width, 1)).eval()


def applied_part(options: argparse.Namespace) -> tuple[str, Any]:
    """A changed model against one written by hand, and one written by hand against itself."""
    rows, raw = [], {}
    for names in ASSIGNMENTS:
        for batch in BATCHES:
            ratio, error, noise = compare_applied(names, batch, options)
            raw[f"{names}, batch {batch}"] = {"percent": ratio, "error": error, "noise": noise}
            rows.append([f"{names}, batch {batch}", f"{ratio:+.2f}", f"{error:.2f}", f"{noise:+.2f}"])
    header = ["assignment", "slower by, %", "standard error", "by hand against itself, %"]
    worst = max(raw.values(), key=lambda one: one["percent"])
    middle_one = _median([one["percent"] for one in raw.values()])
    lines = [
        f"- the middle one: {judged(middle_one, MOST_SLOWDOWN, least=False, unit=' %')}",
        f"- the worst one: {judged(worst['percent'], MOST_SLOWDOWN, least=False, unit=' %')}, "
        f"standard error {worst['error']:.2f} %",
    ]
    return "\n".join([markdown_table(header, rows), "", *lines]), raw


def compare_applied(names: str, batch: int, options: argparse.Namespace) -> tuple[float, float, float]:
    """Per cent by which an applied model is slower, its standard error, and by which one of two equal models is.

    All have the same layers: the applied one is that written by hand with ReLU, changed by autoact. It is compared with
    the mean of two equal models written by hand, which are timed in turn with it.
    """
    import torch

    import autoact
    from autoact.latency.timer import median_error, time_alternating

    inputs, width = 46, 64
    chosen = names.split("/") if "/" in names else [names] * 3
    hand, twin = write_by_hand(width, inputs, chosen), write_by_hand(width, inputs, chosen)
    plain = write_by_hand(width, inputs, ["relu"] * 3)
    x = torch.randn(batch, inputs)
    example = torch.randn(2, inputs)
    sites = autoact.find_sites(plain, example).names
    applied = autoact.apply(plain, dict(zip(sites, chosen, strict=True)), example_input=example)
    models: dict[str, Callable[[], Any]] = {
        "hand": partial(hand, x),
        "twin": partial(twin, x),
        "applied": partial(applied.eval(), x),
    }
    timings = time_alternating(models, device=torch.device("cpu"), rounds=options.rounds, threads=1)

    pairs = list(zip(timings["hand"].round_ms, timings["twin"].round_ms, strict=True))
    slower = [200 * a / (b + c) - 100 for a, (b, c) in zip(timings["applied"].round_ms, pairs, strict=True)]
    return statistics.median(slower), median_error(slower), statistics.median([100 * (c / b - 1) for b, c in pairs])


PARTS: dict[str, tuple[str, Callable[[argparse.Namespace], tuple[str, Any]]]] = {
    "trial": ("Time outside training", trial_part),
    "memory": ("Memory", memory_part),
    "start": ("Start-up of the command line", start_part),
    "applied": ("An applied model against one written by hand", applied_part),
}


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = found.add_argument
    add("--parts", default=",".join(PARTS), help="default: %(default)s")
    add("--trials", type=int, default=60, help="of the timed search (default: %(default)s)")
    add("--repeats", type=int, default=3, help="of searches and memory probes (default: %(default)s)")
    add("--starts", type=int, default=7, help="timed starts of each command (default: %(default)s)")
    add("--rounds", type=int, default=101, help="of the model timing (default: %(default)s)")
    add("--members", type=int, default=64, help="of the memory probe's population (default: %(default)s)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the timed search; repeatable")
    add("--json", type=Path, metavar="FILE", help="write the raw results there too")
    add("--probe", choices=["single", "population"], help=argparse.SUPPRESS)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = parser().parse_args(arguments)
    if options.probe:
        print(probe_memory(options.probe, options.members))
        return 0
    chosen = options.parts.split(",")
    strangers = sorted(set(chosen) - set(PARTS))
    if strangers:
        print(f"no such part: {', '.join(strangers)}. There are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    about = origin()
    print(f"### Overhead\n\n{origin_lines(about)}\n")
    everything: dict[str, Any] = {"origin": about}
    for name in chosen:
        title, part = PARTS[name]
        text, everything[name] = part(options)
        print(f"#### {title}\n\n{text}\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
