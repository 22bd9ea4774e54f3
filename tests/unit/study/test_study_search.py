"""Whole searches around an engine that plants a truth: who is recommended, and what survives an interruption."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from autoact.core.errors import AutoactError
from autoact.core.records import Candidate
from autoact.study import search as search_module
from autoact.study.events import Observer
from autoact.study.settings import SAMPLERS, ConfirmSettings, SearchSettings
from autoact.tasks.objectives import Objective

pytestmark = pytest.mark.usefixtures("timed_by_table")

SUBSETS = [
    ("quality",),
    ("latency",),
    ("cost",),
    ("quality", "latency"),
    ("quality", "cost"),
    ("latency", "cost"),
    ("quality", "latency", "cost"),
]


def plant(
    kit: Any, effect: dict[str, float], noise: float = 0.01, sign: float = 1.0, world: int = 0, tunable: float = 0.05
) -> Any:
    """Quality .7, plus an effect per site that holds an activation, plus noise of seed and candidate.

    The learning rate has its best place at .03; far from it, up to ``tunable`` is lost.
    """

    def of(c: Candidate) -> float:
        assignment = sum(effect.get(str(choice), 0.0) for choice in c.assignment.values())
        rate = tunable * min(1.0, abs(c.settings.get("learning_rate", 0.01) - 0.03) / 0.07)
        shared = noise * kit.draw(world, c.seed)
        return sign * (0.7 + assignment - rate + shared + noise * kit.draw(world, c.seed, c.label()))

    return of


def run(bench: Any, engine: Any, *observers: Observer) -> Any:
    return bench.search(engine, observers).run()


def labels(result: Any) -> list[str]:
    return [record.candidate.label() for record in result.records]


# What is recommended


@pytest.mark.parametrize("world", range(3))
@pytest.mark.parametrize(("mode", "sign"), [("max", 1.0), ("min", -1.0)])
def test_a_planted_effect_is_found_and_recommended(kit, mode, sign, world):
    bench = kit.Bench(task=kit.task(mode, trivial=None), settings=SearchSettings(trials=40, tuning=5))
    result = run(bench, kit.Planted(plant(kit, {"tanh": 0.06}, 0.004, sign, world)))
    ruling = result.rulings["quality"]
    assert ruling.recommend
    assert result.verdict.startswith("Recommended under quality")
    assert result.selection.policies["quality"].candidate.assignment.summary() == "tanh"
    assert result.gains["quality"].mean == pytest.approx(0.12, abs=0.03)
    assert f"{result.gains['quality'].mean:+.4f}" in ruling.reason
    assert result.status == "finished"


def test_without_an_effect_the_baseline_is_kept(kit):
    # Thirty worlds without any difference: the best of 30 noisy trials is picked, and must not pass for a gain.
    false_alarms, winners = 0, 0
    for world in range(30):
        bench = kit.Bench(settings=SearchSettings(trials=30, tuning=4))
        result = run(bench, kit.Planted(plant(kit, {}, 0.02, world=world, tunable=0.0)))
        won = [policy for policy, ruling in result.rulings.items() if ruling.recommend]
        false_alarms += bool(won)
        assert won or result.verdict.startswith("Keep the baseline's activations")
        selection = result.selection
        winners += selection.policies["quality"].quality > selection.tuned.quality
    assert winners >= 15, "on validation rows somebody usually looks better"
    assert false_alarms <= 2, "a rate of 2.5 % is what the intervals promise"


def test_what_tuning_brings_is_not_claimed_for_activations(kit):
    # Nothing matters but the learning rate.
    bench = kit.Bench(settings=SearchSettings(trials=40, tuning=8))
    result = run(bench, kit.Planted(plant(kit, {}, 0.001)))
    assert result.gains["configured"].high < 0, "tuning pays"
    assert not any(ruling.recommend for ruling in result.rulings.values())
    assert "with its tuned training settings" in result.verdict


def test_a_cheaper_equal_is_recommended_for_economy(kit):
    bench = kit.Bench(space=kit.space(candidates=("relu", "gelu", "tanh")), extra={"relu": 0.5, "gelu": 0.5})
    result = run(bench, kit.Planted(plant(kit, {}, 0.0002)))
    assert result.rulings["economy"].recommend
    assert not result.rulings["quality"].recommend
    assert "cheaper (latency ratio 0.50" in result.rulings["economy"].reason
    assert result.selection.policies["economy"].candidate.assignment.summary() == "tanh"


def test_a_cheaper_one_that_loses_is_not(kit):
    bench = kit.Bench(extra={"relu": 0.5, "gelu": 0.5}, margin=0.5, settings=SearchSettings(trials=30, tuning=5))
    engine = kit.Planted(plant(kit, {"tanh": -0.01}, 0.0005))
    # On validation rows nothing is lost; on test rows it is.
    engine.test_quality = plant(kit, {"tanh": -0.06}, 0.0005)
    result = run(bench, engine)
    assert result.selection.policies["economy"].candidate.assignment.summary() == "tanh"
    assert not result.rulings["economy"].recommend
    assert "it may lose more than" in result.rulings["economy"].reason


def test_a_winner_on_validation_rows_alone_is_not_recommended(kit):
    engine = kit.Planted(plant(kit, {"tanh": 0.06}, 0.002), test_quality=plant(kit, {}, 0.002))
    result = run(kit.Bench(), engine)
    assert result.selection.policies["quality"].candidate.assignment.summary() != "relu"
    assert not result.rulings["quality"].recommend


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_any_subset_of_objectives(kit, names):
    bench = kit.Bench(names=names, extra={"relu": 0.2, "gelu": 0.4}, settings=SearchSettings(trials=14, tuning=2))
    result = run(bench, kit.Planted(plant(kit, {"tanh": 0.05}, 0.002)))
    assert len(result.records) == 14
    assert set(result.rulings) == ({"quality"} if names == ("quality",) else {"quality", "balanced", "economy"})
    assert result.rulings["quality"].recommend
    assert result.row("tuned") is not None
    assert [row.name for row in result.rows][:3] == ["configured", "tuned", "uniform"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_any_sampler(kit, sampler):
    bench = kit.Bench(settings=SearchSettings(trials=12, tuning=2, sampler=sampler))
    result = run(bench, kit.Planted(plant(kit, {"tanh": 0.05}, 0.002)))
    assert len(set(labels(result))) == 12
    assert result.rulings["quality"].recommend


def test_ones_own_objective_is_traded(kit):
    own = Objective("size", "count", "min", lambda model: 1.0)

    class Sized(kit.Planted):
        def train(self, batch: Any) -> Any:
            for record in super().train(batch):
                size = float(len(record.candidate.assignment.summary()))
                yield dataclasses.replace(record, values={"size": size})

    bench = kit.Bench(names=("quality", "latency"), own=(own,), settings=SearchSettings(trials=14, tuning=2))
    result = run(bench, Sized(plant(kit, {"tanh": 0.05}, 0.002)))
    assert all(record.values["size"] == len(record.candidate.assignment.summary()) for record in result.records)
    assert result.row("quality").own == {"size": 4.0}
    assert bench.ledger().study.trials[0].values[2] == 4.0


@pytest.mark.parametrize(
    "change", [{"confirm": ConfirmSettings(seeds=0)}, {"task": "sealed for good"}], ids=["no seeds", "no test rows"]
)
def test_without_a_final_check_there_is_no_recommendation(kit, change):
    if "task" in change:
        change = {"task": kit.task(open_test=None)}
    engine = kit.Planted(plant(kit, {"tanh": 0.06}, 0.002))
    result = run(dataclasses.replace(kit.Bench(), **change), engine)
    assert result.verdict == "No recommendation: not confirmed on data the search never saw."
    assert (result.opening, result.gains, engine.scored) == (0, {}, [])
    assert result.row("quality").validation is not None


def test_the_final_check_uses_fresh_seeds_and_the_search_none_of_them(kit):
    engine = kit.Planted(plant(kit, {"tanh": 0.06}))
    run(kit.Bench(), engine)
    assert {c.seed for c in engine.trained} == {0}
    assert {c.seed for c in engine.scored} == {10_000, 10_001, 10_002}


# Budgets


def test_the_budget_is_kept(kit):
    for batch in (1, 3, 7):
        engine = kit.Planted(plant(kit, {"tanh": 0.06}))
        bench = kit.Bench(settings=SearchSettings(trials=20, tuning=3, batch=batch))
        assert len(run(bench, engine).records) == len(engine.trained) == 20


def test_the_same_command_again_trains_nothing(kit):
    bench = kit.Bench()
    first = run(bench, kit.Planted(plant(kit, {"tanh": 0.06})))
    engine = kit.Planted(plant(kit, {"tanh": 0.06}))
    second = run(bench, engine)
    assert (engine.trained, engine.scored) == ([], [])
    assert second.records == first.records
    assert (second.verdict, second.gains, second.opening) == (first.verdict, first.gains, 1)


def test_a_larger_budget_adds_trials_and_says_that_the_test_rows_are_used(kit):
    bench, quality = kit.Bench(), plant(kit, {"tanh": 0.06})
    first = run(bench, kit.Planted(quality))
    assert not any("never saw" in note for note in first.notes)
    engine = kit.Planted(quality)
    larger = dataclasses.replace(bench, settings=SearchSettings(trials=26, tuning=3))
    result = run(larger, engine)
    assert len(engine.trained) == 6
    assert result.records[:20] == first.records
    assert result.opening == 2
    assert any("no longer data that the search never saw" in note for note in result.notes)
    straight = run(dataclasses.replace(larger, storage=kit.Bench().storage), kit.Planted(quality))
    # Only the last trial of a budget depends on it: what could put another assignment ahead is the baseline's.
    assert labels(straight)[:19] == labels(result)[:19]


def test_trials_that_were_taken_over_do_not_spend_the_budget(kit):
    bench, quality = kit.Bench(), plant(kit, {"tanh": 0.06, "silu": 0.2})
    run(bench, kit.Planted(quality))
    engine = kit.Planted(quality)
    wider = dataclasses.replace(bench, space=kit.space(candidates=("relu", "gelu", "tanh", "silu")))
    result = run(wider, engine)
    assert len(engine.trained) == 20
    assert len(result.records) == 40
    assert len(set(labels(result))) == 40
    assert "silu" in result.selection.policies["quality"].candidate.assignment.summary()
    assert not any(c.role == "configured" for c in engine.trained), "the baseline is known"


def test_a_small_space_ends_the_search(kit):
    bench = kit.Bench(space=kit.space(learning_rate=[], weight_decay=[]), settings=SearchSettings(trials=99))
    result = run(bench, kit.Planted(plant(kit, {"tanh": 0.06}, 0.002)))
    assert len(result.records) == 9
    assert result.rulings["quality"].recommend


class Clock:
    """A clock that trainings move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(search_module, "time", SimpleNamespace(monotonic=lambda: self.now))

    def engine(self, kit: Any, seconds: float = 1.0) -> Any:
        quality = plant(kit, {"tanh": 0.06}, 0.002)

        def slow(candidate: Candidate) -> float:
            self.now += seconds
            return quality(candidate)

        return kit.Planted(slow)


