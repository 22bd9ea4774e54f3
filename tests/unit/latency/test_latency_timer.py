"""The alternating timer against a clock that only the timed calls move."""

from __future__ import annotations

import gc
from statistics import median

import numpy as np
import pytest
import torch

from autoact.core.errors import AutoactError
from autoact.latency import timer as clock
from autoact.latency.timer import fixed_threads, median_error, time_alternating

CPU = torch.device("cpu")


class FakeClock:
    """Nanoseconds that pass only where a call says so, and the log of those calls."""

    def __init__(self) -> None:
        self.now = 0
        self.log: list[str] = []

    def __call__(self) -> int:
        return self.now

    def taking(self, name: str, *ms: float):
        """A call that takes these times in turn, the last one for ever."""
        times = list(ms)

        def call() -> None:
            self.log.append(name)
            self.now += round((times.pop(0) if len(times) > 1 else times[0]) * 1e6)

        return call


def turns(log: list[str]) -> list[str]:
    """The log without repetitions in a row."""
    return [name for i, name in enumerate(log) if i == 0 or log[i - 1] != name]


def test_every_round_times_every_variant_once_in_changing_order() -> None:
    clock = FakeClock()
    variants = {name: clock.taking(name, 1.0) for name in "abcd"}
    got = time_alternating(variants, device=CPU, rounds=20, min_ms=3.0, warmup=2, clock=clock)
    assert clock.log[:8] == list("aabbccdd")
    rest = clock.log[8:]
    rounds = [rest[i : i + 16] for i in range(0, len(rest), 16)]  # 4 variants, each 1 untimed and 3 timed calls
    assert len(rounds) == 20
    orders = []
    for calls in rounds:
        blocks = [calls[i : i + 4] for i in range(0, 16, 4)]
        assert all(len(set(block)) == 1 for block in blocks)
        orders.append("".join(block[0] for block in blocks))
        assert sorted(orders[-1]) == list("abcd")
    assert len(set(orders)) > 5
    assert all(timing.samples == 60 for timing in got.values())

    again = FakeClock()
    variants = {name: again.taking(name, 1.0) for name in "abcd"}
    time_alternating(variants, device=CPU, rounds=20, min_ms=3.0, warmup=2, clock=again)
    assert again.log == clock.log
    time_alternating(variants, device=CPU, rounds=20, min_ms=3.0, warmup=2, seed=1, clock=again)
    assert again.log[len(clock.log) :] != clock.log


def test_medians_percentiles_and_error_are_those_of_the_samples() -> None:
    clock = FakeClock()
    # No warm-up; per turn one untimed call (9 ms), then timed calls until 10 ms: 4+6, 5+7, 20, each one round.
    call = clock.taking("a", 9, 4, 6, 9, 5, 7, 9, 20)
    timing = time_alternating({"a": call}, device=CPU, rounds=3, min_ms=10.0, warmup=0, clock=clock)["a"]
    assert timing.round_ms == pytest.approx((5.0, 6.0, 20.0))
    assert timing.samples == 5
    assert timing.median_ms == pytest.approx(6.0)
    # Of 4 5 6 7 20 20, since the round of one call counts as much as those of two: places 4.5 and 4.95.
    assert timing.p90_ms == pytest.approx(20.0)
    assert timing.p99_ms == pytest.approx(20.0)
    assert timing.error_ms == pytest.approx(median_error([5.0, 6.0, 20.0]))


def test_drift_hits_all_variants_alike() -> None:
    clock = FakeClock()

    def slowing(name: str, factor: float):
        def call() -> None:
            clock.now += round(factor * (1e6 + clock.now / 10))  # the machine gets ever slower

        return call

    got = time_alternating(
        {"one": slowing("one", 1.0), "two": slowing("two", 2.0)}, device=CPU, rounds=9, min_ms=0.5, clock=clock
    )
    ratios = [b / a for a, b in zip(got["one"].round_ms, got["two"].round_ms, strict=True)]
    assert median(ratios) == pytest.approx(2.0, rel=0.35)
    assert got["one"].round_ms[-1] > 2 * got["one"].round_ms[0]


