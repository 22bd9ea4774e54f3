"""The second stage of the final check: other seeds, one training for equal candidates, numbered openings."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.study.callbacks import SearchCallback
from autoact.study.confirmation.choose_on_validation import StageOneChoice
from autoact.study.confirmation.claim_on_test import FIRST_SEED, Confirmation, StageTwo, finalists, looks
from autoact.study.confirmation.retraining import SeedFold
from autoact.study.selection import Selection
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.training.callbacks import Interrupted

SEEDS = [20_000, 20_001, 20_002]
TURNS = [SeedFold(seed) for seed in SEEDS]


class Told(SearchCallback):
    """What observers hear of the check."""

    def __init__(self) -> None:
        self.trainings = 0
        self.scores: list[tuple[str, int, float | None]] = []

    def confirming(self, trainings: int, foresight: str = "") -> None:
        self.trainings = trainings
        self.foresight = foresight

    def confirmed_one(self, name: str, seed: int, score: float | None) -> None:
        self.scores.append((name, seed, score))


def trial(kit: Any, number: int, name: str, quality: float, **settings: float) -> Any:
    return kit.record(Candidate(Assignment({"a": name, "b": name}), settings, 0), number, quality)


def selection_of(kit: Any, **policies: str) -> Selection:
    """Configured and tuned relu, the best uniform gelu, and the policies' trials by name."""
    trials = {
        "configured": trial(kit, 0, "relu", 0.80, learning_rate=0.01),
        "tuned": trial(kit, 1, "relu", 0.82, learning_rate=0.02),
        "gelu": trial(kit, 2, "gelu", 0.83, learning_rate=0.01),
        "tanh": trial(kit, 3, "tanh", 0.85, learning_rate=0.01),
    }
    chosen = {policy: trials[name] for policy, name in (policies or {"quality": "tanh"}).items()}
    return Selection(trials["configured"], trials["tuned"], trials["gelu"], chosen, (0,), 0.02)


def quality(kit: Any) -> Any:
    """tanh is better by .1, and all share most of what a seed brings."""

    def of(c: Candidate) -> float:
        better = 0.1 * (c.assignment.summary() == "tanh") + 0.01 * (c.settings["learning_rate"] == 0.02)
        return 0.7 + better + 0.01 * kit.draw(c.seed) + 0.001 * kit.draw(c.seed, c.label())

    return of


EVERY = ("quality", "balanced", "economy")


def checked(
    kit: Any,
    bench: Any,
    engine: Any,
    selection: Selection | None = None,
    seeds: int = 3,
    told: Any = None,
    hopeful: Sequence[str] = EVERY,
    decided: Callable[[Confirmation], bool] | None = None,
) -> Any:
    settings = ConfirmSettings(seeds=seeds, early=decided is not None)
    observers = [] if told is None else [told]
    trainer = bench.search(engine)._trainer
    chosen = StageOneChoice(selection or selection_of(kit), {}, "chosen by hand")
    claim = StageTwo(bench.task, bench.space, settings, hopeful)
    return claim.run(chosen, bench.ledger(), trainer, observers, decided or (lambda so_far: False))


def test_finalists_have_names(kit):
    found = finalists(selection_of(kit, quality="tanh", economy="gelu"))
    assert {name: c.assignment.summary() for name, c in found.items()} == {
        "configured": "relu",
        "tuned": "relu",
        "uniform": "gelu",
        "quality": "tanh",
        "economy": "gelu",
    }
    without = dataclasses.replace(selection_of(kit), uniform=None)
    assert "uniform" not in finalists(without)


def test_every_finalist_is_trained_with_fresh_seeds_alone(kit):
    engine = kit.Planted(quality(kit))
    result = checked(kit, kit.Bench(), engine)
    assert Counter(c.seed for c in engine.scored) == dict.fromkeys(SEEDS, 4)
    assert {c.role for c in engine.scored} == {"claim"}
    assert engine.trained == []
    assert list(result.entries["tuned"].scores) == TURNS
    of = quality(kit)
    tanh = [of(c) for c in engine.scored if c.assignment.summary() == "tanh"]
    assert list(result.entries["quality"].scores.values()) == tanh
    assert result.entries["quality"].mean == pytest.approx(sum(tanh) / 3)
    assert result.entries["quality"].epochs == 1


