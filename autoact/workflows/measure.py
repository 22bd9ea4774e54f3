"""``autoact.measure``: latency and cost per sample of models on this machine, timed as a search times its finalists."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from autoact.core.errors import AutoactError, first_line
from autoact.core.result_table import ResultTable, number, to_html
from autoact.latency.build_table import serving
from autoact.latency.cost import cost_per_million
from autoact.latency.hardware import HardwareSettings, describe, resolve_device
from autoact.latency.model_call import call_model, to_device
from autoact.latency.timer import Timing, time_alternating
from autoact.recommendation import Recommendation
from autoact.sites.tracing.dry_run import tensors_in
from autoact.study.confirmation.end_to_end_timing import careful, paired_ratio
from autoact.study.outcome.result import SearchResult
from autoact.user_code.batch_axis import batch_axis, samples_along, taken
from autoact.workflows.load_recommendation import load_recommendation
from autoact.workflows.searching.search_arguments import in_full

# What the models are called that were given without a name.
MODEL = "model"


@dataclass(frozen=True)
class MeasuredModel:
    """What was measured of one model.

    Attributes:
        name: of the model.
        latency_ms: median of a call with ``hardware.latency_batch`` samples, in ms.
        p90_ms: 90th percentile of the same, in ms.
        p99_ms: 99th percentile of the same, in ms.
        latency_ratio: to the first model, paired round by round (geometric mean).
        samples_per_second: in calls of ``hardware.throughput_batch`` samples; None where the hardware has no price.
        cost_per_million: cost of a million samples, in ``hardware.currency``; None where the hardware has no price.
    """

    name: str
    latency_ms: float
    p90_ms: float
    p99_ms: float
    latency_ratio: float
    samples_per_second: float | None = None
    cost_per_million: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """Latency and cost of models on this machine.

    Attributes:
        models: one per model, in the order given.
        hardware: what was timed on, and how carefully.
        machine: device, processor, threads and versions that times depend on.
    """

    models: Sequence[MeasuredModel]
    hardware: HardwareSettings
    machine: Mapping[str, str | int | None] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The median latency of each model, in one sentence."""
        found = ", ".join(f"{one.name} {number(one.latency_ms, 3)} ms" for one in self.models)
        batch = self.hardware.latency_batch
        return f"median latency of {batch} sample{'s' * (batch != 1)} on {self.machine['device']}: {found}"

    def table(self) -> ResultTable:
        """The numbers as text."""
        columns = ["model", "latency ms", "p90 ms", "p99 ms", "ratio to the first"]
        priced = self.hardware.price_per_hour is not None
        if priced:
            columns += ["samples per second", f"cost, {self.hardware.currency} per million samples"]
        rows = []
        for one in self.models:
            times = [number(value, 3) for value in (one.latency_ms, one.p90_ms, one.p99_ms)]
            cost = [number(one.samples_per_second, 3), number(one.cost_per_million, 3)] if priced else []
            rows.append([one.name, *times, f"{one.latency_ratio:.2f}x", *cost])
        return ResultTable("timed in turn, end to end", columns, rows)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per model."""
        return pd.DataFrame([{one.name: getattr(row, one.name) for one in fields(row)} for row in self.models])

    def __repr__(self) -> str:
        return f"Measurement({self.verdict})"

    def _repr_html_(self) -> str:
        """The table, as notebooks show it."""
        machine = ", ".join(f"{key}: {value}" for key, value in self.machine.items() if value is not None)
        return to_html(self.verdict, [self.table()], [machine])


def measure(
    model: nn.Module | Mapping[str, nn.Module],
    example_input: object,
    *,
    recommendation: str | Path | Recommendation | SearchResult | None = None,
    hardware: HardwareSettings | str = "auto",
) -> Measurement:
    """Time models end to end on this machine, in turn (A B A B), and say what a sample costs.

    The models are in evaluation mode on the device meanwhile and are put back afterwards.

    Args:
        model: a model, or several by name; ratios are to the first.
        example_input: what ``model(example_input)`` takes; a tuple is passed as positional arguments, a mapping as
            keywords. Its samples are repeated to ``hardware.latency_batch`` and ``hardware.throughput_batch``.
        recommendation: each of its policies that changes something is applied to a copy of the one model and timed too.
        hardware: by device name (``"cpu"``, ``"cuda"``), timed as carefully as a search times its finalists; or in
            full, with ``rounds`` and ``min_ms`` as given. With a price, throughput and cost are measured.

    Raises:
        AutoactError: there is no such device, the recommendation does not fit, or the model cannot be called.

    Example:
        >>> hardware = HardwareSettings(device="cpu", rounds=3, min_ms=0.1)
        >>> found = measure(nn.Linear(4, 2), torch.zeros(2, 4), hardware=hardware)
        >>> found.models[0].name, found.models[0].latency_ms > 0, found.models[0].latency_ratio
        ('model', True, 1.0)
    """
    settings = in_full(hardware, HardwareSettings, "hardware", "device")
    if isinstance(hardware, str):
        settings = careful(settings)
    models = dict(model) if isinstance(model, Mapping) else {MODEL: model}
    if not models or not all(isinstance(one, nn.Module) for one in models.values()):
        raise AutoactError("measure needs a torch.nn.Module, or several by name: {'today': model, 'new': other}")
    if not any(True for _ in tensors_in(example_input)):
        raise AutoactError(
            f"example_input is a {type(example_input).__name__} without a tensor: give what the model takes, such as "
            "torch.as_tensor(x, dtype=torch.float32)"
        )
    if recommendation is not None:
        models |= _variants(models, recommendation, example_input)
    device = resolve_device(settings.device)
    sizes = {"latency": settings.latency_batch}
    if settings.price_per_hour is not None:
        sizes["throughput"] = settings.throughput_batch
    with ExitStack() as stack:
        for one in models.values():
            stack.enter_context(serving(one, device))
        for title, one in models.items():
            _check_call(title, one, to_device(example_input, device))
        first = next(iter(models.values()))
        inputs = {name: to_device(_of_size(first, example_input, size, device), device) for name, size in sizes.items()}
        timed = {
            name: time_alternating(
                {title: functools.partial(call_model, one, batch) for title, one in models.items()},
                device=device,
                rounds=settings.rounds,
                min_ms=settings.min_ms,
                threads=settings.threads,
            )
            for name, batch in inputs.items()
        }
    reference = timed["latency"][next(iter(models))]
    found = [_measured(name, timed, reference, settings) for name in models]
    return Measurement(found, settings, describe(device))


def _variants(
    models: Mapping[str, nn.Module], source: str | Path | Recommendation | SearchResult, example: object
) -> dict[str, nn.Module]:
    """The model with each policy of a recommendation that changes something."""
    if len(models) != 1:
        raise AutoactError("a recommendation is measured beside one model: give the one that the search saw")
    (model,) = models.values()
    found = source if isinstance(source, Recommendation) else load_recommendation(source)
    names = [name for name, policy in found.policies.items() if policy.recommend and not policy.ensemble]
    if not names:
        raise AutoactError(f"the recommendation of {found.task} keeps the baseline: there is nothing to compare with")
    return {name: found.apply(model, name, example_input=example) for name in names}


def _check_call(title: str, model: nn.Module, example: object) -> None:
    """Refuse an example that the model cannot be called with."""
    try:
        with torch.inference_mode():
            call_model(model, example)
    except Exception as error:  # whatever the user's code raises
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors_in(example))
        raise AutoactError(
            f"{title} cannot be called with example_input (shape {shapes}): {first_line(error)}"
        ) from error


def _of_size(model: nn.Module, example: object, size: int, device: torch.device) -> object:
    """The example with so many samples, taken from it over and over."""
    example = to_device(example, device)

    def run(batch: object) -> object:
        with torch.inference_mode():
            return call_model(model, batch)

    axis = 0 if samples_along(example, 0) == 1 else batch_axis(run, example)
    if axis is None:
        raise AutoactError(
            "the samples of example_input are not along one axis: give one whose first axis, or second, holds them"
        )
    samples = samples_along(example, axis)
    return taken(example, axis, samples, torch.arange(size) % samples)


def _measured(
    name: str, timed: Mapping[str, Mapping[str, Timing]], reference: Timing, hardware: HardwareSettings
) -> MeasuredModel:
    latency, throughput = timed["latency"][name], timed.get("throughput", {}).get(name)
    ratio = paired_ratio(latency, reference).value
    speed = cost = None
    if throughput is not None and hardware.price_per_hour is not None:
        speed = 1000 * hardware.throughput_batch / throughput.median_ms
        cost = cost_per_million(throughput.median_ms, hardware.throughput_batch, hardware.price_per_hour)
    return MeasuredModel(name, latency.median_ms, latency.p90_ms, latency.p99_ms, ratio, speed, cost)