def test_calls_below_the_clocks_resolution_come_to_an_end() -> None:
    clock = FakeClock()
    timing = time_alternating({"a": clock.taking("a", 0.0)}, device=CPU, rounds=3, min_ms=0.001, clock=clock)["a"]
    assert timing.median_ms == 0.0
    assert timing.samples == 3 * 101


def test_conditions_hold_while_timing_and_are_restored_after_an_error() -> None:
    clock, seen = FakeClock(), []
    before = torch.get_num_threads()

    def call() -> None:
        seen.append((torch.is_inference_mode_enabled(), gc.isenabled(), torch.get_num_threads()))
        clock.now += 1_000_000
        if len(seen) == 7:
            raise RuntimeError("stop")

    assert gc.isenabled()
    with pytest.raises(RuntimeError, match="stop"):
        time_alternating({"a": call}, device=CPU, rounds=9, min_ms=1.0, threads=before + 1, clock=clock)
    assert set(seen) == {(True, False, before + 1)}
    assert gc.isenabled() and not torch.is_inference_mode_enabled() and torch.get_num_threads() == before


def test_a_collector_that_was_off_stays_off() -> None:
    clock = FakeClock()
    gc.disable()
    try:
        time_alternating({"a": clock.taking("a", 1.0)}, device=CPU, rounds=3, min_ms=1.0, clock=clock)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_fixed_threads_changes_nothing_for_none() -> None:
    before = torch.get_num_threads()
    with fixed_threads(None):
        assert torch.get_num_threads() == before
    with fixed_threads(before + 2):
        assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("names", "rounds", "min_ms"), [("", 3, 1.0), ("a", 2, 1.0), ("a", 3, 0.0)])
def test_nothing_to_time_is_refused(names: str, rounds: int, min_ms: float) -> None:
    with pytest.raises(AutoactError, match="timing needs"):
        time_alternating(dict.fromkeys(names, lambda: None), device=CPU, rounds=rounds, min_ms=min_ms)


def test_a_gpu_is_timed_by_events_from_idle_to_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    device, log, now = torch.device("cuda:0"), [], [0.0]

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            log.append("record")
            self.at = now[0]

        def elapsed_time(self, end: Event) -> float:
            assert log[-1] == "wait"  # an event is read only once the device has passed it
            return end.at - self.at

    class Chosen:
        def __init__(self, chosen: torch.device) -> None:
            assert chosen == device

        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    def call() -> None:
        log.append("call")
        now[0] += 2.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", Chosen)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda where: log.append("wait"))
    timing = time_alternating({"a": call}, device=device, rounds=3, min_ms=1.0, warmup=0)["a"]
    assert log == ["call", "wait", "record", "call", "record", "wait"] * 3
    assert timing.median_ms == 2.0 and timing.samples == 3


def test_mps_waits_before_and_after_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    def wait() -> None:
        clock.log.append("wait")
        clock.now += 250_000  # what was queued finishes in this time

    monkeypatch.setattr(torch.mps, "synchronize", wait)
    call = clock.taking("call", 1.0)
    timing = time_alternating({"a": call}, device=torch.device("mps"), rounds=3, min_ms=1.0, warmup=0, clock=clock)["a"]
    assert clock.log == ["call", "wait", "call", "wait"] * 3
    assert timing.median_ms == pytest.approx(1.25)


def test_percentiles_count_rounds_alike_as_the_median_does() -> None:
    slow, fast = [24.0], [0.2] * 50
    timing = clock._summary([slow, slow, slow, fast, fast])
    assert timing.median_ms == 24.0
    assert timing.p90_ms == 24.0  # over single calls it would be 0.2, below the median
    assert timing.samples == 103


def test_median_error_is_the_spread_of_simulated_medians() -> None:
    samples = np.random.default_rng(1).normal(size=(4000, 41))
    spread = np.median(samples, axis=1).std()
    errors = [median_error(row) for row in samples[:500].tolist()]
    assert np.median(errors) == pytest.approx(spread, rel=0.08)
    spoilt = samples[0].tolist()
    spoilt[:4] = [1e6] * 4  # a few interrupted timings
    assert median_error(spoilt) < 2 * median_error(samples[0].tolist())
    with pytest.raises(ValueError, match="two values"):
        median_error([1.0])