def test_minutes_bound_search_and_final_check_together(kit, monkeypatch):
    clock = Clock(monkeypatch)
    bench = kit.Bench(settings=SearchSettings(minutes=1.0, tuning=3))
    engine = clock.engine(kit)
    result = run(bench, engine)
    assert result.status == "finished"
    # 60 s at 1 s each: at most 18 trainings of the check are kept back, and one more for the next trial.
    assert len(engine.trained) == 42
    assert clock.now <= 60
    assert result.rulings["quality"].recommend


def test_minutes_add_up_over_runs(kit, monkeypatch):
    clock = Clock(monkeypatch)
    bench = kit.Bench(settings=SearchSettings(minutes=1.0, tuning=3))
    run(bench, clock.engine(kit))
    again = clock.engine(kit)
    run(bench, again)
    assert again.trained == [], "the minutes are spent"
    more = clock.engine(kit)
    run(dataclasses.replace(bench, settings=SearchSettings(minutes=1.5, tuning=3)), more)
    assert len(more.trained) == 30


def test_whatever_the_minutes_the_baseline_is_tried(kit, monkeypatch):
    clock = Clock(monkeypatch)
    bench = kit.Bench(settings=SearchSettings(minutes=0.01))
    result = run(bench, clock.engine(kit, seconds=100.0))
    assert [record.candidate.role for record in result.records] == ["configured"]
    assert result.selection is not None


