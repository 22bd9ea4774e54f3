"""What is tried, in which order, and never twice."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.proposal.planner import Planner
from autoact.study.settings import SearchSettings


def planner_of(bench: Any) -> Planner:
    ledger = bench.ledger()
    return Planner(bench.task, ledger.space, bench.settings, ledger, bench.known.epsilons())


def answer(kit: Any, bench: Any, planner: Planner, batch: Any, quality: Any = lambda c: 0.5) -> None:
    for candidate in batch:
        values = bench.known.values(candidate.assignment)
        planner.ledger.tell(kit.record(candidate, -1, quality(candidate), **values))


def explore(kit: Any, bench: Any, count: int, quality: Any = lambda c: 0.5) -> list[Candidate]:
    """Plans and answers ``count`` candidates in batches; fewer where the space is exhausted."""
    planner, tried = planner_of(bench), []
    while len(tried) < count:
        left = (bench.settings.budget or count) - planner.ledger.spent
        batch = planner.next(min(bench.settings.together, count - len(tried)), left=left)
        if not batch:
            break
        answer(kit, bench, planner, batch, quality)
        tried += batch
    return tried


def labels(candidates: list[Candidate]) -> list[str]:
    return [f"{c.assignment.summary()}, {sorted(c.settings.items())}, seed {c.seed}" for c in candidates]


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
def test_what_the_baselines_settings_ruin_is_tried_with_those_of_the_model_as_configured(kit, mode, sign):
    """Tanh does worse than the baseline under any setting; gelu does not."""
    settings = SearchSettings(trials=40, tuning=8, refine=0.35)

    def quality(candidate: Candidate) -> float:
        tuned = candidate.settings != kit.configured
        values = {"relu": 0.6 if tuned else 0.5, "gelu": 0.5, "tanh": 0.3 if tuned else 0.9}
        return 1.0 + sign * values[candidate.assignment["a"].name]

    bench = kit.Bench(task=kit.task(mode), settings=settings)
    tried = [c for c in explore(kit, bench, 16, quality) if c.role == "uniform"]
    assert [c.assignment.summary() for c in tried] == ["gelu", "tanh", "tanh"]
    assert (dict(tried[1].settings) != kit.configured, dict(tried[2].settings)) == (True, kit.configured)
    assert not planner_of(bench)._collapsed(bench.ledger().records(), []), "once"


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_tuning_learns_from_the_baselines_trials(kit, mode, sign):
    # Good rates are high: once four random trials are known, TPE goes there.
    settings = SearchSettings(trials=60, tuning=14, batch=1)
    bench = kit.Bench(settings=settings, task=kit.task(mode), space=kit.space(weight_decay=[]))
    tried = explore(kit, bench, 17, lambda c: sign * c.settings["learning_rate"])
    late = sorted(c.settings["learning_rate"] for c in tried[9:])
    assert late[len(late) // 2] > 0.03, "the range goes from 0.001 to 0.1"


def test_tuning_goes_beyond_the_edge_of_what_was_tried(kit):
    settings = SearchSettings(trials=60, tuning=8, batch=1)
    bench = kit.Bench(settings=settings, space=kit.space(weight_decay=[]))
    tried = explore(kit, bench, 9, lambda c: c.settings["learning_rate"])
    rates = [c.settings["learning_rate"] for c in tried if c.role in ("configured", "tuning")]
    place = 4  # settings of the baseline that are spread before; the next ones learn from them
    assert rates[place] == pytest.approx(math.sqrt(max(rates[:place]) * 0.1)), "halfway to the range's end"


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
        batch = planner.next(5, left=30)
        phases.append(Counter(candidate.role for candidate in batch))
        answer(kit, bench, planner, batch, noisy(kit))
    assert phases[:3] == [{"configured": 1, "replicate": 2, "tuning": 2}, {"tuning": 2}, {"uniform": 2}]
    assert phases[3] == {"sampled": 5}


@pytest.mark.parametrize(("trials", "seeds"), [(23, [0]), (24, [0, 1, 2]), (None, [0, 1, 2])])
def test_the_model_as_configured_gets_three_seeds_where_the_budget_allows(kit, trials, seeds):
    minutes = None if trials else 5
    bench = kit.Bench(settings=SearchSettings(trials=trials, minutes=minutes, tuning=3))
    batch = planner_of(bench).next(16)
    mine = [c for c in batch if dict(c.settings) == kit.configured]
    assert [c.seed for c in mine] == seeds
    assert [c.role for c in mine] == ["configured", *["replicate"] * (len(seeds) - 1)]
    assert {c.seed for c in batch if c not in mine} == {0}


def test_tuning_candidates_of_one_batch_are_spread(kit):
    bench = kit.Bench(settings=SearchSettings(trials=60, tuning=10))
    tuning = [c for c in planner_of(bench).next(16) if c.role == "tuning"]
    assert len(tuning) == 10
    # The range goes from 0.001 to 0.1: each fifth of it, on its logarithmic scale, gets its share.
    fifths = Counter(int(5 * math.log(c.settings["learning_rate"] / 0.001) / math.log(100)) for c in tuning)
    assert min(fifths[n] for n in range(5)) >= 1 and max(fifths.values()) <= 3
    assert len({c.settings["weight_decay"] for c in tuning}) == 5


def test_a_baseline_that_failed_is_tried_again(kit):
    bench = kit.Bench()
    planner = planner_of(bench)
    answer(kit, bench, planner, planner.next(1), lambda c: None)
    assert planner.next(1)[0].role == "configured"


def test_what_others_train_is_left_alone(kit):
    bench = kit.Bench(settings=SearchSettings(trials=40, tuning=4))
    planner = planner_of(bench)
    opening = planner.next(16)
    assert [c.role for c in planner.next(16, opening)] == ["uniform"] * 2
    answer(kit, bench, planner, opening, noisy(kit))
    answer(kit, bench, planner, planner.next(16), noisy(kit))
    mine = planner.next(16)
    theirs = planner.next(16, mine)
    assert len(mine) == len(theirs) == 16
    assert not {planner.key(c) for c in mine} & {planner.key(c) for c in theirs}


@pytest.mark.parametrize(("mode", "sign"), [("max", 1.0), ("min", -1.0)])
def test_the_last_trials_hand_the_best_settings_down_to_the_baseline(kit, mode, sign):
    bench = kit.Bench(task=kit.task(mode), settings=SearchSettings(trials=30, tuning=3))
    found = {0.0123: 0.9, 0.0234: 0.8, 0.0345: 0.7, 0.0456: 0.6}
    planner = planner_of(bench)
    answer(kit, bench, planner, planner.next(16), lambda c: sign * 0.5)
    answer(kit, bench, planner, planner.next(16), lambda c: sign * 0.4)
    mixed = Assignment({"a": "tanh", "b": "gelu"})
    others = [Candidate(mixed, {"learning_rate": rate, "weight_decay": 0.01}, 0, "sampled") for rate in found]
    answer(kit, bench, planner, others, lambda c: sign * found[c.settings["learning_rate"]])
    batch = planner.next(3, left=3)
    assert [c.role for c in batch] == ["tuning"] * 3
    assert [c.settings["learning_rate"] for c in batch] == [0.0123, 0.0234, 0.0345]
    assert {planner.space.key(c.assignment) for c in batch} == {planner.space.key(bench.space.baseline)}
    answer(kit, bench, planner, batch)
    assert planner.handed_down(planner.ledger.records(), 3) == []


def test_a_uniform_assignment_that_was_tried_is_not_due_again(kit):
    bench = kit.Bench(space=kit.space(learning_rate=[], weight_decay=[]), settings=SearchSettings(trials=9))
    planner = planner_of(bench)
    answer(kit, bench, planner, [Candidate(bench.space.baseline, {}, 0, "configured")])
    answer(kit, bench, planner, [Candidate(Assignment({"a": "gelu", "b": "gelu"}), {}, 0, "sampled")], lambda c: None)
    assert [c.assignment.summary() for c in planner.next(5)] == ["tanh"]


def test_without_settings_there_is_nothing_to_tune(kit):
    bench = kit.Bench(space=kit.space(learning_rate=[], weight_decay=[]))
    tried = explore(kit, bench, 20, noisy(kit))
    assert [c.role for c in tried[:3]] == ["configured", "uniform", "uniform"]
    assert planner_of(bench).owed_to_baseline() == 0


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_small_space_is_searched_to_its_end(kit, sampler):
    bench = kit.Bench(
        space=kit.space(learning_rate=[], weight_decay=[]), settings=SearchSettings(trials=99, sampler=sampler)
    )
    tried = explore(kit, bench, 99, noisy(kit))
    assert bench.space.size() == 9
    assert len(tried) == len(set(labels(tried))) == 9 + 2, "two more seeds of the configured one"


def test_identity_everywhere_is_never_tried(kit):
    space = kit.space(candidates=("identity", "tanh"), learning_rate=[], weight_decay=[])
    tried = explore(kit, kit.Bench(space=space, settings=SearchSettings(trials=99)), 99, noisy(kit))
    assert len(tried) == 8 + 2
    assert "identity" not in {c.assignment.summary() for c in tried}


def test_a_sampler_that_settles_does_not_end_the_search(kit):
    # TPE comes back to the best assignment again and again; 81 others are still unknown.
    sites = {"a": "relu", "b": "relu", "c": "relu", "d": "relu"}
    space = kit.space(sites, learning_rate=[], weight_decay=[])
    bench = kit.Bench(space=space, settings=SearchSettings(trials=70))
    tried = explore(kit, bench, 70, lambda c: float(c.assignment.summary() == "tanh"))
    assert len(tried) == len(set(labels(tried))) == 70


def test_weight_decays_alone_are_tuned_in_turn_and_once(kit):
    bench = kit.Bench(
        space=kit.space(learning_rate=[], weight_decay=[0.0, 0.1]), settings=SearchSettings(trials=99, tuning=9)
    )
    tried = explore(kit, bench, 7)
    assert [c.settings["weight_decay"] for c in tried if c.role == "tuning"] == [0.0, 0.1]
    assert [c.role for c in tried[5:]] == ["uniform", "uniform"]
    assert planner_of(bench).tuning(bench.ledger().records(), 3) == []


def test_the_baseline_is_tuned_over_the_dropout_too(kit):
    bench = kit.Bench(space=kit.space(dropout=[0.0, 0.3]), settings=SearchSettings(trials=99, tuning=12))
    tried = explore(kit, bench, 60, lambda c: 1.0 - abs(c.settings["dropout"] - 0.3))
    tuning = [c for c in tried if c.role == "tuning"]
    first = [c.settings for c in tuning[:6]]
    assert {one["dropout"] for one in first} == {0.0, 0.1, 0.3}
    assert len({one["weight_decay"] for one in first}) > 3
    uniform = [c for c in tried if c.role == "uniform"]
    assert {c.settings["dropout"] for c in uniform} == {0.3}, "as suits the baseline best"
    assert all("dropout" in c.settings for c in tried)


@pytest.mark.parametrize("decays", [[], [0.0, 0.1]])
def test_listed_settings_alone_are_tuned_in_turn_and_once(kit, decays):
    space = kit.space(learning_rate=[], weight_decay=decays, dropout=[0.0, 0.3])
    bench = kit.Bench(space=space, settings=SearchSettings(trials=99, tuning=20))
    tuning = [c.settings for c in explore(kit, bench, 25) if c.role == "tuning"]
    every = {(one.get("weight_decay"), one["dropout"]) for one in tuning}
    assert len(every) == len(tuning) == 3 * (len(decays) + 1 if decays else 1) - 1, "all but the configured one"
    assert len({one["dropout"] for one in tuning[:3]}) > 1


def test_weight_decay_alone_is_searched_to_the_end(kit):
    bench = kit.Bench(
        space=kit.space(learning_rate=[], weight_decay=[0.0, 0.1]), settings=SearchSettings(trials=99, tuning=2)
    )
    tried = explore(kit, bench, 99, noisy(kit))
    assert len(tried) == len(set(labels(tried))) == 9 * 3 + 2


def counts(kit: Any, bench: Any, tried: list[Candidate]) -> tuple[int, int]:
    """Trials of the baseline's own activations, and the most of any other assignment."""
    found = Counter(bench.space.key(c.assignment) for c in tried if c.role != "replicate")
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
    assert planner_of(bench).owed_to_baseline() == 0


