"""What is tried, in which order, and never twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from autoact.core.choice import Assignment
from autoact.core.records import Candidate
from autoact.study.planner import Planner, is_uniform_alternative
from autoact.study.settings import SearchSettings


def planner_of(bench: Any) -> Planner:
    return Planner(bench.task, bench.space, bench.settings, bench.ledger())


def answer(kit: Any, bench: Any, planner: Planner, batch: Any, quality: Any = lambda c: 0.5) -> None:
    for number, candidate in batch:
        values = bench.known.values(candidate.assignment)
        planner.ledger.tell(kit.record(candidate, number, quality(candidate), **values))


def explore(kit: Any, bench: Any, count: int, quality: Any = lambda c: 0.5) -> list[Candidate]:
    """Plans and answers ``count`` candidates, one at a time; fewer where the space is exhausted."""
    planner, tried = planner_of(bench), []
    while len(tried) < count:
        batch = planner.next(min(bench.settings.batch, count - len(tried)))
        if not batch:
            break
        answer(kit, bench, planner, batch, quality)
        tried += [candidate for _, candidate in batch]
    return tried


def labels(candidates: list[Candidate]) -> list[str]:
    return [candidate.label() for candidate in candidates]


def noisy(kit: Any) -> Any:
    return lambda candidate: 0.5 + 0.1 * kit.draw(candidate.label())


def test_the_order_is_baseline_tuning_uniform_sampled(kit):
    tried = explore(kit, kit.Bench(), 9, noisy(kit))
    assert [c.role for c in tried] == ["configured", *["tuning"] * 3, "uniform", "uniform", *["sampled"] * 3]
    assert (tried[0].assignment.summary(), dict(tried[0].settings)) == ("relu", kit.configured)
    assert {c.assignment.summary() for c in tried[1:4]} == {"relu"}
    assert [c.assignment.summary() for c in tried[4:6]] == ["gelu", "tanh"]
    assert {c.seed for c in tried} == {0}


@pytest.mark.parametrize(("mode", "pick"), [("max", max), ("min", min)])
def test_uniform_assignments_get_the_tuned_settings(kit, mode, pick):
    quality = noisy(kit)
    tried = explore(kit, kit.Bench(task=kit.task(mode)), 6, quality)
    best = pick(tried[:4], key=quality)
    assert dict(tried[4].settings) == dict(tried[5].settings) == dict(best.settings)


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_tuning_learns_from_the_baselines_trials(kit, mode, sign):
    # Good rates are high: once four random trials are known, TPE goes there.
    settings = SearchSettings(trials=60, tuning=14)
    bench = kit.Bench(settings=settings, task=kit.task(mode), space=kit.space(weight_decay=[]))
    tried = explore(kit, bench, 15, lambda c: sign * c.settings["learning_rate"])
    late = sorted(c.settings["learning_rate"] for c in tried[7:])
    assert late[len(late) // 2] > 0.03, "the range goes from 0.001 to 0.1"


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_nothing_is_tried_twice(kit, batch):
    bench = kit.Bench(settings=SearchSettings(trials=60, tuning=3, batch=batch))
    tried = explore(kit, bench, 60, noisy(kit))
    assert len(tried) == 60
    assert len(set(labels(tried))) == 60


def test_no_batch_holds_two_phases(kit):
    bench = kit.Bench(settings=SearchSettings(trials=40, tuning=4, batch=5))
    planner = planner_of(bench)
    phases = []
    for _ in range(5):
        batch = planner.next(5)
        phases.append(Counter(candidate.role for _, candidate in batch))
        answer(kit, bench, planner, batch)
    assert phases[:3] == [{"configured": 1}, {"tuning": 4}, {"uniform": 2}]
    assert phases[3] == {"sampled": 5}


def test_a_baseline_that_failed_is_tried_again(kit):
    bench = kit.Bench()
    planner = planner_of(bench)
    answer(kit, bench, planner, planner.next(1), lambda c: None)
    assert planner.next(1)[0][1].role == "configured"


def test_what_waits_comes_first(kit):
    bench = kit.Bench()
    planner = planner_of(bench)
    answer(kit, bench, planner, planner.next(1))
    ((number, candidate),) = planner.next(1)
    planner.ledger.give_back(number)
    assert [one for _, one in planner.next(1)] == [candidate]


def test_a_uniform_assignment_that_was_tried_is_not_due_again(kit):
    bench = kit.Bench(space=kit.space(learning_rate=[], weight_decay=[]), settings=SearchSettings(trials=9))
    planner = planner_of(bench)
    records = [
        kit.record(Candidate(bench.space.baseline, {}, 0, "configured")),
        kit.record(Candidate(Assignment({"a": "gelu", "b": "gelu"}), {}, 0, "sampled"), 1, None),
    ]
    assert planner.due(records).assignment.summary() == "tanh"


def test_without_settings_there_is_nothing_to_tune(kit):
    bench = kit.Bench(space=kit.space(learning_rate=[], weight_decay=[]))
    tried = explore(kit, bench, 20, noisy(kit))
    assert [c.role for c in tried[:3]] == ["configured", "uniform", "uniform"]
    assert planner_of(bench).owed_to_baseline([]) == 0


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_small_space_is_searched_to_its_end(kit, sampler):
    bench = kit.Bench(
        space=kit.space(learning_rate=[], weight_decay=[]), settings=SearchSettings(trials=99, sampler=sampler)
    )
    tried = explore(kit, bench, 99, noisy(kit))
    assert len(tried) == bench.space.size() == 9
    assert len(set(labels(tried))) == 9


def test_identity_everywhere_is_never_tried(kit):
    space = kit.space(candidates=("identity", "tanh"), learning_rate=[], weight_decay=[])
    tried = explore(kit, kit.Bench(space=space, settings=SearchSettings(trials=99)), 99, noisy(kit))
    assert len(tried) == 8
    assert "identity" not in labels(tried)


def test_a_sampler_that_settles_does_not_end_the_search(kit):
    # TPE comes back to the best assignment again and again; 81 others are still unknown.
    sites = {"a": "relu", "b": "relu", "c": "relu", "d": "relu"}
    space = kit.space(sites, learning_rate=[], weight_decay=[])
    bench = kit.Bench(space=space, settings=SearchSettings(trials=70))
    tried = explore(kit, bench, 70, lambda c: float(c.assignment.summary() == "tanh"))
    assert len(tried) == len(set(labels(tried))) == 70


def test_proposals_that_are_known_are_answered_from_the_record(kit):
    bench = kit.Bench(space=kit.space(learning_rate=[], weight_decay=[]), settings=SearchSettings(trials=99))
    explore(kit, bench, 99, noisy(kit))
    ledger = bench.ledger()
    repeats = [trial for trial in ledger.study.trials if "repeats" in trial.user_attrs]
    assert repeats
    by_number = {record.number: record for record in ledger.records()}
    for trial in repeats:
        record = by_number[trial.user_attrs["repeats"]]
        assert trial.values == [record.values[name] for name in ("quality", "latency", "cost")]
        assert bench.space.assignment(trial.params) == record.candidate.assignment


def test_weight_decays_alone_are_tuned_in_turn_and_once(kit):
    bench = kit.Bench(
        space=kit.space(learning_rate=[], weight_decay=[0.0, 0.1]), settings=SearchSettings(trials=99, tuning=9)
    )
    tried = explore(kit, bench, 5)
    assert [c.settings["weight_decay"] for c in tried if c.role == "tuning"] == [0.0, 0.1]
    assert [c.role for c in tried[3:]] == ["uniform", "uniform"]
    assert planner_of(bench).tuning(bench.ledger().records()) is None


def test_weight_decay_alone_is_searched_to_the_end(kit):
    bench = kit.Bench(
        space=kit.space(learning_rate=[], weight_decay=[0.0, 0.1]), settings=SearchSettings(trials=99, tuning=2)
    )
    tried = explore(kit, bench, 99, noisy(kit))
    assert len(tried) == len(set(labels(tried))) == 9 * 3


def counts(kit: Any, bench: Any, tried: list[Candidate]) -> tuple[int, int]:
    """Trials of the baseline's own activations, and the most of any other assignment."""
    found = Counter(bench.space.key(candidate.assignment) for candidate in tried)
    mine = found.pop(bench.space.key(bench.space.baseline))
    return mine, max(found.values())


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("trials", [13, 14, 15, 16, 17, 18, 30])
def test_the_baseline_keeps_pace_within_the_budget(kit, trials, batch):
    # Few assignments, many settings: one assignment would soon have more trials than the baseline.
    bench = kit.Bench(
        space=kit.space(granularity="model"), settings=SearchSettings(trials=trials, tuning=1, batch=batch)
    )
    tried = explore(
        kit, bench, trials, lambda c: 1.0 if c.assignment.summary() == "tanh" else 0.1 * kit.draw(c.label())
    )
    mine, most = counts(kit, bench, tried)
    assert len(tried) == trials
    assert mine >= most > 2
    assert planner_of(bench).owed_to_baseline(bench.ledger().records()) == 0