def test_trials_and_minutes_whichever_comes_first(kit, monkeypatch):
    clock = Clock(monkeypatch)
    settings = SearchSettings(minutes=1.0, trials=5, tuning=1)
    assert len(run(kit.Bench(settings=settings), clock.engine(kit)).records) == 5


# Failures


def test_trials_that_fail_fail_alone(kit):
    quality = plant(kit, {"tanh": 0.06}, 0.002)
    engine = kit.Planted(lambda c: None if "gelu" in c.assignment.summary() else quality(c))
    result = run(kit.Bench(), engine)
    failed = [record for record in result.records if not record.complete]
    assert failed
    assert all(record.reason == "val_auc is nan in epoch 1" for record in failed)
    first = failed[0].number
    assert f"{len(failed)} of 20 trials failed, e.g. trial {first}: val_auc is nan in epoch 1" in result.notes
    assert result.rulings["quality"].recommend
    assert len(engine.trained) == 20


def test_a_baseline_that_fails_ends_the_search_and_is_tried_again_the_next_time(kit):
    bench = kit.Bench()
    for _ in range(2):
        engine = kit.Planted(lambda c: None)
        with pytest.raises(AutoactError, match=r"model as configured cannot be trained.*val_auc is nan in epoch 1"):
            run(bench, engine)
        assert [c.role for c in engine.trained] == ["configured"]
    assert run(bench, kit.Planted(plant(kit, {"tanh": 0.06}, 0.002))).rulings["quality"].recommend


