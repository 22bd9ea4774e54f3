"""A search from the command line: what it prints, what it writes, and how it goes on."""

import json
import shutil

import pytest
import torch
import yaml

import autoact
from autoact.recipes.tabular import TabularClassifier
from autoact.training.population import PopulationSession


@pytest.fixture
def folder(searched, tmp_path):
    """A copy of the output folder of one small search."""
    return shutil.copytree(searched[0], tmp_path / "runs")


@pytest.fixture
def trainings(monkeypatch):
    """Every candidate that a session starts to train."""
    found = []
    start = PopulationSession.start
    monkeypatch.setattr(PopulationSession, "start", lambda self, those: found.extend(those) or start(self, those))
    return found


def test_it_prints_progress_a_table_and_a_verdict(searched):
    _, done = searched
    assert done.err == ""
    for expected in (
        "trial 0 (1 of 4)  ",
        "trial 3 (4 of 4)  ",
        "Final check, to choose: ",
        "Final check, to claim: ",
        "baseline as configured",
        "tuned baseline",
        "Verdict: ",
    ):
        assert expected in done.out
    assert "latency ms" in done.out and "test log loss, 2 fresh seeds" in done.out
    assert "SIMULATED" not in done.out


def test_it_writes_its_files(searched, trials):
    folder, done = searched
    records = trials(folder)
    assert [record["number"] for record in records] == [0, 1, 2, 3]
    assert {record["status"] for record in records} == {"complete"}
    (study,) = folder.glob("cancer-*")
    assert {"recommended.yaml", "report.md", "trials.jsonl", "latency.json"} <= {file.name for file in study.iterdir()}
    verdict = yaml.safe_load((study / "recommended.yaml").read_text())["verdict"]
    assert verdict in (study / "report.md").read_text()
    assert verdict.split(":")[0] in done.out


def test_the_recommendation_is_applied_to_the_recipes_model(searched):
    (file,) = searched[0].glob("*/recommended.yaml")
    recommendation = autoact.load_recommendation(file)
    assert set(recommendation.policies) == {"quality", "balanced", "economy"}
    assert not recommendation.simulated
    model = TabularClassifier(inputs=30, outputs=2)
    for name, policy in recommendation.policies.items():
        applied = recommendation.apply(model, name)
        found = autoact.find_sites(applied, torch.zeros(4, 30))
        assert {site.name: str(site.current) for site in found} == policy.assignment.to_dict()
        assert applied(torch.zeros(4, 30)).shape == (4, 1)


def test_the_same_command_again_trains_nothing_new(folder, small, cli, trials, trainings):
    before = trials(folder)
    done = cli("search", *small, f"output={folder}")
    assert done.code == 0 and "trial " not in done.out.replace("4 trials", "")
    assert trials(folder) == before
    assert "the study goes on from 4 trials" in done.out and "Verdict: " in done.out
    assert trainings == []


def test_a_larger_budget_adds_trials(folder, small, cli, trials, trainings):
    before = trials(folder)
    done = cli("search", *small, "search.trials=6", f"output={folder}")
    assert done.code == 0 and "trial 4 (5 of 6)" in done.out and "trial 5 (6 of 6)" in done.out
    after = trials(folder)
    assert after[:4] == before and len(after) >= 6
    # Two more trials, and at most the final check of every finalist: the first four trials are not trained again.
    assert 2 <= len(trainings) <= 2 + 2 * 6
    assert "trials were added after" in done.out


def test_a_smaller_budget_keeps_what_is_there(folder, small, cli, trials):
    before = trials(folder)
    assert cli("search", *small, "search.trials=2", f"output={folder}").code == 0
    assert trials(folder) == before


def test_other_data_settings_are_another_study(folder, small, cli):
    assert cli("search", *small, "data.seed=1", "search.trials=2", "confirm.seeds=0", f"output={folder}").code == 0
    assert len(list(folder.glob("cancer-*"))) == 2


def test_without_a_final_check_nothing_is_recommended(small, cli, tmp_path):
    done = cli("search", *small, "search.trials=2", "confirm.seeds=0", f"output={tmp_path}")
    assert done.code == 0 and "Final check" not in done.out
    for file in tmp_path.glob("*/recommended.yaml"):
        assert not any(policy.recommend for policy in autoact.load_recommendation(file).policies.values())


def test_ensembles_are_rows_and_cost_no_training(small, cli, tmp_path):
    words = [*small, "confirm.seeds=3", "confirm.ensemble=2", f"output={tmp_path}"]
    done = cli("search", *words)
    assert done.code == 0, done.err
    assert "ensemble: 2 of the tuned baseline" in done.out and "\n  ensemble: " in done.out
    (study,) = tmp_path.glob("cancer-*")
    found = json.loads((study / "confirmation.json").read_text())
    assert found["ensembles"]["size"] == 2
    tuned = found["ensembles"]["scores"]["tuned"]
    assert tuned["ensembles"] == 3 and "ROC AUC" in tuned["others"]
    assert "| ensemble: 2 of the tuned baseline |" in (study / "report.md").read_text()
    again = cli("search", *words)
    assert again.code == 0 and json.loads((study / "confirmation.json").read_text()) == found
    made = autoact.load_recommendation(study / "recommended.yaml")
    assert ("ensemble" in made.policies) == ("ensemble: recommended" in done.out)