def test_what_is_owed_is_counted_by_function_and_with_failures(kit):
    bench = kit.Bench()
    planner = planner_of(bench)
    base = [{"learning_rate": rate, "weight_decay": 0.0} for rate in (0.01, 0.02, 0.03, 0.04, 0.05)]
    answer(kit, bench, planner, [Candidate(bench.space.baseline, one) for one in base[:2]])
    again = Candidate(bench.space.baseline, base[0], 1, "replicate")
    answer(kit, bench, planner, [again])
    assert planner.owed_to_baseline() == 0
    other = Assignment({"a": "tanh", "b": "gelu"})
    answer(kit, bench, planner, [Candidate(other, one) for one in base[:4]])
    answer(kit, bench, planner, [Candidate(other, base[4])], lambda c: None)
    assert planner.owed_to_baseline() == 3, "another seed of a setting is no setting"


def test_the_same_seed_plans_the_same(kit):
    def plan(seed: int) -> list[str]:
        return labels(explore(kit, kit.Bench(settings=SearchSettings(trials=25, tuning=3, seed=seed)), 25, noisy(kit)))

    assert plan(0) == plan(0)
    assert plan(0)[1:4] != plan(1)[1:4]
    assert plan(0)[6:] != plan(1)[6:]


def test_interruptions_do_not_change_the_plan(kit):
    bench = kit.Bench(settings=SearchSettings(trials=25, tuning=3, batch=1))
    straight = labels(explore(kit, bench, 25, noisy(kit)))
    other = kit.Bench(settings=SearchSettings(trials=25, tuning=3, batch=1))
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
    space = kit.space(candidates=("tanh", "elu"))
    assert space.is_uniform_alternative(Assignment(assignment)) is expected
