"""The verdict: when to recommend, when to keep the baseline, and in which words."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoact.core.choice import Assignment
from autoact.core.records import Candidate
from autoact.core.statistics import Interval
from autoact.study.confirmation import Confirmation, Confirmed
from autoact.study.selection import Selection
from autoact.study.verdict import Ratio, interval_text, kept, rule

CHEAP, DEAR, EQUAL = Ratio(0.70, 0.68, 0.72), Ratio(1.30, 1.28, 1.32), Ratio(1.00, 0.99, 1.01)
ALMOST = Ratio(0.96, 0.93, 0.99)  # cheaper, but the interval reaches above .98


def interval(mean: float, half: float) -> Interval:
    return Interval(mean, mean - half, mean + half, half / 4, 2.0)


def ruled(
    kit: Any,
    policy: str,
    gain: Interval | None,
    ratios: dict[str, Ratio] | None = None,
    *,
    mode: str = "max",
    challenger: str = "tanh",
    configured: Interval | None = None,
    tuned_leads: float = 0.01,
    failures: dict[int, str] | None = None,
    margin: float = 0.02,
) -> Any:
    """The ruling on one policy whose trial stands against a relu baseline, and the verdict."""
    tuned = kit.record(Candidate(Assignment({"a": "relu"}), {"learning_rate": 0.1}), 0, 0.8)
    other = kit.record(Candidate(Assignment({"a": challenger})), 1, 0.9)
    selection = Selection(tuned, tuned, None, {policy: other}, (0, 1), margin)
    found = Confirmed(other.candidate, {seed: 0.9 for seed in range(3 - len(failures or {}))}, failures=failures or {})
    gains = {} if gain is None else {policy: gain}
    gains |= {} if configured is None else {"configured": configured}
    entries = {policy: found, **baselines(found, tuned_leads)}
    confirmation = Confirmation(entries, gains, 1, 1, False)
    rulings, verdict = rule(kit.task(mode), selection, confirmation, {policy: ratios or {}})
    return rulings[policy], verdict


def baselines(found: Confirmed, tuned_leads: float) -> dict[str, Confirmed]:
    """The two baselines, of which the tuned one leads by so much on validation rows under fresh seeds."""
    validation = {"tuned": 0.8 + tuned_leads, "configured": 0.8}
    return {
        name: dataclasses.replace(found, validation={seed: value + seed / 100 for seed in range(3)}, failures={})
        for name, value in validation.items()
    }


def test_without_a_final_check_nothing_is_recommended(kit):
    record = kit.record(Candidate(Assignment({"a": "relu"})))
    selection = Selection(record, record, None, {"quality": record, "economy": record}, (0,), 0.1)
    rulings, verdict = rule(kit.task(), selection, None, {})
    assert [ruling.recommend for ruling in rulings.values()] == [False, False]
    assert verdict == "No recommendation: not confirmed on data the search never saw."


def test_a_gain_above_zero_is_recommended(kit):
    ruling, verdict = ruled(kit, "quality", interval(0.03, 0.01))
    assert ruling.recommend
    assert ruling.reason == "better than the tuned baseline by +0.0300 AUC (+0.0200 to +0.0400)"
    assert verdict == f"Recommended under quality: {ruling.reason}."


@pytest.mark.parametrize(
    ("gain", "finding"),
    [
        (interval(0.03, 0.031), "includes zero"),
        (interval(0.03, 0.03), "includes zero"),
        (interval(0.0, 0.0), "includes zero"),
        (interval(-0.03, 0.01), "is a loss"),
    ],
)
def test_anything_else_keeps_the_baseline(kit, gain, finding):
    ruling, verdict = ruled(kit, "quality", gain)
    assert not ruling.recommend
    assert ruling.reason.endswith(finding)
    assert f"{gain.mean:+.4f} AUC" in ruling.reason
    assert verdict.startswith("Keep the baseline's activations")
    assert ruling.reason in verdict


def test_the_same_holds_for_a_metric_to_minimise(kit):
    # Gains are positive where better, whatever the metric's direction.
    ruling, _ = ruled(kit, "quality", interval(0.5, 0.1), mode="min")
    assert ruling.recommend
    assert "by +0.5000 MSE (+0.4000 to +0.6000)" in ruling.reason


def test_cheaper_within_the_margin_is_recommended(kit):
    ruling, _ = ruled(kit, "economy", interval(-0.005, 0.01), {"latency": CHEAP})
    assert ruling.recommend
    assert ruling.reason == (
        "cheaper (latency ratio 0.70 (0.68 to 0.72)) and within the margin of 0.02: -0.0050 AUC (-0.0150 to +0.0050)"
    )


def test_cheaper_but_too_lossy_keeps_the_baseline(kit):
    ruling, _ = ruled(kit, "economy", interval(-0.005, 0.016), {"latency": CHEAP})
    assert not ruling.recommend
    assert "it may lose more than 0.02: -0.0050 AUC (-0.0210 to +0.0110)" in ruling.reason


@pytest.mark.parametrize(
    "ratios", [{}, {"latency": EQUAL}, {"latency": ALMOST}, {"latency": DEAR}, {"latency": EQUAL, "cost": ALMOST}]
)
@pytest.mark.parametrize("policy", ["balanced", "economy"])
def test_neither_better_nor_clearly_cheaper_keeps_the_baseline(kit, policy, ratios):
    ruling, _ = ruled(kit, policy, interval(0.0, 0.001), ratios)
    assert not ruling.recommend
    assert "neither better (+0.0000 AUC (-0.0010 to +0.0010)) nor clearly cheaper" in ruling.reason
    assert all(f"{name} ratio {one.value:.2f}" in ruling.reason for name, one in ratios.items())


@pytest.mark.parametrize(
    ("policy", "ratios", "recommend"),
    [
        ("balanced", {"latency": CHEAP, "cost": EQUAL}, True),
        ("balanced", {"latency": EQUAL, "cost": CHEAP}, True),
        ("balanced", {"latency": CHEAP, "cost": DEAR}, False),
        ("balanced", {"latency": DEAR, "cost": CHEAP}, False),
        ("economy", {"latency": DEAR, "cost": CHEAP}, True),  # economy is cost, where cost is traded
        ("economy", {"latency": CHEAP, "cost": DEAR}, False),
        ("economy", {"latency": CHEAP, "cost": EQUAL}, True),
    ],
)
def test_what_one_objective_gains_the_other_must_not_lose(kit, policy, ratios, recommend):
    ruling, _ = ruled(kit, policy, interval(0.0, 0.01), ratios)
    assert ruling.recommend is recommend
    assert recommend or "dearer in" in ruling.reason


@pytest.mark.parametrize("policy", ["balanced", "economy"])
def test_better_outright_is_recommended_under_any_policy(kit, policy):
    assert ruled(kit, policy, interval(0.03, 0.01), {"latency": EQUAL})[0].recommend


@pytest.mark.parametrize("policy", ["quality", "balanced", "economy"])
def test_the_baselines_own_activations_are_no_recommendation(kit, policy):
    ruling, verdict = ruled(kit, policy, interval(0.03, 0.01), {"latency": CHEAP}, challenger="relu")
    assert not ruling.recommend
    reasons = {
        "quality": "no other assignment did better on validation rows",
        "balanced": "the best trade of the front is the baseline's own",
        "economy": "nothing cheaper stayed within the margin on validation rows",
    }
    assert ruling.reason == reasons[policy] and reasons[policy] in verdict


def test_too_few_finished_trainings(kit):
    ruling, _ = ruled(kit, "quality", None)
    assert (ruling.recommend, ruling.reason) == (False, "too few finished trainings for an interval")


def test_a_challenger_that_fails_now_and_then_is_not_recommended(kit):
    ruling, _ = ruled(kit, "quality", interval(0.03, 0.01), failures={10001: "val_auc is nan in epoch 2"})
    assert not ruling.recommend
    assert ruling.reason == "1 of 3 trainings of the final check failed: val_auc is nan in epoch 2"


def test_what_tuning_lost_is_not_a_gain(kit):
    # Tuning misled: the tuned baseline is worse on test rows than what the user has today.
    ruling, _ = ruled(kit, "quality", interval(0.03, 0.01), configured=interval(0.05, 0.04))
    assert not ruling.recommend
    assert ruling.reason.endswith("but the model as configured does better still, by +0.0200 AUC")
    assert ruled(kit, "quality", interval(0.03, 0.01), configured=interval(0.02, 0.04))[0].recommend
    economy = {"latency": CHEAP}
    assert ruled(kit, "economy", interval(0.0, 0.01), economy, configured=interval(0.015, 0.1))[0].recommend
    assert not ruled(kit, "economy", interval(0.0, 0.01), economy, configured=interval(0.025, 0.1))[0].recommend


def test_which_baseline_is_kept(kit):
    found = Confirmed(Candidate(Assignment({"a": "relu"})))
    for lead, by_max, by_min in ((0.01, "tuned", "configured"), (-0.01, "configured", "tuned")):
        confirmation = Confirmation(baselines(found, lead), {}, 1, 1, False)
        assert (kept(confirmation, "max"), kept(confirmation, "min")) == (by_max, by_min)
    assert kept(Confirmation(baselines(found, 0.0), {}, 1, 1, False), "max") == "configured"
    assert kept(Confirmation({}, {}, 1, 1, False), "max") == "tuned"
    # Test rows have no say: a configured baseline that does better on them is not kept for that.
    _, verdict = ruled(kit, "quality", interval(0.0, 0.1), configured=interval(0.01, 0.05))
    assert "with its tuned training settings" in verdict
    _, verdict = ruled(kit, "quality", interval(0.0, 0.1), configured=interval(-0.01, 0.05), tuned_leads=-0.01)
    assert "with its settings as configured" in verdict
    assert "confirm.seeds=10" in verdict


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (Interval(0.00314, -0.00101, 0.00724, 1, 2), "+0.0031 AUC (-0.0010 to +0.0072)"),
        (Interval(12345.6, 999.9, 1e6, 1, 2), "+12,346 AUC (+999.90 to +1,000,000)"),
        (Interval(12.345, -9.87654, 50.0, 1, 2), "+12.35 AUC (-9.8765 to +50.00)"),
        (Interval(2.5e-6, -1e-7, 0.0, 1, 2), "+2.5e-06 AUC (-1e-07 to +0.0000)"),
    ],
)
def test_numbers_of_any_size_can_be_read(kit, gain, text):
    assert interval_text(gain, kit.task()) == text
