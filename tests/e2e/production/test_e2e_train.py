"""From a recommendation to a trained model, on the command line."""

import dataclasses
import re

import pytest
import torch
import yaml
from safetensors.torch import load_file

import autoact
from autoact.config.compose import compose, settings
from autoact.config.recipe_task import recipe_task
from autoact.recommendation import Recommendation
from autoact.recommendation.checksums import digests
from autoact.workflows.load_recommendation import load_recommendation


@pytest.fixture
def recommended(searched):
    """The file that the small search wrote."""
    (file,) = searched[0].glob("*/recommended.yaml")
    return file


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path_factory):
    """What is written without output= lies in no folder of the project."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


def train(cli, small, *arguments):
    """``train`` with the settings of the small search."""
    return cli("train", *small, *arguments)


@pytest.mark.parametrize("policy", ["quality", "economy", "baseline"])
def test_a_policy_is_trained(policy, recommended, small, cli, tmp_path):
    done = train(cli, small, f"recommendation={recommended}", f"policy={policy}", f"output={tmp_path}")
    assert done.code == 0, done.err
    assert f"Trained cancer: policy {policy}" in done.out
    assert re.search(r"epochs on 456 rows \(training and validation\)", done.out)
    assert "found log loss 0." in done.out and "on test rows" in done.out
    (folder,) = tmp_path.iterdir()
    assert (
        folder.name.startswith("cancer-model-") and f"written to {folder}: load it with autoact.restore_(" in done.out
    )
    names = {"model.safetensors", "recommended.yaml", "assignment.yaml", "preprocessing.json"}
    assert {file.name for file in folder.iterdir()} == names
    weights = load_file(folder / "model.safetensors")
    module = recipe_task(settings(compose(["task=cancer"]))).make_module()
    example = torch.zeros(2, 30)
    restored = autoact.restore_(module, weights, example_input=example).state_dict()
    assert all(torch.equal(restored[name], value) for name, value in weights.items())
    assert load_recommendation(folder / "recommended.yaml").digest == load_recommendation(recommended).digest


def test_an_ensemble_is_one_model_that_averages(recommended, small, cli, tmp_path):
    done = train(
        cli, small, f"recommendation={recommended}", "policy=baseline", "train.ensemble=2", f"output={tmp_path}"
    )
    assert done.code == 0, done.err
    assert "2 trainings, seeds 0 to 1, whose scores the model averages" in done.out
    (folder,) = tmp_path.iterdir()
    form = re.search(r"AveragedNetworks\(\[make_module\(\) for _ in range\(2\)\], '(\w+)'\)", done.out).group(1)
    make = recipe_task(settings(compose(["task=cancer"]))).make_module
    weights, x = load_file(folder / "model.safetensors"), torch.randn(6, 30)
    module = autoact.restore_(autoact.AveragedNetworks([make(), make()], form), weights, example_input=x).eval()
    alone = torch.stack([network(x)[:, 0].sigmoid() for network in module.networks])
    assert torch.allclose(module.score(module(x)), alone.mean(0), atol=1e-6)
    assert not torch.allclose(alone[0], alone[1])


def test_an_ensemble_that_the_search_recommends_is_trained_as_large_as_it_was(recommended, small, cli, tmp_path):
    made = load_recommendation(recommended)
    policies = {**made.policies, "ensemble": dataclasses.replace(made.baseline, recommend=True, ensemble=3)}
    file = dataclasses.replace(made, policies=policies).save(tmp_path / "recommended.yaml")
    done = train(cli, small, f"recommendation={file}", "policy=ensemble", f"output={tmp_path / 'out'}")
    assert done.code == 0, done.err
    assert "Trained cancer: policy ensemble (recommended)" in done.out and "3 trainings, seeds 0 to 2" in done.out
    assert "policy=ensemble makes one model" not in done.out
    single = train(cli, small, f"recommendation={file}", f"output={tmp_path / 'single'}")
    assert "note: 3 averaged trainings are recommended, and this is one: policy=ensemble makes one model" in single.out
    checked = cli("check", *small, f"recommendation={file}", "policy=ensemble")
    assert checked.code == 2 and "policy=ensemble averages 3 trainings" in checked.err


def test_the_number_of_the_search_has_its_own_metric(recommended, small, cli, tmp_path):
    done = train(cli, small, f"recommendation={recommended}", "metric=roc_auc", f"output={tmp_path}")
    assert done.code == 0, done.err
    assert "the final check of the search found log loss 0." in done.out
    assert "note: the recommendation was found by log loss (min), this task measures ROC AUC (max)" in done.out


@pytest.mark.parametrize(
    ("arguments", "epochs", "said"),
    [
        ([], 2, ""),
        (
            ["trainer.max_epochs=1"],
            1,
            "trainer.max_epochs=1 decides; the final check of the search found 2 epochs best",
        ),
        (["+trainer.max_epochs=9"], 2, "as many as the final check found best, within trainer.max_epochs=9"),
        (
            ["trainer.min_epochs=3"],
            3,
            "trainer.min_epochs=3 decides; the final check of the search found 2 epochs best",
        ),
        (["trainer={max_epochs: 1}"], 1, "trainer.max_epochs=1 decides"),
    ],
)
def test_the_users_bounds_of_epochs_count_and_a_tasks_own_do_not(
    arguments, epochs, said, recommended, small, cli, tmp_path
):
    data = yaml.safe_load(recommended.read_text())
    data["baseline"]["epochs"] = 2
    file = Recommendation.from_dict({**data, "digest": digests(data)}).save(tmp_path / "two.yaml")
    words = [word for word in small if "max_epochs" not in word]
    done = train(cli, words, f"recommendation={file}", "policy=baseline", *arguments)
    assert done.code == 0, done.err
    assert f"  {epochs} epochs on 456 rows" in done.out
    assert said in done.out if said else "decides" not in done.out and "within" not in done.out


def test_on_the_training_rows_alone_the_validation_rows_judge(recommended, small, cli):
    done = train(cli, small, f"recommendation={recommended}", "train.rows=train")
    assert done.code == 0, done.err
    assert "validation log loss 0." in done.out and "at epoch " in done.out


def test_the_validation_rows_are_learnt_from_and_the_test_rows_are_not(recommended, monkeypatch):
    from autoact.data.prepare import prepare
    from autoact.workflows.models.train_recommended import WHOLE, train_recommended

    config = settings(compose(["task=cancer", "trainer.max_epochs=40"]))
    apart, prepared = (prepare(config.data, "classification", whole=whole) for whole in (False, True))
    rows = set(prepared.train.rows)
    assert rows == set(apart.train.rows) | set(apart.validation.rows)
    recommendation = load_recommendation(recommended)
    device = torch.device("cpu")
    trained = train_recommended(recipe_task(config, prepared), recommendation, "baseline", device=device, rows=WHOLE)
    assert not prepared.test.opened
    assert rows.isdisjoint(prepared.test.open("a test").prepared.validation.rows)
    assert trained.record.epochs == recommendation.baseline.epochs and trained.record.quality is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "train needs recommendation=FILE"),
        (["recommendation=nowhere.yaml"], "cannot read the recommendation 'nowhere.yaml': No such file"),
        (["recommendation={}", "policy=qualty"], "unknown policy 'qualty': did you mean quality"),
        (["recommendation={}", "recipe.arguments.depth=2"], "missing 'layers.2.act'"),
        (["recommendation={}", "task="], "name a task"),
        (["recommendation={}", "train.rows=all"], "unknown train.rows 'all': "),
        (["recommendation=models:/nothing@candidate", "output=nowhere"], "there is no MLflow store at sqlite:"),
        (["recommendation={}", "trainer.max_epoch=3"], "did you mean max_epochs"),
        (["recommendation={}", "trainer.min_epochs=4"], "trainer.min_epochs=4 is more than trainer.max_epochs=2"),
        (["recommendation={}", "train.register=mine"], "train.register=mine needs MLflow"),
        (["recommendation={}", "output=/proc/nothing"], "output=/proc/nothing cannot be written"),
        (["recommendation={}", "tracking=mlflow", "tracking.uri=http://127.0.0.1:9"], "cannot reach MLflow at http:"),
    ],
)
def test_mistakes(arguments, message, recommended, small, cli):
    done = train(cli, small, *(argument.format(recommended) for argument in arguments))
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1


def test_a_file_of_another_kind_is_refused(small, cli, tmp_path):
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump({"kind": "something"}))
    done = train(cli, small, f"recommendation={file}")
    assert done.code == 2 and "is not a recommendation of autoact" in done.err


@pytest.mark.slow
def test_search_and_train_log_to_mlflow(small, cli, tmp_path):
    import mlflow

    tracked = [*small, "search.trials=3", "tracking=mlflow", f"output={tmp_path / 'runs'}"]
    done = cli("search", *tracked)
    assert done.code == 0, done.err
    assert f"MLflow: python -m autoact ui output={tmp_path / 'runs'}" in done.out
    (file,) = (tmp_path / "runs").glob("*/recommended.yaml")
    done = cli("train", *tracked, f"recommendation={file}")
    assert done.code == 0, done.err
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    try:
        runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
        assert len(runs) == 1 + 3 + 1  # the search, its trials, the training
        uri = re.search(r"load_model\('(.+?)'\)", done.out)[1]
        assert uri == "models:/cancer-autoact/1"
        model = mlflow.pyfunc.load_model(uri)
        assert model.predict(torch.zeros(5, 30).numpy()).shape == (5, 1)
    finally:
        mlflow.set_tracking_uri(None)  # the default, asked for and set again, would be the working folder's