def test_fresh_seeds_are_never_the_searchs_own(kit):
    engine = kit.Planted(quality(kit))
    checked(kit, kit.Bench(settings=SearchSettings(seed=10_001)), engine)
    assert {c.seed for c in engine.scored} == {30_001, 30_002, 30_003}


def test_equal_candidates_are_trained_once(kit):
    engine = kit.Planted(quality(kit))
    result = checked(kit, kit.Bench(), engine, selection_of(kit, quality="tanh", balanced="tanh", economy="gelu"))
    assert len(engine.scored) == 4 * 3, "configured, tuned, gelu, tanh"
    assert result.entries["balanced"] is result.entries["quality"]
    assert result.entries["economy"] is result.entries["uniform"]


def test_gains_are_paired_differences_to_the_tuned_baseline(kit):
    result = checked(kit, kit.Bench(), kit.Planted(quality(kit)))
    of = quality(kit)
    selection = selection_of(kit)
    tanh, tuned = selection.policies["quality"].candidate, selection.tuned.candidate
    differences = [of(tanh.with_seed(s, "")) - of(tuned.with_seed(s, "")) for s in SEEDS]
    assert result.gains["quality"].mean == pytest.approx(sum(differences) / 3)
    assert result.gains["quality"].low > 0.08, "what a seed brings to both does not count"
    assert result.gains["configured"].mean < 0
    assert "tuned" not in result.gains


def test_a_lower_loss_is_a_gain(kit):
    engine = kit.Planted(lambda c: 1.0 - quality(kit)(c))
    result = checked(kit, kit.Bench(task=kit.task("min")), engine)
    assert result.gains["quality"].low > 0.08
    assert result.gains["configured"].mean < 0


@pytest.mark.parametrize(
    ("policies", "comparisons"),
    [
        ({"quality": "tanh"}, 1),
        ({"quality": "tanh", "balanced": "tanh", "economy": "tanh"}, 1),
        ({"quality": "tanh", "balanced": "gelu", "economy": "tuned"}, 2),
        ({"quality": "tuned"}, 1),
    ],
)
def test_intervals_are_corrected_for_the_number_of_challengers(kit, policies, comparisons):
    engine = kit.Planted(quality(kit))
    result = checked(kit, kit.Bench(), engine, selection_of(kit, **policies))
    assert result.comparisons == comparisons
    alone = checked(kit, kit.Bench(), engine)
    if comparisons == 2:
        assert result.gains["quality"].low < alone.gains["quality"].low


def test_a_tuned_baseline_that_is_the_configured_one(kit):
    selection = dataclasses.replace(selection_of(kit), tuned=selection_of(kit).configured)
    engine = kit.Planted(quality(kit))
    result = checked(kit, kit.Bench(), engine, selection)
    assert len(engine.scored) == 3 * 3
    assert (result.gains["configured"].mean, result.gains["configured"].low) == (0.0, 0.0)


def test_seeds_that_fail_are_left_out_of_the_pairs(kit):
    def of(c: Candidate) -> float | None:
        return None if (c.assignment.summary(), c.seed) == ("tanh", 20_001) else quality(kit)(c)

    told = Told()
    result = checked(kit, kit.Bench(), kit.Planted(of), told=told)
    entry = result.entries["quality"]
    assert list(entry.scores) == [SeedFold(20_000), SeedFold(20_002)]
    assert entry.failures == {SeedFold(20_001): "val_auc is nan in epoch 1"}
    assert result.gains["quality"].df == 1
    assert ("quality", 20_001, None) in told.scores


def test_where_all_but_one_seed_fail_there_is_no_interval(kit):
    engine = kit.Planted(lambda c: None if c.assignment.summary() == "tanh" and c.seed != 20_000 else quality(kit)(c))
    result = checked(kit, kit.Bench(), engine)
    assert "quality" not in result.gains
    nothing = kit.Planted(lambda c: None)
    result = checked(kit, kit.Bench(), nothing)
    assert result.gains == {}
    assert str(result.entries["quality"].mean) == "nan"
    assert result.entries["quality"].epochs == 0


def test_observers_hear_every_training(kit):
    told = Told()
    checked(kit, kit.Bench(), kit.Planted(quality(kit)), told=told)
    assert told.trainings == len(told.scores) == 12
    assert Counter(name for name, _, _ in told.scores) == {"configured": 3, "tuned": 3, "uniform": 3, "quality": 3}


