"""The smaller parts of a study: settings, identity, known values, engine, finalists."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import lightning
import pytest
import torch
from torch import nn

from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.latency.hardware import HardwareSettings
from autoact.latency.latency_table import LatencyTable
from autoact.study.confirmation import end_to_end_timing as finalists_module
from autoact.study.confirmation.end_to_end_timing import Measured, measure_finalists, ratios
from autoact.study.execution.predicted_costs import calibrate, describe_hardware
from autoact.study.settings import ConfirmSettings, ObjectiveSettings, RungSettings, SearchSettings
from autoact.study.storage.study_identity import digest, identify
from autoact.tasks.objectives import Objective

LATENCY, COST = Objective("latency", "ms", "min"), Objective("cost", "USD", "min")


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, r"search\.trials=0 must be 1 or more"),
        ({"minutes": 0.0}, r"search\.minutes=0\.0 must be above 0"),
        ({"minutes": -1.0}, r"search\.minutes=-1\.0 must be above 0"),
        ({"seed": -1}, r"search\.seed=-1 must be 0 or more"),
        ({"batch": 0}, r"search\.batch=0"),
        ({"tuning": -1}, r"search\.tuning=-1"),
        ({"patience": 0}, r"search\.patience=0"),
        ({"threads": 0}, r"search\.threads=0"),
        ({"refine": 1.5}, r"search\.refine=1\.5 is a share"),
        ({"sampler": "tpee"}, r"unknown search\.sampler 'tpee': did you mean tpe"),
    ],
)
def test_search_settings_that_cannot_be_meant(settings, message):
    with pytest.raises(AutoactError, match=message):
        SearchSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"reduction": 1}, "=1 must be above 1"), ({"first": 0}, "=0 must be"), ({"first": 2.5}, r"=2\.5 must be")],
)
def test_rung_settings_that_cannot_be_meant(settings, message):
    with pytest.raises(AutoactError, match=rf"search\.rungs\.{next(iter(settings))}{message}"):
        RungSettings(**settings)


def test_search_settings_that_can():
    for settings in ({}, {"trials": 1, "tuning": 0}, {"minutes": 0.5}, {"patience": None, "threads": 1}):
        SearchSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "budget", "tuning"),
    [
        ({}, 60, 10),
        ({"trials": 8}, 8, 2),
        ({"trials": 200}, 200, 12),
        ({"trials": 30, "tuning": 0}, 30, 0),
        ({"minutes": 5}, None, 10),
        ({"minutes": 5, "trials": 12}, 12, 2),
    ],
)
def test_the_budget_and_the_share_of_tuning(settings, budget, tuning):
    assert SearchSettings(**settings).budget == budget
    assert SearchSettings(**settings).tuning_trials() == tuning


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": 1},
        {"seeds": -1},
        {"confidence": 1.0},
        {"confidence": 0.0},
        {"ensemble": 1},
        {"ensemble": -2},
        {"ensemble": 10},
        {"ensemble": 2, "seeds": 2},
        {"ensemble": 2, "seeds": 0},
    ],
)
def test_final_checks_that_cannot_be_meant(settings):
    with pytest.raises(AutoactError, match=rf"confirm\.{next(iter(settings))}="):
        ConfirmSettings(**settings)


def test_final_checks_that_can():
    for seeds in (0, 2, 3):
        ConfirmSettings(seeds=seeds)
    ConfirmSettings(ensemble=9)
    ConfirmSettings(seeds=3, ensemble=2)


@pytest.mark.parametrize(("margin", "fine"), [(0.0, True), (0.05, True), (-0.1, False), (1.0, False)])
def test_a_margin_is_a_share(margin, fine):
    if fine:
        ObjectiveSettings(margin=margin)
    else:
        with pytest.raises(AutoactError, match=r"objectives\.margin="):
            ObjectiveSettings(margin=margin)


# Identity


def test_a_name_is_stable_and_tells_studies_apart(kit):
    def name(**changes: Any) -> tuple[str, str]:
        given = {
            "task": kit.task(),
            "space": kit.space(),
            "objectives": (LATENCY,),
            "training": {"seed": 0},
            "hardware": "x",
        } | changes
        found = identify(**given)
        return found.name, found.family

    first = name()
    assert name() == first
    assert first[0].startswith("bench-")
    learnt = {"space": kit.space(candidates=("relu", "prelu"))}
    assert name(**learnt, activation_rate=0.1)[0] != name(**learnt)[0] and name(**learnt)[1] == first[1]
    assert name(activation_rate=0.1) == first, "no activation brings weights along"
    spaces = [kit.space(candidates=("relu", "elu")), kit.space(granularity="model"), kit.space(weight_decay=[])]
    for other in spaces:
        assert name(space=other)[0] != first[0]
        assert name(space=other)[1] == first[1], "one family"
    others: list[dict[str, Any]] = [
        {"objectives": (LATENCY, COST)},
        {"training": {"seed": 1}},
        {"hardware": "y"},
        {"task": kit.task("min")},
        {"task": kit.task(monitor="val_f1")},
        {"task": kit.task(identity={"data": "g"})},
        {"task": kit.task(trainer={"max_epochs": 1})},
    ]
    assert len({name(**other)[1] for other in others} | {first[1]}) == len(others) + 1


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


# Known before training


def test_latency_and_cost_add_up_from_the_table(kit):
    known = kit.known(kit.space(), {"tanh": 0.5, "gelu": 0.2}, price=3.6)
    values = known.values(Assignment({"a": "tanh", "b": "gelu"}))
    assert values["latency"] == pytest.approx(1.7)
    # 17 ms for 1,024 samples at 3.6 per hour, which is 0.001 per second
    assert values["cost"] == pytest.approx(17e-3 * 0.001 / 1024 * 1e6)
    epsilons = known.epsilons()
    assert epsilons["latency"] == pytest.approx(2 * 0.01 * math.sqrt(2))
    assert epsilons["cost"] == pytest.approx(2 * 0.1 * math.sqrt(2) * 1e-3 * 0.001 / 1024 * 1e6)


def test_sites_that_share_a_dimension_count_once(kit):
    space = kit.space(granularity="model")
    known = kit.known(space, {"tanh": 0.5})
    assert known.values(Assignment({"a": "tanh", "b": "tanh"}))["latency"] == pytest.approx(1.5)
    assert known.epsilons()["latency"] == pytest.approx(0.02)


def test_no_price_no_cost(kit):
    known = kit.known(kit.space(), price=None)
    assert known.values(kit.space().baseline).keys() == {"latency"}
    assert known.epsilons().keys() == {"latency"}
    assert describe_hardware(known)["price"] is None
    assert describe_hardware(kit.known(kit.space()))["price"]["currency"] == "USD"


class Net(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.ReLU(), nn.ReLU()
        self.linear, self.head = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.b(self.linear(self.a(x))))


def net_task(kit: Any) -> Any:
    return kit.task(make_module=Net, make_input=lambda rows: torch.zeros(rows, 2), example_input=torch.zeros(2, 2))


def test_a_table_is_measured_once(kit, tmp_path):
    hardware = HardwareSettings(device="cpu", rounds=3, min_ms=0.01, throughput_batch=2)
    space, file = kit.space(), tmp_path / "latency.json"
    told: list[tuple[int, int]] = []
    first = calibrate(net_task(kit), space, hardware, file, lambda done, swaps: told.append((done, swaps)))
    assert told[-1][0] == told[-1][1] > 0
    assert {name for name in first.table.at().deltas["a"]} == {"relu", "gelu", "tanh"}
    told.clear()
    second = calibrate(net_task(kit), space, hardware, file, lambda *_: pytest.fail("measured again"))
    assert second.table == LatencyTable.load(file) == first.table


# Finalists, end to end


@pytest.mark.parametrize("steps", [True, False])
def test_finalists_are_timed_once_per_assignment(kit, monkeypatch, steps):
    asked: list[str] = []

    def step(task: Any, options: Any, size: int, threads: int, steps: int, assignments: Any) -> list[float]:
        asked.append(assignments[0].summary())
        return [0.001 if asked[-1] == "relu" else 0.002] * steps

    monkeypatch.setattr(finalists_module, "why_not", lambda *_: "" if steps else "it cannot be batched")
    monkeypatch.setattr(finalists_module, "seconds_per_step", step)
    hardware = HardwareSettings(
        device="cpu", rounds=3, min_ms=0.01, throughput_batch=2, price_per_hour=1.0, currency="USD"
    )
    known = dataclasses.replace(kit.known(kit.space()), hardware=hardware)
    relu, tanh = Assignment({"a": "relu", "b": "relu"}), Assignment({"a": "tanh", "b": "tanh"})
    candidates = {
        "tuned": Candidate(relu, {"learning_rate": 0.1}),
        "configured": Candidate(relu),
        "quality": Candidate(tanh),
    }
    measured = measure_finalists(net_task(kit), candidates, known)
    assert measured["tuned"].latency is measured["configured"].latency
    assert measured["tuned"].latency is not measured["quality"].latency
    assert all(one.latency.median_ms > 0 and one.cost > 0 for one in measured.values())
    assert len(measured["quality"].latency.round_ms) >= 15
    assert asked == ["relu", "tanh"] * 10 * steps, "in turn"
    found = [measured[name].step_ms for name in ("tuned", "configured", "quality")]
    assert found == ([1.0, 1.0, 2.0] if steps else [None] * 3)
    same = ratios(measured["configured"], measured["tuned"], (LATENCY, COST))
    assert all((one.value, one.lower, one.upper) == (1.0, 1.0, 1.0) for one in same.values())


def test_steps_that_cannot_be_timed_say_why(kit, monkeypatch):
    def step(*_, **__):
        raise RuntimeError("vmap: the second step knows no rule")

    monkeypatch.setattr(finalists_module, "why_not", lambda *_: "")
    monkeypatch.setattr(finalists_module, "seconds_per_step", step)
    hardware = HardwareSettings(device="cpu", rounds=3, min_ms=0.01)
    known = dataclasses.replace(kit.known(kit.space()), hardware=hardware)
    relu = Candidate(Assignment({"a": "relu", "b": "relu"}))
    with pytest.warns(UserWarning, match="could not be timed: the second step knows no rule"):
        measured = measure_finalists(net_task(kit), {"tuned": relu}, known)
    assert measured["tuned"].step_ms is None and measured["tuned"].latency.median_ms > 0


def test_ratios_are_paired_and_of_what_is_traded(kit):
    # Both drift fourfold together: the ratio of each round does not.
    drift = [1.0, 2.0, 4.0, 1.0, 3.0]
    slow = dataclasses.replace(kit.timing(1.0), round_ms=tuple(drift))
    fast = dataclasses.replace(
        kit.timing(1.0), round_ms=tuple(0.5 * d * w for d, w in zip(drift, [1, 1.01, 0.99, 1, 1], strict=True))
    )
    mine, baseline = Measured(fast, slow, None), Measured(slow, fast, None)
    found = ratios(mine, baseline, (Objective("quality", "AUC", "max"), LATENCY, COST))
    assert found.keys() == {"latency", "cost"}
    assert found["latency"].value == pytest.approx(0.5, rel=1e-3)
    assert 0.49 < found["latency"].lower < found["latency"].value < found["latency"].upper < 0.51
    assert found["cost"].value == pytest.approx(2.0, rel=1e-3)
    assert found["latency"].cheaper
    assert found["cost"].dearer
    assert ratios(mine, baseline, (LATENCY,)).keys() == {"latency"}
    assert ratios(mine, baseline, (Objective("quality", "AUC", "max"),)) == {}


@pytest.mark.parametrize(
    ("settings", "together"), [({}, 16), ({"trials": 99}, 16), ({"trials": 100}, 32), ({"trials": 200, "batch": 5}, 5)]
)
def test_large_budgets_are_asked_in_larger_batches(settings, together):
    assert SearchSettings(**settings).together == together
