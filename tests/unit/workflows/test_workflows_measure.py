"""Latency and cost of models, and of what a recommendation makes of one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import autoact
from autoact.workflows import measure as measuring

HARDWARE = autoact.HardwareSettings("server", "cpu", 1.0, "USD", throughput_batch=16, rounds=3, min_ms=0.1)


def recommended(recommend: bool) -> autoact.Recommendation:
    site = {"current": "relu", "shape": [2, 8], "channels": 8, "channel_dim": -1}
    better = autoact.Policy(recommend, autoact.Assignment({"1": "tanh"}), {}, 3, "better")
    kept = autoact.Policy(False, autoact.Assignment({"1": "relu"}), {}, 3, "the tuned baseline")
    return autoact.Recommendation("t", "2026-01-01", "x", {}, {"quality": better, "economy": kept}, kept, {"1": site})


def test_a_recommendation_is_timed_beside_the_model_which_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU()).train()
    found = autoact.measure(model, torch.zeros(3, 4), recommendation=recommended(True), hardware=HARDWARE)
    assert [one.name for one in found.models] == ["model", "quality"]
    assert all(one.cost_per_million is not None and one.latency_ms <= one.p99_ms for one in found.models)
    assert model.training and isinstance(model[1], nn.ReLU)
    assert found.verdict.startswith("median latency of 1 sample on cpu: model ")


def test_inputs_have_the_batch_sizes_of_the_hardware() -> None:
    sizes = set[int]()

    class Net(nn.Module):
        def forward(self, x: torch.Tensor, *, scale: torch.Tensor) -> torch.Tensor:
            sizes.add(len(x))
            return x * scale

    autoact.measure({"a": Net()}, {"x": torch.ones(4, 2), "scale": torch.ones(4, 1)}, hardware=HARDWARE)
    assert {1, 16} <= sizes


@pytest.mark.parametrize(
    ("example", "recommendation", "message"),
    [
        (torch.zeros(3, 4), recommended(False), "keeps the baseline: there is nothing to compare with"),
        (torch.zeros(3, 4), "nowhere.yaml", "cannot read the recommendation 'nowhere.yaml'"),
    ],
)
def test_what_cannot_be_measured(example: torch.Tensor, recommendation: str, message: str) -> None:
    with pytest.raises(autoact.AutoactError, match=message):
        autoact.measure(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), example, recommendation=recommendation)


@pytest.mark.parametrize(
    ("models", "example", "message"),
    [
        (nn.Linear(4, 8), np.zeros((3, 4), dtype=np.float32), "example_input is a ndarray without a tensor: give"),
        (nn.Linear(4, 8), None, "example_input is a NoneType without a tensor"),
        (nn.Linear(4, 8), torch.zeros(3, 5), r"model cannot be called with example_input \(shape \(3, 5\)\): mat1"),
        ({"a": nn.Linear(4, 8), "b": nn.Linear(5, 8)}, torch.zeros(3, 4), "b cannot be called with example_input"),
    ],
)
def test_an_example_that_a_model_does_not_take(models: nn.Module, example: object, message: str) -> None:
    with pytest.raises(autoact.AutoactError, match=message):
        autoact.measure(models, example, hardware=HARDWARE)


def test_rounds_are_those_of_the_hardware_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    timed = measuring.time_alternating

    def noted(*args: object, rounds: int, **options: object) -> object:
        asked.append(rounds)
        return timed(*args, rounds=rounds, **options)

    monkeypatch.setattr(measuring, "time_alternating", noted)
    autoact.measure(nn.Linear(4, 8), torch.zeros(3, 4), hardware=HARDWARE)
    assert set(asked) == {3}
