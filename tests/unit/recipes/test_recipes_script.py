"""A recipe's file runs alone, as it is and as a copy that its user changed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import autoact
from autoact.core.assignment import Assignment
from autoact.recipes import residual
from autoact.recipes.coordinates import HeatEquation, ImageFit
from autoact.recipes.residual import ResidualClassifier, ResidualRegressor
from autoact.recipes.script import train
from autoact.recipes.sequence import Forecaster, SequenceClassifier
from autoact.recipes.tabular import TabularClassifier, TabularRegressor
from autoact.recommendation import Policy, Recommendation

FILES = (ResidualRegressor, ResidualClassifier)
QUICK = ["trainer.max_epochs=2", "recipe.arguments.width=8", "recipe.arguments.depth=1"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_networks_of_the_file_are_trained_and_the_best_epoch_is_kept():
    said = train(FILES, ["task=cancer", *QUICK])
    assert re.fullmatch(r"validation log loss 0\.\d+ with seed 0; weights in .*best\.ckpt", said)
    weights = torch.load("cancer/best.ckpt", weights_only=True)["state_dict"]
    assert any(name.startswith("embeddings.") for name in weights), "task=cancer names the plain network, the file wins"


def test_the_score_is_that_of_the_weights_in_the_file():
    said = train(FILES, ["task=diabetes", *QUICK])
    task = autoact.load_task("diabetes", overrides=[*QUICK, "recipe.module=autoact.recipes.residual:ResidualRegressor"])
    network = task.make_module()
    network.load_state_dict(torch.load("diabetes/best.ckpt", weights_only=True)["state_dict"])
    network.eval()
    rows = list(task.make_datamodule(0).val_dataloader())
    with torch.no_grad():
        scores = torch.cat([network(x)[:, 0] for x, _ in rows]).numpy()
    expected = task.metric.function(torch.cat([y for _, y in rows]).numpy(), scores)
    assert float(re.search(r"RMSE ([\d.,]+) ", said)[1].replace(",", "")) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=digits-rows"], "is sequence_classification, and this file has ResidualRegressor for regression"),
        (["task=hoses"], "did you mean houses"),
        ([], "name a task"),
        (["task=houses", "search.trials=3"], "search.trials=3 has no effect"),
        (["task=houses", "recommendation=none.yaml"], "cannot read the recommendation 'none.yaml'"),
    ],
)
def test_mistakes_are_one_line(words, said):
    with pytest.raises(autoact.AutoactError, match=re.escape(said)):
        train(FILES, words)


def test_arguments_of_the_tasks_own_network_are_left_out_where_the_file_has_another():
    own = TabularRegressor, TabularClassifier
    short = ["data.max_rows=300", "trainer.max_epochs=1"]
    assert train(own, ["task=bike", *short]).startswith("validation RMSE"), "the task itself gives norm=none"
    said = train(own, ["task=houses", "data.max_rows=300", "trainer.max_epochs=1", "recipe.arguments.depth=1"])
    assert said.startswith("validation RMSE")
    weights = torch.load("houses/best.ckpt", weights_only=True)["state_dict"]
    assert "layers.0.linear.weight" in weights and "layers.1.linear.weight" not in weights
    with pytest.raises(autoact.AutoactError, match="unknown argument of the recipe 'embedding_width'"):
        train(own, ["task=houses", "data.max_rows=300", "recipe.arguments.embedding_width=4"])


def test_a_policy_of_the_recommendation_is_trained_and_one_that_averages_is_refused(tmp_path, monkeypatch):
    kept = Policy(False, Assignment({"layers.0.act": "relu"}), {"learning_rate": 0.02, "dropout": 0.3}, 1, "kept", {})
    mixed = replace(kept, recommend=True, assignment=Assignment({"layers.0.act": "tanh"}), settings={})
    policies = {"quality": mixed, "economy": kept, "ensemble": replace(kept, recommend=True, ensemble=2)}
    site = {"current": "relu", "shape": [2, 8], "channels": 8, "channel_dim": -1}
    made = Recommendation(
        "diabetes", "2026-01-01T00:00:00+00:00", "Take it.", {}, policies, kept, {"layers.0.act": site}, rescale=False
    )
    words = ["task=diabetes", *QUICK, f"recommendation={made.save(tmp_path / 'made.yaml')}"]
    own = TabularRegressor, TabularClassifier
    found = {}
    for folder in ("quality", "economy"):
        (tmp_path / folder).mkdir()
    for policy in ("", "quality", "economy"):
        monkeypatch.chdir(tmp_path / policy)
        train(own, [*words, *([f"policy={policy}"] if policy else [])])
        weights = torch.load("diabetes/best.ckpt", weights_only=True)
        rate = weights["optimizer_states"][0]["param_groups"][0]["lr"]
        found[policy] = rate, [str(one) for one in autoact.assignment_in(weights["state_dict"]).values()]
    assert found == {"": (0.002, ["tanh"]), "quality": (0.002, ["tanh"]), "economy": (0.02, [])}
    with pytest.raises(autoact.AutoactError, match="policy=ensemble averages 2 trainings, and this script trains one"):
        train(own, [*words, "policy=ensemble"])
    with pytest.raises(autoact.AutoactError, match="unknown policy 'qualty': did you mean quality"):
        train(own, [*words, "policy=qualty"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipes", "task", "reached", "within"),
    [
        ((TabularRegressor, TabularClassifier), "diabetes", 51.3, 2.0),
        (FILES, "bike", 72.5, 6.0),
        ((Forecaster, SequenceClassifier), "digits-rows", 0.978, 0.015),
        ((ImageFit, HeatEquation), "heat", 0.04, 0.03),
    ],
)
def test_the_figures_at_the_head_of_each_file(recipes, task, reached, within):
    (said,) = re.findall(r"^validation .*? (\d[\d,.]*) with seed 0", train(recipes, [f"task={task}"]))
    assert float(said.replace(",", "")) == pytest.approx(reached, abs=within)
    assert f"``{task}``" in sys.modules[recipes[0].__module__].__doc__


@pytest.mark.parametrize("name", ["residual", "tabular", "sequence", "coordinates"])
def test_each_file_is_a_script(name):
    done = subprocess.run(
        [sys.executable, "-m", f"autoact.recipes.{name}", "--help"], capture_output=True, text=True, check=True
    )
    assert "task=houses" in done.stdout


def test_the_network_is_that_of_the_search(tmp_path):
    file, data = tmp_path / "recommended.yaml", {"recipe": "autoact.recipes.residual:ResidualRegressor"}
    data["arguments"] = {"width": 12, "depth": 1, "norm": "layer"}
    site = {"current": "relu", "shape": [12], "channels": 12, "channel_dim": -1}
    kept = autoact.Policy(False, autoact.Assignment({"act": "tanh"}), {"learning_rate": 0.01}, 3, "kept")
    autoact.Recommendation(
        "diabetes", "2026-01-01T00:00:00Z", "kept", {}, {"quality": kept}, kept,
        {"act": site, "blocks.0.act": {**site, "shape": [24]}}, rescale=False, about={"data": data},
    ).save(file)  # fmt: skip
    train(FILES, ["task=diabetes", f"recommendation={file}", "trainer.max_epochs=1", "recipe.arguments.expansion=3"])
    weights = torch.load("diabetes/best.ckpt", weights_only=True)["state_dict"]
    assert weights["first.weight"].shape[0] == 12 and "norm.weight" in weights and "norm.running_mean" not in weights
    assert weights["blocks.0.wide.weight"].shape[0] == 36, "what is said here holds"


@pytest.mark.slow
def test_a_copy_of_the_file_trains_what_a_search_recommends(tmp_path):
    result = autoact.search(
        "diabetes", overrides=[*QUICK, "recipe=tabular_regression", "tracking=none"], trials=3,
        candidates=["relu", "tanh"], confirm=autoact.ConfirmSettings(seeds=2), engine="inline", quiet=True,
    )  # fmt: skip
    copy = Path(shutil.copy(residual.__file__, tmp_path / "ours.py"))
    copy.write_text(copy.read_text(encoding="utf-8").replace("x + self.dropout", "x - self.dropout"), encoding="utf-8")
    words = [f"recommendation={result.files['recommendation']}", "task=diabetes", *QUICK]
    ran = subprocess.run([sys.executable, copy, *words], capture_output=True, text=True, check=True)
    assert "validation RMSE" in ran.stdout
    weights = torch.load("diabetes/best.ckpt", weights_only=True)
    chosen = result.recommendation.policy()
    assert autoact.assignment_in(weights["state_dict"]) == {
        site: choice for site, choice in chosen.assignment.items() if choice.name != "relu"
    }
    assert weights["optimizer_states"][0]["param_groups"][0]["initial_lr"] == pytest.approx(
        chosen.settings.get("learning_rate", 2e-3)
    )
