"""The study's memory: asks, tells, survives restarts and kills, takes over what fits."""

from __future__ import annotations

import dataclasses
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from autoact.core.choice import Assignment
from autoact.core.errors import AutoactError
from autoact.core.records import Candidate
from autoact.study.settings import SAMPLERS, SearchSettings


@pytest.fixture
def url(tmp_path: Any) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def baseline(kit: Any) -> Candidate:
    return Candidate(Assignment({"a": "relu", "b": "relu"}), kit.configured, 0, "configured")


def sampled(kit: Any, ledger: Any, known: Any, count: int, quality: Any = None) -> list[Candidate]:
    """Asks, answers, and remembers ``count`` proposals."""
    asked = []
    for _ in range(count):
        number, candidate = ledger.ask()
        value = 0.5 + 0.1 * kit.draw(candidate.label()) if quality is None else quality(candidate)
        ledger.tell(kit.record(candidate, number, value, **known.values(candidate.assignment)))
        asked.append(candidate)
    return asked


def test_what_is_told_is_recorded(kit, baseline):
    bench = kit.Bench()
    ledger = bench.ledger()
    number, asked = ledger.ask(baseline)
    assert (number, asked) == (0, baseline)
    assert ledger.records() == []
    told = kit.record(asked, number, 0.9, **bench.known.values(asked.assignment))
    ledger.tell(told)
    assert ledger.records() == [told]
    assert ledger.study.trials[0].values == [0.9, told.values["latency"], told.values["cost"]]


def test_a_given_candidate_comes_back_exactly(kit):
    ledger = kit.Bench().ledger()
    given = Candidate(
        Assignment({"a": "tanh", "b": "gelu"}), {"learning_rate": 0.0123456789, "weight_decay": 1e-3}, 0, "tuning"
    )
    assert ledger.ask(given)[1] == given


def test_a_failure_keeps_its_reason_and_no_values(kit, baseline):
    ledger = kit.Bench().ledger()
    number, asked = ledger.ask(baseline)
    ledger.tell(kit.record(asked, number, None))
    assert ledger.records()[0].reason == "val_auc is nan in epoch 1"
    assert ledger.study.trials[0].state == TrialState.FAIL


def test_a_restart_finds_everything(kit, baseline, url):
    bench = kit.Bench(storage=url)
    first = bench.ledger()
    assert first.new
    number, asked = first.ask(baseline)
    first.tell(kit.record(asked, number, 0.9, latency=1.0, cost=1.0))
    first.note("threads", 4)
    second = bench.ledger()
    assert not second.new
    assert second.name == first.name
    assert second.records() == first.records()
    assert (second.noted("threads"), second.noted("nothing")) == (4, None)
    assert second.ask()[0] == 1


@pytest.mark.parametrize("role", ["configured", "tuning", "sampled"])
def test_a_killed_process_leaves_nothing_undone(kit, baseline, url, role):
    bench = kit.Bench(storage=url)
    killed = bench.ledger()
    given = dataclasses.replace(baseline, role=role)
    assert killed.ask(given) == (0, given)
    ledger = bench.ledger()
    assert ledger.waiting() == 1
    assert ledger.ask() == (1, given), "the same candidate under another number"
    assert ledger.waiting() == 0
    states = [trial.state for trial in ledger.study.trials]
    assert states == [TrialState.FAIL, TrialState.RUNNING]


def test_a_process_killed_after_the_training_loses_nothing(kit, baseline, url, monkeypatch):
    bench = kit.Bench(storage=url)
    killed = bench.ledger()
    number, asked = killed.ask(baseline)
    told = kit.record(asked, number, 0.9, latency=1.0, cost=1.0)
    monkeypatch.setattr(killed, "_close", lambda *_: None)
    killed.tell(told)
    assert killed.study.trials[0].state == TrialState.RUNNING
    ledger = bench.ledger()
    assert ledger.records() == [told]
    assert ledger.waiting() == 0
    assert ledger.study.trials[0].values == [0.9, 1.0, 1.0]


def test_what_is_given_back_waits(kit, baseline):
    ledger = kit.Bench().ledger()
    number, asked = ledger.ask(baseline)
    ledger.give_back(number)
    assert (ledger.waiting(), ledger.records()) == (1, [])
    assert ledger.ask() == (1, asked)


