"""The final table: every number labelled, nothing cut."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from autoact.core.assignment import Assignment
from autoact.core.result_table import number
from autoact.core.trial import COMPLETE, Candidate, TrialRecord
from autoact.report.markdown import to_markdown
from autoact.report.terminal import TerminalView, print_result
from autoact.study.callbacks import SearchInfo
from autoact.study.confirmation.verdict import Ruling
from autoact.study.outcome.group_scores import GroupGap, GroupScores
from autoact.study.outcome.result import Row, SearchResult, effect_lines, final_table, tuning_line
from autoact.study.paired_statistics import Interval
from autoact.study.selection import Selection
from autoact.tasks.objectives import Objective
from autoact.tracking.payloads import trial_name

QUALITY = Objective("quality", "ROC AUC", "max")
LATENCY = Objective("latency", "ms", "min")
COST = Objective("cost", "USD per million samples", "min")


def record(role: str, choice: str, quality: float, number_: int = 0) -> TrialRecord:
    assignment = Assignment({"layers.0.act": choice, "layers.1.act": "relu"})
    candidate = Candidate(assignment, {"learning_rate": 0.002, "weight_decay": 0.01}, 0, role)
    values = {"quality": quality, "latency": 0.05, "cost": 0.01}
    return TrialRecord(number_, candidate, COMPLETE, quality, values, seconds=1.0, best_epoch=3)


def result(simulated: bool = True, mode: str = "max", seeds: int = 3) -> SearchResult:
    configured, tuned = record("configured", "relu", 0.84), record("tuning", "relu", 0.85, 1)
    winner = record("sampled", "tanh", 0.86, 2)
    info = SearchInfo("churn", "churn-1", "sqlite:///x.db", "runs/churn-1", (QUALITY, LATENCY, COST), simulated)
    rows = [
        Row(
            "configured", "baseline as configured", configured.candidate, 0.84, 0.83, 0.001, 0.047, 0.053, 0.0123, 1, 1
        ),
        Row("tuned", "tuned baseline", tuned.candidate, 0.85, 0.84, 0.002, 0.047, 0.053, 0.0123, 1.0, 1.0),
        Row("logistic regression", "logistic regression", None, 0.8512, 0.8416),
        Row("quality", "recommended: quality", winner.candidate, 0.86, 0.85, 0.003, 0.094, 0.1, 0.02, 2.0, 1.6),
    ]
    rows = [dataclasses.replace(row, measured=row.candidate is not None) for row in rows]
    return SearchResult(
        info=info,
        status="finished",
        records=[configured, tuned, winner],
        selection=Selection(configured, tuned, None, {"quality": winner}, (2,), 0.017),
        rows=rows,
        gains={
            "configured": Interval(-0.01, -0.02, -0.005, 0.001, 2),
            "quality": Interval(0.01, 0.002, 0.018, 0.001, 2),
        },
        rulings={"quality": Ruling("quality", True, "better by +0.0100 ROC AUC (+0.0020 to +0.0180)")},
        verdict="Recommended under quality.",
        seconds=125.0,
        opening=1,
        notes=["all results are on simulated data"],
        quality_unit="ROC AUC",
        mode=mode,
        seeds=seeds,
        files={"recommendation": "runs/churn-1/recommended.yaml"},
    )


def test_columns_name_their_units() -> None:
    table = final_table(result())
    assert "test ROC AUC, 3 fresh seeds" in table.columns
    assert "cost, USD per million samples (ratio)" in table.columns
    assert any("latency ms" in column for column in table.columns)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_without_a_final_check_there_is_no_test_column() -> None:
    assert not [column for column in final_table(result(seeds=0)).columns if column.startswith("test")]


def test_simulated_data_is_called_simulated() -> None:
    assert "(simulated data)" in final_table(result()).title
    assert "simulated" not in final_table(result(simulated=False)).title


def test_the_direction_is_said() -> None:
    assert "higher is better" in final_table(result()).footnotes[0]
    assert "lower is better" in final_table(result(mode="min")).footnotes[0]


def test_tuning_alone_is_a_line_of_its_own_with_the_sign_turned() -> None:
    assert "+0.0100 ROC AUC on test rows (+0.0050 to +0.0200" in tuning_line(result())


def test_a_narrow_log_cuts_nothing() -> None:
    out = io.StringIO()
    print_result(result(), Console(file=out, width=140, highlight=False))
    printed = out.getvalue()
    for text in ("tuned baseline", "logistic regression", "tanh | relu", "0.8500 ± 0.003", "2.00x", "recommended.yaml"):
        assert text in printed
    assert "…" not in printed


def test_markdown_holds_the_verdict_the_table_and_the_opening() -> None:
    text = to_markdown(result())
    assert "**Recommended under quality.**" in text
    assert "| tuned baseline | relu |" in text
    assert "tanh / relu" in text  # a bar would end the cell
    assert "opening number 1" in text


def test_the_view_counts_trials_and_says_what_is_left() -> None:
    out = io.StringIO()
    view = TerminalView(Console(file=out, width=160, highlight=False))
    info = result().info
    view.search_started(
        SearchInfo(info.task, info.study, info.storage, info.folder, info.objectives, True, budget=10, done=2)
    )
    view.trial_finished(record("sampled", "tanh", 0.86, 2), 3, 100.0)
    view.trial_finished(TrialRecord(3, record("sampled", "sine", 0.1).candidate, "failed", reason="diverged"), 3, 50.0)
    pruned = TrialRecord(4, record("sampled", "elu", 0.1).candidate, "pruned", rungs={3: 0.5, 9: 0.75})
    view.trial_finished(pruned, 3, 50.0)
    again = record("replicate", "tanh", 0.84, 5)
    view.trial_finished(again, 3, None)
    printed = out.getvalue()
    assert "trial 4 (5 of 10)  0.7500 at epoch 9, stopped  best 0.8600" in printed
    assert f"{again.candidate.label()}, seed {again.candidate.seed}" in printed
    assert "SIMULATED DATA" in printed
    assert "trial 2 (3 of 10)  0.8600  best 0.8600, front 3, about 1 min 40 s left" in printed
    assert "trial 3 (4 of 10)  failed: diverged  best 0.8600" in printed


def test_the_view_names_a_trial_by_the_number_that_others_know() -> None:
    """Optuna, MLflow and trials.jsonl count from 0, and drivers share numbers: the count of trials is told apart."""
    out = io.StringIO()
    view = TerminalView(Console(file=out, width=160, highlight=False))
    view.trial_finished(record("sampled", "tanh", 0.86, 17), 3, None)
    assert out.getvalue().startswith("trial 17  0.8600")
    view.search_started(dataclasses.replace(result().info, budget=4, done=0))
    view.trial_finished(record("sampled", "tanh", 0.86, 17), 3, None)
    assert f"{trial_name(record('sampled', 'tanh', 0.86, 17)).split(':')[0]} (1 of 4)  0.8600" in out.getvalue()
    view.search_started(dataclasses.replace(result().info, budget=4, done=17, reused=16))
    view.trial_finished(record("sampled", "tanh", 0.86, 18), 3, None)
    assert "trial 18 (2 of 4)" in out.getvalue(), "trials of another study do not count against the budget"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.5, "0.5000"), (65432.1, "65,432"), (55.123, "55.12"), (1e-5, "1e-05")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_effects_are_told_once_per_assignment():
    found = result()
    quality = dataclasses.replace(
        found.rows[-1], error_reduction=0.0321, training_ratio=1.234, p99_ms=0.12, table_error=-0.05
    )
    worse = dataclasses.replace(quality, name="economy", error_reduction=-0.5)
    found = dataclasses.replace(found, rows=[*found.rows[:-1], quality, worse])
    assert effect_lines(found) == [
        "tanh | relu: 3.2 % less ROC AUC error, a training step takes 1.23x, latency p99 0.12 ms, median latency -5 % "
        "against the latency table."
    ]
    assert effect_lines(result()) == [], "nothing was measured"
    assert "a training step takes 1.23x" in to_markdown(found)


def test_what_was_not_measured_is_marked_as_estimated() -> None:
    found = result(seeds=0)
    rows = [
        dataclasses.replace(r, measured=False, latency_ratio=None, cost_ratio=None, p90_ms=None) for r in found.rows
    ]
    rows = [dataclasses.replace(r, test=None, test_sd=None) for r in rows]
    table = final_table(dataclasses.replace(found, rows=rows, gains={}))
    text = " ".join(table.footnotes)
    assert "latency ms" in table.columns and "p90 ms" not in table.columns
    assert not [column for column in table.columns if "ratio" in column or column.startswith("test")]
    assert "~0.047" in table.rows[0] and "estimated" in text
    assert "measured end to end;" not in text and "±" not in text and "gains" not in text


def test_the_validation_column_shows_what_the_choice_was_made_on() -> None:
    found = result()
    rows = [dataclasses.replace(row, fresh=0.8123) if row.name == "quality" else row for row in found.rows]
    table = final_table(dataclasses.replace(found, rows=rows, fresh="10 fresh seeds"))
    place = table.columns.index("validation ROC AUC, 10 fresh seeds")
    assert [row[place] for row in table.rows] == ["0.8400 (1)", "0.8500 (1)", "0.8512 (1)", "0.8123"]
    assert "(1) is of one training" in " ".join(table.footnotes)


def test_a_seed_that_failed_is_said_beside_the_mean() -> None:
    found = result()
    rows = [dataclasses.replace(row, finished=2) if row.name == "quality" else row for row in found.rows]
    assert "0.8500 ± 0.003 (2 of 3 seeds)" in final_table(dataclasses.replace(found, rows=rows)).rows[-1]


def test_the_report_lists_the_other_metrics_and_the_groups_of_what_differs() -> None:
    given = result()
    others = {"tuned": {"F1": 0.5, "ECE": 0.02}, "quality": {"F1": 0.6, "ECE": 0.03}}
    rows = [dataclasses.replace(row, others=others.get(row.name, {})) for row in given.rows]
    groups = GroupScores(
        "gender",
        {"f": 700, "m": 709},
        means={"tuned": {"f": 0.83, "m": 0.85}, "quality": {"f": 0.84, "m": 0.87}},
        gaps={"tuned": GroupGap("m", "f", 0.02), "quality": GroupGap("m", "f", 0.03)},
        growth={"quality": Interval(0.01, -0.002, 0.022, 0.005, 2)},
    )
    done = dataclasses.replace(given, rows=rows, groups=[groups], others={"F1": "max", "ECE": "min"})
    text = to_markdown(done)
    assert "## Other metrics, means over 3 fresh seeds, on test rows" in text
    assert (
        "| metric | better | tuned baseline | recommended: quality |" in text and "| ECE | min | 0.02 | 0.03 |" in text
    )
    assert "## ROC AUC by gender, on test rows" in text and "| m | 709 | 0.8500 | 0.8700 |" in text
    assert "| +0.0100 (-0.0020 to +0.0220) |" in text
    assert "Other metrics" in done._repr_html_() and "Other metrics" not in to_markdown(given)
    assert done.to_dataframe("rows")["F1"].tolist()[1] == 0.5


def test_a_dropout_is_shown_where_it_is_searched():
    found = result()
    assert final_table(found).columns[2] == "learning rate, weight decay"
    searched = [
        dataclasses.replace(
            row, candidate=dataclasses.replace(row.candidate, settings={**row.candidate.settings, "dropout": 0.3})
        )
        if row.candidate
        else row
        for row in found.rows
    ]
    table = final_table(dataclasses.replace(found, rows=searched))
    assert table.columns[2] == "learning rate, weight decay, dropout"
    assert [row[2] for row in table.rows] == ["0.002, 0.01, 0.3"] * 2 + ["-", "0.002, 0.01, 0.3"]
