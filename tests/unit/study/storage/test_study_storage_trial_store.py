"""The study's memory: asks, tells, survives restarts and kills, takes over what fits."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from autoact.activations.initialisation import rules_of
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import PRUNED, Candidate
from autoact.study.proposal.local_search import points_at_random
from autoact.study.settings import SearchSettings
from autoact.study.storage.study_notes import open_notes
from autoact.study.storage.trial_store import peek


@pytest.fixture
def url(tmp_path: Any) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def baseline(kit: Any) -> Candidate:
    return Candidate(Assignment({"a": "relu", "b": "relu"}), kit.configured, 0, "configured")


def told(kit: Any, ledger: Any, known: Any, count: int, seed: int = 7) -> list[Candidate]:
    """Tells ``count`` trials drawn at random from the space."""
    draw, found = random.Random(seed), []
    for params in points_at_random(ledger.space.distributions(), draw, count):
        point = ledger.space.point(params)
        candidate = Candidate(point.assignment, point.settings, ledger.seed, "sampled")
        value = 0.5 + 0.1 * kit.draw(candidate.label())
        ledger.tell(kit.record(candidate, -1, value, **known.values(candidate.assignment)))
        found.append(candidate)
    return found


def test_what_is_told_is_recorded_with_its_number(kit, baseline):
    bench = kit.Bench()
    ledger = bench.ledger()
    assert ledger.records() == []
    given = kit.record(baseline, -1, 0.9, **bench.known.values(baseline.assignment))
    first, second = ledger.tell(given), ledger.tell(given)
    assert (first.number, second.number) == (0, 1)
    assert dataclasses.replace(first, number=-1) == given
    assert ledger.records() == [first, second]
    assert ledger.spent == 2
    assert ledger.study.trials[0].values == [0.9, given.values["latency"], given.values["cost"]]


def test_a_trial_has_one_number_wherever_it_is_looked_up(kit, baseline, url):
    """What an engine called it within its batch is not kept beside Optuna's number; old studies that did still load."""
    ledger = kit.Bench(storage=url).ledger()
    for place in (5, 5):
        ledger.tell(kit.record(baseline, place, 0.9, latency=1.0, cost=1.0))
    assert [trial.number for trial in ledger.study.trials] == [0, 1]
    assert ["number" in json.loads(trial.user_attrs["record"]) for trial in ledger.study.trials] == [False, False]
    old = ledger.study.trials[0]
    old.user_attrs = dict(old.user_attrs, record=kit.record(baseline, 7, 0.9, latency=1.0, cost=1.0).to_json())
    ledger.study.add_trial(old)
    assert [record.number for record in kit.Bench(storage=url).ledger().records()] == [0, 1, 2]


def test_a_trial_is_written_in_one_piece(kit, baseline, monkeypatch):
    ledger = kit.Bench().ledger()
    for name in ("set_trial_user_attr", "set_trial_state_values", "set_trial_param", "set_trial_system_attr"):
        monkeypatch.setattr(ledger._backend, name, lambda *_, **__: pytest.fail("a second write"))
    ledger.tell(kit.record(baseline, -1, 0.9, latency=1.0, cost=1.0), [[0, 0, 1, 4, 5]])
    (trial,) = ledger.study.trials
    assert trial.state == TrialState.COMPLETE
    assert trial.user_attrs["role"] == "configured"
    assert trial.user_attrs["populations"] == [[0, 0, 1, 4, 5]]
    assert (trial.datetime_complete - trial.datetime_start).total_seconds() == pytest.approx(1.0)


def test_a_failure_keeps_its_reason_and_no_values(kit, baseline):
    ledger = kit.Bench().ledger()
    ledger.tell(kit.record(baseline, -1, None))
    assert ledger.records()[0].reason == "val_auc is nan in epoch 1"
    assert ledger.study.trials[0].state == TrialState.FAIL


def test_what_was_stopped_is_pruned_and_keeps_its_rungs(kit, baseline, url):
    bench = kit.Bench(storage=url)
    record = dataclasses.replace(
        kit.record(baseline, -1, 0.9), status=PRUNED, quality=None, rungs={3: 0.5, 9: 0.625}, reason="others are better"
    )
    bench.ledger().tell(record)
    (trial,) = optuna.load_study(study_name=bench.ledger().name, storage=url).trials
    assert (trial.state, trial.values) == (TrialState.PRUNED, None)
    assert trial.user_attrs["rungs"] == {"3": 0.5, "9": 0.625}
    assert bench.ledger().records() == [dataclasses.replace(record, number=0)]
    assert bench.ledger().spent == 1


def test_a_restart_finds_everything(kit, baseline, url):
    bench = kit.Bench(storage=url)
    first = bench.ledger()
    first.tell(kit.record(baseline, -1, 0.9, latency=1.0, cost=1.0))
    first.note("threads", 4)
    second = bench.ledger()
    assert not second.new
    assert second.name == first.name
    assert second.records() == first.records()
    assert (second.noted("threads"), second.noted("nothing")) == (4, None)


