"""What MLflow is told, as plain data."""

import json
from dataclasses import replace

import pytest

from autoact.core.assignment import Assignment
from autoact.study.outcome.group_scores import GroupGap, GroupScores
from autoact.study.paired_statistics import Interval
from autoact.tasks.objectives import Objective
from autoact.tracking.mlflow_names import PARAM, TAG, cut, key, renamed, unique
from autoact.tracking.payloads import (
    as_json,
    chosen_tags,
    flatten,
    front_trials,
    metric_names,
    result_points,
    result_tags,
    search_params,
    search_tags,
    summary,
    trial_entries,
    trial_name,
)


def values(points):
    return {point.key: point.value for point in points}


def test_metric_names_carry_their_units(made):
    assert metric_names(made.info()) == {
        "quality": "quality",
        "latency": "latency_ms",
        "cost": "cost_usd_per_million",
        "parameters": "parameters_count",
    }


def test_no_price_no_currency(made):
    assert metric_names(made.info(facts={"hardware": {"price": None}}))["cost"] == "cost_per_million"


def test_search_params_are_flat_and_short(made):
    params = search_params(made.info())
    assert params["budget_trials"] == "8"
    assert params["data.rows.test"] == "20"
    assert params["data.fingerprint"] == "e43a"
    assert params["hardware.price.currency"] == "USD"
    assert params["packages.torch"] == "2.13.0"
    assert params["space.choices"] == '["relu", "tanh"]'
    assert params["space.groups.both"] == '["a.act", "b.act"]'
    assert "space.groups.a.act" not in params
    assert "data.gpu" not in params and "budget_minutes" not in params
    assert params["objectives"].startswith("quality (ROC AUC, max), latency (ms, min)")


def test_different_choices_are_all_kept(made):
    facts = {"space": {"choices": {"a": ["relu"], "b": ["tanh"]}}}
    params = search_params(made.info(facts=facts))
    assert (params["space.choices.a"], params["space.choices.b"]) == ('["relu"]', '["tanh"]')


def test_a_long_parameter_says_where_the_whole_is(made):
    params = search_params(made.info(facts={"data": {"description": "x" * 9000}}))
    assert len(params["data.description"]) == PARAM
    assert params["data.description"].endswith("(whole in facts.json)")


def test_what_fits_is_not_cut():
    assert cut("x" * 100, 100, "a.json") == "x" * 100


@pytest.mark.parametrize("text", ["layers.0.act", "é[0]", "..", "/x", "a//b", "a/../b", "x" * 400, "a:b", "./a"])
def test_keys_are_accepted_by_mlflow(text):
    validation = pytest.importorskip("mlflow.utils.validation")
    validation._validate_metric_name(key(text))
    validation._validate_param(key(text), "1")


def test_keys_that_would_fall_together_are_numbered():
    assert len(set(unique(["a[0]", "a(0)", "a{0}", "x" * 300, "x" * 301]).values())) == 5


def test_flatten_drops_nothing_that_is_known():
    assert dict(flatten({"a": {"b": 0, "c": False}, "d": ""})) == {"a.b": "0", "a.c": "False"}


def test_tags_say_that_data_are_simulated(made):
    assert search_tags(made.info(), "s")["autoact.simulated"] == "true"
    assert search_tags(made.info(simulated=False), "s")["autoact.simulated"] == "false"


def test_a_trial_is_told_with_sites_settings_and_role(made):
    entries = trial_entries(made.record(3), made.info(), 100_000)
    assert entries.params == {
        "act.a.act": "tanh",
        "act.b.act": "relu",
        "learning_rate": "0.01",
        "weight_decay": "0.0",
        "role": "sampled",
        "seed": "7",
    }
    assert entries.tags["autoact.trial"] == "3"
    assert trial_name(made.record(3)) == "trial 3: tanh | relu"


