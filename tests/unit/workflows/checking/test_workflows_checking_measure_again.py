"""A recommendation measured again."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import optuna
import pytest
import torch

from autoact.config.recipe_task import recipe_task
from autoact.config.schema import Config, RecipeSettings, TaskSettings
from autoact.core.assignment import Assignment
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.data.part import Part
from autoact.data.prepare import prepare
from autoact.data.settings import DataSettings
from autoact.engines.settings import EngineSettings
from autoact.latency.hardware import HardwareSettings
from autoact.recommendation import Policy, Recommendation
from autoact.sites import find_sites
from autoact.study.confirmation.retraining import RetrainedCandidate, SeedFold
from autoact.study.settings import SearchSettings
from autoact.workflows.checking.check_result import CheckResult, Finding, Tolerances, judge
from autoact.workflows.checking.measure_again import CheckSettings, measure_again, number_check
from autoact.workflows.checking.remeasure import retrain


def config_of(metric="log_loss", **data):
    """The configuration of a task of seconds, and its data's."""
    settings = DataSettings(source="sklearn", name="breast_cancer", **data)
    config = Config(
        task=TaskSettings("cancer", "classification", metric),
        data=settings,
        recipe=RecipeSettings(arguments={"width": 8, "depth": 2}, batch_size=64),
        trainer={"max_epochs": 2},
        trust=["autoact"],
    )
    return config, settings


def task_of(metric="log_loss", **data):
    """A task of seconds."""
    config, settings = config_of(metric, **data)
    return recipe_task(config), settings


@pytest.fixture(scope="module")
def task():
    return task_of()


def recommended(task, name="tanh", recommend=True, **evidence):
    """What a search could have written."""
    module = task.make_module()
    sites = find_sites(module, task.example_input).searchable
    held = {"test_mean": 0.3, "test_sd_over_seeds": 0.02, "seeds": 3}

    def policy(activation, recommend, more):
        chosen = Assignment({site.name: activation for site in sites})
        return Policy(recommend, chosen, {"learning_rate": 0.01}, 2, "a test", {**held, **more})

    return Recommendation(
        "cancer",
        "2026-01-01T00:00:00Z",
        "a verdict",
        {"name": "log loss", "mode": "min"},
        {"quality": policy(name, recommend, evidence)},
        policy(str(sites[0].current), False, {}),
        {
            site.name: {
                "current": str(site.current),
                "shape": list(site.shape),
                "channels": site.channels,
                "channel_dim": site.channel_dim,
            }
            for site in sites
        },
        about={"data": {"fingerprint": "other", "rows": {"test": 113}, "profile": task.facts["profile"]}},
    )


def means(settings, **more):
    """The quickest."""
    config = Config(
        hardware=HardwareSettings(device="cpu", threads=1),
        engine=EngineSettings(name="inline", population=4),
        search=SearchSettings(threads=1),
        data=settings or DataSettings(),
    )
    return CheckSettings(config, torch.device("cpu"), recipe=settings is not None, seeds=2, **more)


def by_name(checked):
    return {finding.name: finding for finding in checked.findings}


@pytest.mark.parametrize(
    ("interval", "bound", "least", "verdict"),
    [
        ((0.1, 0.2), 0.1, True, "ok"),
        ((0.0, 0.2), 0.1, True, "unclear"),
        ((0.0, 0.05), 0.1, True, "regression"),
        ((0.0, 0.1), 0.1, False, "ok"),
        ((0.2, 0.3), 0.1, False, "regression"),
    ],
)
def test_an_interval_keeps_a_bound_or_not(interval, bound, least, verdict):
    assert judge(*interval, bound, least=least) == verdict