def test_what_is_owed_is_counted_by_function_and_with_failures(kit):
    bench = kit.Bench()
    planner = planner_of(bench)
    mine = [kit.record(Candidate(bench.space.baseline, {"learning_rate": rate}), 0) for rate in (0.1, 0.2)]
    other = Assignment({"a": "tanh", "b": "gelu"})
    theirs = [
        kit.record(Candidate(other, {"learning_rate": rate}), 0, None if rate == 3 else 0.5) for rate in range(1, 6)
    ]
    assert planner.owed_to_baseline(mine + theirs) == 3
    assert planner.owed_to_baseline(mine) == 0


def test_the_same_seed_plans_the_same(kit):
    def plan(seed: int) -> list[str]:
        return labels(explore(kit, kit.Bench(settings=SearchSettings(trials=25, tuning=3, seed=seed)), 25, noisy(kit)))

    assert plan(0) == plan(0)
    assert plan(0)[1:4] != plan(1)[1:4]
    assert plan(0)[6:] != plan(1)[6:]


def test_interruptions_do_not_change_the_plan(kit):
    bench = kit.Bench(settings=SearchSettings(trials=25, tuning=3))
    straight = labels(explore(kit, bench, 25, noisy(kit)))
    other = kit.Bench(settings=SearchSettings(trials=25, tuning=3))
    resumed: list[str] = []
    for count in (2, 5, 10, 8):
        planner_of(other).next(1)  # killed
        resumed += labels(explore(kit, other, count, noisy(kit)))
    assert resumed == straight


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ({"a": "relu", "b": "relu"}, False),
        ({"a": "tanh", "b": "tanh"}, True),
        ({"a": "tanh", "b": "relu"}, False),
        ({"a": "elu", "b": "celu"}, True),
    ],
)
def test_uniform_alternatives(kit, assignment, expected):
    assert is_uniform_alternative(Assignment(assignment), kit.space(candidates=("tanh", "elu"))) is expected
