"""What bounds a search, what fails in it, and what survives an interruption."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from autoact.core.errors import AutoactError
from autoact.core.trial import RAISED, Candidate, TrialRecord
from autoact.study import search as search_module
from autoact.study.settings import SearchSettings
from autoact.study.storage.trial_store import TrialStore

pytestmark = pytest.mark.usefixtures("timed_by_table")


# Budgets


def test_the_budget_is_kept(kit):
    for batch in (1, 3, 7):
        engine = kit.Planted(kit.plant({"tanh": 0.06}))
        bench = kit.Bench(settings=SearchSettings(trials=20, tuning=3, batch=batch))
        assert len(kit.run(bench, engine).records) == len(engine.trained) == 20


def test_the_same_command_again_trains_nothing(kit):
    bench = kit.Bench()
    first = kit.run(bench, kit.Planted(kit.plant({"tanh": 0.06})))
    engine = kit.Planted(kit.plant({"tanh": 0.06}))
    second = kit.run(bench, engine)
    assert (engine.trained, engine.scored) == ([], [])
    assert second.records == first.records
    assert (second.verdict, second.gains, second.opening) == (first.verdict, first.gains, 1)


def test_a_larger_budget_adds_trials_and_says_that_the_test_rows_are_used(kit):
    bench, quality = kit.Bench(), kit.plant({"tanh": 0.06})
    first = kit.run(bench, kit.Planted(quality))
    assert not any("never saw" in note for note in first.notes)
    engine = kit.Planted(quality)
    larger = dataclasses.replace(bench, settings=SearchSettings(trials=26, tuning=3))
    result = kit.run(larger, engine)
    assert len(engine.trained) == 6
    assert result.records[:20] == first.records
    assert result.opening == 2
    assert any("no longer data that the search never saw" in note for note in result.notes)


def test_trials_that_were_taken_over_do_not_spend_the_budget(kit):
    bench, quality = kit.Bench(), kit.plant({"tanh": 0.06, "silu": 0.2})
    kit.run(bench, kit.Planted(quality))
    engine = kit.Planted(quality)
    wider = dataclasses.replace(bench, space=kit.space(candidates=("relu", "gelu", "tanh", "silu")))
    result = kit.run(wider, engine)
    assert len(engine.trained) == 20
    assert len(result.records) == 40
    assert len(set(kit.labels(result))) == 40
    assert "silu" in result.selection.policies["quality"].candidate.assignment.summary()
    assert not any(c.role == "configured" for c in engine.trained), "the baseline is known"


def test_a_small_space_ends_the_search(kit):
    bench = kit.Bench(space=kit.space(learning_rate=[], weight_decay=[]), settings=SearchSettings(trials=99))
    result = kit.run(bench, kit.Planted(kit.plant({"tanh": 0.06}, 0.002)))
    assert len(result.records) == 9 + 2, "nine assignments, and the configured one under two more seeds"
    assert len({(c.assignment, c.seed) for c in (r.candidate for r in result.records)}) == 11
    assert result.rulings["quality"].recommend


class Clock:
    """A clock that trainings move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(search_module, "time", SimpleNamespace(monotonic=lambda: self.now))

    def engine(self, kit: Any, seconds: float = 1.0) -> Any:
        quality = kit.plant({"tanh": 0.06}, 0.002)

        def slow(candidate: Candidate) -> float:
            self.now += seconds
            return quality(candidate)

        return kit.Planted(slow)


def test_minutes_add_up_over_runs(kit, monkeypatch):
    clock = Clock(monkeypatch)
    bench = kit.Bench(settings=SearchSettings(minutes=4.0, tuning=3))
    first = kit.run(bench, clock.engine(kit))
    again, clock.now = clock.engine(kit), clock.now + 600.0
    shown = kit.run(bench, again)
    assert again.started == 0, "the minutes are spent, and the check is done"
    assert (shown.verdict, shown.opening) == (first.verdict, first.opening), "what was found is shown again"
    clock.now -= 600.0
    more = clock.engine(kit)
    kit.run(dataclasses.replace(bench, settings=SearchSettings(minutes=9.0, tuning=3)), more)
    assert len(more.trained) > 60
    assert 0.85 * 9 * 60 <= clock.now <= 1.05 * 9 * 60, "of both runs together"


def test_whatever_the_minutes_the_baseline_is_tried(kit, monkeypatch):
    clock = Clock(monkeypatch)
    bench = kit.Bench(settings=SearchSettings(minutes=0.01))
    result = kit.run(bench, clock.engine(kit, seconds=100.0))
    assert [record.candidate.role for record in result.records] == ["configured"]
    assert result.selection is not None


def test_trials_and_minutes_whichever_comes_first(kit, monkeypatch):
    clock = Clock(monkeypatch)
    settings = SearchSettings(minutes=1.0, trials=5, tuning=1)
    assert len(kit.run(kit.Bench(settings=settings), clock.engine(kit)).records) == 5


# Failures


def test_trials_that_fail_fail_alone(kit):
    quality = kit.plant({"tanh": 0.06}, 0.002)
    engine = kit.Planted(lambda c: None if "gelu" in c.assignment.summary() else quality(c))
    result = kit.run(kit.Bench(), engine)
    failed = [record for record in result.records if not record.complete]
    assert failed
    assert all(record.reason == "val_auc is nan in epoch 1" for record in failed)
    first = failed[0].number
    assert f"{len(failed)} of 20 trials failed, e.g. trial {first}: val_auc is nan in epoch 1" in result.notes
    assert result.rulings["quality"].recommend
    assert len(engine.trained) == 20


