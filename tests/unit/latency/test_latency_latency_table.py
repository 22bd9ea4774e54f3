"""The latency table as data: prediction, ties, notes, files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.latency.latency_table import BatchTable, Estimate, LatencyTable


def batch_table(size: int, base: float = 10.0, spread: float = 0.01) -> BatchTable:
    deltas = {
        "a": {"relu": Estimate(0.0, 0.0), "tanh": Estimate(2.0, 0.3), "leaky_relu(negative_slope=0.2)": Estimate(1, 0)},
        "b.act": {"relu": Estimate(0.0, 0.0), "tanh": Estimate(-0.5, 0.4)},
    }
    return BatchTable(size, Estimate(base, 0.0), base + 1, 0.25, spread, deltas)


def table(spread: float = 0.01) -> LatencyTable:
    batches = {"latency": batch_table(1), "throughput": batch_table(512, base=80.0, spread=spread)}
    return LatencyTable("server", {"device": "cpu", "threads": 2, "gpu": None}, "2026-01-01T00:00:00+00:00", batches)


def test_prediction_adds_deltas_and_errors_in_quadrature() -> None:
    both = table().predict({"a": "tanh", "b.act": "tanh"})
    assert both.ms == pytest.approx(11.5)
    assert both.error_ms == pytest.approx(0.5)
    assert table().predict({}) == Estimate(10.0, 0.0)
    assert table().predict({"a": "tanh"}, "throughput").ms == pytest.approx(82.0)


def test_prediction_reads_assignments_and_any_spelling_of_a_choice() -> None:
    assignment = Assignment({"a": "leaky_relu(negative_slope=0.2)", "b.act": "relu"})
    assert table().predict(assignment).ms == 11.0
    assert table().predict({"a": " leaky_relu( negative_slope = 0.20 )"}).ms == 11.0


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(AutoactError, match=r"unknown site .*'b.atc': did you mean b\.act"):
        table().predict({"b.atc": "relu"})
    with pytest.raises(AutoactError, match=r"choice in the latency table at b\.act 'tahn': did you mean tanh"):
        table().predict({"b.act": "tahn"})
    with pytest.raises(AutoactError, match="unknown batch 'latencies': did you mean latency"):
        table().predict({}, "latencies")


def test_epsilon_is_two_standard_errors() -> None:
    assert table().epsilon() == 0.5
    assert table().epsilon("throughput", sites=4) == 1.0


def test_a_noisy_machine_is_told() -> None:
    assert table(spread=0.05).quietness is None
    note = table(spread=0.12).quietness
    assert note is not None and "12% at batch 512 (throughput)" in note and "batch 1 " not in note


def test_files_hold_everything(tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    table().save(path)
    assert LatencyTable.load(path) == table()
    assert LatencyTable.from_dict(json.loads(json.dumps(table().to_dict()))) == table()
    assert json.loads(path.read_text(encoding="utf-8"))["format"] == 1


def test_a_table_may_hold_the_latency_batch_alone(tmp_path: Path) -> None:
    alone = LatencyTable("s", {}, "2026-01-01", {"latency": table().at("latency")})
    alone.save(tmp_path / "latency.json")
    assert LatencyTable.load(tmp_path / "latency.json") == alone
    with pytest.raises(AutoactError, match="unknown batch 'throughput'"):
        alone.epsilon("throughput")


def test_bad_files_are_named(tmp_path: Path) -> None:
    plain = table().to_dict()
    with pytest.raises(AutoactError, match="format 1: its format is 2"):
        LatencyTable.from_dict({**plain, "format": 2})
    with pytest.raises(AutoactError, match="its format is None"):
        LatencyTable.from_dict([])
    with pytest.raises(AutoactError, match="damaged: KeyError: 'latency'"):
        LatencyTable.from_dict({**plain, "batches": {}})
    with pytest.raises(AutoactError, match="damaged"):
        LatencyTable.from_dict({**plain, "batches": {name: [] for name in plain["batches"]}})
    with pytest.raises(AutoactError, match=r"cannot read the latency table .*absent\.json"):
        LatencyTable.load(tmp_path / "absent.json")
    (tmp_path / "text.json").write_text("not json", encoding="utf-8")
    with pytest.raises(AutoactError, match=r"cannot read the latency table .*text\.json"):
        LatencyTable.load(tmp_path / "text.json")
    broken = LatencyTable("x", {}, "d", {"latency": batch_table(1, base=math.nan), "throughput": batch_table(2)})
    with pytest.raises(ValueError, match="JSON"):
        broken.save(tmp_path / "nan.json")


def test_a_swap_that_varies_from_round_to_round_is_named() -> None:
    wild = {"act": {"gelu": Estimate(6.0, 1.5), "tanh": Estimate(0.1, 0.01)}}
    measured = BatchTable(1, Estimate(2.0, 0.02), 2.5, 0.05, 0.01, wild)
    calm = BatchTable(64, Estimate(9.0, 0.02), 9.5, 0.05, 0.01, wild)
    note = LatencyTable("bench", {}, "2026-01-01", {"latency": measured, "throughput": calm}).quietness
    assert note is not None
    assert "the time of gelu varied from round to round at batch 1 (latency)" in note
    assert "tanh" not in note and "batch 64" not in note


def test_savings_within_the_noise_never_add_up_below_the_fastest_measured_model() -> None:
    def table(error_ms: float) -> LatencyTable:
        sites = {f"act{i}": {"tanh": Estimate(-0.4, error_ms)} for i in range(8)}
        batch = BatchTable(1, Estimate(1.0, 0.03), 1.5, 0.05, 0.01, sites)
        return LatencyTable("server", {}, "2026-01-01T00:00:00+00:00", {"latency": batch})

    everywhere = {f"act{i}": "tanh" for i in range(8)}
    assert table(0.3).predict(everywhere).ms == pytest.approx(0.6), "one swap alone was measured at 0.6 ms"
    assert 0 < table(0.01).predict(everywhere).ms < 0.6, "these savings are real, but a model takes some time"
    assert table(0.3).predict({"act0": "tanh"}).ms == pytest.approx(0.6)