def test_everything_is_measured(task):
    rec = recommended(task[0], gain_over_tuned_baseline=[0.01, 0.001, 0.02], latency_ratio_to_tuned_baseline=9.0)
    checked = measure_again(task[0], rec, "quality", Tolerances(quality=10.0, gain=-10.0), means(task[1]))
    found = by_name(checked)
    assert checked.passed and checked.judged == "validation" and checked.regressions == []
    assert {"quality", "gain", "latency"} <= set(found) and sum(n.startswith("drift:") for n in found) == 30
    assert found["quality"].low < found["quality"].now < found["quality"].high
    assert (found["quality"].stored, found["quality"].allowed, found["quality"].least) == (0.3, 10.3, False)
    assert found["latency"].allowed == pytest.approx(9.9) and found["latency"].verdict == "ok"
    assert all(f.now == 0 for name, f in found.items() if name.startswith("drift:"))
    assert json.loads(json.dumps(checked.to_dict(), allow_nan=False))["passed"] is True


def test_regressions_are_named(task):
    rec = recommended(task[0], test_mean=-5.0, latency_ratio_to_tuned_baseline=0.01)
    checked = measure_again(task[0], rec, None, Tolerances(gain=10.0), means(task[1]))
    assert not checked.passed
    assert checked.to_dict()["regressions"] == ["quality", "gain", "latency"]


def test_a_kept_baseline_has_nothing_to_be_compared_with(task):
    rec = recommended(task[0], name="relu", recommend=False)
    checked = measure_again(task[0], rec, None, Tolerances(quality=10.0), means(task[1]))
    assert [name for name in by_name(checked) if not name.startswith("drift:")] == ["quality"]
    assert any("keeps the baseline" in note for note in checked.notes)


def test_a_gain_that_was_proved_must_not_become_a_loss(task):
    sure, unsure = ([0.01, low, 0.02] for low in (0.001, -0.01))
    bounds = []
    for stored in (sure, unsure):
        rec = recommended(task[0], gain_over_tuned_baseline=stored)
        bounds.append(by_name(measure_again(task[0], rec, None, Tolerances(), means(task[1])))["gain"].allowed)
    assert bounds[0] == 0.0 and bounds[1] < 0.0


def test_other_columns_are_seen():
    old, _ = task_of()
    new, settings = task_of(drop=["mean radius"])
    rec = recommended(new)
    rec = replace(rec, about={"data": {"profile": old.facts["profile"]}})
    checked = measure_again(new, rec, None, Tolerances(quality=10.0, gain=-10.0), means(settings))
    assert [finding.name for finding in checked.regressions] == ["drift:mean radius"]


def test_a_module_of_the_users_own_has_no_drift(task):
    checked = measure_again(task[0], recommended(task[0]), None, Tolerances(quality=10.0), means(None))
    assert not any(name.startswith("drift:") for name in by_name(checked))
    assert any("no input drift" in note for note in checked.notes)


def test_no_stored_quality_is_said(task):
    rec = recommended(task[0])
    evidence = {"validation": 0.2}
    rec = replace(rec, policies={"quality": replace(rec.policies["quality"], evidence=evidence)})
    found = by_name(measure_again(task[0], rec, None, Tolerances(), means(task[1])))
    assert found["quality"].verdict == "not compared" and found["latency"].verdict == "not compared"