@pytest.mark.parametrize("done", [0, 1, 5, 11])
def test_an_interrupted_check_goes_on_where_it_stopped(kit, done):
    bench, straight = kit.Bench(), kit.Planted(quality(kit))
    expected = checked(kit, kit.Bench(), straight)
    stopped = kit.Planted(quality(kit), stop_after=done)
    with pytest.raises(Interrupted):
        checked(kit, bench, stopped)
    assert len(stopped.scored) == done
    engine, told = kit.Planted(quality(kit)), Told()
    result = checked(kit, bench, engine, told=told)
    assert len(engine.scored) == 12 - done
    assert stopped.scored + engine.scored == straight.scored
    assert (result.gains, result.opening.number, result.opening.used) == (expected.gains, 1, False)
    assert len(told.scores) == 12


def test_more_seeds_add_trainings(kit):
    bench = kit.Bench()
    checked(kit, bench, kit.Planted(quality(kit)))
    engine = kit.Planted(quality(kit))
    result = checked(kit, bench, engine, seeds=5)
    assert {c.seed for c in engine.scored} == {20_003, 20_004}
    assert len(result.entries["tuned"].scores) == 5


def add_trial(kit: Any, bench: Any) -> None:
    ledger = bench.ledger()
    assignment = Assignment({"a": "tanh", "b": "gelu"})
    settings = {"learning_rate": 0.01 + 0.001 * ledger.spent, "weight_decay": 0.01}
    ledger.tell(kit.record(Candidate(assignment, settings), -1, 0.5, latency=1.0, cost=1.0))


def test_openings_are_numbered_and_what_comes_after_one_is_flagged(kit):
    bench, engine = kit.Bench(), kit.Planted(quality(kit))
    test = kit.GivenTest()
    bench.task = kit.task(test=test)

    def opening(**policies: str) -> tuple[int, bool]:
        result = checked(kit, bench, engine, selection_of(kit, **policies))
        return result.opening.number, result.opening.used

    add_trial(kit, bench)
    assert opening() == (1, False)
    assert opening() == (1, False), "the same check again is the same opening"
    assert opening(quality="gelu") == (2, False), "other candidates of the same trials"
    add_trial(kit, bench)
    assert opening(quality="gelu") == (3, True)
    assert opening(quality="gelu") == (3, True)
    assert test.openings[0].reason == f"final check of {bench.ledger().name}, opening 1"


def test_other_studies_of_the_same_data_opened_it_too(kit):
    bench, engine = kit.Bench(), kit.Planted(quality(kit))
    assert checked(kit, bench, engine).opening.number == 1
    other = dataclasses.replace(bench, settings=SearchSettings(seed=1))
    second = checked(kit, other, engine)
    assert (second.opening.number, second.opening.used) == (2, True)
    # The first one was opened before, and stays what it was.
    again = checked(kit, bench, engine)
    assert (again.opening.number, again.opening.used) == (1, False)
    elsewhere = dataclasses.replace(
        bench, task=kit.task(test=kit.GivenTest(fingerprint="other"), identity={"data": "other"})
    )
    assert checked(kit, elsewhere, engine).opening.number == 1
    unknown = dataclasses.replace(
        bench, task=kit.task(test=kit.GivenTest(fingerprint="unknown"), facts={}, identity={"data": "unknown"})
    )
    assert checked(kit, unknown, engine).opening.number == 1


# Test rows


def replicating(engine: Any, spread: float, groups: int = 10) -> Any:
    """The engine with scores that leave one of ten groups of rows out, each ``spread`` apart for tanh."""

    def rows(candidate: Candidate, score: float) -> list[float]:
        size = spread * (candidate.assignment.summary() == "tanh")
        return [score + size * (group - (groups - 1) / 2) for group in range(groups)]

    engine.replicates = rows
    return engine


