"""From a recommendation to a trained model, on the command line."""

import re

import pytest
import torch
import yaml


@pytest.fixture
def recommended(searched):
    """The file that the small search wrote."""
    (file,) = searched[0].glob("*/recommended.yaml")
    return file


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
    assert list(tmp_path.iterdir()) == []


def test_on_the_training_rows_alone_the_validation_rows_judge(recommended, small, cli):
    done = train(cli, small, f"recommendation={recommended}", "train.rows=train")
    assert done.code == 0, done.err
    assert "validation log loss 0." in done.out and "at epoch " in done.out


def test_the_validation_rows_are_learnt_from_and_the_test_rows_are_not(recommended, monkeypatch):
    from autoact.config.assemble import recipe_task
    from autoact.config.compose import compose, settings
    from autoact.data.prepare import prepare
    from autoact.faces.load import load_recommendation
    from autoact.faces.train import WHOLE, train_recommended

    config = settings(compose(["task=cancer", "trainer.max_epochs=40"]))
    apart, prepared = (prepare(config.data, "classification", whole=whole) for whole in (False, True))
    rows = set(prepared.train.rows)
    assert rows == set(apart.train.rows) | set(apart.validation.rows)
    recommendation = load_recommendation(recommended)
    device = torch.device("cpu")
    trained = train_recommended(recipe_task(config, prepared), recommendation, "baseline", device=device, rows=WHOLE)
    assert not prepared.test.opened
    assert rows.isdisjoint(prepared.test.open("a test").rows)
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