@pytest.mark.parametrize("which", ["every other activation", "one activation"])
def test_the_search_ends_where_many_different_candidates_raise_and_goes_on_where_some_do(kit, monkeypatch, which):
    def raised(self: TrialStore, record: TrialRecord, places: Any) -> TrialRecord:
        reason = "" if record.complete else f"{RAISED} ValueError: not positive (net.py:7)"
        return tell(self, dataclasses.replace(record, reason=reason), places)

    tell = TrialStore.tell
    monkeypatch.setattr(TrialStore, "tell", raised)
    quality = kit.plant({})
    fails = (lambda s: s != "relu") if which == "every other activation" else (lambda s: s == "tanh")
    engine = kit.Planted(lambda c: None if fails(c.assignment.summary()) else quality(c))
    bench = kit.Bench(settings=SearchSettings(trials=60, tuning=4))
    if which == "one activation":
        assert kit.run(bench, engine).verdict
        return
    with pytest.raises(
        AutoactError, match=r"8 different assignments failed and none but .* raised ValueError: not pos"
    ):
        kit.run(bench, engine)
    assert 8 < len(bench.ledger().records()) < 40


def test_a_baseline_that_fails_ends_the_search_and_is_tried_again_the_next_time(kit):
    bench = kit.Bench()
    for _ in range(2):
        engine = kit.Planted(lambda c: None)
        with pytest.raises(AutoactError, match=r"model as configured cannot be trained.*val_auc is nan in epoch 1"):
            kit.run(bench, engine)
        assert [c.role for c in engine.trained] == ["configured", "tuning", "tuning", "tuning"]
        assert bench.ledger().noted("pending:main")["batch"] == []
    assert kit.run(bench, kit.Planted(kit.plant({"tanh": 0.06}, 0.002))).rulings["quality"].recommend


def test_a_bug_in_a_training_keeps_its_traceback_and_loses_nothing(kit):
    bench, quality = kit.Bench(settings=SearchSettings(trials=12, tuning=2, batch=2)), kit.plant({})
    engine = kit.Planted(lambda c: 1 / 0 if len(engine.trained) == 5 else quality(c))
    search = bench.search(engine)
    with pytest.raises(ZeroDivisionError):
        search.run()
    assert len(search.ledger.records()) == 3
    assert len(search.ledger.noted("pending:main")["batch"]) == 2
    assert len(kit.run(bench, kit.Planted(quality)).records) == 12


# Interruptions


@pytest.mark.parametrize("done", [0, 1, 4, 13])
@pytest.mark.parametrize("batch", [1, 4])
def test_an_interrupted_search_loses_nothing(kit, done, batch):
    settings = SearchSettings(trials=20, tuning=3, batch=batch)
    quality = kit.plant({"tanh": 0.06}, 0.002)
    straight = kit.run(kit.Bench(settings=settings), kit.Planted(quality))
    bench = kit.Bench(settings=settings)
    stopped = kit.Planted(quality, stop_after=done)
    result = kit.run(bench, stopped)
    assert result.status == "interrupted"
    assert result.verdict.startswith(f"Interrupted after {done} trials")
    assert len(result.records) == done
    assert stopped.scored == []
    assert bench.ledger().noted_under("pending:")["main"]["batch"]
    engine = kit.Planted(quality)
    resumed = kit.run(bench, engine)
    assert (resumed.status, len(engine.trained)) == ("finished", 20 - done)
    assert kit.labels(resumed) == kit.labels(straight)
    assert resumed.gains == straight.gains
    assert len(set(kit.labels(resumed))) == 20
    assert len({record.number for record in resumed.records}) == 20


def test_an_interrupted_final_check_goes_on(kit):
    quality = kit.plant({"tanh": 0.06}, 0.002)
    straight = kit.run(kit.Bench(), kit.Planted(quality))
    bench = kit.Bench()
    chosen = kit.Planted(quality)
    kit.run(kit.Bench(), chosen)
    whole = len(chosen.chosen)
    for stop, scored in ((25, 0), (20 + whole + 5, 5)):
        stopped = kit.Planted(quality, stop_after=stop if not scored else scored + whole - 5)
        result = kit.run(bench, stopped)
        assert len(stopped.scored) == scored
        assert result.status == "interrupted"
        assert result.rulings["quality"].recommend is False
    engine = kit.Planted(quality)
    resumed = kit.run(bench, engine)
    assert engine.trained == engine.chosen == []
    assert (resumed.gains, resumed.opening) == (straight.gains, 1)
    assert not any("never saw" in note for note in resumed.notes)


def test_a_smaller_budget_leaves_what_waits_alone(kit):
    bench = kit.Bench(settings=SearchSettings(trials=20, tuning=3))
    kit.run(bench, kit.Planted(kit.plant({}), stop_after=3))
    smaller = dataclasses.replace(bench, settings=SearchSettings(trials=3, tuning=2))
    engine = kit.Planted(kit.plant({}))
    assert len(kit.run(smaller, engine).records) == 3
    assert engine.trained == []