def test_repeats_are_answered_and_refusals_are_closed(kit, baseline):
    bench = kit.Bench()
    ledger = bench.ledger()
    number, asked = ledger.ask(baseline)
    record = kit.record(asked, number, 0.9, latency=1.0, cost=1.0)
    ledger.tell(record)
    again, _ = ledger.ask(baseline)
    ledger.repeat(again, record)
    third, _ = ledger.ask(baseline)
    ledger.refuse(third, "linear")
    assert ledger.records() == [record]
    assert ledger.spent == 1
    states = [(t.state, t.values) for t in ledger.study.trials]
    assert states[1:] == [(TrialState.COMPLETE, [0.9, 1.0, 1.0]), (TrialState.FAIL, None)]
    assert ledger.study.trials[1].user_attrs["repeats"] == 0
    assert ledger.study.trials[2].user_attrs["refused"] == "linear"


def test_the_study_is_plain_optuna(kit, url, baseline):
    bench = kit.Bench(storage=url, task=kit.task("min"))
    ledger = bench.ledger()
    number, asked = ledger.ask(baseline)
    ledger.tell(kit.record(asked, number, 0.9, latency=1.0, cost=2.0))
    study = optuna.load_study(study_name=ledger.name, storage=url)
    assert [direction.name for direction in study.directions] == ["MINIMIZE"] * 3
    assert study.metric_names == ["quality", "latency", "cost"]
    assert study.trials[0].params == {"a": "relu", "b": "relu", "learning_rate": 0.01, "weight_decay": 0.01}


@pytest.mark.parametrize("storage", ["sqlite:////no/such/folder/x.db", "nonsense://x", "mysql+nodriver://x/y"])
def test_a_storage_that_cannot_be_opened(kit, storage):
    with pytest.raises(AutoactError, match=r"cannot open search\.storage=") as caught:
        kit.Bench(storage=storage).ledger()
    assert "\n" not in str(caught.value)


def test_records_are_read_once(kit, baseline, monkeypatch):
    bench = kit.Bench()
    ledger = bench.ledger()
    number, asked = ledger.ask(baseline)
    ledger.tell(kit.record(asked, number, 0.9, latency=1.0, cost=1.0))
    first = ledger.records()
    monkeypatch.setattr("autoact.core.records.json.loads", lambda *_: pytest.fail("parsed again"))
    assert ledger.records() == first


@pytest.mark.parametrize("names", [["quality"], ["quality", "latency"], ["quality", "latency", "cost"], ["latency"]])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_takes_any_number_of_objectives(kit, sampler, names):
    def proposals(seed: int) -> list[Candidate]:
        settings = SearchSettings(sampler=sampler, seed=seed)
        bench = kit.Bench(settings=settings, names=names, extra={"tanh": 0.5, "gelu": 0.2})
        ledger = bench.ledger()
        number, asked = ledger.ask(Candidate(bench.space.baseline, kit.configured, seed, "configured"))
        ledger.tell(kit.record(asked, number, 0.5, **bench.known.values(asked.assignment)))
        return sampled(kit, ledger, bench.known, 3 if sampler == "gp" else 20)

    first = proposals(0)
    assert [c.label() for c in proposals(0)] == [c.label() for c in first]
    if sampler != "gp":
        assert [c.label() for c in proposals(1)] != [c.label() for c in first]
    assert len({c.label() for c in first}) > 1


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_interruptions_do_not_change_what_is_proposed(kit, sampler):
    settings = SearchSettings(sampler=sampler)
    bench = kit.Bench(settings=settings)
    straight = sampled(kit, bench.ledger(), bench.known, 24)
    other = kit.Bench(settings=settings)
    resumed = sampled(kit, other.ledger(), other.known, 5)
    for count in (1, 10, 8):
        other.ledger().ask()  # a process that is killed in the middle of a training
        resumed += sampled(kit, other.ledger(), other.known, count)
    assert resumed == straight


def test_a_restart_does_not_repeat_itself(kit):
    bench = kit.Bench(settings=SearchSettings(sampler="random"))
    labels = [sampled(kit, bench.ledger(), bench.known, 1)[0].label() for _ in range(10)]
    assert len(set(labels)) == 10


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_failures_do_not_make_it_repeat_itself(kit, sampler):
    ledger = kit.Bench(settings=SearchSettings(sampler=sampler)).ledger()
    labels = []
    for _ in range(6):
        number, candidate = ledger.ask()
        ledger.tell(kit.record(candidate, number, None))
        labels.append(candidate.label())
    assert len(set(labels)) == 6


def changed(bench: Any, **changes: Any) -> Any:
    return dataclasses.replace(bench, **changes)