def test_two_ledgers_of_one_study_read_each_other(kit, baseline, url):
    bench = kit.Bench(storage=url)
    mine, theirs = bench.ledger(), bench.ledger()
    told = theirs.tell(kit.record(baseline, -1, 0.9, latency=1.0, cost=1.0))
    assert mine.records() == []
    mine.refresh()
    assert (mine.records(), mine.spent) == ([told], 1)
    other = mine.tell(kit.record(dataclasses.replace(baseline, seed=1), -1, 0.8, latency=1.0, cost=1.0))
    assert other.number == 1, "the storage counts, not the driver"


def test_notes_can_be_read_by_their_prefix(kit):
    ledger = kit.Bench().ledger()
    ledger.note("pending:a", [1])
    ledger.note("pending:b", [2])
    ledger.note("other", 3)
    assert ledger.noted_under("pending:") == {"a": [1], "b": [2]}


def older(ledger: Any, record: Any, state: TrialState) -> None:
    """A trial as earlier versions left it when they were killed."""
    params = dict(ledger.space.point_of(record.candidate).params)
    trial = optuna.trial.create_trial(
        state=state, params=params, distributions=ledger.space.distributions(), user_attrs={"role": "sampled"}
    )
    ledger.study.add_trial(trial)


def test_what_an_earlier_version_left_running_is_settled_or_ignored(kit, baseline, url):
    bench = kit.Bench(storage=url)
    ledger = bench.ledger()
    record = kit.record(baseline, 0, 0.9, latency=1.0, cost=1.0)
    asked = ledger.study.ask(ledger.space.distributions())
    asked.set_user_attr("record", record.to_json())
    older(ledger, record, TrialState.RUNNING)
    older(ledger, record, TrialState.WAITING)
    again = bench.ledger()
    assert again.records() == [record]
    states = [trial.state for trial in again.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING]
    assert again.study.trials[0].values == [0.9, 1.0, 1.0]


def test_the_study_is_plain_optuna(kit, url, baseline):
    bench = kit.Bench(storage=url, task=kit.task("min"))
    ledger = bench.ledger()
    ledger.tell(kit.record(baseline, -1, 0.9, latency=1.0, cost=2.0))
    study = optuna.load_study(study_name=ledger.name, storage=url)
    assert [direction.name for direction in study.directions] == ["MINIMIZE"] * 3
    assert study.metric_names == ["quality", "latency", "cost"]
    assert study.trials[0].params == {"a": "relu", "b": "relu", "learning_rate": 0.01, "weight_decay": 0.01}


@pytest.mark.parametrize(
    "storage", ["sqlite:////no/such/folder/x.db", "nonsense://x", "mysql+nodriver://x/y", "grpc://nowhere"]
)
def test_a_storage_that_cannot_be_opened(kit, storage):
    with pytest.raises(AutoactError, match=r"cannot open search\.storage=") as caught:
        kit.Bench(storage=storage).ledger()
    assert "\n" not in str(caught.value)


def test_records_are_read_once(kit, baseline, monkeypatch):
    bench = kit.Bench()
    ledger = bench.ledger()
    ledger.tell(kit.record(baseline, -1, 0.9, latency=1.0, cost=1.0))
    first = ledger.records()
    monkeypatch.setattr("autoact.core.trial.json.loads", lambda *_: pytest.fail("parsed again"))
    ledger.refresh()
    assert ledger.records() == first


def changed(bench: Any, **changes: Any) -> Any:
    return dataclasses.replace(bench, **changes)


def test_a_changed_space_is_a_new_study_that_knows_what_fits(kit):
    bench = kit.Bench()
    old = bench.ledger()
    told(kit, old, bench.known, 12)
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


def test_weights_of_activations_that_trained_at_another_rate_are_not_taken_over(kit):
    bench = kit.Bench(space=kit.space(candidates=("relu", "prelu")))
    old = bench.ledger()
    told(kit, old, bench.known, 12)
    plain = [r for r in old.records() if "prelu" not in r.candidate.assignment.to_dict().values()]
    assert 0 < len(plain) < 12
    slow = changed(bench, activation_rate=0.1)
    assert slow.ledger().name != old.name
    assert [r.candidate for r in slow.ledger().records()] == [r.candidate for r in plain]
    wider = changed(slow, space=kit.space(candidates=("relu", "prelu", "tanh")))
    told(kit, slow.ledger(), slow.known, 6, seed=8)
    learnt = [r for r in wider.ledger().records() if "prelu" in r.candidate.assignment.to_dict().values()]
    assert learnt and all(r.candidate not in [one.candidate for one in old.records()] for r in learnt)


