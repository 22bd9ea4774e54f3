"""Expected qualities without a model: means that are drawn together by what is known of the noise of seeds."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate, TrialRecord
from autoact.study.confirmation.shrinkage import estimate


def trial(kit: Any, number: int, name: str, quality: float, seed: int = 0) -> TrialRecord:
    return kit.record(Candidate(Assignment({"a": name, "b": name}), kit.configured, seed), number, quality)


def test_few_seeds_are_drawn_further_towards_the_mean(kit):
    records = [
        *(trial(kit, seed, "relu", quality, seed) for seed, quality in enumerate((0.80, 0.82, 0.84))),
        trial(kit, 3, "gelu", 0.90),
        trial(kit, 4, "tanh", 0.70),
    ]
    found = estimate(records, kit.space(), kit.task())
    noise, means = statistics.variance([0.80, 0.82, 0.84]), [0.82, 0.90, 0.70]
    between = statistics.variance(means) - statistics.fmean([noise / 3, noise, noise])
    center = statistics.fmean(means)
    expected = [
        center + between / (between + noise / seeds) * (mean - center)
        for mean, seeds in zip(means, (3, 1, 1), strict=True)
    ]
    assert [found.values[number] for number in (0, 3, 4)] == pytest.approx(expected)
    assert found.values[0] == found.values[1] == found.values[2], "one setting, one value"
    assert (0.90 - found.values[3]) > 0 and "drawn towards their mean by the noise of seeds" in found.note


def test_a_lucky_single_seed_falls_behind_a_setting_of_many(kit):
    noisy = [0.79, 0.87, 0.83, 0.91, 0.85]
    records = [trial(kit, seed, "gelu", quality, seed) for seed, quality in enumerate(noisy)]
    records += [trial(kit, 5, "tanh", 0.855), *(trial(kit, 6 + n, "relu", 0.70 + n / 100, n) for n in range(3))]
    found = estimate(records, kit.space(), kit.task())
    assert statistics.fmean(noisy) < 0.855 and found.values[5] < found.values[0]


@pytest.mark.parametrize("seeds", [1, 2])
def test_where_nothing_but_noise_is_seen_the_measured_order_stays(kit, seeds):
    records = [trial(kit, n, "relu", quality, n) for n, quality in enumerate((0.70, 0.90)[:seeds])]
    records += [trial(kit, 5, "gelu", 0.81), trial(kit, 6, "tanh", 0.79)]
    found = estimate(records, kit.space(), kit.task())
    assert found.values[5] == 0.81 and found.values[6] == 0.79
    assert ("no setting had several seeds" in found.note) is (seeds == 1)