def test_a_changed_space_is_a_new_study_that_knows_what_fits(kit):
    bench = kit.Bench()
    old = bench.ledger()
    sampled(kit, old, bench.known, 12)
    wider = changed(bench, space=kit.space(candidates=("relu", "tanh", "silu")), extra={"tanh": 9.0})
    new = wider.ledger()
    assert new.new
    assert new.name != old.name
    fit = [r for r in old.records() if "gelu" not in r.candidate.assignment.to_dict().values()]
    assert 0 < len(fit) < 12
    assert [r.candidate for r in new.records()] == [r.candidate for r in fit]
    assert [r.number for r in new.records()] == list(range(len(fit)))
    assert (new.seeded, new.spent) == (len(fit), 0)
    # What is known before training comes from this study's own table.
    assert all(r.values["latency"] == wider.known.values(r.candidate.assignment)["latency"] for r in new.records())
    assert [t.values[1] for t in new.study.trials] == [r.values["latency"] for r in new.records()]
    assert wider.ledger().seeded == 0, "once"
    assert wider.ledger().spent == 0


def test_trials_are_not_handed_on_twice(kit):
    bench = kit.Bench(space=kit.space(candidates=("relu", "gelu")))
    sampled(kit, bench.ledger(), bench.known, 5)
    second = changed(bench, space=kit.space(candidates=("relu", "gelu", "tanh")))
    sampled(kit, second.ledger(), second.known, 4)
    third = changed(bench, space=kit.space(candidates=("relu", "gelu", "tanh", "silu")))
    labels = [r.candidate.label() for r in third.ledger().records()]
    assert len(labels) == len(set(labels)) == 9


def test_settings_that_no_longer_fit_stay_behind(kit):
    bench = kit.Bench()
    sampled(kit, bench.ledger(), bench.known, 12)
    narrow = changed(bench, space=kit.space(learning_rate=[0.5, 2.0]))
    rates = [r.candidate.settings["learning_rate"] for r in bench.ledger().records()]
    assert narrow.ledger().seeded == sum(0.005 <= rate <= 0.02 for rate in rates) > 0
    assert changed(bench, space=kit.space(learning_rate=[])).ledger().seeded == 0


def test_a_dimension_of_the_same_name_over_other_sites_does_not_fit(kit):
    bench = kit.Bench(space=kit.space(granularity="model"))
    sampled(kit, bench.ledger(), bench.known, 4)
    assert (
        changed(bench, space=kit.space(granularity="model", candidates=("relu", "gelu", "tanh", "silu")))
        .ledger()
        .seeded
        == 4
    )
    assert changed(bench, space=kit.space(granularity="model", include=["a"])).ledger().seeded == 0


def test_failures_are_not_handed_on(kit):
    bench = kit.Bench()
    ledger = bench.ledger()
    number, asked = ledger.ask()
    ledger.tell(kit.record(asked, number, None))
    assert changed(bench, space=kit.space(candidates=("relu", "gelu", "tanh", "silu"))).ledger().seeded == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda kit: {"names": ("quality", "latency")},
        lambda kit: {"task": kit.task(identity={"data": "other"})},
        lambda kit: {"task": kit.task("min")},
        lambda kit: {"task": kit.task(trainer={"max_epochs": 7})},
        lambda kit: {"task": kit.task(name="other")},
        lambda kit: {"settings": SearchSettings(seed=5)},
    ],
    ids=["objectives", "data", "direction", "trainer", "name", "seed"],
)
def test_what_changes_results_is_another_study_that_takes_nothing_over(kit, change):
    bench = kit.Bench()
    first = bench.ledger()
    sampled(kit, first, bench.known, 3)
    other = changed(bench, **change(kit)).ledger()
    assert other.new
    assert other.name != first.name
    assert other.records() == []


@pytest.mark.parametrize(
    "settings",
    [SearchSettings(trials=99), SearchSettings(minutes=5), SearchSettings(sampler="random", batch=4, tuning=9)],
)
def test_the_budget_is_not_part_of_the_name(kit, settings):
    bench = kit.Bench()
    name = bench.ledger().name
    again = changed(bench, settings=settings).ledger()
    assert (again.name, again.new) == (name, False)


def test_notes_of_other_studies_can_be_read(kit):
    bench = kit.Bench()
    bench.ledger().note("openings", [1])
    other = changed(bench, task=kit.task(name="other")).ledger()
    assert other.noted("openings") is None
    assert other.noted_elsewhere("openings") == [[1]]
    assert bench.ledger().noted_elsewhere("openings") == []
