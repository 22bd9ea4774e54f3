"""Batches through an engine: jobs by settings alone, rungs, a fixed order of telling, populations that are noted."""

from __future__ import annotations

import dataclasses
from collections import Counter
from concurrent.futures import Future
from typing import Any

import pytest
from optuna.trial import TrialState

from autoact.core.trial import PRUNED, TrialRecord
from autoact.engines.job import Job, Outcome
from autoact.study.callbacks import SearchCallback
from autoact.study.execution import batch_trainer
from autoact.study.execution.batch_trainer import shares
from autoact.study.selection import Front, Trade
from autoact.study.settings import SearchSettings

pytestmark = pytest.mark.usefixtures("timed_by_table")


@pytest.mark.parametrize("population", [1, 3, 4, 8, 64])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 16])
def test_shares_are_few_even_and_in_order(count, population):
    found = shares(list(range(count)), population)
    sizes = [len(part) for part in found]
    assert [item for part in found for item in part] == list(range(count))
    assert len(found) == -(-count // population)
    assert not sizes or max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("population", [1, 4, 16])
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 7, 16, 33, 160])
def test_every_worker_has_as_many_shares(count, workers, population):
    sizes = [len(part) for part in shares(list(range(count)), population, workers)]
    assert sum(sizes) == count
    assert 1 <= min(sizes) <= max(sizes) <= min(population, min(sizes) + 1)
    assert len(sizes) % workers == 0 or set(sizes) == {1}
    assert len(sizes) - workers < -(-count // population)


@pytest.mark.parametrize("count", [2, 3, 5, 8, 20])
def test_shares_are_not_cut_smaller_than_pays(count):
    sizes = [len(part) for part in shares(list(range(count)), 16, 4, least=3)]
    assert len(sizes) == min(4, max(1, count // 3))


def rungs_bench(kit: Any, **changes: Any) -> Any:
    settings = SearchSettings(trials=44, tuning=5, refine=0.35)
    given = {"settings": settings, "rungs": (3, 9), "extra": {"gelu": 0.3, "tanh": 0.1}}
    return kit.Bench(**{**given, **changes})


def planted(kit: Any, **changes: Any) -> Any:
    return kit.Planted(kit.plant({"tanh": 0.06}, 0.005), epochs=20, **changes)


def test_at_rungs_the_better_go_on_and_the_others_are_pruned(kit):
    bench, engine = rungs_bench(kit), planted(kit)
    result = kit.run(bench, engine)
    pruned = [record for record in result.records if record.status == PRUNED]
    assert len(result.records) == len(engine.trained) == 44
    assert len(pruned) >= 6
    assert {record.candidate.role for record in pruned} <= {"sampled", "refined"}
    assert {record.epochs for record in pruned} <= {3, 9}
    assert all(max(record.rungs) == record.epochs and record.quality is None for record in pruned)
    assert all("others are better" in record.reason for record in pruned)
    whole = [r for r in result.records if r.complete and r.candidate.role in ("sampled", "refined")]
    assert whole and all(list(record.rungs) == [3, 9] for record in whole)
    assert all(record.epochs == 20 for record in result.records if record.complete)


def test_pruned_trials_are_never_chosen(kit):
    result = kit.run(rungs_bench(kit), planted(kit))
    pruned = {record.number for record in result.records if record.status == PRUNED}
    assert not pruned & set(result.selection.front)
    assert not pruned & {record.number for record in result.selection.named().values()}
    assert any(f"{len(pruned)} of 44 trials were stopped early" in note for note in result.notes)
    assert not any("failed" in note for note in result.notes)


def test_the_public_study_shows_them_as_pruned(kit):
    bench = rungs_bench(kit)
    result = kit.run(bench, planted(kit))
    trials = bench.ledger().study.trials
    for record, trial in zip(result.records, trials, strict=True):
        assert (trial.state == TrialState.PRUNED) == (record.status == PRUNED)
        if record.status == PRUNED:
            assert trial.values is None
            assert trial.user_attrs["rungs"] == {str(epoch): value for epoch, value in record.rungs.items()}


def test_without_rungs_all_train_to_their_end(kit):
    engine = planted(kit)
    result = kit.run(rungs_bench(kit, rungs=()), engine)
    assert all(record.complete and record.epochs == 20 and not record.rungs for record in result.records)
    assert all(job.to is None and not job.states for job in engine.jobs)


def test_where_quality_is_not_traded_nothing_is_stopped(kit):
    result = kit.run(rungs_bench(kit, names=("latency", "cost")), planted(kit))
    assert all(record.complete for record in result.records)


def test_survivors_share_fewer_jobs(kit):
    engine = planted(kit)
    kit.run(rungs_bench(kit, population=4), engine)
    later = [job for job in engine.jobs if job.states]
    assert later and all(job.to in (9, None) and not job.candidates for job in later)
    assert all(len(job.states) <= 4 for job in later)
    first = [job for job in engine.jobs if job.to == 3]
    assert len(later) < 2 * len(first)


@pytest.mark.parametrize("population", [1, 3, 16])
def test_the_population_does_not_change_the_trials(kit, population):
    bench = rungs_bench(kit, population=population)
    straight = kit.run(rungs_bench(kit, population=4), planted(kit))
    result = kit.run(bench, planted(kit))
    assert kit.labels(result) == kit.labels(straight)
    assert [r.status for r in result.records] == [r.status for r in straight.records]


class Late:
    """An engine that ends its jobs in reverse order, once somebody waits."""

    workers = 4

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.stopped = False
        self.waiting: list[tuple[Future[Outcome], Job]] = []
        self.waited = 0

    def submit(self, job: Job) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        self.waiting.append((future, job))
        return future

    def work(self) -> None:
        self.waited += 1
        if self.waiting:
            future, job = self.waiting.pop()
            future.set_result(self.engine.run(job))

    def ready(self) -> None:
        pass

    def wait_idle(self) -> None:
        assert not self.waiting

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for future, _ in self.waiting:
            future.cancel()
        self.waiting = []


def test_trials_are_told_in_the_same_order_whichever_job_ends_first(kit, monkeypatch):
    straight = kit.run(rungs_bench(kit), planted(kit))
    late = Late(planted(kit))
    monkeypatch.setattr(batch_trainer, "wait", lambda *_, **__: late.work())
    result = kit.run(rungs_bench(kit), late)
    assert kit.labels(result) == kit.labels(straight)
    assert [r.number for r in result.records] == [r.number for r in straight.records]
    assert late.waited > 10


class Quiet(SearchCallback):
    """Notes when it was asked to be quiet."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def before_timing(self) -> None:
        self.asked.append("timing")

    def confirming(self, trainings: int, foresight: str = "") -> None:
        self.asked.append("confirming")


def test_callbacks_come_to_rest_before_finalists_are_timed(kit):
    quiet = Quiet()
    kit.run(rungs_bench(kit), planted(kit), quiet)
    assert quiet.asked == ["timing", "confirming"]


def test_finalists_are_timed_when_nothing_trains(kit):
    engine = planted(kit)
    kit.run(rungs_bench(kit), engine)
    assert engine.idle == 1


@pytest.mark.parametrize("stop_after", [3, 12, 30])
@pytest.mark.parametrize("repeatable", [False, True])
def test_a_search_with_rungs_goes_on_where_it_was_stopped(kit, stop_after, repeatable):
    straight = kit.run(rungs_bench(kit, repeatable=repeatable), planted(kit))
    bench = rungs_bench(kit, repeatable=repeatable)
    stopped = planted(kit, stop_after=stop_after)
    cut = kit.run(bench, stopped)
    assert cut.status == "interrupted"
    told = {record.candidate.label() for record in cut.records}
    engine = planted(kit)
    resumed = kit.run(bench, engine)
    assert resumed.status == "finished"
    assert len(set(kit.labels(resumed))) == len(resumed.records) == 44
    if repeatable:
        assert kit.labels(resumed) == kit.labels(straight)
        assert [r.status for r in resumed.records] == [r.status for r in straight.records]
        populations = [t.user_attrs["populations"] for t in bench.ledger().study.trials]
        assert all(populations)
    else:
        assert not {c.label() for c in engine.trained if c.seed == 0} & told, "what was told is not trained again"


def test_a_repeatable_search_runs_whole_batches_again(kit):
    bench = rungs_bench(kit, repeatable=True, population=8)
    stopped = planted(kit, stop_after=20)
    kit.run(bench, stopped)
    told = len(bench.ledger().records())
    engine = planted(kit)
    kit.run(bench, engine)
    again = [c for c in engine.trained if c in stopped.trained]
    assert again, "a population is trained again as a whole"
    sizes = Counter(len(job.candidates) for job in engine.jobs if job.to == 3)
    assert told < 44 and set(sizes) <= {6, 7, 8}


def test_populations_are_noted_with_each_trial(kit):
    bench = rungs_bench(kit, population=4)
    kit.run(bench, planted(kit))
    trials = bench.ledger().study.trials
    for trial in trials:
        stages = [place[1] for place in trial.user_attrs["populations"]]
        assert stages == list(range(len(stages)))
        assert all(1 <= len(place[3:]) <= 4 for place in trial.user_attrs["populations"])
    first = [t.user_attrs["populations"][0] for t in trials if t.user_attrs["populations"][0][:3] == [0, 0, 0]]
    assert len(first) == len(first[0][3:]), "every member of the first population names the same members"
    assert bench.ledger().noted("batches") == 1 + max(t.user_attrs["populations"][0][0] for t in trials)


def test_the_front_is_counted_as_it_grows(kit):
    objectives, epsilons = kit.Bench().objectives, {"latency": 0.05, "cost": 0.02}
    for world in range(20):
        counter, records = Front(objectives, epsilons), []
        for number in range(30):
            values = {name: round(kit.draw(world, number, name), 2) for name in ("latency", "cost")}
            one = kit.record(kit.Bench().space and _mixed(kit, number), number, kit.draw(world, number), **values)
            records.append(one)
            assert counter.count(records) == len(Trade(objectives, epsilons).front(records)), (world, number)
    failed = dataclasses.replace(records[0], number=99, status="failed")
    assert counter.count([*records, failed]) == counter.count(records)


def _mixed(kit: Any, number: int) -> Any:
    from autoact.core.assignment import Assignment
    from autoact.core.trial import Candidate

    return Candidate(Assignment({"a": "tanh", "b": "gelu"}), {"learning_rate": 0.01 + number / 1e4}, 0, "sampled")


def test_another_seed_of_a_setting_is_not_on_the_front(kit):
    objectives = kit.Bench().objectives
    one = kit.record(_mixed(kit, 1), 0, 0.8, latency=1.0, cost=1.0)
    again = dataclasses.replace(one, number=1, quality=0.9, candidate=one.candidate.with_seed(1, "replicate"))
    assert isinstance(again, TrialRecord)
    assert [r.number for r in Trade(objectives, {}).front([one, again])] == [0]
