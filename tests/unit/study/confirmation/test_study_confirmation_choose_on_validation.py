"""The first stage of the final check: finalists by estimate, fresh seeds and validation rows, or folds."""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from typing import Any

import pytest

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate, TrialRecord
from autoact.study.callbacks import SearchCallback
from autoact.study.confirmation.choose_on_validation import Choosing, turns_of
from autoact.study.confirmation.paired_differences import gain_of
from autoact.study.confirmation.power import foresee, short
from autoact.study.confirmation.retraining import same
from autoact.study.confirmation.shortlist import BASELINES, shortlist
from autoact.study.confirmation.shrinkage import Estimates
from autoact.study.selection import Selection, Selector
from autoact.study.settings import ConfirmSettings
from autoact.training.callbacks import Interrupted

NAMES = ("relu", "gelu", "tanh", "silu", "mish", "elu")
# Ten trials: the baseline three times, uniform assignments, mixes; qualities as one seed measured them.
TRIED = [
    ("relu", "relu", 0.01, 0.80, "configured"),
    ("relu", "relu", 0.02, 0.82, "tuning"),
    ("relu", "relu", 0.03, 0.81, "tuning"),
    ("relu", "relu", 0.05, 0.70, "tuning"),
    ("gelu", "gelu", 0.01, 0.83, "uniform"),
    ("tanh", "tanh", 0.01, 0.85, "uniform"),
    ("silu", "silu", 0.01, 0.79, "uniform"),
    ("tanh", "gelu", 0.01, 0.90, "sampled"),
    ("mish", "gelu", 0.01, 0.86, "sampled"),
    ("elu", "tanh", 0.01, 0.84, "sampled"),
    ("elu", "gelu", 0.01, 0.60, "sampled"),
]


@pytest.fixture
def bench(kit: Any) -> Any:
    return kit.Bench(space=kit.space(candidates=NAMES), names=("quality", "latency"))


def records_of(kit: Any) -> list[TrialRecord]:
    found = []
    for number, (a, b, rate, quality, role) in enumerate(TRIED):
        candidate = Candidate(Assignment({"a": a, "b": b}), {"learning_rate": rate, "weight_decay": 0.01}, 0, role)
        found.append(kit.record(candidate, number, quality, latency=1.0, cost=1.0))
    return found


def selector_of(bench: Any) -> Selector:
    return Selector(bench.task, bench.space, bench.objectives, {}, bench.margin)


def first_of(bench: Any, records: list[TrialRecord]) -> Selection:
    found = selector_of(bench).select(records)
    assert found is not None
    return found


class Told(SearchCallback):
    def __init__(self) -> None:
        self.planned, self.told = 0, 0

    def choosing(self, trainings: int) -> None:
        self.planned = trainings

    def confirmed_one(self, name: str, seed: int, score: float | None) -> None:
        self.told += 1


def choose(
    kit: Any, bench: Any, engine: Any, seeds: int = 4, finalists: int = 6, told: Any = None, records: Any = None
) -> Any:
    records = records if records is not None else records_of(kit)
    settings = ConfirmSettings(seeds=seeds, finalists=finalists)
    choosing = Choosing(selector_of(bench), settings)
    ledger, trainer = bench.ledger(), bench.search(engine)._trainer
    observers = [] if told is None else [told]
    return choosing.run(records, first_of(bench, records), Estimates(), ledger, trainer, observers)


def truth(kit: Any, noise: float = 0.001) -> Any:
    """What many seeds would say: mish / gelu is best, the second setting of the baseline is lucky."""
    best = {("mish", "gelu"): 0.88, ("tanh", "gelu"): 0.84, ("tanh", "tanh"): 0.85, ("relu", "relu"): 0.80}

    def of(c: Candidate) -> float:
        value = best.get(tuple(map(str, c.assignment.values())), 0.78)
        value += 0.02 * (c.settings["learning_rate"] == 0.03)
        return value + noise * kit.draw(c.seed, c.label(), c.fold)

    return of


def test_finalists_are_challengers_with_the_best_baselines_and_uniform(kit, bench):
    records = records_of(kit)
    found = shortlist(records, first_of(bench, records), {}, bench.task, bench.space, 3)
    names = [tuple(map(str, record.candidate.assignment.values())) for record in found]
    assert names[:3] == [("tanh", "gelu"), ("mish", "gelu"), ("tanh", "tanh")]
    baselines = [record.number for record in found if record.number < 4]
    assert sorted(baselines) == [0, 1, 2] and len(baselines) == BASELINES, "configured, tuned, and the next one"
    assert len(found) == 6, "the best uniform one is a challenger already"


def test_estimates_pick_the_finalists_not_lucky_values(kit, bench):
    records = records_of(kit)
    estimates = {7: 0.7, 8: 0.7, 9: 0.95}
    found = shortlist(records, first_of(bench, records), estimates, bench.task, bench.space, 2)
    assert records[9] in found


