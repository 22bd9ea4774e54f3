"""The throughput benchmark's plan, checkpoint and tables; nothing is trained."""

import pytest

from autoact.core.errors import AutoactError
from benchmarks.throughput.__main__ import Notebook, main, parser, problems
from benchmarks.throughput.problem import Problem, Run, Trial
from benchmarks.throughput.rescoring import key_of
from benchmarks.throughput.tables import tables

QUALITY = {"relu": 0.7, "tanh": 0.8, "gelu": 0.9}


def run(arm, names, each, seed=0):
    problem = Problem("telco", 64, seed, len(names))
    trials = [Trial(each * (i + 1), {"act": name}, QUALITY[name], 1.0, 10, each) for i, name in enumerate(names)]
    return Run(arm, problem, tuple(trials), each * len(names))


def entries(*runs):
    found = {f"run {one.arm} {one.problem.seed}": one.to_dict() for one in runs}
    for name, quality in QUALITY.items():
        found[f"point telco 64 {key_of({'act': name})}"] = {"qualities": [quality] * 5, "latency": 1.0}
    return {**found, "judge telco 64": {"directions": ["max", "min"], "reference": [0.5, 2.0]}}


def test_the_race_is_to_the_hypervolume_that_the_rival_ends_with():
    text = tables(
        entries(
            run("plain", ["relu", "tanh", "tanh"], 10.0),
            run("autoact", ["relu", "gelu", "gelu"], 0.5),
            run("autoact-full", ["relu", "gelu", "gelu"], 1.0),
        ),
    )
    assert "| plain | 30.0 | 20.0 | 1.0 | 1 of 1 | 30 | 20 |" in text
    assert (
        "fewer seconds than plain to its hypervolume: met: 30x (bar: at least 20x); from when it first had it 20x"
        in text
    )
    assert "full-budget trials per minute against plain, rungs off: met: 10x (bar: at least 6x)" in text


def test_a_goal_that_is_never_reached_is_a_miss():
    text = tables(entries(run("plain", ["gelu"], 10.0), run("autoact", ["relu"], 0.5)))
    assert "0 of 1" in text and "missed: 0x (bar: at least 20x)" in text


def test_what_is_missing_is_said():
    assert "Nothing has been run" in tables({})
    raced = entries(run("plain", ["relu"], 1.0))
    del raced["judge telco 64"]
    assert "have not been re-scored yet" in tables(raced)
    assert "telco" in tables(raced)


def test_the_plan_repeats_with_other_seeds_on_the_sets_that_come_along():
    options = parser().parse_args(["--widths", "32,64", "--repeats", "2", "--seed", "5"])
    assert [(p.data, p.width, p.seed) for p in problems(options)] == [
        (data, width, seed) for seed in (5, 6) for data in ("telco", "california") for width in (32, 64)
    ]
    assert "task=houses" in Problem("california", 64, 0, 1).overrides()
    with pytest.raises(AutoactError, match="did you mean telco"):
        problems(parser().parse_args(["--data", "telko"]))
    with pytest.raises(AutoactError, match="did you mean telco"):
        Problem("telko", 64, 0, 1)


def test_the_notebook_keeps_what_is_done_and_the_last_entry_counts(tmp_path):
    book = Notebook(tmp_path / "folder" / "book.jsonl")
    book.write("run a", run("plain", ["relu"], 1.0).to_dict())
    book.write("origin", {"date": "old"})
    book.write("origin", {"date": "new"})
    again = Notebook(book.path)
    assert again.entries["origin"] == {"date": "new"} and [one.arm for one in again.runs()] == ["plain"]


def test_an_unknown_arm_is_refused(capsys):
    assert main(["--arms", "plane"]) == 2
    assert "no such arm: plane" in capsys.readouterr().err