def test_a_trial_shows_its_best_epoch_and_keeps_its_curve(made):
    points = trial_entries(made.record(3, quality=0.8), made.info(), 100_000).points
    best = {p.key: p.value for p in points if not p.key.startswith("curve/")}
    assert {p.step for p in points if not p.key.startswith("curve/")} == {0}
    assert best["quality"] == 0.8
    assert best["val_roc_auc"] == 0.8
    assert best["train_loss"] == 0.5
    assert (best["latency_ms"], best["cost_usd_per_million"], best["parameters_count"]) == (0.05, 0.5, 12.0)
    assert (best["train_seconds"], best["best_epoch"], best["epochs"]) == (2.0, 2.0, 3.0)
    curve = [(p.step, round(p.value, 3), p.at) for p in points if p.key == "curve/val_roc_auc"]
    assert curve == [(1, 0.7, 98_667), (2, 0.8, 99_333), (3, 0.7, 100_000)]


def test_a_failed_trial_has_its_reason_and_no_quality(made):
    entries = trial_entries(made.record(4, reason="loss is NaN"), made.info(), 0)
    assert entries.tags["autoact.reason"] == "loss is NaN"
    assert entries.tags["mlflow.note.content"] == "failed: loss is NaN"
    assert "quality" not in values(entries.points)


def test_a_long_name_is_shortened(made):
    record = made.record(4, choices=("leaky_relu(negative_slope=0.123456)", "relu" + "x" * 200))
    assert len(trial_name(record)) == 120 and trial_name(record).endswith("...")


def test_result_points_name_row_value_and_unit(made):
    records = [made.record(0, 0.8), made.record(1, 0.9), made.record(2, reason="no")]
    got = values(result_points(made.result(made.info(), records), 5))
    assert got["best_quality"] == 0.9 and got["tuned_baseline_quality"] == 0.8
    assert got["balanced/test_roc_auc"] == 0.88
    assert got["balanced/latency_ms"] == 0.04
    assert got["balanced/cost_usd_per_million"] == 0.4
    assert got["balanced/gain_on_test_low"] == 0.05
    assert got["logistic regression/test_roc_auc"] == 0.71
    assert "logistic regression/latency_ms" not in got
    assert (got["trials"], got["failed_trials"], got["stopped_trials"], got["front_size"]) == (3, 1, 0, 1)


def test_result_tags_say_what_is_recommended(made):
    result = made.result(made.info(), [made.record(0), made.record(1)])
    tags = result_tags(result, "r" * 9000)
    assert tags["autoact.recommended"] == "balanced"
    assert tags["autoact.verdict"].startswith("Recommended under balanced")
    assert len(tags["mlflow.note.content"]) == TAG
    assert tags["mlflow.note.content"].endswith("(whole in report.md)")
    assert result_tags(replace(result, rulings={}), "")["autoact.recommended"] == "none"


def test_chosen_trials_know_what_they_were_chosen_as(made):
    result = made.result(made.info(), [made.record(0), made.record(1)])
    assert chosen_tags(result) == {
        1: {"autoact.front": "true", "autoact.chosen_as": "quality, balanced"},
        0: {"autoact.chosen_as": "configured, tuned"},
    }
    assert chosen_tags(replace(result, selection=None)) == {}


def test_summary_and_front_are_json(made):
    result = made.result(made.info(), [made.record(0), made.record(1, 0.9)])
    plain = json.loads(as_json(summary(result)), parse_constant=pytest.fail)
    assert plain["rows"][2]["candidate"]["assignment"] == {"a.act": "tanh", "b.act": "relu"}
    assert plain["rows"][1]["candidate"] is None
    assert plain["gains_over_tuned_baseline"]["balanced"]["df"] == "inf"
    assert plain["rulings"]["balanced"]["recommend"] is True
    assert [one["trial"] for one in json.loads(as_json(front_trials(result)))] == [1]
    assert front_trials(replace(result, selection=None)) == []


ODD = [
    "val/recall@5",
    "val/recall 5",
    "val/recall_5",
    "hit@10%",
    "précision",
    "F1 (macro)",
    "a[0]",
    "a(0)",
    "%",
    "@",
    "日本",
]