def test_the_noise_of_the_test_rows_widens_the_interval(kit):
    plain = checked(kit, kit.Bench(), kit.Planted(quality(kit)))
    none = checked(kit, kit.Bench(), replicating(kit.Planted(quality(kit)), 0.0))
    some = checked(kit, kit.Bench(), replicating(kit.Planted(quality(kit)), 0.01))
    assert (plain.rows_counted, none.rows_counted, some.rows_counted) == (False, True, True)
    assert none.gains["quality"].low == pytest.approx(plain.gains["quality"].low)
    assert some.gains["quality"].mean == pytest.approx(plain.gains["quality"].mean)
    # Jackknife: 9/10 of the sum of squares of -.045, -.035 ... .045, on top of what the seeds vary.
    rows = 0.9 * sum((0.01 * (g - 4.5)) ** 2 for g in range(10))
    assert some.gains["quality"].se ** 2 == pytest.approx(plain.gains["quality"].se ** 2 + rows)
    assert some.gains["quality"].df == pytest.approx(9, rel=0.1)


def test_rows_that_move_both_alike_do_not_count(kit):
    selection = dataclasses.replace(selection_of(kit), tuned=selection_of(kit).policies["quality"])
    result = checked(kit, kit.Bench(), replicating(kit.Planted(quality(kit)), 0.01), selection)
    assert result.gains["quality"].se == 0.0


def test_a_single_group_of_rows_tells_nothing(kit):
    result = checked(kit, kit.Bench(), replicating(kit.Planted(quality(kit)), 0.01, groups=1))
    assert result.gains["quality"].df == 2


def test_rows_survive_an_interruption(kit):
    bench = kit.Bench()
    expected = checked(kit, kit.Bench(), replicating(kit.Planted(quality(kit)), 0.01))
    with pytest.raises(Interrupted):
        checked(kit, bench, replicating(kit.Planted(quality(kit), stop_after=7), 0.01))
    assert checked(kit, bench, replicating(kit.Planted(quality(kit)), 0.01)).gains == expected.gains


def test_more_seeds_are_another_opening_and_train_the_new_seeds_only(kit):
    bench, engine = kit.Bench(), kit.Planted(quality(kit))
    assert checked(kit, bench, engine, seeds=3).opening.number == 1
    before = len(engine.scored)
    result = checked(kit, bench, engine, seeds=5)
    assert result.opening.number == 2
    assert {len(entry.scores) for entry in result.entries.values()} == {5}
    added = engine.scored[before:]
    assert added and {c.seed - FIRST_SEED - bench.settings.seed for c in added} == {3, 4}


def with_rows(kit: Any, noise: float) -> Any:
    def rows(candidate: Candidate, score: float) -> list[float]:
        return [score + noise * kit.draw(candidate.label(), group) for group in range(20)]

    return kit.Planted(quality(kit), replicates=rows)


def test_the_noise_of_test_rows_widens_the_intervals(kit):
    seeds_only = checked(kit, kit.Bench(), kit.Planted(quality(kit)))
    with_noise = checked(kit, kit.Bench(), with_rows(kit, 0.05))
    assert not seeds_only.rows_counted and with_noise.rows_counted
    for name, gain in with_noise.gains.items():
        if seeds_only.entries[name].scores == seeds_only.entries["tuned"].scores:
            continue  # the tuned baseline itself
        assert gain.mean == pytest.approx(seeds_only.gains[name].mean)
        assert gain.se > seeds_only.gains[name].se
        mine, tuned = (with_noise.entries[n].replicates for n in (name, "tuned"))
        left_out = [sum(mine[s][g] - tuned[s][g] for s in mine) / len(mine) for g in range(20)]
        center = sum(left_out) / 20
        rows = 19 / 20 * sum((value - center) ** 2 for value in left_out)
        assert gain.se**2 == pytest.approx(seeds_only.gains[name].se ** 2 + rows)


@pytest.mark.parametrize("population", [1, 4, 5, 64])
def test_finalists_and_seeds_share_populations(kit, population):
    bench, engine = kit.Bench(population=population), kit.Planted(quality(kit))
    checked(kit, bench, engine)
    sizes = [len(job.candidates) for job in engine.jobs]
    assert sum(sizes) == 12 and max(sizes) <= population and max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-12 // population)
    assert {job.test for job in engine.jobs} == {f"final check of {bench.ledger().name}, opening 1"}
    assert all(job.to is None and not job.states for job in engine.jobs)


def test_a_stop_within_a_population_keeps_what_was_scored(kit):
    bench = kit.Bench(population=8)
    stopped = kit.Planted(quality(kit), stop_after=5)
    with pytest.raises(Interrupted):
        checked(kit, bench, stopped)
    engine = kit.Planted(quality(kit))
    checked(kit, bench, engine)
    assert (len(stopped.scored), len(engine.scored)) == (5, 7)
    assert len({(c.label(), c.seed) for c in [*stopped.scored, *engine.scored]}) == 12


