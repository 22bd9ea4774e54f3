"""What else the predictions of test rows say: other metrics and groups, for singles and populations alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from autoact.config.compose import compose, settings
from autoact.config.recipe_task import recipe_task
from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.tasks.metrics import METRICS
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population import PopulationSession
from autoact.training.predictions import RowScores
from autoact.training.score_details import by_group

DRAW = np.random.default_rng(0)
Y = DRAW.integers(0, 2, 400)
SCORES = np.clip(DRAW.normal(0.4 + 0.2 * Y, 0.2), 0.01, 0.99)
NAMES = np.array(["a", "b", "few", "one class"])[np.r_[np.repeat([0, 1], 150), np.repeat([2, 3], [20, 80])]]


def test_each_group_has_the_metric_of_its_own_rows():
    y = np.where(NAMES == "one class", 1, Y)
    found = by_group(METRICS["roc_auc"], y, SCORES, NAMES, ordered=False)
    for name in "ab":
        held = name == NAMES
        assert found[name]["rows"] == 150
        assert found[name]["score"] == METRICS["roc_auc"](y[held], SCORES[held])
        rest = held & (np.arange(400) % 50 != 3)
        assert len(found[name]["replicates"]) == 50
        assert found[name]["replicates"][3] == METRICS["roc_auc"](y[rest], SCORES[rest])
    assert found["few"] == {"rows": 20, "why": "fewer than 30 rows"}
    assert found["one class"] == {"rows": 80, "why": "its rows are of one class"}


def test_numbers_have_no_classes_and_a_group_without_a_metric_says_why():
    found = by_group(METRICS["mae"], np.ones(60), np.full(60, 1.5), np.array(["x", "y"] * 30), ordered=False)
    assert {name: one["score"] for name, one in found.items()} == {"x": 0.5, "y": 0.5}
    several = np.repeat([0, 1, 2], 40)
    scores = np.eye(3)[several]
    found = by_group(METRICS["roc_auc"], several, scores, np.where(several < 2, "two", "rest"), ordered=False)
    assert found["two"]["why"] == "no row is of class 2 (of 3): nothing can be ranked"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    draw = np.random.default_rng(1)
    x = draw.normal(size=(600, 2))
    frame = pd.DataFrame(x, columns=["p", "q"]).assign(
        gender=draw.choice(["f", "m"], 600), y=np.where(x[:, 0] + draw.normal(size=600) > 0, "yes", "no")
    )
    path = tmp_path_factory.mktemp("groups") / "t.csv"
    frame.to_csv(path, index=False)
    words = ["task=classification", f"data.path={path}", "data.target=y", "data.groups=[gender]", "data.drop=[gender]"]
    return [*words, "trainer.max_epochs=1", "data.test=.4"]


@pytest.fixture(scope="module")
def task(words):
    return recipe_task(settings(compose(words)))


@pytest.mark.parametrize("make", [LightningSession, PopulationSession])
def test_every_way_of_training_gives_the_details_of_the_test_rows(task, make):
    session = make(task, SessionOptions(population=2))
    session.start([(n, Candidate(Assignment({}), {}, n)) for n in range(2)])
    session.advance()
    assert [record.details for record in session.records()] == [{}, {}]  # nothing of it before the test part opens
    session.score(task.make_datamodule(0))
    assert [record.details for record in session.records()] == [{}, {}]
    test = task.test.open("a test")
    scores = session.score(test)
    part = test.prepared.validation
    for record in session.records():
        module = session.modules()[record.number].eval()
        score = module(part.x).squeeze(-1).sigmoid().detach().numpy()
        metrics = record.details["metrics"]
        assert set(metrics) == {
            *("accuracy", "balanced accuracy", "F1", "macro F1", "average precision", "log loss", "ECE", "Brier score")
        }
        assert metrics["Brier score"] == pytest.approx(METRICS["brier"](part.y.numpy(), score), abs=1e-5)
        groups = record.details["groups"]["gender"]
        assert sum(one["rows"] for one in groups.values()) == len(part)
        held = part.groups["gender"] == "f"
        assert groups["f"]["score"] == pytest.approx(METRICS["roc_auc"](part.y.numpy()[held], score[held]), abs=1e-5)
        assert scores[record.number] == pytest.approx(METRICS["roc_auc"](part.y.numpy(), score), abs=1e-5)


@pytest.mark.parametrize("make", [LightningSession, PopulationSession])
def test_test_rows_are_judged_at_the_threshold_that_each_training_fitted_on_validation_rows(words, make):
    task = recipe_task(settings(compose([*words, "metric=f1", "task.threshold=validation", "trainer.max_epochs=2"])))
    session = make(task, SessionOptions(population=2))
    session.start([(n, Candidate(Assignment({}), {}, n)) for n in range(2)])
    session.advance()
    thresholds = [record.metrics["val_threshold"] for record in session.records()]
    assert len(set(thresholds)) == 2 and 0.5 not in thresholds
    assert [record.curve[record.best_epoch - 1]["val_threshold"] for record in session.records()] == thresholds
    validation = task.make_datamodule(0).prepared.validation
    test = task.test.open("a test")
    scores, part = session.score(test), test.prepared.validation
    for record, threshold in zip(session.records(), thresholds, strict=True):
        module = session.modules()[record.number].eval()
        assert record.details["threshold"] == threshold == record.metrics["val_threshold"]
        for rows, value in ((validation, record.quality), (part, scores[record.number])):
            score = module(rows.x).squeeze(-1).sigmoid().detach().numpy()
            assert value == pytest.approx(METRICS["f1"].at(threshold)(rows.y.numpy(), score), abs=1e-6)
        wanted = (
            METRICS["f1"]
            .at("validation")
            .fitted(validation.y.numpy(), module.score(module(validation.x)).detach().numpy())
        )
        assert wanted.threshold == threshold, "fitted on validation rows, and on no others"
        y = part.y.numpy()
        assert record.details["metrics"]["accuracy at fitted threshold"] == ((score > threshold) == y).mean()
        held = part.groups["gender"] == "f"
        found = record.details["groups"]["gender"]["f"]["score"]
        assert found == METRICS["f1"].at(threshold)(y[held], score[held])
        assert len(record.replicates) == 50


@pytest.mark.parametrize("make", [LightningSession, PopulationSession])
def test_predictions_of_each_row_are_kept_where_the_task_asks_for_them(task, make):
    asking = dataclasses.replace(task, keep_predictions=True)
    session = make(asking, SessionOptions())
    session.start([(seed, Candidate(Assignment({}), seed=seed)) for seed in (1, 2)])
    session.advance()
    scores = session.score(task.datamodule(0))
    for record in session.records():
        kept = RowScores.unpacked(record.details["predictions"])
        assert kept.scores.dtype == np.float32 and len(kept.scores) == len(kept.targets) > 50
        assert task.metric(*kept) == pytest.approx(scores[record.number])
