"""Milliseconds per member and training step over the size of a population, beside what cannot be saved.

    python -m benchmarks.population --threads 2

For each recipe: the time of one training step (forward, backward, optimiser) of ``k`` members divided by ``k``, beside
the sum of its own matrix products, activations and optimiser step, each timed alone at those shapes, and the share of
the machine's floating-point limit (a large sgemm) that the step reaches. Members hold mixed activations unless
``--relu`` is given. The bar: at most twice that sum at width 64 on two cores, at the size that is fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import floor
from benchmarks.machine import judged, markdown_table, origin, origin_lines

RECIPES = {
    "tabular classification": ["task=churn", "recipe.batch_size=128"],
    "tabular regression": ["task=diabetes", "recipe.batch_size=128"],
    "sequence classification": ["task=digits-rows", "recipe.batch_size=128"],
    "forecast": ["task=demand", "recipe.batch_size=128"],
}
SIZES = (1, 2, 4, 8, 16, 32, 64)
BAR = 2.0


@dataclass(frozen=True)
class Measured:
    """One recipe at one size; all times in ms per member and step.

    Attributes:
        recipe: the recipe.
        size: members.
        step: of the population's own training step; median over rounds.
        step_range: smallest and largest round.
        products: matrix products and convolutions alone.
        activations: activations alone, forward and backward.
        optimiser: a fused AdamW step alone.
        gflops: what the step reaches, in GFLOP/s, counting products only.
    """

    recipe: str
    size: int
    step: float
    step_range: tuple[float, float]
    products: float
    activations: float
    optimiser: float
    gflops: float

    @property
    def sum(self) -> float:
        """Of the parts."""
        return self.products + self.activations + self.optimiser

    @property
    def ratio(self) -> float:
        """How many times the sum of the parts a step takes."""
        return self.step / self.sum


def make_task(name: str, width: int) -> tuple[Any, list[str]]:
    """A recipe's task at a width, and the activations that a search tries by default."""
    from autoact.config.compose import compose, settings
    from autoact.config.recipe_task import recipe_task

    config = settings(compose([*RECIPES[name], f"recipe.arguments.width={width}"]))
    return recipe_task(config), list(config.space.candidates)


def mixture(sites: Sequence[str], names: Sequence[str], members: int) -> list[dict[str, str]]:
    """Assignments that differ from member to member and from site to site.

    Example:
        >>> mixture(["a", "b"], ["relu", "tanh", "gelu"], 2)
        [{'a': 'relu', 'b': 'tanh'}, {'a': 'tanh', 'b': 'gelu'}]
    """
    return [{site: names[(m + i) % len(names)] for i, site in enumerate(sites)} for m in range(members)]


def time_steps(task: Any, choices: Sequence[dict[str, str]], steps: int, threads: int, device: torch.device) -> float:
    """Median ms of a training step of a population with these assignments, per member."""
    from autoact.core.assignment import Assignment
    from autoact.training.lightning_session import SessionOptions
    from autoact.training.population.size_probe import seconds_per_step

    assignments = [Assignment(chosen) for chosen in choices]
    taken = seconds_per_step(task, SessionOptions(device), len(choices), threads, steps, assignments)
    return 1000 * statistics.median(taken)


def measure(name: str, options: argparse.Namespace) -> Iterator[Measured]:
    """Time a recipe at several sizes; population and parts take turns."""
    from autoact.sites import find_sites

    device, threads = torch.device(options.device), options.threads
    task, names = make_task(name, options.width)
    x, _ = next(iter(task.make_datamodule(0).train_dataloader()))
    sites = find_sites(task.make_module(), task.example_input).names
    anatomy = floor.dissect(task.make_module(), x, sites)
    flops = sum(layer.flops for layer in anatomy.layers)
    for size in map(int, options.sizes.split(",")):
        choices = mixture(sites, ["relu"] if options.relu else names, size)
        steps: list[float] = []
        parts: list[list[float]] = [[], [], []]
        operations = (
            floor.products(anatomy, size, device),
            floor.activations(anatomy, choices, device),
            floor.optimiser(anatomy, size, device),
        )
        for _ in range(options.rounds):
            steps.append(time_steps(task, choices, options.steps, threads, device))
            for found, work in zip(parts, operations, strict=True):
                found.append(floor.total_ms(work, options.steps, device) / size)
        step = statistics.median(steps)
        products, activations, adamw = (statistics.median(found) for found in parts)
        reached = flops / step / 1e6
        yield Measured(name, size, step, (min(steps), max(steps)), products, activations, adamw, reached)


def table(found: Sequence[Measured], limit: float) -> str:
    """One recipe's table."""
    rows = [
        [
            str(one.size),
            f"{one.step:.3f} ({one.step_range[0]:.3f}-{one.step_range[1]:.3f})",
            f"{one.products:.3f}",
            f"{one.activations:.3f}",
            f"{one.optimiser:.3f}",
            f"{one.sum:.3f}",
            f"{one.ratio:.2f}",
            f"{100 * one.gflops / limit:.0f} %",
        ]
        for one in found
    ]
    header = [
        "members",
        "step",
        "products alone",
        "activations alone",
        "AdamW alone",
        "sum",
        "ratio",
        "of sgemm's limit",
    ]
    return markdown_table(header, rows)


def verdict(found: Sequence[Measured], width: int) -> str:
    """The recipe's fastest size, beside the bar where the width has one."""
    best = min(found, key=lambda one: one.step)
    text = (
        f"{best.recipe}: fastest at {best.size} members, {found[0].step / best.step:.1f}x faster than {found[0].size}"
    )
    return (
        f"{text}; step against the sum of its parts: {judged(best.ratio, BAR, least=False, unit='x')}"
        if width == 64
        else text
    )


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.population",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = found.add_argument
    add("--recipes", default=",".join(RECIPES), help="default: %(default)s")
    add("--width", type=int, default=64, help="of every recipe (default: %(default)s)")
    add("--sizes", default=",".join(map(str, SIZES)), help="members (default: %(default)s)")
    add("--relu", action="store_true", help="ReLU everywhere instead of mixed activations")
    add("--steps", type=int, default=15, help="timed steps of a round (default: %(default)s)")
    add("--rounds", type=int, default=3, help="population and parts take turns so often (default: %(default)s)")
    add("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all, %(default)s)")
    add("--device", default="cpu", choices=["cpu", "cuda"], help="default: %(default)s")
    add("--json", type=Path, metavar="FILE", help="write the raw results there too")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = parser().parse_args(arguments)
    chosen = options.recipes.split(",")
    strangers = sorted(set(chosen) - set(RECIPES))
    if strangers:
        print(f"no such recipe: {', '.join(strangers)}. There are: {', '.join(RECIPES)}", file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    limit = floor.sgemm_gflops(torch.device(options.device))
    about = origin(("torch", "lightning"))
    print(f"### Populations: ms per member and step at width {options.width}\n\n{origin_lines(about)}")
    print(f"- threads: {options.threads}\n- floating-point limit (sgemm of {floor.SGEMM}): {limit:.1f} GFLOP/s\n")
    everything, verdicts = [], []
    for name in chosen:
        found = list(measure(name, options))
        print(f"#### {name}\n\n{table(found, limit)}\n", flush=True)
        everything += found
        verdicts.append(verdict(found, options.width))
    print("\n".join(f"- {line}" for line in verdicts))
    if options.json:
        raw = {"origin": about, "gflops_limit": limit, "measured": [asdict(one) for one in everything]}
        options.json.write_text(json.dumps(raw, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
