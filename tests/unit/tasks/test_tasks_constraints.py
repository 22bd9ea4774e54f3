"""The user's limits, as constraints that Optuna understands."""

from autoact.tasks.constraints import UNLIMITED, Limits


def test_a_limit_counts_from_where_it_is_broken():
    limits = Limits(max_ms=2.0, max_cost=0.5, min_quality=0.8)
    found = limits.constraints({"latency": 1.5, "cost": 0.75, "quality": 0.7, "size": 9.0})
    assert found == {"latency": -0.5, "cost": 0.25, "quality": 0.1}
    assert not limits.keeps({"latency": 1.5, "cost": 0.75})
    assert limits.keeps({"latency": 2.0}), "the limit itself is kept, and what is unknown breaks nothing"


def test_of_a_loss_the_worst_is_the_largest():
    limits = Limits(min_quality=0.3, mode="min")
    assert limits.keeps({"quality": 0.29}) and not limits.keeps({"quality": 0.31})


def test_what_is_broken_is_said_with_its_key():
    limits = Limits(max_ms=2.0, min_quality=0.8)
    assert limits.broken({"latency": 1.0, "quality": 0.9}) == ""
    assert "objectives.latency.max_ms=2" in limits.broken({"latency": 2.5, "quality": 0.1})
    assert "objectives.min_quality=0.8" in limits.broken({"latency": 1.5, "quality": 0.1})


def test_without_limits_everything_is_within():
    assert UNLIMITED.keeps({"latency": 1e9, "quality": -1.0}) and UNLIMITED.constraints({"latency": 1.0}) == {}