def test_fresh_seeds_choose_again(kit, bench):
    engine = kit.Planted(truth(kit))
    found = choose(kit, bench, engine)
    assert found.selection.policies["quality"].number == 8, "one seed had said 7"
    assert found.selection.tuned.number == 2, "one seed had said 1"
    assert found.selection.uniform is not None and found.selection.uniform.number == 5
    assert engine.scored == [], "the test part stays sealed"
    assert {c.seed for c in engine.chosen} == {10_000, 10_001, 10_002, 10_003}
    assert {c.role for c in engine.chosen} == {"choosing"}
    assert all(job.validate and job.test is None for job in engine.jobs)
    assert gain_of(found.trained["trial 8"], found.trained["trial 2"], "max").mean == pytest.approx(0.06, abs=0.005)
    assert "finalists were chosen from by the mean of 4 fresh seeds" in found.how


def test_the_margin_is_that_of_the_means(kit, bench):
    found = choose(kit, bench, kit.Planted(truth(kit)))
    tuned = found.trained["trial 2"].mean
    assert found.selection.margin == pytest.approx(bench.margin * (tuned - 0.5))


def test_what_failed_once_is_not_chosen(kit, bench):
    def of(c: Candidate) -> float | None:
        fails = tuple(map(str, c.assignment.values())) == ("mish", "gelu") and c.seed == 10_002
        return None if fails else truth(kit)(c)

    assert choose(kit, bench, kit.Planted(of)).selection.policies["quality"].number == 5


def test_what_was_chosen_stays_chosen_until_trials_are_added(kit, bench):
    first = choose(kit, bench, kit.Planted(truth(kit)))
    engine = kit.Planted(truth(kit))
    again = choose(kit, bench, engine, seeds=9)
    assert engine.chosen == [] and again.selection == first.selection
    more = records_of(kit)
    candidate = Candidate(Assignment({"a": "mish", "b": "mish"}), {"learning_rate": 0.01, "weight_decay": 0.01})
    more.append(kit.record(candidate, len(more), 0.99, latency=1.0, cost=1.0))
    choose(kit, bench, engine, seeds=9, records=more)
    assert {c.assignment.summary() for c in engine.chosen if c.seed == 10_000} == {"mish"}
    assert {c.seed for c in engine.chosen} == {10_000 + index for index in range(9)}


@pytest.mark.parametrize("done", [0, 3, 11])
def test_an_interrupted_choice_goes_on(kit, bench, done):
    straight = kit.Planted(truth(kit))
    expected = choose(kit, kit.Bench(space=bench.space, names=bench.names), straight)
    stopped = kit.Planted(truth(kit), stop_after=done)
    with pytest.raises(Interrupted):
        choose(kit, bench, stopped)
    engine, told = kit.Planted(truth(kit)), Told()
    result = choose(kit, bench, engine, told=told)
    assert stopped.chosen + engine.chosen == straight.chosen
    assert result.selection == expected.selection
    assert told.planned == told.told == len(straight.chosen)


# Half way


def test_what_is_beaten_half_way_is_spared_the_rest(kit, bench):
    engine = kit.Planted(truth(kit))
    found = choose(kit, bench, engine, seeds=8)
    trained = [same(candidate) for candidate in engine.chosen]
    often = [trained.count(same(record.candidate)) for record in records_of(kit)]
    assert often[8] == 8 and often[2] == 8, "the best challenger and the best setting of the baseline"
    assert often[7] == 4 and often[1] == 4, "beaten by them"
    assert often[0] == 8 and often[5] == 8, "the configured baseline and the best uniform one are wanted in any case"
    assert found.selection.policies["quality"].number == 8 and found.selection.tuned.number == 2
    assert "trained half of it" in found.how


def test_what_is_cheaper_trains_on_though_others_are_better(kit, bench):
    records = records_of(kit)
    cheaper = dataclasses.replace(records[7], values={**records[7].values, "latency": 0.5})
    records[7] = cheaper
    engine = kit.Planted(truth(kit))
    found = choose(kit, bench, engine, seeds=8, records=records)
    assert sum(1 for c in engine.chosen if same(c) == same(cheaper.candidate)) == 8
    assert found.selection.policies["economy"].number == 7


# Few rows


def test_few_rows_are_dealt_out_in_folds(kit, bench):
    few = kit.task(make_fold=lambda *_: None, facts={"rows": {"train": 1000, "validation": 500, "test": 300}})
    engine = kit.Planted(truth(kit))
    found = choose(kit, dataclasses.replace(bench, task=few), engine, seeds=10)
    assert {(c.seed, c.fold) for c in engine.chosen} == {
        (10_000 + repeat, (fold, 5)) for repeat in range(2) for fold in range(5)
    }
    assert "5-fold cross-validation, 2 times" in found.how
    many = kit.task(make_fold=lambda *_: None, facts={"rows": {"train": 1500, "validation": 500, "test": 300}})
    engine = kit.Planted(truth(kit))
    choose(kit, dataclasses.replace(bench, task=many, storage=kit.Bench().storage), engine)
    assert {c.fold for c in engine.chosen} == {None}


