"""Measuring the latency table: one swap at a time in the real model, next to two identical baselines."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from statistics import median

import torch
from torch import nn

from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.core.value_holders import Batch
from autoact.latency.hardware import HardwareSettings, describe, resolve_device
from autoact.latency.latency_table import BATCHES, NOISY, BatchTable, Estimate, LatencyTable
from autoact.latency.model_call import call_model, to_device
from autoact.latency.timer import Clock, Timing, fixed_threads, median_error, time_alternating

Swap = Callable[[nn.Module, str, str], nn.Module]
ModelCall = Callable[[nn.Module, Batch], object]
Progress = Callable[[int, int], None]

GROUP = 8  # swaps that are alive and timed together: few enough for memory and for a round to be short
REPEATS = 2  # how often a group is timed again if something else kept the machine busy
_FIRST, _SECOND = "baseline", "baseline again"


@dataclass(frozen=True)
class _Group:
    """The timings of two identical baselines and of some swaps, all in turn."""

    first: Timing
    second: Timing
    swaps: Mapping[tuple[str, str], Timing]
    unchanged: Sequence[tuple[str, str]]

    def reference(self) -> list[float]:
        return [(a + b) / 2 for a, b in zip(self.first.round_ms, self.second.round_ms, strict=True)]

    def noise(self, baseline_ms: float) -> Estimate:
        """What the two identical baselines differ by: zero on a perfect machine."""
        return _difference(self.first.round_ms, self.second.round_ms, baseline_ms)

    def delta(self, key: tuple[str, str], baseline_ms: float) -> Estimate:
        return _difference(self.swaps[key].round_ms, self.reference(), baseline_ms)

    def baselines(self) -> tuple[float, float]:
        return self.first.median_ms, self.second.median_ms


def _difference(ms: Sequence[float], reference_ms: Sequence[float], baseline_ms: float) -> Estimate:
    """How much longer than the reference, round by round and in proportion, on a baseline of ``baseline_ms``.

    In proportion, because a machine that slows down makes everything take so many per cent longer.
    """
    shares = [a / b - 1.0 for a, b in zip(ms, reference_ms, strict=True)]
    return Estimate(baseline_ms * median(shares), baseline_ms * median_error(shares))


def measure_table(
    model: nn.Module,
    make_input: Callable[[int], Batch],
    swaps: Sequence[tuple[str, str]],
    swap: Swap,
    *,
    hardware: HardwareSettings,
    current: Mapping[str, str] | None = None,
    batches: Sequence[str] = BATCHES,
    call: ModelCall | None = None,
    progress: Progress | None = None,
    seed: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> LatencyTable:
    """Measure what each swap adds to the model's time, at the latency and at the throughput batch size.

    Swaps are timed in groups, each in turn with two identical baselines: differences are formed round by round and in
    proportion, so that drift cancels, and the two baselines (A/A) tell how far differences can be trusted. A group
    whose baseline was over 5 % slower than the quietest one is timed again, twice at most. The model is in evaluation
    mode on the serving device meanwhile and is put back afterwards.

    ``swaps`` are (site, choice) pairs; the model's ``current`` choices are 0 by definition, and not measured. ``swap``
    makes a model with a choice at a site: it must leave the given one as it is (weights may be shared), and may return
    it where it has that choice already. ``make_input`` gives so many samples, which are moved to the device. Without a
    price, the throughput among the ``batches`` means nothing. ``progress`` is called with (groups done, groups in all).

    Raises:
        AutoactError: there is no such device, the throughput batch does not fit into its memory, or ``swap`` changed
            the model that it was given.

    Example:
        >>> def swapped(model, site, choice):
        ...     return nn.Sequential(model[0], nn.Tanh())
        >>> hardware = HardwareSettings(device="cpu", throughput_batch=8, rounds=3, min_ms=0.01)
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        >>> table = measure_table(model, lambda n: torch.zeros(n, 4), [("1", "tanh")], swapped,
        ...                       hardware=hardware, current={"1": "relu"})
        >>> table.predict({"1": "relu"}).ms == table.at("latency").baseline.ms
        True
    """
    device = resolve_device(hardware.device)
    present = {(site, _canonical(choice)) for site, choice in (current or {}).items()}
    wanted = [(site, choice) for site, choice in dict.fromkeys(swaps) if (site, _canonical(choice)) not in present]
    groups = [wanted[i : i + GROUP] for i in range(0, len(wanted), GROUP)] or [[]]
    every = {"latency": hardware.latency_batch, "throughput": hardware.throughput_batch}
    sizes = {name: every[name] for name in batches}
    total, done = len(groups) * len(set(sizes.values())), 0
    tables: dict[int, BatchTable] = {}
    with fixed_threads(hardware.threads), serving(model, device):
        description = describe(device)
        for size in dict.fromkeys(sizes.values()):
            batch = to_device(make_input(size), device)
            bench = _Bench(model, swap, call or call_model, size, batch, device, hardware, clock)
            timed = []
            for group in groups:
                timed.append(bench.time_group(group, seed))
                done += 1
                if progress is not None:
                    progress(done, total)
            tables[size] = _batch_table(size, bench.time_disturbed_again(groups, timed, seed), present)
    return LatencyTable(
        name=hardware.name,
        device=description,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        batches={name: tables[size] for name, size in sizes.items()},
    )


@dataclass(frozen=True)
class _Bench:
    """What stays the same while the groups of one batch size are timed."""

    model: nn.Module
    swap: Swap
    call: ModelCall
    size: int
    batch: Batch
    device: torch.device
    hardware: HardwareSettings
    clock: Clock

    def time_group(self, group: Sequence[tuple[str, str]], seed: int) -> _Group:
        """Time some swaps in turn with two baselines; swaps that change nothing are not timed."""
        models = {key: self._swapped(*key) for key in group}
        changed = {key: swapped for key, swapped in models.items() if swapped is not self.model}
        variants = {_FIRST: self.model, _SECOND: self.model, **{str(key): model for key, model in changed.items()}}
        try:
            timings = time_alternating(
                {name: partial(self.call, variant, self.batch) for name, variant in variants.items()},
                device=self.device,
                rounds=self.hardware.rounds,
                min_ms=self.hardware.min_ms,
                seed=seed,
                clock=self.clock,
            )
        except torch.OutOfMemoryError as error:
            which = "latency" if self.size == self.hardware.latency_batch else "throughput"
            raise AutoactError(
                f"the memory of {self.device} is too small for batches of {self.size}: lower hardware.{which}_batch"
            ) from error
        unchanged = [key for key in group if key not in changed]
        return _Group(timings[_FIRST], timings[_SECOND], {key: timings[str(key)] for key in changed}, unchanged)

    def time_disturbed_again(
        self, groups: Sequence[Sequence[tuple[str, str]]], timed: Sequence[_Group], seed: int
    ) -> list[_Group]:
        """Time groups again whose baseline was slower than the quietest one, and keep the quieter timing of each.

        Only the baselines decide, so that no swap is favoured.
        """
        kept = list(timed)
        for attempt in range(1, REPEATS + 1):
            quietest = min(min(group.baselines()) for group in kept)
            for i, group in enumerate(kept):
                if max(group.baselines()) > (1.0 + NOISY) * quietest:
                    repeated = self.time_group(groups[i], seed + attempt)
                    kept[i] = min(group, repeated, key=lambda one: max(one.baselines()))
        return kept

    def _swapped(self, site: str, choice: str) -> nn.Module:
        """The model with one swap, ready to serve; the given model must not have changed."""
        before = _fingerprint(self.model)
        swapped = self.swap(self.model, site, choice)
        if _fingerprint(self.model) != before:
            raise AutoactError(f"swap changed the model itself at {site!r}: it must return another model")
        return swapped.to(self.device).eval()


def _batch_table(size: int, groups: Sequence[_Group], present: Collection[tuple[str, str]]) -> BatchTable:
    nothing = Estimate(0.0, 0.0)
    deltas: dict[str, dict[str, Estimate]] = {}
    for site, choice in [*present, *((s, _canonical(c)) for group in groups for s, c in group.unchanged)]:
        deltas.setdefault(site, {})[choice] = nothing
    references = [ms for group in groups for ms in group.reference()]
    baseline = Estimate(median(references), median_error(references))
    measured = {key: group.delta(key, baseline.ms) for group in groups for key in group.swaps}
    for (site, choice), delta in measured.items():
        deltas.setdefault(site, {})[_canonical(choice)] = delta
    medians = [ms for group in groups for ms in group.baselines()]
    noises = [group.noise(baseline.ms) for group in groups]
    return BatchTable(
        batch=size,
        baseline=baseline,
        baseline_p90_ms=median([timing.p90_ms for group in groups for timing in (group.first, group.second)]),
        difference_error_ms=_difference_error(noises, list(measured.values())),
        spread=(max(medians) - min(medians)) / median(medians),
        deltas=deltas,
    )


def _difference_error(noises: Sequence[Estimate], deltas: Sequence[Estimate]) -> float:
    """The standard error of the difference of two settings, in ms: the larger of what rounds and what A/A show.

    A delta is a difference to the mean of two timings (variance 3/2 of one timing's), the difference of two settings
    is one of single timings (variance 2): hence the factor. Rounds see noise that comes and goes within a group,
    the two baselines also see what stays for a whole group.
    """
    scale = math.sqrt(2.0 / 1.5)
    within = median([*(noise.error_ms for noise in noises), *(scale * delta.error_ms for delta in deltas)])
    between = math.sqrt(math.fsum(noise.ms**2 for noise in noises) / len(noises))
    return max(within, between)


def _canonical(choice: str) -> str:
    return str(Choice.parse(choice))


def _fingerprint(model: nn.Module) -> list[tuple[str, int, tuple[tuple[str, int], ...]]]:
    """What an in-place swap would change: the modules, and the objects that they hold as attributes."""
    return [
        (name, id(module), tuple((key, id(value)) for key, value in vars(module).items()))
        for name, module in model.named_modules(remove_duplicate=False)
    ]


@contextmanager
def serving(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put the model on the device and into evaluation mode inside the block, and back after it."""
    devices = {tensor.device for tensor in (*model.parameters(), *model.buffers())}
    if len(devices) > 1:
        raise AutoactError(f"the model is on several devices ({', '.join(sorted(map(str, devices)))}): move it to one")
    modes = [(module, module.training) for module in model.modules()]
    model.to(device).eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for place in devices:
            model.to(place)
