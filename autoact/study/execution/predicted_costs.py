"""What is predicted of a candidate before it is trained: its latency and its cost, looked up in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoact.core.assignment import Assignment
from autoact.latency.build_table import measure_table
from autoact.latency.cost import cost_per_million
from autoact.latency.hardware import HardwareSettings
from autoact.latency.latency_table import BATCHES, LatencyTable
from autoact.sites import apply
from autoact.space.search_space import SearchSpace
from autoact.tasks.objectives import COST, LATENCY
from autoact.tasks.task import Task
from autoact.training.preflight.loaded_weights import sites_of


@dataclass(frozen=True)
class PredictedCosts:
    """Latency and cost of every assignment of a space, by a table whose "sites" are the space's dimensions."""

    table: LatencyTable
    space: SearchSpace
    hardware: HardwareSettings

    def values(self, assignment: Assignment) -> dict[str, float]:
        """Latency in ms at the latency batch; cost per million samples where the hardware has a price."""
        choices = {group: self.space.timed(group, assignment[sites[0]]) for group, sites in self.space.groups.items()}
        values = {LATENCY: self.table.predict(choices, "latency").ms}
        if self.hardware.price_per_hour is not None:
            batch_ms = self.table.predict(choices, "throughput").ms
            values[COST] = self._cost(batch_ms)
        return values

    def epsilons(self) -> dict[str, float]:
        """Differences up to these count as ties."""
        epsilons = {LATENCY: self.table.epsilon("latency", len(self.space.groups))}
        if self.hardware.price_per_hour is not None:
            epsilons[COST] = self._cost(self.table.epsilon("throughput", len(self.space.groups)))
        return epsilons

    def _cost(self, batch_ms: float) -> float:
        """Currency per million samples."""
        assert self.hardware.price_per_hour is not None
        return cost_per_million(batch_ms, self.hardware.throughput_batch, self.hardware.price_per_hour)


def calibrate(
    task: Task,
    space: SearchSpace,
    hardware: HardwareSettings,
    file: Path,
    progress: Callable[[int, int], None] | None = None,
) -> PredictedCosts:
    """Measure the latency table on a quiet machine, or read the one that this study measured before.

    ``progress`` is called with the number of swaps that are done, and of all.
    """
    if file.is_file():
        return PredictedCosts(LatencyTable.load(file), space, hardware)
    module = task.make_module()
    module.configure_model()
    module.eval()
    table = measure_table(
        module,
        task.make_input,
        [(group, choice) for group in space.groups for choice in space.timed_at(group)],
        lambda model, group, choice: apply(
            model,
            dict.fromkeys(space.groups[group], choice),
            example_input=task.example_input,
            sites=sites_of(task, normalisations=bool(space.normalisations)),
        ),
        hardware=hardware,
        current={group: str(space.baseline[sites[0]]) for group, sites in space.groups.items()},
        batches=BATCHES if hardware.price_per_hour is not None else BATCHES[:1],
        progress=progress,
    )
    table.save(file)
    return PredictedCosts(table, space, hardware)


def describe_hardware(predicted: PredictedCosts) -> Mapping[str, object]:
    """Plain data on the device and its price."""
    hardware = predicted.hardware
    price = None
    if hardware.price_per_hour is not None:
        price = {
            "per_hour": hardware.price_per_hour,
            "currency": hardware.currency,
            "date": hardware.price_date,
            "source": hardware.price_source,
        }
    return {"name": hardware.name, "device": dict(predicted.table.device), "price": price}