def test_turns_are_seeds_or_folds_of_seeds():
    assert [turn.seed for turn in turns_of(3, 2, 0)] == [10_003, 10_004]
    folds = turns_of(0, 7, 5)
    assert len(folds) == 10 and {turn.fold for turn in folds} == {(fold, 5) for fold in range(5)}


# What the claim will be able to tell


def trained(kit: Any, bench: Any, rows: float) -> Any:
    def replicates(candidate: Candidate, score: float) -> list[float]:
        return [score + rows * kit.draw(candidate.label(), group) for group in range(50)]

    engine = kit.Planted(truth(kit, noise=0.01))
    engine.validated = replicates
    return choose(kit, bench, engine, seeds=10).trained


@pytest.mark.parametrize(("rows", "best"), [(0.0001, "seeds"), (0.003, "either"), (0.01, "rows")])
def test_what_twice_the_seeds_and_rows_would_do_is_said_before_the_test_part_opens(kit, bench, rows, best):
    found = foresee(
        trained(kit, bench, rows),
        "trial 8",
        "trial 2",
        seeds=10,
        rows=(500, 1000),
        confidence=0.975,
        comparisons=1,
        power=0.8,
    )
    assert found is not None and found.twice_the_rows is not None
    assert max(found.twice_the_seeds, found.twice_the_rows) < found.difference
    assert best == "either" or (found.twice_the_seeds < found.twice_the_rows) == (best == "seeds")
    # Numbers alone are said: a word for what limits the check could contradict them.
    said = re.fullmatch(r".* is (\S+) AUC; it would be (\S+) with twice the seeds, and (\S+) .*", found.text("AUC"))
    assert said is not None
    assert said.groups() == tuple(map(short, (found.difference, found.twice_the_seeds, found.twice_the_rows)))
    assert "limit" not in found.text("AUC")
    fewer_rows = foresee(
        trained(kit, bench, rows),
        "trial 8",
        "trial 2",
        seeds=10,
        rows=(500, 100),
        confidence=0.975,
        comparisons=1,
        power=0.8,
    )
    assert fewer_rows is not None and fewer_rows.difference > found.difference


def test_without_predictions_the_noise_of_rows_is_unknown(kit, bench):
    found = choose(kit, bench, kit.Planted(truth(kit))).trained
    said = foresee(found, "trial 8", "trial 2", seeds=10, rows=None, confidence=0.95, comparisons=1, power=0.8)
    assert said is not None and said.twice_the_rows is None
    assert "the noise of the test rows is unknown" in said.text("AUC")
    sd = statistics.stdev(
        found["trial 8"].scores[turn] - found["trial 2"].scores[turn] for turn in found["trial 8"].scores
    )
    assert 0.5 * sd < said.difference < 2 * sd


# The baseline with the challengers' training settings, and tuned on


def test_the_baseline_is_trained_with_the_settings_of_each_challenger(kit, bench):
    records = records_of(kit)
    settings = {"learning_rate": 0.007, "weight_decay": 0.01}
    lucky = dataclasses.replace(records[7].candidate, settings=settings)
    records[7] = dataclasses.replace(records[7], candidate=lucky)

    def of(c: Candidate) -> float:  # the learning rate is all that counts
        return 0.9 - 3 * abs(c.settings["learning_rate"] - 0.007) + 0.001 * kit.draw(c.seed, c.label())

    found = choose(kit, bench, kit.Planted(of), records=records)
    own = bench.space.baseline
    name = "baseline with the settings of trial 7"
    assert found.trained[name].candidate.assignment == own
    assert dict(found.selection.tuned.candidate.settings) == settings, "it competes to be the tuned baseline"
    assert found.selection.tuned.quality == pytest.approx(found.trained[name].mean)
    assert found.selection.twin("quality") is None, "the twin is the tuned baseline itself"


def test_a_baseline_at_the_edge_of_what_was_tried_is_tuned_on(kit, bench):
    _, high = bench.space.rate_range
    records = [record for record in records_of(kit) if record.number != 3]  # 0.03 is the largest that it had

    def noise(c: Candidate) -> float:
        return 0.001 * kit.draw(c.seed, c.label())

    def rising(best: float) -> Any:
        def of(c: Candidate) -> float:
            tanh = 0.5 * (str(c.assignment["a"]) == "tanh")
            return 0.9 - 0.1 * abs(math.log(c.settings["learning_rate"] / best)) + tanh + noise(c)

        return of

    between = choose(kit, bench, kit.Planted(rising(math.sqrt(0.03 * high))), records=records)
    rate = between.selection.tuned.candidate.settings["learning_rate"]
    assert rate == pytest.approx(math.sqrt(0.03 * high)) and not between.selection.doubts
    other = dataclasses.replace(bench, storage=kit.Bench().storage)
    at_the_end = choose(kit, other, kit.Planted(rising(10 * high)), records=records)
    assert at_the_end.selection.tuned.candidate.settings["learning_rate"] == pytest.approx(high)
    assert all("space.learning_rate=[" in why for why in at_the_end.selection.doubts.values())
    assert set(at_the_end.selection.doubts) == set(at_the_end.selection.twins) != set()
