"""Measuring the table: exact arithmetic with a fake clock, then a real tiny model."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn

from autoact.core.errors import AutoactError
from autoact.latency import build_table
from autoact.latency.build_table import GROUP, _batch_table, _difference_error, _Group, measure_table
from autoact.latency.hardware import HardwareSettings
from autoact.latency.latency_table import Estimate, LatencyTable
from autoact.latency.timer import Timing, median_error

COST_MS = {"ReLU": 0.5, "Tanh": 1.5, "GELU": 0.9}
CLASSES = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}
QUICK = {"device": "cpu", "latency_batch": 1, "throughput_batch": 16, "rounds": 5, "min_ms": 1.0}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 1))


def swap(model: nn.Module, site: str, choice: str) -> nn.Module:
    """Another model with the same weights."""
    if isinstance(model[int(site)], CLASSES[choice]):
        return model
    layers = list(model)
    layers[int(site)] = CLASSES[choice]()
    return nn.Sequential(*layers)


class FakeMachine:
    """Runs a model in a time that depends on its activations, on the batch and on the moment."""

    def __init__(self, wobble: Callable[[int], float] = lambda calls: 0.0) -> None:
        self.now, self.calls, self.wobble = 0, 0, wobble
        self.inputs: set[int] = set()

    def __call__(self) -> int:
        return self.now

    def run(self, model: nn.Module, batch: torch.Tensor) -> None:
        assert not any(module.training for module in model.modules())
        self.inputs.add(len(batch))
        cost = sum(COST_MS.get(type(module).__name__, 1.0) for module in model) * len(batch)
        self.now += round(1e6 * cost * (1.0 + self.wobble(self.calls)))
        self.calls += 1


def measured(machine: FakeMachine, swaps: list[tuple[str, str]], **options: object) -> LatencyTable:
    hardware = HardwareSettings(name="fake", **QUICK)
    return measure_table(
        network(),
        lambda n: torch.zeros(n, 4),
        swaps,
        options.pop("swap", swap),
        hardware=hardware,
        call=machine.run,
        clock=machine,
        **options,
    )


def test_deltas_are_what_the_swaps_add() -> None:
    machine, steps = FakeMachine(), []
    swaps = [(site, choice) for site in ("1", "3") for choice in CLASSES]
    table = measured(machine, swaps, progress=lambda done, total: steps.append((done, total)))
    assert machine.inputs == {1, 16}
    assert steps == [(1, 2), (2, 2)]
    for name, batch in [("latency", 1), ("throughput", 16)]:
        part = table.at(name)
        assert part.batch == batch
        assert part.baseline.ms == pytest.approx(5.0 * batch)
        assert part.baseline_p90_ms == pytest.approx(5.0 * batch)
        assert part.deltas["1"]["tanh"].ms == pytest.approx(1.0 * batch)
        assert part.deltas["3"]["gelu"].ms == pytest.approx(0.4 * batch)
        assert (part.spread, part.difference_error_ms) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert table.predict({"1": "tanh", "3": "gelu"}).ms == pytest.approx(6.4)
    assert table.name == "fake" and table.device["device"] == "cpu" and table.date.endswith("+00:00")
    assert table.quietness is None
    assert LatencyTable.from_dict(table.to_dict()) == table


def test_what_stands_there_is_exactly_zero_and_not_timed() -> None:
    machine = FakeMachine(wobble=lambda calls: 0.001 * (calls % 7))
    by_identity = measured(machine, [("1", "relu"), ("1", "tanh")])
    assert by_identity.at("latency").deltas["1"]["relu"].ms == 0.0
    assert by_identity.at("latency").deltas["1"]["relu"].error_ms == 0.0

    asked = []

    def counting(model: nn.Module, site: str, choice: str) -> nn.Module:
        asked.append((site, choice))
        return swap(copy.deepcopy(model), site, choice)

    table = measured(FakeMachine(), [("1", "relu"), ("1", "tanh")], current={"1": "relu", "3": "relu"}, swap=counting)
    assert asked == [("1", "tanh")] * 2  # once per batch size
    assert table.predict({"1": "relu", "3": "relu"}) == table.predict({})
    only = measured(FakeMachine(), [], current={"1": "relu"})
    assert only.predict({"1": "relu"}).ms == pytest.approx(5.0)


def test_drift_cancels() -> None:
    """A machine that slows down to a third of its speed."""
    drifting = measured(FakeMachine(wobble=lambda calls: 0.01 * calls), [("1", "tanh"), ("3", "gelu")])
    part = drifting.at("latency")
    assert part.baseline.ms > 1.2 * 5.0
    assert part.deltas["1"]["tanh"].ms / part.baseline.ms == pytest.approx(1.0 / 5.0, rel=0.15)
    assert part.deltas["3"]["gelu"].ms / part.baseline.ms == pytest.approx(0.4 / 5.0, rel=0.3)


def test_noise_sets_epsilon() -> None:
    noise = [0.0, 0.06, -0.04, 0.02, -0.08, 0.05, 0.01]
    noisy = measured(FakeMachine(wobble=lambda calls: noise[calls % 7]), [("1", "gelu")])
    part = noisy.at("latency")
    assert part.difference_error_ms > 0.01 and part.deltas["1"]["gelu"].error_ms > 0.0
    assert noisy.epsilon() == 2 * part.difference_error_ms
    assert part.spread > 0.0


def test_a_disturbed_group_is_timed_again() -> None:
    swaps = [(f"{site}", choice) for site in ("1", "3") for choice in ("tanh", "gelu")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_table, "GROUP", 2)
        quiet, busy = FakeMachine(), FakeMachine(wobble=lambda calls: 2.0 if 100 < calls < 150 else 0.0)
        calm, disturbed = measured(quiet, swaps), measured(busy, swaps)
        assert busy.calls > quiet.calls
        assert disturbed.at("latency").baseline.ms == pytest.approx(5.0)
        assert disturbed.at("latency").spread == pytest.approx(0.0)
        assert disturbed.quietness is None
        for site, choice in swaps:
            assert disturbed.predict({site: choice}).ms == pytest.approx(calm.predict({site: choice}).ms, rel=1e-6)

        ever_slower = FakeMachine(wobble=lambda calls: 0.002 * calls)
        table = measured(ever_slower, swaps)
        assert quiet.calls < ever_slower.calls <= 3 * quiet.calls  # it gives up, and says so
        assert table.quietness is not None


def test_a_machine_that_changes_speed_between_identical_baselines_is_noisy() -> None:
    """Rounds that agree with each other do not hide that the two baselines differ."""
    model, machine = network(), FakeMachine()
    slow = []

    def run(which: nn.Module, batch: torch.Tensor) -> None:
        machine.run(which, batch)
        machine.now += 400_000 if slow and slow[-1] else 0

    original = build_table.time_alternating

    def second_baseline_is_slower(variants: dict, **options: object) -> dict:
        def wrapped(call: Callable[[], object], is_slow: bool) -> Callable[[], object]:
            def timed() -> object:
                slow.append(is_slow)
                return call()

            return timed

        return original({name: wrapped(call, "again" in name) for name, call in variants.items()}, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_table, "time_alternating", second_baseline_is_slower)
        table = measure_table(
            model,
            lambda n: torch.zeros(n, 4),
            [("1", "tanh")],
            swap,
            hardware=HardwareSettings(**QUICK),
            call=run,
            clock=machine,
        )
    part = table.at("latency")
    assert part.difference_error_ms == pytest.approx(5.2 * (1 - 5.0 / 5.4))
    assert part.spread == pytest.approx(0.4 / 5.2)
    assert table.quietness is not None


def test_many_swaps_are_timed_in_groups_that_are_alive_one_at_a_time() -> None:
    machine, steps, made, most = FakeMachine(), [], weakref.WeakSet(), []

    def wide_swap(model: nn.Module, site: str, choice: str) -> nn.Module:
        wide = nn.Sequential(*model, nn.Tanh())
        made.add(wide)
        most.append(len(made))
        return wide

    swaps = [(f"site{i}", "tanh") for i in range(2 * GROUP + 1)]
    table = measured(
        machine, [*swaps, *swaps], swap=wide_swap, progress=lambda done, total: steps.append((done, total))
    )
    assert max(most) == GROUP
    assert steps[-1] == (6, 6)  # 3 groups at 2 batch sizes: a repeated pair counts once
    assert len(table.at("latency").deltas) == 2 * GROUP + 1
    assert all(choices["tanh"].ms == pytest.approx(1.5) for choices in table.at("latency").deltas.values())


def test_equal_batch_sizes_are_measured_once() -> None:
    machine, steps = FakeMachine(), []
    hardware = HardwareSettings(**{**QUICK, "throughput_batch": 1})
    table = measure_table(
        network(),
        lambda n: torch.zeros(n, 4),
        [("1", "tanh")],
        swap,
        hardware=hardware,
        call=machine.run,
        clock=machine,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 1)]
    assert table.at("latency") == table.at("throughput")


def test_a_swap_in_place_is_refused() -> None:
    def in_place(model: nn.Module, site: str, choice: str) -> nn.Module:
        model[int(site)] = CLASSES[choice]()
        return model

    def attribute(model: nn.Module, site: str, choice: str) -> nn.Module:
        model[0].activation = torch.tanh
        return model

    for wrong in (in_place, attribute):
        with pytest.raises(AutoactError, match="swap changed the model itself at '1'"):
            measured(FakeMachine(), [("1", "tanh")], swap=wrong)


def test_memory_that_runs_out_is_told() -> None:
    def run(model: nn.Module, batch: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("no")

    with pytest.raises(AutoactError, match=r"batches of 1: lower hardware\.latency_batch"):
        measure_table(network(), lambda n: torch.zeros(n, 4), [], swap, hardware=HardwareSettings(**QUICK), call=run)


class Mixed(nn.Module):
    """Takes several arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.line = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self.act(self.line(x)) * scale