def test_trials_whose_weights_were_drawn_by_other_rules_are_not_taken_over(kit):
    today = rules_of(["relu", "gelu", "tanh"])
    bench = kit.Bench(initialisation={**today, "tanh": "0" * 8})
    old = bench.ledger()
    told(kit, old, bench.known, 12)
    same = [r for r in old.records() if "tanh" not in r.candidate.assignment.to_dict().values()]
    assert 0 < len(same) < 12
    wider = changed(bench, initialisation=today, space=kit.space(candidates=("relu", "gelu", "tanh", "silu")))
    new = wider.ledger()
    assert [r.candidate for r in new.records()] == [r.candidate for r in same]
    assert (new.seeded, new.drawn_otherwise) == (len(same), 12 - len(same))
    assert wider.ledger().drawn_otherwise == 0, "what was taken over is by today's rules"


def test_a_study_that_goes_on_counts_what_other_rules_drew(kit):
    """A study of a version that noted no rules keeps its name, and all of its trials count."""
    today = rules_of(["relu", "gelu", "tanh"])
    bench = kit.Bench()
    old = bench.ledger()
    told(kit, old, bench.known, 5)
    again = changed(bench, initialisation=today).ledger()
    assert (again.name, again.new, again.drawn_otherwise) == (old.name, False, 5)
    noted = changed(bench, initialisation=today, storage=optuna.storages.InMemoryStorage())
    told(kit, noted.ledger(), bench.known, 5)
    assert noted.ledger().drawn_otherwise == 0


def test_another_version_of_the_rules_is_another_study(kit, monkeypatch):
    bench = kit.Bench(initialisation=rules_of(["relu", "gelu", "tanh"]))
    name = bench.ledger().name
    monkeypatch.setattr("autoact.study.storage.study_identity.VERSION", 2)
    assert bench.ledger().name != name
    assert changed(bench, initialisation={}).ledger().name == name, "where weights stay as the model draws them"


def test_trials_are_not_handed_on_twice(kit):
    bench = kit.Bench(space=kit.space(candidates=("relu", "gelu")))
    told(kit, bench.ledger(), bench.known, 5)
    second = changed(bench, space=kit.space(candidates=("relu", "gelu", "tanh")))
    told(kit, second.ledger(), second.known, 4, seed=8)
    third = changed(bench, space=kit.space(candidates=("relu", "gelu", "tanh", "silu")))
    labels = [r.candidate.label() for r in third.ledger().records()]
    assert len(labels) == len(set(labels)) == 9


def test_settings_that_no_longer_fit_stay_behind(kit):
    bench = kit.Bench()
    told(kit, bench.ledger(), bench.known, 12)
    narrow = changed(bench, space=kit.space(learning_rate=[0.5, 2.0]))
    rates = [r.candidate.settings["learning_rate"] for r in bench.ledger().records()]
    assert narrow.ledger().seeded == sum(0.005 <= rate <= 0.02 for rate in rates) > 0
    assert changed(bench, space=kit.space(learning_rate=[])).ledger().seeded == 0


def test_a_dimension_of_the_same_name_over_other_sites_does_not_fit(kit):
    bench = kit.Bench(space=kit.space(granularity="model"))
    told(kit, bench.ledger(), bench.known, 4)
    assert (
        changed(bench, space=kit.space(granularity="model", candidates=("relu", "gelu", "tanh", "silu")))
        .ledger()
        .seeded
        == 4
    )
    assert changed(bench, space=kit.space(granularity="model", include=["a"])).ledger().seeded == 0


def test_failures_are_not_handed_on(kit, baseline):
    bench = kit.Bench()
    ledger = bench.ledger()
    ledger.tell(kit.record(baseline, -1, None))
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
    told(kit, first, bench.known, 3)
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


def test_a_study_can_be_looked_at_before_it_is_there(kit, url):
    bench = kit.Bench(storage=url)
    assert peek(url, "nothing", "x") is None
    ledger = bench.ledger()
    assert peek(url, ledger.name, "x") is None
    ledger.note("x", {"a": [1.5]})
    assert peek(url, ledger.name, "x") == {"a": [1.5]}
    with pytest.raises(AutoactError, match=r"cannot open search\.storage=nonsense://x"):
        peek("nonsense://x", "nothing", "x")


def test_a_storage_that_cannot_be_written_says_so_in_one_line(kit, monkeypatch):
    ledger = kit.Bench().ledger()
    full = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    full.__cause__ = OSError("database or disk is full")

    def fail(*_: Any, **__: Any) -> None:
        raise full

    monkeypatch.setattr(ledger._backend, "create_new_trial", fail)
    monkeypatch.setattr(ledger.study, "set_user_attr", fail)
    for write in (
        lambda: ledger.tell(kit.record(Candidate(kit.space().baseline), 0, None)),
        lambda: ledger.note("a", 1),
    ):
        with pytest.raises(
            AutoactError, match=r"cannot be written: database or disk is full: .* goes on from there"
        ) as said:
            write()
        assert "\n" not in str(said.value)


def test_a_text_of_any_length_is_noted_in_parts() -> None:
    notes = open_notes(None, "long texts")
    long = "".join(str(number) for number in range(50_000))
    notes.note_long("rows-1", long)
    notes.note_long("rows-2", "")
    assert notes.noted_long("rows-") == {"1": long, "2": ""}
    assert max(len(text) for text in notes.study.user_attrs.values()) < 65_536
