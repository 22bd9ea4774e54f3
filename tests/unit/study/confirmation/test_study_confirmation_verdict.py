"""The verdict: when to recommend, when to keep the baseline, and in which words."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.confirmation.alpha_spending import NumberedOpening
from autoact.study.confirmation.claim_on_test import Confirmation
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold
from autoact.study.confirmation.verdict import Ratio, hopeful, interval_text, kept, rule, settled
from autoact.study.paired_statistics import Interval
from autoact.study.selection import Selection

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
    failures: dict[int, str] | None = None,
    margin: float = 0.02,
    broken: str = "",
    tuning_won: bool = True,
) -> Any:
    """The ruling on one policy whose trial stands against a relu baseline, and the verdict."""
    selection, confirmation = found_of(kit, policy, gain, challenger, configured, failures, margin, tuning_won)
    limits = {policy: broken} if broken else {}
    rulings, verdict = rule(kit.task(mode), selection, confirmation, {policy: ratios or {}}, limits)
    return rulings[policy], verdict


def found_of(
    kit: Any,
    policy: str,
    gain: Interval | None,
    challenger: str = "tanh",
    configured: Interval | None = None,
    failures: dict[int, str] | None = None,
    margin: float = 0.02,
    tuning_won: bool = True,
) -> tuple[Selection, Confirmation]:
    """What was selected, and the claim."""
    relu = Assignment({"a": "relu"})
    as_it_is = kit.record(Candidate(relu, {"learning_rate": 0.01}), 2, 0.8)
    tuned = kit.record(Candidate(relu, {"learning_rate": 0.1}), 0, 0.8) if tuning_won else as_it_is
    other = kit.record(Candidate(Assignment({"a": challenger})), 1, 0.9)
    selection = Selection(as_it_is, tuned, None, {policy: other}, (0, 1), margin)
    failed = {SeedFold(seed): why for seed, why in (failures or {}).items()}
    found = RetrainedCandidate(
        other.candidate, {SeedFold(seed): 0.9 for seed in range(3 - len(failed))}, failures=failed
    )
    gains = {} if gain is None else {policy: gain}
    gains |= {} if configured is None else {"configured": configured}
    return selection, Confirmation({policy: found}, gains, 1, NumberedOpening(1, False, 0.025), 0.025, planned=3)


def test_without_a_final_check_nothing_is_recommended(kit):
    record = kit.record(Candidate(Assignment({"a": "relu"})))
    selection = Selection(record, record, None, {"quality": record, "economy": record}, (0,), 0.1)
    rulings, verdict = rule(kit.task(), selection, None, {}, {})
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
@pytest.mark.parametrize("gain", [interval(0.0, 0.001), interval(0.03, 0.001)])
def test_what_is_not_clearly_cheaper_keeps_the_baseline(kit, policy, ratios, gain):
    # Better outright is what the policy quality is for.
    ruling, _ = ruled(kit, policy, gain, ratios)
    assert not ruling.recommend
    assert ruling.reason.startswith("not clearly cheaper (") and f"{gain.mean:+.4f} AUC" in ruling.reason
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


@pytest.mark.parametrize("policy", ["quality", "balanced", "economy"])
def test_what_breaks_a_limit_is_not_recommended(kit, policy):
    why = "its latency of 3 ms breaks it"
    ruling, verdict = ruled(kit, policy, interval(0.03, 0.01), {"latency": CHEAP}, broken=why)
    assert (ruling.recommend, ruling.reason) == (False, why)
    assert "its latency of 3 ms" in verdict


# What can be known before the last seed


def test_only_what_can_be_recommended_is_hoped_for(kit):
    record = kit.record(Candidate(Assignment({"a": "tanh"})))
    selection = Selection(record, record, None, dict.fromkeys(("quality", "balanced", "economy"), record), (0,), 0.1)
    timed = {"quality": {"latency": DEAR}, "balanced": {"latency": ALMOST}, "economy": {"latency": CHEAP}}
    assert hopeful(selection, timed, {}) == ["quality", "economy"]
    assert hopeful(selection, timed, {"economy": "too slow"}) == ["quality"]


@pytest.mark.parametrize(
    ("policy", "gain", "ratios", "over"),
    [
        ("quality", interval(0.03, 0.01), {}, True),  # won
        ("quality", interval(-0.03, 0.01), {}, True),  # lost
        ("quality", interval(0.03, 0.05), {}, False),
        ("quality", None, {}, False),
        ("economy", interval(0.03, 0.05), {"latency": EQUAL}, True),  # never cheaper
        ("economy", interval(0.0, 0.01), {"latency": CHEAP}, True),  # won
        ("economy", interval(-0.01, 0.015), {"latency": CHEAP}, False),
        ("economy", interval(-0.04, 0.01), {"latency": CHEAP}, True),  # beyond the margin
    ],
)
def test_a_check_may_end_once_nothing_can_change(kit, policy, gain, ratios, over):
    selection, confirmation = found_of(kit, policy, gain)
    assert settled(kit.task(), selection, confirmation, {policy: ratios}, {}) is over


def test_failures_and_the_baselines_own_are_settled(kit):
    selection, confirmation = found_of(kit, "quality", interval(0.03, 0.05), failures={1: "nan"})
    assert settled(kit.task(), selection, confirmation, {}, {})
    selection, confirmation = found_of(kit, "quality", interval(0.03, 0.05), challenger="relu")
    assert settled(kit.task(), selection, confirmation, {}, {})


@pytest.mark.parametrize("policy", ["quality", "balanced", "economy"])
def test_the_baselines_own_activations_are_no_recommendation(kit, policy):
    ruling, verdict = ruled(kit, policy, interval(0.03, 0.01), {"latency": CHEAP}, challenger="relu")
    assert not ruling.recommend
    reasons = {
        "quality": "no other assignment did better than the baseline's own on validation rows under fresh seeds",
        "balanced": "the best trade on validation rows under fresh seeds is the baseline's own",
        "economy": "nothing cheaper stayed within the margin of 0.02 on validation rows under fresh seeds",
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
    assert kept(None) == "tuned"
    # Test rows have no say: a configured baseline that does better on them is not kept for that.
    _, verdict = ruled(kit, "quality", interval(0.0, 0.1), configured=interval(0.01, 0.05))
    assert "with its tuned training settings" in verdict
    _, verdict = ruled(kit, "quality", interval(0.0, 0.1), configured=interval(-0.01, 0.05), tuning_won=False)
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


# The baseline with the challenger's own training settings


def with_twin(kit: Any, twin: Interval, policy: str = "quality", doubt: str = "") -> Any:
    """The ruling where the baseline with the challenger's settings was trained too, and the verdict."""
    selection, confirmation = found_of(kit, policy, interval(0.03, 0.01))
    doubts = {policy: doubt} if doubt else {}
    selection = dataclasses.replace(selection, doubts=doubts)
    confirmation = dataclasses.replace(confirmation, over_twins={policy: twin})
    ratios = {policy: {"latency": CHEAP}}
    rulings, verdict = rule(kit.task(), selection, confirmation, ratios, {})
    return rulings[policy], verdict, settled(kit.task(), selection, confirmation, ratios, {})


def test_a_gain_that_is_the_settings_is_not_recommended(kit):
    ruling, verdict, done = with_twin(kit, interval(0.001, 0.01))
    assert not ruling.recommend and not done, "more seeds could still tell"
    assert "the gain may be that of its training settings, not of its activations" in verdict
    assert with_twin(kit, interval(-0.02, 0.01))[2], "beyond hope"
    assert with_twin(kit, interval(0.02, 0.01))[0].recommend, "better than both"


def test_a_cheaper_one_may_lose_no_more_than_the_margin_to_its_twin(kit):
    assert with_twin(kit, interval(0.0, 0.01), "economy")[0].recommend
    ruling, _, _ = with_twin(kit, interval(-0.015, 0.01), "economy")
    assert not ruling.recommend and "may lose more than 0.02" in ruling.reason


def test_a_baseline_at_the_edge_of_the_range_lets_nothing_be_claimed(kit):
    ruling, verdict, done = with_twin(kit, interval(0.02, 0.01), doubt="it lies at the edge")
    assert not ruling.recommend and done
    assert "cannot tell" in verdict and "it lies at the edge" in verdict