@pytest.mark.parametrize(
    "make_input",
    [
        lambda n: (torch.zeros(n, 4), torch.ones(1)),
        lambda n: {"scale": torch.ones(1), "x": torch.zeros(n, 4)},
    ],
)
def test_a_real_model_is_measured_and_put_back(make_input: Callable[[int], object]) -> None:
    model = Mixed()
    model.line.eval()  # a mixed state, as frozen layers have it

    def other(given: nn.Module, site: str, choice: str) -> nn.Module:
        twin = copy.deepcopy(given)
        twin.act = CLASSES[choice]()
        return twin

    hardware = HardwareSettings(device="cpu", threads=1, throughput_batch=8, rounds=3, min_ms=0.05)
    threads, weights = torch.get_num_threads(), copy.deepcopy(model.state_dict())
    table = measure_table(model, make_input, [("act", "tanh"), ("act", "gelu")], other, hardware=hardware)
    assert table.device["threads"] == 1 and torch.get_num_threads() == threads
    assert model.training and model.act.training and not model.line.training
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert isinstance(model.act, nn.ReLU)
    for name in ("latency", "throughput"):
        part = table.at(name)
        assert part.baseline.ms > 0 and part.baseline_p90_ms > 0 and part.difference_error_ms >= 0
        assert set(part.deltas["act"]) == {"tanh", "gelu"}
    assert table.predict({"act": "tanh"}).ms == pytest.approx(
        table.at().baseline.ms + table.at().deltas["act"]["tanh"].ms
    )