def test_a_bug_in_a_training_keeps_its_traceback_and_loses_nothing(kit):
    bench, quality = kit.Bench(settings=SearchSettings(trials=12, tuning=2, batch=2)), plant(kit, {})
    engine = kit.Planted(lambda c: 1 / 0 if len(engine.trained) == 5 else quality(c))
    search = bench.search(engine)
    with pytest.raises(ZeroDivisionError):
        search.run()
    assert len(search.ledger.records()) == 4
    assert search.ledger.waiting() == 1
    assert len(run(bench, kit.Planted(quality)).records) == 12


# Interruptions


@pytest.mark.parametrize("done", [0, 1, 4, 13])
@pytest.mark.parametrize("batch", [1, 4])
def test_an_interrupted_search_loses_nothing(kit, done, batch):
    settings = SearchSettings(trials=20, tuning=3, batch=batch)
    quality = plant(kit, {"tanh": 0.06}, 0.002)
    straight = run(kit.Bench(settings=settings), kit.Planted(quality))
    bench = kit.Bench(settings=settings)
    stopped = kit.Planted(quality, stop_after=done)
    result = run(bench, stopped)
    assert result.status == "interrupted"
    assert result.verdict.startswith(f"Interrupted after {done} trials")
    assert len(result.records) == done
    assert stopped.scored == []
    assert bench.ledger().waiting() >= 1
    engine = kit.Planted(quality)
    resumed = run(bench, engine)
    assert (resumed.status, len(engine.trained)) == ("finished", 20 - done)
    if batch == 1:
        assert labels(resumed) == labels(straight)
        assert resumed.gains == straight.gains
    assert len(set(labels(resumed))) == 20
    assert len({record.number for record in resumed.records}) == 20


