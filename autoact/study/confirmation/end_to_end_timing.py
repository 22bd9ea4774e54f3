"""The finalists' latency and cost, measured end to end on the assembled models, in turn with the tuned baseline."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.latency.cost import cost_per_million
from autoact.latency.hardware import HardwareSettings, resolve_device
from autoact.latency.model_call import call_model, to_device
from autoact.latency.timer import Timing, time_alternating
from autoact.study.confirmation.verdict import Ratio
from autoact.study.execution.predicted_costs import PredictedCosts
from autoact.study.paired_statistics import paired_interval
from autoact.study.selection import Selection
from autoact.tasks.objectives import COST, LATENCY, Objective
from autoact.tasks.task import Task
from autoact.training.lightning_session import SessionOptions, served_module
from autoact.training.population.eligibility import why_not
from autoact.training.population.size_probe import seconds_per_step
from autoact.training.user_errors import said

# Finalists, and what is compared with them, are timed no more roughly than this.
ROUNDS, MIN_MS = 15, 10.0
# Rounds in which finalists take turns, the steps of each turn, and the seconds after which no further round begins.
STEP_ROUNDS, STEPS_PER_TURN, STEP_SECONDS = 10, 3, 2.0


@dataclass(frozen=True)
class Measured:
    """End-to-end timings of one finalist.

    Attributes:
        latency: at the latency batch.
        throughput: at the throughput batch; None where the hardware has no price.
        cost: per million samples; None where the hardware has no price.
        step_ms: median of a training step, forward, backward and optimiser; None where it cannot be timed alone.
    """

    latency: Timing
    throughput: Timing | None
    cost: float | None
    step_ms: float | None = None

    @property
    def values(self) -> dict[str, float]:
        """Objective -> value, of what was measured."""
        return {LATENCY: self.latency.median_ms} | ({} if self.cost is None else {COST: self.cost})


def careful(hardware: HardwareSettings) -> HardwareSettings:
    """The settings with which finalists are timed: no more roughly than ``ROUNDS`` and ``MIN_MS``."""
    return replace(hardware, rounds=max(hardware.rounds, ROUNDS), min_ms=max(hardware.min_ms, MIN_MS))


def measure_finalists(
    task: Task,
    candidates: Mapping[str, Candidate],
    predicted: PredictedCosts,
    ensembles: Mapping[str, int] | None = None,
) -> dict[str, Measured]:
    """Time each assignment end to end, A B A B; equal assignments are timed once.

    Those named in ``ensembles`` are so many networks of that assignment in one module, one after the other.
    """
    hardware = careful(predicted.hardware)
    device = resolve_device(hardware.device)
    sizes_of = ensembles or {}
    assignments = {(candidate.assignment, sizes_of.get(name, 1)): name for name, candidate in candidates.items()}
    modules = {name: served_module(task, candidates[name], device, size) for (_, size), name in assignments.items()}
    price, sizes = hardware.price_per_hour, {"latency": hardware.latency_batch}
    if price is not None:
        sizes["throughput"] = hardware.throughput_batch
    timings = {
        batch: time_alternating(
            {name: partial(call_model, m, to_device(task.make_input(size), device)) for name, m in modules.items()},
            device=device,
            rounds=hardware.rounds,
            min_ms=hardware.min_ms,
            threads=hardware.threads,
        )
        for batch, size in sizes.items()
    }
    trained = {name: candidates[name].assignment for name in modules if name not in sizes_of}
    steps = _training_steps(task, trained, SessionOptions(device))
    measured = {}
    for name, candidate in candidates.items():
        timed = assignments[candidate.assignment, sizes_of.get(name, 1)]
        throughput, cost = None, None
        if price is not None:
            throughput = timings["throughput"][timed]
            cost = cost_per_million(throughput.median_ms, hardware.throughput_batch, price)
        measured[name] = Measured(timings["latency"][timed], throughput, cost, steps.get(timed))
    return measured


def _training_steps(task: Task, assignments: Mapping[str, Assignment], options: SessionOptions) -> dict[str, float]:
    """The median time of a training step in ms, A B A B; none where steps cannot be taken out of a Trainer."""
    if why_not(task, options):
        return {}
    taken: dict[str, list[float]] = {name: [] for name in assignments}
    began = time.monotonic()
    for number in range(STEP_ROUNDS):
        if number and time.monotonic() - began > STEP_SECONDS:
            break
        for name, assignment in assignments.items():
            try:
                taken[name] += seconds_per_step(task, options, 1, 1, STEPS_PER_TURN, assignments=[assignment])
            except Exception as error:  # a later step than the one that why_not has tried
                warnings.warn(f"training steps of the finalists could not be timed: {said(error)}", stacklevel=2)
                return {}
    return {name: 1000.0 * median(seconds) for name, seconds in taken.items()}


def timed_ratios(
    selection: Selection, measured: Mapping[str, Measured], objectives: Sequence[Objective]
) -> dict[str, dict[str, Ratio]]:
    """Policy -> objective -> its ratio to the tuned baseline; empty where nothing was measured."""
    tuned = measured.get("tuned")
    return {p: ratios(measured[p], tuned, objectives) for p in selection.policies} if tuned is not None else {}


def ratios(mine: Measured, baseline: Measured, objectives: Sequence[Objective]) -> dict[str, Ratio]:
    """Objective -> ratio to the baseline, for latency and cost where they are traded."""
    traded = {objective.name for objective in objectives}
    return {name: ratio for name, ratio in every_ratio(mine, baseline).items() if name in traded}


def every_ratio(mine: Measured, baseline: Measured) -> dict[str, Ratio]:
    """The ratios to the baseline of all that was timed: the table, the verdict and every file show these."""
    found = {LATENCY: paired_ratio(mine.latency, baseline.latency)}
    if mine.throughput is not None and baseline.throughput is not None:
        found[COST] = paired_ratio(mine.throughput, baseline.throughput)
    return found


def paired_ratio(mine: Timing, baseline: Timing) -> Ratio:
    """The geometric mean over rounds of the paired ratio, with its 95 % interval."""
    pairs = zip(mine.round_ms, baseline.round_ms, strict=True)
    interval = paired_interval([math.log(a / b) for a, b in pairs])
    return Ratio(math.exp(interval.mean), math.exp(interval.low), math.exp(interval.high))
