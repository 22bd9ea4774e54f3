"""The Python API as a notebook uses it, beside what the same verbs print."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from torch import nn

import autoact
from autoact.config.compose import compose
from autoact.config.compose import settings as typed
from autoact.workflows.task_source import make_task


@pytest.fixture
def runs(searched: Any, tmp_path: Path) -> Path:
    """A copy of the output folder of the small search."""
    return Path(shutil.copytree(searched[0], tmp_path / "runs"))


@pytest.fixture
def words(small: list[str], runs: Path) -> list[str]:
    """The settings of the small search, without its task."""
    return [*small[1:], f"output={runs}"]


@pytest.fixture
def recommendation(runs: Path) -> autoact.Recommendation:
    (file,) = runs.glob("*/recommended.yaml")
    return autoact.load_recommendation(file)


def squeezed(text: str) -> str:
    """Without the blanks that align columns."""
    return re.sub(r"\s+", " ", text)


def test_a_search_is_what_the_verb_prints(words: list[str], searched: Any) -> None:
    result = autoact.search("cancer", overrides=words, quiet=True)
    printed = squeezed(searched[1].out)
    assert f"Verdict: {result.verdict}" in printed and result.info.study in printed
    trials, rows = result.to_dataframe(), result.to_dataframe("rows")
    assert list(trials["number"]) == [0, 1, 2, 3] and set(result.to_dataframe("front")["front"]) == {True}
    assert list(rows["name"]) == [row.name for row in result.rows]
    shown = result._repr_html_()
    assert shown.startswith(f"<div><p><strong>{html.escape(result.verdict)}</strong>")
    assert "<th>latency ms (ratio)</th>" in shown
    assert repr(result).startswith("SearchResult(") and "\n" not in repr(result)
    with pytest.raises(autoact.AutoactError, match=r"unknown table 'trails': did you mean trials"):
        result.to_dataframe("trails")  # type: ignore[arg-type]


def test_a_plan_is_what_the_verb_prints(words: list[str], cli: Callable[..., Any]) -> None:
    plan = autoact.plan("cancer", overrides=words)
    printed = squeezed(cli("search", "task=cancer", *words, "--plan").out)
    for name, value in plan.lines:
        if name not in ("one training", "time"):
            assert f"{name} {squeezed(value)}" in printed
    assert plan.study in plan._repr_html_() and list(plan.to_dataframe().columns) == ["name", "value"]


def test_a_study_is_confirmed_by_its_result_or_its_name(words: list[str], runs: Path) -> None:
    result = autoact.search("cancer", overrides=words, quiet=True)
    more = autoact.confirm(result, seeds=3, quiet=True)
    assert (more.seeds, more.opening) == (3, result.opening + 1)
    assert autoact.confirm(result.info.study, overrides=[f"output={runs}"], seeds=3, quiet=True).opening == more.opening
    with pytest.raises(autoact.AutoactError, match="exclude each other"):
        autoact.confirm(result, recommendation="x.yaml")


def test_a_check_is_what_the_verb_prints(
    words: list[str], recommendation: autoact.Recommendation, cli: Callable[..., Any]
) -> None:
    allowed = autoact.Tolerances(quality=10.0, gain=-10.0, latency=10.0, cost=10.0)
    checked = autoact.check(recommendation, "cancer", overrides=words, seeds=2, tolerances=allowed)
    said = ["tolerance.quality=10", "tolerance.gain=-10", "tolerance.latency=10", "tolerance.cost=10"]
    file = str(recommendation.source["uri"])
    done = cli("check", file, "task=cancer", *words, "seeds=2", *said)
    printed = squeezed(done.out)
    assert (done.code, checked.passed) == (0, True), done.err
    assert checked.verdict in printed and squeezed(checked.table().title) in printed
    quality = checked.to_dataframe().set_index("name").loc["quality", "now"]
    assert f"{quality:.4f}" in printed and f"{quality:.4f}" in checked._repr_html_()


def test_from_training_to_a_rollback(
    words: list[str], recommendation: autoact.Recommendation, runs: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    tracked = [word for word in words if word != "tracking=none"]
    first = autoact.train(recommendation, "cancer", overrides=tracked)
    second = autoact.train(recommendation, "cancer", overrides=tracked, policy="baseline")
    assert (first.model_uri, second.model_uri) == ("models:/cancer-autoact/1", "models:/cancer-autoact/2")
    assert (
        first.summary[0].startswith("Trained cancer: policy") and html.escape(first.summary[0]) in first._repr_html_()
    )
    assert autoact.promote(first, "champion").after == 1
    moved = autoact.promote("models:/cancer-autoact@candidate", "champion", runs=runs)
    assert (moved.before, moved.after) == (1, 2) and "moves from version 1 to version 2" in moved._repr_html_()

    config = typed(compose(["task=cancer"]))
    from autoact.data.raw_table import raw_table

    frame: pd.DataFrame = raw_table(config.data, config.task.kind).training_columns()
    rows, file = frame.head(20), tmp_path / "new.csv"
    rows.to_csv(file, index=False)
    scored = autoact.predict(moved.uri, rows, runs=runs)
    output = tmp_path / "scores.csv"
    done = cli("predict", f"model={moved.uri}", f"input={file}", f"output={output}", f"runs={runs}")
    assert done.code == 0 and f"20 rows scored by {scored.model}" in done.out, done.err
    pd.testing.assert_frame_equal(pd.read_csv(output), scored.to_dataframe(), check_dtype=False, atol=1e-6)
    assert "<td>0</td>" in scored._repr_html_()

    back = autoact.rollback(moved.uri, runs=runs)
    assert (back.before, back.after) == (2, 1) and back.uri == moved.uri
    exported = autoact.export(moved.uri, tmp_path / "model.onnx", runs=runs)
    assert exported.file.is_file() and exported.shape == (30,) and "any number of rows" in exported._repr_html_()


def test_a_model_that_was_not_logged_predicts_from_memory(
    words: list[str], recommendation: autoact.Recommendation
) -> None:
    trained = autoact.train(recommendation, "cancer", overrides=words)
    assert trained.folder is not None and trained.folder.is_dir() and trained.model_uri is None
    with pytest.raises(autoact.AutoactError, match="not logged to MLflow: train it without tracking=none"):
        autoact.export(trained, "model.onnx")
    with pytest.raises(autoact.AutoactError, match="not registered: train without tracking=none"):
        autoact.promote(trained, "champion")


def test_models_are_measured_beside_a_recommendation(recommendation: autoact.Recommendation) -> None:
    task = make_task(typed(compose(["task=cancer"])))
    model, hardware = task.make_module(), autoact.HardwareSettings("x", "cpu", 1.0, "USD", throughput_batch=16)
    found = autoact.measure(model, task.example_input, hardware=hardware)
    assert found.models[0].latency_ratio == 1.0 and found.models[0].cost_per_million is not None
    assert "cost, USD per million samples" in found._repr_html_() and len(found.to_dataframe()) == 1
    with pytest.raises(autoact.AutoactError, match="measured beside one model"):
        autoact.measure({"a": nn.ReLU(), "b": nn.ReLU()}, task.example_input, recommendation=recommendation)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autoact.search("churn", overrides="search.trials=2"), "must be a list"),  # type: ignore[arg-type]
        (lambda: autoact.search("churn", overrides=["search.trails=2"]), "did you mean search.trials"),
        (lambda: autoact.search("churn", monitor="val_loss"), "monitor has no effect beside a task"),
        (lambda: autoact.search(lambda: nn.ReLU(), overrides=["search.trials=2"]), "lightning_task"),  # type: ignore
        (lambda: autoact.search(), "name a task"),
        (lambda: autoact.search(autoact.Config(), trials=3), "set its fields instead"),
        (lambda: autoact.train(None, "churn"), "train needs recommendation="),
        (lambda: autoact.train("a.yaml", "churn", overrides=["recommendation=b.yaml"]), "both name a recommendation"),
        (
            lambda: autoact.confirm(task="churn", recommendation="a.yaml", overrides=["recommendation=b.yaml"]),
            "both name a recommendation",
        ),
        (lambda: autoact.check("a.yaml", "churn", overrides=["recommendation=b.yaml"]), "both name a recommendation"),
        (lambda: autoact.measure(3, 1), "measure needs a torch.nn.Module"),  # type: ignore[arg-type]
    ],
)
def test_mistakes(call: Callable[[], object], message: str) -> None:
    with pytest.raises(autoact.AutoactError, match=message):
        call()
