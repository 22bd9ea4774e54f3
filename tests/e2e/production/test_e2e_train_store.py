"""What the store refuses is known before anything is trained; what fails afterwards costs no model."""

import re
from pathlib import Path

import pytest
from safetensors.torch import load_file

from autoact.core.errors import AutoactError
from autoact.tracking.settings import TrackingSettings
from autoact.tracking.store import Store, reach

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An output folder with a store, which holds a registered model of somebody else."""
    folder = tmp_path_factory.mktemp("runs")
    store = Store(TrackingSettings(), folder)
    with reach():
        store.client.create_registered_model("foreign")
        store.client.delete_experiment(store.experiment("gone"))
    return folder


@pytest.fixture
def train(searched, small, cli, runs):
    """``train`` into the store."""
    (file,) = searched[0].glob("*/recommended.yaml")
    words = [word for word in small if word != "tracking=none"]
    return lambda *more: cli("train", *words, f"recommendation={file}", f"output={runs}", *more)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train.register=bad/name", "a model cannot be registered as 'bad/name'"),
        ("train.register='a:b'", "a model cannot be registered as 'a:b'"),
        ("train.register=foreign", "the registered model 'foreign' was not made by autoact"),
        ("tracking.experiment=gone", "the MLflow experiment 'gone' was deleted"),
    ],
)
def test_the_store_refuses_before_the_training(word, message, train, monkeypatch):
    monkeypatch.setattr("autoact.workflows.train.train_recommended", lambda *_, **__: pytest.fail("it was trained"))
    done = train(word)
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1


def fail_with(monkeypatch, error):
    """Let the upload fail."""

    def upload(*_, **__):
        raise error

    monkeypatch.setattr("mlflow.log_artifact", upload)


def kept_in(text):
    """The folder that a message names."""
    return Path(re.search(r"the trained model is kept in (\S+?)(: load it with|$)", text)[1])


def test_a_store_that_fails_after_the_training_costs_no_model(train, monkeypatch):
    fail_with(monkeypatch, OSError("the server is gone"))
    done = train("policy=baseline")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "cannot log the model to MLflow at sqlite:" in done.err and "the server is gone" in done.err
    folder = kept_in(done.err)
    assert folder.name.startswith("cancer-model-") and f"load_file('{folder}/model.safetensors')" in done.err
    assert load_file(folder / "model.safetensors") and (folder / "preprocessing.json").is_file()


def test_a_bug_after_the_training_costs_no_model_either(train, monkeypatch):
    monkeypatch.setattr("autoact.workflows.models.deliver_model.log_model", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError) as error:
        train("policy=baseline")
    assert load_file(kept_in(error.value.__notes__[0]) / "model.safetensors")


def test_an_interrupted_upload_ends_its_run(train, runs, monkeypatch):
    fail_with(monkeypatch, KeyboardInterrupt())
    done = train("policy=baseline", "tracking.experiment=interrupted")
    assert done.code == 130 and done.err == "autoact: interrupted; nothing was kept\n"
    store = Store(TrackingSettings(), runs)
    with reach():
        found = store.client.search_runs([store.experiment("interrupted")])
    assert [run.info.status for run in found] == ["KILLED"]


def test_a_model_that_cannot_be_written_is_an_error(tmp_path):
    from torch import nn

    from autoact.tracking.models.model_artifacts import keep_model

    (tmp_path / "file").write_text("")
    with pytest.raises(AutoactError, match=r"the model cannot be written to .*file/a-b-model-"):
        keep_model(nn.Linear(1, 1), {}, tmp_path / "file", "a/b")
