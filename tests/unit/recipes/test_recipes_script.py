"""A recipe's file runs alone, as it is and as a copy that its user changed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import autoact
from autoact.recipes import residual
from autoact.recipes.residual import ResidualClassifier, ResidualRegressor
from autoact.recipes.script import train

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