def test_an_interrupted_final_check_goes_on(kit):
    quality = plant(kit, {"tanh": 0.06}, 0.002)
    straight = run(kit.Bench(), kit.Planted(quality))
    bench = kit.Bench()
    stopped = kit.Planted(quality, stop_after=25)
    result = run(bench, stopped)
    assert (len(stopped.trained), len(stopped.scored)) == (20, 5)
    assert result.status == "interrupted"
    assert result.rulings["quality"].recommend is False
    engine = kit.Planted(quality)
    resumed = run(bench, engine)
    assert engine.trained == []
    assert (resumed.gains, resumed.opening) == (straight.gains, 1)
    assert not any("never saw" in note for note in resumed.notes)


# Observers


class Log(Observer):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fronts: list[int] = []
        self.left: list[float | None] = []

    def search_started(self, info: Any) -> None:
        self.calls.append("started")

    def trial_finished(self, record: Any, front: int, seconds_left: float | None) -> None:
        self.calls.append(f"trial {record.number}")
        self.fronts.append(front)
        self.left.append(seconds_left)

    def confirming(self, trainings: int) -> None:
        self.calls.append(f"confirming {trainings}")

    def confirmed_one(self, name: str, seed: int, score: float | None) -> None:
        self.calls.append("confirmed")

    def search_finished(self, result: Any) -> None:
        self.calls.append("finished")


def test_observers_hear_everything_in_order(kit):
    log = Log()
    bench = kit.Bench(settings=SearchSettings(trials=6, tuning=2), confirm=ConfirmSettings(seeds=2))
    result = run(bench, kit.Planted(plant(kit, {"tanh": 0.06})), log)
    confirmed = log.calls.count("confirmed")
    assert log.calls == [
        "started",
        *[f"trial {n}" for n in range(6)],
        f"confirming {confirmed}",
        *["confirmed"] * confirmed,
        "finished",
    ]
    assert log.fronts[0] == 1
    assert log.fronts[-1] == len(result.selection.front)
    assert log.left[0] == 5 + 12, "five trials of a second, and twelve trainings of the check at most"
    assert log.left[-1] == 12


def test_references_are_asked_for_with_the_seal_open_or_closed(kit):
    asked: list[bool] = []

    def references(test: bool) -> Any:
        asked.append(test)
        return [("logistic regression", 0.75, 0.74 if test else None)]

    bench = kit.Bench(task=kit.task(references=references), confirm=ConfirmSettings(seeds=2))
    result = run(bench, kit.Planted(plant(kit, {})))
    assert result.row("logistic regression").test == 0.74
    run(dataclasses.replace(bench, confirm=ConfirmSettings(seeds=0)), kit.Planted(plant(kit, {})))
    run(dataclasses.replace(bench, confirm=ConfirmSettings(seeds=2, references=False)), kit.Planted(plant(kit, {})))
    run(dataclasses.replace(kit.Bench(), task=bench.task), kit.Planted(plant(kit, {}), stop_after=3))
    assert asked == [True, False]


def test_warnings_of_task_and_machine_reach_the_notes(kit, monkeypatch):
    bench = kit.Bench(task=kit.task(warning="all results are on simulated data"))
    search = bench.search(kit.Planted(plant(kit, {})))
    loud = {name: dataclasses.replace(table, spread=0.2) for name, table in search.known.table.batches.items()}
    search.known = dataclasses.replace(search.known, table=dataclasses.replace(search.known.table, batches=loud))
    notes = search.run().notes
    assert notes[0] == "all results are on simulated data"
    assert "the machine was noisy" in notes[1]
