"""Timing callables in turn, so that a drifting clock frequency or a busy neighbour hits all of them alike."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import NormalDist, median

import numpy as np
import torch

from autoact.core.errors import AutoactError

Clock = Callable[[], int]
Timed = Callable[[], object]
Stopwatch = Callable[[Timed], float]
_NS_PER_MS = 1e6
SLOW_MS = 20.0
# A variant is timed for about this long, in no fewer rounds than these.
VARIANT_MS, FEWEST_ROUNDS = 1000.0, 5
_MAD_TO_SD = 1.0 / NormalDist().inv_cdf(0.75)  # 1.4826: a normal's standard deviation per median absolute deviation
_MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)  # 1.2533: a normal sample's standard error of the median per that of the mean


@dataclass(frozen=True)
class Timing:
    """How long one variant takes.

    Attributes:
        median_ms: median of the rounds' medians, in ms: rounds count alike, however many calls fit into each.
        p90_ms: 90th percentile over all timed calls, in ms; rounds count alike here too.
        p99_ms: 99th percentile, likewise.
        error_ms: standard error of ``median_ms``, from the spread of the rounds' medians, in ms.
        round_ms: the median of each round, in ms; the same position of two variants belongs to the same moment, so
            that differences and ratios are formed round by round.
    """

    median_ms: float
    p90_ms: float
    p99_ms: float
    error_ms: float
    samples: int
    round_ms: tuple[float, ...]


def time_alternating(
    variants: Mapping[str, Timed],
    *,
    device: torch.device,
    rounds: int = 15,
    min_ms: float = 10.0,
    warmup: int = 5,
    threads: int | None = None,
    seed: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Timing]:
    """Time the variants in turn: every round times each of them once, in a new random order.

    A variant's turn begins with one untimed call, which takes its data back into the caches; then calls are timed one
    by one until ``min_ms`` have passed. On a GPU every call is timed alone, from an idle device to the last kernel's
    end (CUDA events), which is what one request waits for. Calls run in inference mode, without garbage collection and
    with a fixed number of threads; all three are restored afterwards. Threads are as they are unless given.

    Where calls are so slow that a variant would take more than a second, there are fewer rounds, down to five; each
    variant has ``warmup`` untimed calls before the first, or one where a call takes over 20 ms. ``clock`` returns
    nanoseconds, and is not asked where CUDA events tell.

    Raises:
        AutoactError: there is nothing to time, or there are too few rounds.

    Example:
        >>> timings = time_alternating({"a": lambda: None}, device=torch.device("cpu"), rounds=3, min_ms=0.01)
        >>> timings["a"].samples >= 3
        True
    """
    if not variants or rounds < 3 or not min_ms > 0:
        raise AutoactError(
            f"timing needs a variant, 3 rounds and more than 0 ms: got {len(variants)}, {rounds} and {min_ms}"
        )
    stopwatch = _stopwatch(device, clock)
    calls: dict[str, list[list[float]]] = {name: [] for name in variants}
    order, shuffle = list(variants), random.Random(seed)
    with fixed_threads(threads), _no_garbage_collection(), torch.inference_mode():
        slowest = max(_warm_up(call, stopwatch, warmup) for call in variants.values())
        for _ in range(_affordable(rounds, slowest, min_ms)):
            shuffle.shuffle(order)
            for name in order:
                calls[name].append(_turn(variants[name], stopwatch, min_ms))
    return {name: _summary(turns) for name, turns in calls.items()}


def _warm_up(call: Timed, stopwatch: Stopwatch, times: int) -> float:
    """Call untimed; slow calls only once. Returns how long the last call took, in ms."""
    taken = 0.0
    for _ in range(times):
        taken = stopwatch(call)
        if taken > SLOW_MS:
            break
    return taken


def _affordable(rounds: int, slowest_ms: float, min_ms: float) -> int:
    """The rounds that a variant's time allows: slow calls, which vary less, have fewer."""
    turn_ms = slowest_ms + max(min_ms, slowest_ms)
    return max(min(rounds, FEWEST_ROUNDS), min(rounds, int(VARIANT_MS / turn_ms)))


def _turn(call: Timed, stopwatch: Stopwatch, min_ms: float) -> list[float]:
    """One variant's turn: an untimed call, then timed calls until ``min_ms`` have passed; their times in ms."""
    call()
    samples = [stopwatch(call)]
    total = samples[0]
    while total < min_ms:
        samples.append(stopwatch(call))
        # A call below the clock's resolution still has to bring the turn to its end.
        total += max(samples[-1], 1e-5)
    return samples


def _summary(turns: list[list[float]]) -> Timing:
    """The timing of one variant from the calls of its turns, in ms."""
    longest = max(len(turn) for turn in turns)
    # A round of few slow calls counts as much as one of many fast ones, as in the median.
    alike = [sample for turn in turns for sample in turn for _ in range(round(longest / len(turn)))]
    round_ms = tuple(median(turn) for turn in turns)
    return Timing(
        median_ms=median(round_ms),
        p90_ms=float(np.quantile(alike, 0.9)),
        p99_ms=float(np.quantile(alike, 0.99)),
        error_ms=median_error(round_ms),
        samples=sum(map(len, turns)),
        round_ms=round_ms,
    )


def median_error(values: Sequence[float]) -> float:
    """The standard error of the median, from the median absolute deviation: outliers hardly move it.

    1.2533 x 1.4826 x MAD / sqrt(n), right for normal values in large samples (Kendall and Stuart, 1977). It is zero
    where more than half of the values are equal.

    Raises:
        ValueError: there are fewer than two values.

    Example:
        >>> round(median_error([1.0, 2.0, 3.0, 4.0, 100.0]), 4)
        0.831
    """
    if len(values) < 2:
        raise ValueError(f"the error of a median needs two values, got {len(values)}")
    middle = median(values)
    mad = median([abs(value - middle) for value in values])
    return _MEDIAN_TO_MEAN * _MAD_TO_SD * mad / math.sqrt(len(values))


def _stopwatch(device: torch.device, clock: Clock) -> Stopwatch:
    """What times one call on ``device``, in ms, until its work is done."""
    if device.type == "cuda":
        return _cuda_stopwatch(device)
    wait = torch.mps.synchronize if device.type == "mps" else lambda: None

    def measure(call: Timed) -> float:
        wait()
        start = clock()
        call()
        wait()
        return (clock() - start) / _NS_PER_MS

    return measure


def _cuda_stopwatch(device: torch.device) -> Stopwatch:
    """Times one call by events on the current stream of a CUDA device that idles before it."""

    def measure(call: Timed) -> float:
        with torch.cuda.device(device):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize(device)
            start.record()
            call()
            end.record()
            torch.cuda.synchronize(device)
            return float(start.elapsed_time(end))

    return measure


@contextmanager
def fixed_threads(threads: int | None) -> Iterator[None]:
    """Give torch this many CPU threads inside the block (no change for ``None``), and the old number after it.

    Example:
        >>> with fixed_threads(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect what is young (all of torch would take .3 s), then keep the collector from running inside the block."""
    was_enabled = gc.isenabled()
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