def test_an_ensemble_of_all_seeds_is_refused(small, cli, tmp_path):
    done = cli("search", *small, "confirm.seeds=3", "confirm.ensemble=3", f"output={tmp_path}")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "confirm.ensemble=3 must be 0 for none, or from 2 to one less than confirm.seeds=3" in done.err


def test_the_plan_is_printed_and_nothing_is_written(small, cli, tmp_path):
    done = cli("search", *small, "--plan", f"output={tmp_path / 'runs'}")
    assert done.code == 0
    engine = "inline, 1 worker, populations of up to 4, 1 thread each"
    places = ("layers.0.act, layers.1.act, layers.2.act", engine, "none: every trial is trained to its end")
    for expected in (*places, "gelu, tanh", "4 trials", "log loss", "money", "batches of 16"):
        assert expected in done.out
    assert not (tmp_path / "runs").exists()


def test_simulated_data_are_called_simulated_everywhere(small, cli, tmp_path):
    settings = [*small, "task=demand", "data.max_rows=300", "trainer.max_epochs=1", "search.trials=2"]
    done = cli("search", *settings, f"output={tmp_path}")
    assert done.code == 0 and "SIMULATED" in done.out
    (study,) = tmp_path.glob("demand-*")
    assert "simulated" in (study / "report.md").read_text().lower()
    assert autoact.load_recommendation(study / "recommended.yaml").simulated


def test_a_table_of_ones_own_with_names_in_any_alphabet(small, cli, tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    folder = tmp_path / "Öl & Größen (1), データ"
    folder.mkdir()
    rows = ["Größe in cm,重量,état,結果"]
    for x in torch.randn(120, 2, generator=generator).tolist():
        rows.append(f"{x[0]:.3f},{x[1]:.3f},{'neuf' if x[0] > 0 else 'usé'},{'はい' if sum(x) > 0 else 'いいえ'}")
    (folder / "übung, eins.csv").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.chdir(folder)
    table = ["task=classification", "data.path=übung, eins.csv", "data.target=結果", "data.positive=はい"]
    done = cli("search", *small, *table, "search.trials=2", "data.categorical=état", "output=läufe, neue")
    assert done.code == 0, done.err
    assert len(list((folder / "läufe, neue").glob("classification-*/recommended.yaml"))) == 1


def test_regression_and_forecasts_take_the_same_road(small, cli, tmp_path):
    fast = ["trainer.max_epochs=1", "search.trials=2", "confirm.seeds=0", f"output={tmp_path}"]
    assert cli("search", *small, "task=diabetes", *fast).code == 0
    assert cli("search", *small, "task=demand", "data.max_rows=400", "recipe.arguments.depth=1", *fast).code == 0
    assert cli("search", *small, "task=digits-rows", "data.max_rows=300", "recipe.arguments.depth=1", *fast).code == 0


def test_a_parameter_is_searched_and_its_values_stand_in_the_files(small, cli, tmp_path, trainings):
    output = f"output={tmp_path}"
    words = [*small, "candidates=[relu,softplus(beta=0.3..10)]", "search.trials=9", "search.tuning=1"]
    done = cli("search", *words, output)
    assert done.code == 0, done.err
    assert "parameters searched: softplus(beta=0.3..10) (log)" in done.out
    (study,) = tmp_path.glob("*/trials.jsonl")
    rows = [json.loads(line) for line in study.read_text(encoding="utf-8").splitlines()]
    texts = {text for row in rows for text in row["candidate"]["assignment"].values()}
    assert {"relu", "softplus", "softplus(beta=0.538)", "softplus(beta=5.57)"} <= texts
    recommendation = autoact.load_recommendation(study.parent / "recommended.yaml")
    for policy in recommendation.policies.values():
        assert not any(".." in str(choice) for choice in policy.assignment.values())
    count = len(trainings)
    assert cli("search", *words, output).code == 0 and len(trainings) == count
    assert cli("search", *words, "space.candidates=[relu,softplus(beta=1..5)]", "confirm.seeds=0", output).code == 0
    assert len(list(tmp_path.glob("*/trials.jsonl"))) == 2


def test_a_dropout_is_searched_for_the_baseline_and_all_others(small, cli, tmp_path, trainings):
    words = [*small, "space.dropout=[0.2,0.4]", "search.trials=10", "search.tuning=4", f"output={tmp_path}"]
    assert "dropout 0, 0.2, 0.4" in cli("search", *words, "--plan").out
    del trainings[:]
    done = cli("search", *words, "confirm.seeds=2")
    assert done.code == 0, done.err
    assert "dropout searched at layers.0.dropout" in done.out
    assert "learning rate, weight decay, dropout" in " ".join(done.out.split())
    tuned = [one.settings["dropout"] for _, one in trainings if one.role == "tuning"]
    assert len(set(tuned)) > 1, "the baseline is tuned over it too"
    file = next(tmp_path.glob("*/recommended.yaml"))
    chosen = autoact.load_recommendation(file).policy()
    assert chosen.settings["dropout"] in (0.0, 0.2, 0.4)
    trained = cli("train", *small, f"recommendation={file}", "tracking=none", f"output={tmp_path}")
    assert trained.code == 0, trained.err
    assert f"dropout={chosen.settings['dropout']:g}" in trained.out
