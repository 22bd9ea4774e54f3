"""Re-scoring: running fronts, hypervolume over time, the reference point."""

import pytest

from benchmarks.throughput.problem import Problem, Run, Trial
from benchmarks.throughput.rescoring import (
    Judge,
    curve,
    ever_on_front,
    key_of,
    reference_point,
    running_fronts,
    seconds_to,
)

MAXMIN = ("max", "min")


def trial(seconds, name, quality, latency):
    return Trial(seconds, {"act": name}, quality, latency)


TRIALS = [
    trial(1.0, "relu", 0.80, 1.0),
    trial(2.0, "tanh", 0.85, 2.0),
    trial(3.0, "stopped", None, 1.5),
    trial(4.0, "gelu", 0.70, 3.0),
    trial(5.0, "sine", 0.90, 1.0),
]


def judge(**qualities):
    names = {"relu": 0.8, "tanh": 0.8, "sine": 0.6, **qualities}
    keys = {name: key_of({"act": name}) for name in names}
    return Judge(
        MAXMIN,
        (0.5, 3.0),
        {keys[n]: [v, v] for n, v in names.items()},
        {keys["relu"]: 1, keys["tanh"]: 2, keys["sine"]: 1},
    )


def test_fronts_follow_the_search_and_leave_out_what_did_not_finish():
    assert list(running_fronts(TRIALS, MAXMIN)) == [(1.0, [0]), (2.0, [0, 1]), (4.0, [0, 1]), (5.0, [4])]
    assert [params["act"] for params in ever_on_front(TRIALS, MAXMIN).values()] == ["relu", "tanh", "sine"]


def test_the_curve_is_judged_by_other_numbers_than_the_search_saw_and_may_fall():
    found = curve(TRIALS, judge())
    assert found == [(1.0, 0.6), (2.0, 0.6), (4.0, 0.6), (5.0, 0.2)]
    assert seconds_to(found, 0.6) == 1.0 and seconds_to(found, 0.7) is None


def test_points_worse_than_the_reference_add_nothing():
    assert curve(TRIALS[:1], judge(relu=0.4)) == [(1.0, 0.0)]


@pytest.mark.parametrize(("mode", "configured", "wanted"), [("max", 0.9, 0.88), ("min", 0.1, 0.12)])
def test_the_reference_point_lies_towards_the_trivial_predictor(mode, configured, wanted):
    assert reference_point(mode, configured, 0.5, 2.0) == (pytest.approx(wanted), pytest.approx(2.1))


def test_runs_travel_as_plain_data_in_the_order_of_their_end():
    run = Run("plain", Problem("telco", 64, 1, 5), tuple(TRIALS), 5.0, {"failed": 0})
    data = run.to_dict()
    data["trials"].reverse()
    assert Run.from_dict(data) == run
