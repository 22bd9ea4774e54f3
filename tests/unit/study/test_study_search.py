"""Whole searches around an engine that plants a truth: who is recommended, and what survives an interruption."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoact.study.callbacks import SearchCallback
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


# What is recommended


@pytest.mark.parametrize("world", range(3))
@pytest.mark.parametrize(("mode", "sign"), [("max", 1.0), ("min", -1.0)])
def test_a_planted_effect_is_found_and_recommended(kit, mode, sign, world):
    bench = kit.Bench(task=kit.task(mode, trivial=None), settings=SearchSettings(trials=40, tuning=5))
    result = kit.run(bench, kit.Planted(kit.plant({"tanh": 0.06}, 0.004, sign, world)))
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
        bench = kit.Bench(settings=SearchSettings(trials=30, tuning=4, refine=0.35))
        result = kit.run(bench, kit.Planted(kit.plant({}, 0.02, world=world, tunable=0.0)))
        won = [policy for policy, ruling in result.rulings.items() if ruling.recommend]
        false_alarms += bool(won)
        assert won or result.verdict.startswith("Keep the baseline's activations")
        selection = result.selection
        winners += selection.policies["quality"].quality > selection.tuned.quality
    assert winners >= 10, "on validation rows somebody often looks better"
    assert false_alarms <= 2, "a rate of 1.25 % is what the intervals of a first opening promise"


def test_what_tuning_brings_is_not_claimed_for_activations(kit):
    # Nothing matters but the learning rate.
    bench = kit.Bench(settings=SearchSettings(trials=40, tuning=8))
    result = kit.run(bench, kit.Planted(kit.plant({}, 0.001)))
    assert result.gains["configured"].high < 0, "tuning pays"
    assert not any(ruling.recommend for ruling in result.rulings.values())
    assert "with its tuned training settings" in result.verdict


def test_a_cheaper_equal_is_recommended_for_economy(kit):
    bench = kit.Bench(space=kit.space(candidates=("relu", "gelu", "tanh")), extra={"relu": 0.5, "gelu": 0.5})
    result = kit.run(bench, kit.Planted(kit.plant({}, 0.0002)))
    assert result.rulings["economy"].recommend
    assert not result.rulings["quality"].recommend
    assert "cheaper (latency ratio 0.50" in result.rulings["economy"].reason
    assert result.selection.policies["economy"].candidate.assignment.summary() == "tanh"


def test_a_cheaper_one_that_loses_is_not(kit):
    bench = kit.Bench(extra={"relu": 0.5, "gelu": 0.5}, margin=0.5, settings=SearchSettings(trials=30, tuning=5))
    engine = kit.Planted(kit.plant({"tanh": -0.01}, 0.0005))
    # On validation rows nothing is lost; on test rows it is.
    engine.test_quality = kit.plant({"tanh": -0.06}, 0.0005)
    result = kit.run(bench, engine)
    assert result.selection.policies["economy"].candidate.assignment.summary() == "tanh"
    assert not result.rulings["economy"].recommend
    assert "it may lose more than" in result.rulings["economy"].reason


def test_a_winner_on_validation_rows_alone_is_not_recommended(kit):
    engine = kit.Planted(kit.plant({"tanh": 0.06}, 0.002), test_quality=kit.plant({}, 0.002))
    result = kit.run(kit.Bench(), engine)
    assert result.selection.policies["quality"].candidate.assignment.summary() != "relu"
    assert not result.rulings["quality"].recommend


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_any_subset_of_objectives(kit, names):
    bench = kit.Bench(names=names, extra={"relu": 0.2, "gelu": 0.4}, settings=SearchSettings(trials=14, tuning=2))
    result = kit.run(bench, kit.Planted(kit.plant({"tanh": 0.05}, 0.002)))
    assert len(result.records) == 14
    assert set(result.rulings) == ({"quality"} if names == ("quality",) else {"quality", "balanced", "economy"})
    assert result.rulings["quality"].recommend
    assert result.row("tuned") is not None
    assert [row.name for row in result.rows][:3] == ["configured", "tuned", "uniform"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_any_sampler(kit, sampler):
    bench = kit.Bench(settings=SearchSettings(trials=12, tuning=2, sampler=sampler))
    result = kit.run(bench, kit.Planted(kit.plant({"tanh": 0.05}, 0.002)))
    assert len(set(kit.labels(result))) == 12
    assert result.rulings["quality"].recommend


def test_ones_own_objective_is_traded(kit):
    own = Objective("size", "count", "min", lambda model: 1.0)

    def sized(candidate: Any) -> dict[str, float]:
        return {"size": float(len(candidate.assignment.summary()))}

    bench = kit.Bench(names=("quality", "latency"), own=(own,), settings=SearchSettings(trials=14, tuning=2))
    result = kit.run(bench, kit.Planted(kit.plant({"tanh": 0.05}, 0.002), values=sized))
    assert all(record.values["size"] == len(record.candidate.assignment.summary()) for record in result.records)
    assert result.row("quality").own == {"size": 4.0}
    assert bench.ledger().study.trials[0].values[2] == 4.0


@pytest.mark.parametrize(
    "change", [{"confirm": ConfirmSettings(seeds=0)}, {"task": "sealed for good"}], ids=["no seeds", "no test rows"]
)
def test_without_a_final_check_there_is_no_recommendation(kit, change):
    if "task" in change:
        change = {"task": kit.task(test=None)}
    engine = kit.Planted(kit.plant({"tanh": 0.06}, 0.002))
    result = kit.run(dataclasses.replace(kit.Bench(), **change), engine)
    assert result.verdict == "No recommendation: not confirmed on data the search never saw."
    assert (result.opening, result.gains, engine.scored) == (0, {}, [])
    assert result.row("quality").validation is not None


def test_the_final_check_uses_fresh_seeds_and_the_search_none_of_them(kit):
    engine = kit.Planted(kit.plant({"tanh": 0.06}))
    kit.run(kit.Bench(), engine)
    assert {c.seed for c in engine.trained} == {0}
    assert {c.seed for c in engine.chosen} == set(range(10_000, 10_010))
    assert {c.seed for c in engine.scored} <= set(range(20_000, 20_010))


# Observers


class Log(SearchCallback):
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

    def choosing(self, trainings: int) -> None:
        self.calls.append(f"choosing {trainings}")

    def confirming(self, trainings: int, foresight: str = "") -> None:
        self.calls.append(f"confirming {trainings}")
        self.foresight = foresight

    def confirmed_one(self, name: str, seed: int, score: float | None) -> None:
        self.calls.append("confirmed")

    def search_finished(self, result: Any) -> None:
        self.calls.append("finished")


def test_observers_hear_everything_in_order(kit):
    log = Log()
    bench = kit.Bench(settings=SearchSettings(trials=6, tuning=2), confirm=ConfirmSettings(seeds=2))
    result = kit.run(bench, kit.Planted(kit.plant({"tanh": 0.06})), log)
    claim = next(place for place, call in enumerate(log.calls) if call.startswith("confirming"))
    chosen, claimed = log.calls[:claim].count("confirmed"), log.calls[claim:].count("confirmed")
    assert log.calls == [
        "started",
        *[f"trial {n}" for n in range(6)],
        f"choosing {chosen}",
        *["confirmed"] * chosen,
        f"confirming {claimed}",
        *["confirmed"] * claimed,
        "finished",
    ]
    assert chosen > claimed > 0
    assert "the smallest difference that this check tells from zero with 80 % power is" in log.foresight
    assert log.fronts[0] == 1
    assert log.fronts[-1] == len(result.selection.front)
    assert all(left is not None for left in log.left)


def test_references_are_asked_for_with_the_seal_open_or_closed(kit):
    asked: list[bool] = []

    def references(test: bool) -> Any:
        asked.append(test)
        return [("logistic regression", 0.75, 0.74 if test else None)]

    bench = kit.Bench(task=kit.task(references=references), confirm=ConfirmSettings(seeds=2))
    result = kit.run(bench, kit.Planted(kit.plant({})))
    assert result.row("logistic regression").test == 0.74
    kit.run(dataclasses.replace(bench, confirm=ConfirmSettings(seeds=0)), kit.Planted(kit.plant({})))
    kit.run(dataclasses.replace(bench, confirm=ConfirmSettings(seeds=2, references=False)), kit.Planted(kit.plant({})))
    kit.run(dataclasses.replace(kit.Bench(), task=bench.task), kit.Planted(kit.plant({}), stop_after=3))
    assert asked == [True, False]


def test_warnings_of_task_and_machine_reach_the_notes(kit, monkeypatch):
    bench = kit.Bench(task=kit.task(warning="all results are on simulated data"))
    search = bench.search(kit.Planted(kit.plant({})))
    loud = {name: dataclasses.replace(table, spread=0.2) for name, table in search.predicted.table.batches.items()}
    search.predicted = dataclasses.replace(
        search.predicted, table=dataclasses.replace(search.predicted.table, batches=loud)
    )
    notes = search.run().notes
    assert notes[0] == "all results are on simulated data"
    assert "the machine was noisy" in notes[1]


@pytest.mark.parametrize(("effect", "said"), [(0.06, "recommended: quality"), (0.0, "tuned baseline")])
def test_the_model_in_production_stands_in_the_table_and_is_compared(kit, effect, said):
    facts = {"production_model": "production model: old.csv", "fingerprint": "f00"}
    task = kit.task(references=lambda test: [("production model: old.csv", 0.6, 0.61 if test else None)], facts=facts)
    bench = kit.Bench(task=task, confirm=ConfirmSettings(seeds=3, references=False))
    result = kit.run(bench, kit.Planted(kit.plant({"tanh": effect}, 0.002)))
    assert result.row("production model: old.csv").test == 0.61
    (note,) = [note for note in result.notes if "production model" in note]
    assert note.startswith(said) and "is better on the test rows than the production model: old.csv (0.61)" in note