@pytest.mark.parametrize("own", ["epochs", "train_seconds", "best_epoch", "quality", "latency_ms", "quality_at_rung"])
def test_a_metric_of_the_modules_never_takes_the_place_of_another(own, made):
    """Names with @ / % and spaces, names that are equal once cleaned, and names that autoact gives itself."""
    logged = {name: 100.0 + k for k, name in enumerate([*ODD, own])}
    record = replace(made.record(3, quality=0.8), metrics=logged, curve=(logged,), rungs={1: 0.7})
    points = trial_entries(record, made.info(), 100_000).points
    validation = pytest.importorskip("mlflow.utils.validation")
    for point in points:
        validation._validate_metric_name(point.key)
    found = [(p.key, p.step) for p in points if p.step == 0]
    assert len(found) == len(set(found))
    values = {p.key: p.value for p in points}
    assert (values["quality"], values["epochs"], values["train_seconds"], values["latency_ms"]) == (0.8, 3, 2.0, 0.05)
    assert {p.value for p in points if p.step == 0} >= set(logged.values())
    assert sum(p.key.startswith("curve/") for p in points) == len(logged)


def test_objectives_of_the_users_keep_apart_from_each_other_and_from_what_is_counted(made):
    objectives = tuple(
        Objective(name, unit, "min", compute=len) for name, unit in [("epochs", ""), ("a@b", ""), ("a%b", "")]
    )
    names = metric_names(made.info(objectives=objectives))
    assert len(set(names.values())) == len(names) and names["epochs"] != "epochs"


def test_names_that_change_are_told():
    assert renamed(unique(["val_loss", "a.b/c d"])) == ""
    assert renamed(unique(["a@b"])) == "in MLflow 'a@b' is called 'a_b'"
    assert renamed(unique(list("@%&!"))).endswith("(and 1 more)")


def test_a_searched_parameter_is_a_number_of_its_own_defaults_included(made):
    space = {"parameters": {"a.act.sine.omega": [0.3, 10.0, "log"], "b.act.sine.omega": [0.3, 10.0, "log"]}}
    record = made.record(0)
    candidate = replace(record.candidate, assignment=Assignment({"a.act": "sine", "b.act": "sine(omega=5.57)"}))
    params = trial_entries(replace(record, candidate=candidate), made.info(facts={"space": space}), 0).params
    assert (params["act.a.act"], params["act.a.act.sine.omega"]) == ("sine", "1")
    assert (params["act.b.act"], params["act.b.act.sine.omega"]) == ("sine(omega=5.57)", "5.57")
    assert not any("omega" in name for name in trial_entries(record, made.info(), 0).params)


def test_other_metrics_and_groups_are_metrics_of_the_parent_run(made):
    given = made.result(made.info(), [made.record(0), made.record(1)])
    rows = [replace(row, others={"F1": 0.6, "ECE": 0.03} if row.name == "tuned" else {}) for row in given.rows]
    groups = GroupScores(
        "gender",
        {"f": 70, "m": 80},
        means={"tuned": {"f": 0.7, "m": 0.8}, "balanced": {"f": 0.7, "m": 0.9}},
        gaps={"tuned": GroupGap("m", "f", 0.1), "balanced": GroupGap("m", "f", 0.2)},
        growth={"balanced": Interval(0.1, 0.05, 0.15, 0.01, 3)},
    )
    done = replace(given, rows=rows, groups=[groups])
    found = values(result_points(done, 0))
    assert (found["tuned/test_f1"], found["tuned/test_ece"]) == (0.6, 0.03)
    assert found["balanced/test_roc_auc_by_gender/m"] == 0.9
    assert found["balanced/test_roc_auc_by_gender_gap"] == 0.2
    assert found["balanced/test_roc_auc_by_gender_gap_growth_low"] == 0.05
    plain = summary(done)
    assert plain["groups"][0]["means"]["tuned"] == {"f": 0.7, "m": 0.8} and plain["rows"][0]["others"]["F1"] == 0.6