# What an opening may spend


def test_every_further_opening_stands_at_half_the_alpha(kit):
    bench, engine = kit.Bench(), kit.Planted(quality(kit))
    alphas = []
    for policies in ({"quality": "tanh"}, {"quality": "gelu"}, {"quality": "tanh"}):
        result = checked(kit, bench, engine, selection_of(kit, **policies))
        assert result.alpha == result.opening.alpha
        alphas.append(result.alpha)
    assert alphas == pytest.approx([0.025, 0.0125, 0.00625])


def test_a_challenger_that_is_beyond_hope_costs_no_certainty(kit):
    selection = selection_of(kit, quality="tanh", economy="gelu")
    both = checked(kit, kit.Bench(), kit.Planted(quality(kit)), selection)
    alone = checked(kit, kit.Bench(), kit.Planted(quality(kit)), selection, hopeful=("quality",))
    assert (both.comparisons, alone.comparisons) == (2, 1)
    assert alone.gains["quality"].low > both.gains["quality"].low
    assert "economy" in alone.gains, "it is in the table all the same"


def test_looks_share_the_alpha():
    for seeds in (2, 5, 6, 10, 31):
        for early in (True, False):
            found = looks(seeds, early=early)
            assert found[-1][0] == seeds and sum(share for _, share in found) == pytest.approx(1.0)
            assert len(found) == (2 if early and seeds >= 6 else 1)


def test_a_check_ends_half_way_where_its_verdict_cannot_change(kit):
    asked: list[int] = []

    def decided(so_far: Confirmation) -> bool:
        asked.append(so_far.seeds)
        return True

    engine = kit.Planted(quality(kit))
    result = checked(kit, kit.Bench(), engine, seeds=8, decided=decided)
    assert asked == [4] and (result.seeds, result.planned) == (4, 8)
    assert result.alpha == pytest.approx(0.2 * 0.025)
    assert {c.seed for c in engine.scored} == {20_000, 20_001, 20_002, 20_003}
    whole = checked(kit, kit.Bench(), kit.Planted(quality(kit)), seeds=8, decided=lambda so_far: False)
    assert whole.seeds == 8 and whole.alpha == pytest.approx(0.8 * 0.025)


# Mixed against uniform


def mixed_selection(kit: Any) -> Selection:
    mixed = kit.record(Candidate(Assignment({"a": "tanh", "b": "gelu"}), {"learning_rate": 0.01}, 0), 4, 0.9)
    return dataclasses.replace(selection_of(kit), policies={"quality": mixed})


def test_a_mix_is_compared_with_the_best_uniform_assignment(kit):
    engine = kit.Planted(lambda c: quality(kit)(c) + 0.05 * (c.assignment.summary() == "tanh / gelu"))
    found = checked(kit, kit.Bench(), engine, mixed_selection(kit))
    pairs = [found.entries["quality"].scores[turn] - found.entries["uniform"].scores[turn] for turn in TURNS]
    assert found.mixed is not None and found.mixed.mean == pytest.approx(sum(pairs) / 3)
    assert checked(kit, kit.Bench(), kit.Planted(quality(kit))).mixed is None, "tanh everywhere is no mix"


def test_raw_results_are_plain_data(kit):
    entry = checked(kit, kit.Bench(), kit.Planted(quality(kit))).entries["quality"]
    plain = json.loads(json.dumps(entry.to_dict()))
    assert [row["seed"] for row in plain["trainings"]] == SEEDS
    assert [row["score"] for row in plain["trainings"]] == list(entry.scores.values())
    assert plain["candidate"]["assignment"] == {"a": "tanh", "b": "tanh"} and plain["failed"] == []


def test_groups_that_are_asked_for_later_are_scored_by_training_again_under_the_same_opening(kit):
    bench, engine = kit.Bench(), kit.Planted(quality(kit))
    first = checked(kit, bench, engine)
    count = len(engine.scored)
    assert checked(kit, bench, engine).opening == first.opening and len(engine.scored) == count
    asking = dataclasses.replace(bench, task=kit.task(groups=("gender",)))
    again = checked(kit, asking, engine)
    assert len(engine.scored) == 2 * count, "nothing is known of these groups"
    assert again.opening.number == first.opening.number