class Traveller(Mixed):
    """Notes where it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def to(self, device: torch.device) -> nn.Module:
        self.sent.append(str(device))
        return self


def test_the_model_travels_to_the_device_and_back_even_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_table, "resolve_device", torch.device)
    model, served = Traveller(), []

    def run(given: nn.Module, batch: tuple[torch.Tensor, dict]) -> None:
        served.append((batch[0].device.type, batch[1]["scale"][0].device.type, batch[1]["steps"]))
        raise RuntimeError("stop")

    settings = HardwareSettings(**QUICK)
    settings.device = "meta"  # of torch's own, for tests: no user's device
    with pytest.raises(RuntimeError, match="stop"):
        measure_table(
            model,
            lambda n: (torch.zeros(n, 4), {"scale": [torch.ones(1)], "steps": 3}),
            [],
            swap,
            hardware=settings,
            call=run,
        )
    assert model.sent == ["meta", "cpu"]
    assert served == [("meta", "meta", 3)]
    assert model.training


def test_a_model_on_two_devices_is_refused() -> None:
    model = Mixed()
    model.line.to("meta")
    model.register_buffer("scale", torch.ones(1))
    with pytest.raises(AutoactError, match=r"several devices \(cpu, meta\)"):
        measure_table(model, lambda n: torch.zeros(n, 4), [], swap, hardware=HardwareSettings(**QUICK))


def test_the_reference_is_the_mean_of_both_baselines() -> None:
    def timing(*round_ms: float) -> Timing:
        return Timing(sorted(round_ms)[1], 0.0, 0.0, 0.0, 3, round_ms)

    group = _Group(timing(1, 2, 3), timing(3, 4, 7), {("s", "tanh"): timing(3, 4.5, 6)}, [("s", "relu")])
    table = _batch_table(4, [group], {("t", "relu")})
    assert table.baseline.ms == pytest.approx(3.0)  # of 2, 3, 5
    assert table.deltas["s"]["tanh"].ms == pytest.approx(3.0 * 0.5)  # 3/2, 4.5/3, 6/5
    assert table.deltas["s"]["tanh"].error_ms == pytest.approx(3.0 * median_error([0.5, 0.5, 0.2]))
    assert table.spread == pytest.approx((4 - 2) / 3)
    assert table.deltas["s"]["relu"] == table.deltas["t"]["relu"] == Estimate(0.0, 0.0)
    assert table.difference_error_ms == pytest.approx(3.0 * (1 - 3 / 7))  # of 1/3, 2/4, 3/7 - the middle one


def test_the_error_of_a_difference_is_the_larger_of_rounds_and_replicates() -> None:
    rounds = _difference_error([Estimate(0.0, 0.1)], [Estimate(9.0, 0.3), Estimate(5.0, 0.3)])
    assert rounds == pytest.approx(0.3 * (4 / 3) ** 0.5)
    assert _difference_error([Estimate(0.0, 0.1)], []) == 0.1
    assert _difference_error([Estimate(0.5, 0.1), Estimate(-0.5, 0.1)], []) == pytest.approx(0.5)