@pytest.fixture
def optuna_tells():
    """Optuna's usual verbosity, whatever a search before has left."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.usefixtures("optuna_tells")
def test_the_test_part_opens_when_asked_and_is_counted(tmp_path):
    opened, settings = task_of(seed=3)
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    rec = recommended(opened)
    for _ in range(2):  # the same opening again is no other one
        checked = measure_again(opened, rec, None, Tolerances(quality=10.0), means(settings, storage=storage))
        assert checked.judged == "test" and checked.confidence == pytest.approx(0.975)
    wider = replace(means(settings, storage=storage), seeds=3)
    assert measure_again(opened, rec, None, Tolerances(quality=10.0), wider).confidence == pytest.approx(0.9875)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


def test_openings_of_other_rows_do_not_count(tmp_path):
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    candidate = Candidate(Assignment({"a": "relu"}))
    assert number_check(storage, task_of(seed=1)[0], [candidate], 2).number == 1
    assert number_check(storage, task_of(seed=2)[0], [candidate], 2).number == 1
    assert number_check(storage, task_of(seed=2, scaling="standard")[0], [candidate], 2).number == 2


def test_a_check_on_test_rows_that_are_not_there_is_refused_and_not_counted(task, tmp_path):
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    with pytest.raises(AutoactError, match="has no test rows to check on: leave out --test"):
        number_check(storage, replace(task[0], test=None), [Candidate(Assignment({"a": "relu"}))], 2)
    why = replace(task[0], test=None, warning="Two.test_dataloader returns 2 loaders")
    with pytest.raises(AutoactError, match=r"check on \(Two.test_dataloader returns 2 loaders\): leave out --test"):
        number_check(storage, why, [Candidate(Assignment({"a": "relu"}))], 2)
    assert not (tmp_path / "optuna.db").exists()


def test_equal_candidates_are_trained_once_and_failures_are_kept(task):
    rec = recommended(task[0])
    baseline = Candidate(rec.baseline.assignment, {"learning_rate": 0.01})
    wild = Candidate(rec.baseline.assignment, {"learning_rate": 1e30})
    m = means(task[1])
    found = retrain(
        task[0],
        {"a": baseline, "b": baseline, "c": wild},
        2,
        device=m.device,
        engine=m.config.engine,
        search=m.config.search,
        rescale=True,
    )
    assert found["a"] is found["b"] and len(found["a"].scores) == 2
    assert all(turn.seed >= 30_000 for turn in found["a"].scores)
    assert len(found["c"].failures) == 2 and not found["c"].scores


def test_trainings_that_fail_are_a_regression(task):
    rec = recommended(task[0])
    wild = replace(rec.policies["quality"], settings={"learning_rate": 1e30})
    checked = measure_again(task[0], replace(rec, policies={"quality": wild}), None, Tolerances(), means(task[1]))
    found = by_name(checked)["quality"]
    assert found.verdict == "regression" and "2 of 2 trainings failed" in found.reason


def test_strict_counts_what_is_unclear():
    unclear = Finding("gain", None, 0.0, -1.0, 1.0, 0.0, True, "unclear")
    lax = CheckResult("t", "quality", "AUC", "validation", 2, [unclear])
    assert lax.passed and not replace(lax, strict=True).passed


@pytest.mark.parametrize("wrong", [{"latency": -0.1}, {"drift": float("nan")}, {"gain": float("inf")}])
def test_tolerances_that_cannot_be_meant(wrong):
    with pytest.raises(AutoactError, match=f"tolerance.{next(iter(wrong))}"):
        Tolerances(**wrong)


def test_one_seed_gives_no_interval(task):
    with pytest.raises(AutoactError, match="2 fresh seeds or more"):
        replace(means(task[1]), seeds=1)


@pytest.mark.parametrize("metric", [{"name": "log loss", "mode": "max"}, {"name": "ROC AUC", "mode": "max"}, {}])
def test_another_metric_is_refused_before_anything_is_trained(metric, task, monkeypatch):
    monkeypatch.setattr(
        "autoact.workflows.checking.measure_again.retrain", lambda *_, **__: pytest.fail("something was trained")
    )
    monkeypatch.setattr(
        "autoact.workflows.checking.measure_again.time_ratio", lambda *_: pytest.fail("something was timed")
    )
    rec = replace(recommended(task[0]), metric=metric)
    with pytest.raises(AutoactError, match=r"this task measures log loss \(min\): the two cannot be compared"):
        measure_again(task[0], rec, None, Tolerances(), means(task[1]))


def few_rows(count, values, monkeypatch):
    """Let the check find these scores, with one value per group of rows left out."""

    def scores(task, candidates, seeds, **_):
        turns = [SeedFold(30_000 + k) for k in range(seeds)]
        return {
            name: RetrainedCandidate(
                candidate,
                scores=dict.fromkeys(turns, 0.1 if name == "mine" else 0.2),
                replicates=dict.fromkeys(turns, tuple(values)),
            )
            for name, candidate in candidates.items()
        }

    monkeypatch.setattr("autoact.workflows.checking.measure_again.retrain", scores)
    return {"rows": {"validation": count}}


@pytest.mark.parametrize(
    ("count", "values", "said"),
    [
        (3, [], "without some group of 3 validation rows, log loss does not exist"),
        (
            8,
            [0.1 + k / 1000 for k in range(8)],
            "8 validation rows make 8 groups, and the noise of rows is known from 10",
        ),
        (12, [0.1] * 12, "log loss is the same whichever of 12 validation rows is left out"),
    ],
)
@pytest.mark.parametrize("test_mean", [0.3, -0.5])
def test_too_few_rows_prove_nothing(count, values, said, test_mean, task, monkeypatch):
    few = replace(task[0], facts={**task[0].facts, **few_rows(count, values, monkeypatch)})
    checked = measure_again(few, recommended(task[0], test_mean=test_mean), None, Tolerances(), means(task[1]))
    found = by_name(checked)
    assert {found[name].verdict for name in ("quality", "gain")} == {"unclear"}
    assert found["quality"].reason == "too few rows"
    assert any(said in note for note in checked.notes)
    assert not any("logs its metric itself" in note for note in checked.notes)


def test_enough_rows_have_a_verdict(task, monkeypatch):
    many = replace(task[0], facts={**task[0].facts, **few_rows(12, [0.1 + k / 1e5 for k in range(12)], monkeypatch)})
    checked = measure_again(many, recommended(task[0]), None, Tolerances(quality=1.0), means(task[1]))
    assert by_name(checked)["quality"].verdict == "ok"
    assert not any("cannot be judged" in note for note in checked.notes)


def test_a_module_that_logs_its_metric_itself_is_judged_and_said(task, monkeypatch):
    own = replace(task[0], metric=None, facts={**task[0].facts, **few_rows(3, [], monkeypatch)})
    checked = measure_again(own, recommended(task[0]), None, Tolerances(quality=1.0), means(task[1]))
    assert by_name(checked)["quality"].verdict == "ok"
    assert any("logs its metric itself" in note for note in checked.notes)


@pytest.mark.parametrize(("seeds", "verdict"), [(2, "unclear"), (20, "regression")])
def test_a_stored_spread_over_few_seeds_is_hardly_known(seeds, verdict, task, monkeypatch):
    own = replace(task[0], metric=None, facts={**task[0].facts, **few_rows(3, [], monkeypatch)})
    rec = recommended(task[0], test_mean=0.05, test_sd_over_seeds=0.01 * (seeds / 2) ** 0.5, seeds=seeds)
    checked = measure_again(own, rec, None, Tolerances(quality=0.0), means(task[1]))
    assert by_name(checked)["quality"].verdict == verdict


def test_no_interval_leaves_the_range_of_the_metric(task):
    rec = recommended(task[0], test_sd_over_seeds=5.0)
    found = by_name(measure_again(task[0], rec, None, Tolerances(), means(task[1])))["quality"]
    assert found.low == 0.0 < found.now < found.high
    area, settings = task_of("roc_auc")
    rec = replace(recommended(area, test_mean=0.9, test_sd_over_seeds=5.0), metric={"name": "ROC AUC", "mode": "max"})
    found = by_name(measure_again(area, rec, None, Tolerances(), means(settings)))["quality"]
    assert (found.low, found.high) == (0.0, 1.0)


def test_rows_without_the_metric_are_no_warning():
    """Of two validation rows, one of each class, none can be left out of the area under the curve."""
    config, settings = config_of("roc_auc")
    prepared = prepare(settings, "classification")
    part = prepared.validation
    both = [int((part.y == label).nonzero()[0, 0]) for label in (0, 1)]
    task = recipe_task(config, replace(prepared, validation=Part(part.x[both], part.y[both], part.rows[both])))
    m = means(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = retrain(
            task,
            {"a": Candidate(recommended(task).baseline.assignment)},
            2,
            device=m.device,
            engine=m.config.engine,
            search=m.config.search,
            rescale=True,
        )
    assert list(found["a"].replicates.values()) == [(), ()] and len(found["a"].scores) == 2
