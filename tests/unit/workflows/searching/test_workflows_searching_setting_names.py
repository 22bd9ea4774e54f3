"""Messages name settings as the reader's face does: what an error says can be typed where it is read."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import autoact
from autoact.config.groups import GROUPS
from autoact.config.key_names import KEYS
from autoact.core.errors import AutoactError
from autoact.engines.settings import EngineSettings
from autoact.integrations.sklearn.estimators import AutoActEstimator
from autoact.space.settings import SpaceSettings
from autoact.study.settings import ConfirmSettings, SearchSettings
from autoact.workflows.searching.search_arguments import SEARCH_CALL
from autoact.workflows.searching.setting_names import ESTIMATOR, Terms, estimator_terms

HERE = Path(autoact.__file__).parent
KEY = re.compile(r"(?<![\w./])(?:search|space|confirm|hardware|engine|tracking)\.[a-z_]+(?:\.[a-z_]+)*")


class Net(lightning.LightningModule):
    """The smallest module with an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_mse", nn.functional.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class Data(lightning.LightningDataModule):
    """Forty rows."""

    def train_dataloader(self):
        x = torch.linspace(-1, 1, 80).reshape(40, 2)
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=20)

    def val_dataloader(self):
        return self.train_dataloader()


def call(tmp_path, **given):
    """``autoact.search`` with the least that it needs, and what is given instead."""
    words = {"monitor": "val_mse", "mode": "min", "trials": 2, "candidates": ["relu", "tanh"], "tracking": "none",
             "output": tmp_path, "quiet": True, "engine": "inline", "trainer": {"max_epochs": 1}, "name": "mine",
             "confirm": ConfirmSettings(seeds=0), "task": Net, "datamodule": Data()}  # fmt: skip
    return autoact.search(**{**words, **given})


def changed(record, **values):
    """Settings that were right when they were made, and have been changed since."""
    for name, value in values.items():
        setattr(record, name, value)
    return record


# Argument of autoact.search -> a wrong value, and how the message begins and what it holds.
WRONG = [
    ({"trials": 0}, "trials=0 must be 1 or more"),
    ({"trials": "3"}, "trials='3' must be a whole number"),
    ({"trials": 2.5}, "trials=2.5 must be a whole number"),
    ({"minutes": -1.0}, "minutes=-1.0 must be above 0"),
    ({"minutes": float("nan")}, "minutes=nan must be a finite number"),
    ({"candidates": "relu"}, "candidates='relu' must be a list, such as ['relu']"),
    ({"candidates": []}, "candidates is empty: name at least one activation, e.g. candidates=['gelu', 'tanh']"),
    ({"candidates": [3]}, "candidates=3 must be text"),
    ({"granularity": "sites"}, "unknown granularity 'sites': did you mean site?"),
    ({"objectives": "quality"}, "objectives='quality' must be a list, such as ['quality']"),
    ({"objectives": []}, "no objective is left: objectives is empty"),
    ({"hardware": 3}, "hardware=3 must be a name or autoact.HardwareSettings(...)"),
    ({"hardware": "gpu"}, "unknown device 'gpu'"),
    ({"engine": "dask"}, "unknown engine 'dask'"),
    ({"engine": 2}, "engine=2 must be a name or autoact.EngineSettings(...)"),
    ({"engine": changed(EngineSettings("inline"), workers=2)},
     'engine=autoact.EngineSettings(workers=2): engine="inline" trains in this process alone, choose'),
    ({"tracking": "wandb"}, "unknown tracking 'wandb': Allowed: mlflow, none"),
    ({"tracking": 3}, "tracking=3 must be a name or autoact.TrackingSettings(...)"),
    ({"confirm": 3}, "confirm=3 must be autoact.ConfirmSettings(...)"),
    ({"confirm": changed(ConfirmSettings(), seeds=1)}, "confirm=autoact.ConfirmSettings(seeds=1) must be 2 or more"),
    ({"settings": 3}, "settings=3 must be autoact.SearchSettings(...)"),
    ({"settings": SearchSettings(trials=3)}, "trials=2 and trials=3 of settings=autoact.SearchSettings(...) exc"),
    ({"settings": changed(SearchSettings(), sampler="tp")}, "unknown autoact.SearchSettings.sampler 'tp'"),
    ({"space": changed(SpaceSettings(), learning_rate=[2, 5])},
     "space=autoact.SpaceSettings(learning_rate=[2, 5]) must"),
    ({"space": SpaceSettings(candidates=["gelu"])}, "candidates= has no effect beside"),
    ({"space": SpaceSettings(), "granularity": "model"}, "granularity='model' has no effect beside space="),
    ({"trainer": {"max_epochs": 1.5}}, 'trainer={"max_epochs": 1.5} must be a whole number of epochs'),
    ({"trainer": {"devices": 2}}, 'trainer={"devices": 2}: every candidate trains on one device; hardware names it'),
    ({"trainer": {"callbacks": []}}, "callbacks are no argument of the Trainer here, callbacks=lambda: [...]"),
    ({"trainer": [1]}, "trainer=list must be arguments, such as"),
    ({"callbacks": []}, "callbacks must be a function that returns fresh ones: callbacks=lambda: [...]"),
    ({"task": Net()}, "task is a Net, not a function that returns a fresh module: give lambda: Net(...)"),
    ({"task": 3}, "task is a int, not a function"),
    ({"datamodule": Data}, "datamodule is the class Data: give an object, Data(...)"),
    ({"datamodule": [1]}, "datamodule is a list, not a lightning.LightningDataModule"),
    ({"metric": "f1"}, "metric='f1' must be a function (y_true, y_score) -> float; a value that the module logs"),
    ({"metric": len}, "metric=len takes (obj, /): it is called with (y_true, y_score)"),
    ({"mode": "up"}, "mode='up' says which values of val_mse are better"),
    ({"name": "a/b"}, "name='a/b' becomes part of a folder's name"),
    ({"output": ""}, "output='' must name a folder"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_a_mistake_in_the_call_is_one_line_in_the_calls_own_words(given, said, tmp_path):
    with pytest.raises(AutoactError) as caught:
        call(tmp_path, **given)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
    assert KEY.findall(str(caught.value)) == []


def test_what_stands_beside_the_settings_in_full_acts(tmp_path):
    result = call(tmp_path, space=SpaceSettings(learning_rate=[], weight_decay=[]), settings=SearchSettings(seed=5))
    assert len(result.records) == 2 and {str(r.candidate.assignment["net.1"]) for r in result.records} == {
        "relu",
        "tanh",
    }
    assert all(record.candidate.seed == 5 for record in result.records)


def test_notes_and_verdict_of_a_call_hold_no_key_of_the_command_line(tmp_path):
    result = call(tmp_path, trials=1)
    assert "(trials=20)" in result.verdict and "command" not in result.verdict
    said = [result.verdict, *result.notes, *result.info.notes, *(r.reason for r in result.rulings.values())]
    assert any('give hardware=autoact.HardwareSettings(price_per_hour=..., currency="USD")' in line for line in said)
    assert [line for line in said if KEY.search(line)] == []
    report = Path(result.files["report"]).read_text(encoding="utf-8")
    assert KEY.findall(report) == [] and "(trials=20)" in report
    assert "(trials=20)" in Path(result.files["recommendation"]).read_text(encoding="utf-8")


def test_a_result_is_found_again_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("runs", trials=1)
    assert Path(result.files["report"]).read_text(encoding="utf-8").count("`runs/") == len(result.files)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Path(result.info.folder).is_dir() and all(Path(file).is_file() for file in result.files.values())
    assert result.recommendation is not None
    assert {result: "a key"}[result] == "a key"
    with pytest.raises(AutoactError, match="unknown table 'row': did you mean rows"):
        result.to_dataframe("row")


def test_the_advice_of_a_call_ends_the_message_when_it_is_followed(tmp_path):
    assert "nothing was compared" in call(tmp_path, trials=1).verdict
    assert "nothing was compared" not in call(tmp_path, trials=20).verdict


def test_few_rows_are_not_told_to_take_a_larger_budget():
    model = autoact.AutoActClassifier(trials=9, max_epochs=1, random_state=0)
    x = np.linspace(-1, 1, 60).reshape(20, 3)
    verdict = model.fit(x, np.arange(20) % 2).verdict_
    assert "nothing was compared" in verdict and verdict.endswith("more rows would carry a comparison.")
    assert "trials=" not in verdict and "command" not in verdict


# Parameter of an estimator -> a wrong value and how the message begins.
OF_ESTIMATORS = [
    ({"trials": "3"}, "trials='3' must be a whole number"),
    ({"trials": 2.5}, "trials=2.5 must be a whole number"),
    ({"minutes": -1}, "minutes=-1 must be above 0"),
    ({"minutes": float("nan")}, "minutes=nan must be a finite number"),
    ({"metric": ""}, "unknown metric ''"),
    ({"metric": "auc"}, "unknown metric 'auc': did you mean roc_auc"),
    ({"metric": max}, "metric=<built-in function max> must be text"),
    ({"metric": "json:loads"}, "metric='json:loads' must be the name of a metric"),
    ({"candidates": []}, "candidates is empty: name at least one activation, e.g. candidates=['gelu', 'tanh']"),
    ({"candidates": "relu"}, "candidates='relu' must be a list, such as ['relu']"),
    ({"candidates": np.array(["relu"])}, "candidates=array(["),
    ({"objectives": "quality"}, "objectives='quality' must be a list"),
    ({"objectives": ("quality", "cost")}, "objectives names 'cost', and an estimator knows no price"),
    ({"width": 2.5}, "width=2.5 must be a whole number"),
    ({"dropout": 1.5}, "dropout=1.5 must be below 1"),
    ({"learning_rate": "a"}, "learning_rate='a' must be a finite number"),
    ({"max_epochs": 1.5}, "max_epochs=1.5 must be a whole number"),
    ({"patience": 0}, "patience=0 must be 1 or more"),
    ({"batch_size": "a"}, "batch_size='a' must be a whole number"),
    ({"confirm_seeds": 1}, "confirm_seeds=1 must be 2 or more"),
    ({"confirm_seeds": None}, "confirm_seeds=None must be a whole number"),
    ({"device": None}, "device=None must be text"),
    ({"n_jobs": 0}, "n_jobs=0 must be a number of processes"),
    ({"n_jobs": "a"}, "n_jobs='a' must be a whole number"),
    ({"output": ""}, "output='' must name a folder"),
    ({"tracking": 3}, "tracking=3 must be a name or autoact.TrackingSettings(...)"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), OF_ESTIMATORS, ids=[said[:40] for _, said in OF_ESTIMATORS])
def test_a_mistake_in_an_estimator_is_a_value_error_in_its_own_words(given, said):
    x = np.linspace(-1, 1, 60).reshape(20, 3)
    with pytest.raises(ValueError) as caught:
        autoact.AutoActClassifier(**{"trials": 1, "max_epochs": 1, **given}).fit(x, np.arange(20) % 2)
    assert str(caught.value).startswith(said) and KEY.findall(str(caught.value)) == []
    assert isinstance(caught.value, AutoactError)


def test_a_column_without_values_is_left_out_as_people_do_it_in_python():
    x = np.column_stack([np.linspace(-1, 1, 20), np.full(20, np.nan)])
    with pytest.raises(
        ValueError, match=r"^column 'x1' holds no value in the training rows: leave it out of X \(x1\)$"
    ):
        autoact.AutoActClassifier(trials=1, max_epochs=1).fit(x, np.arange(20) % 2)


@pytest.mark.parametrize("terms", [SEARCH_CALL, ESTIMATOR])
def test_the_keys_that_are_translated_exist_and_so_do_their_arguments(terms: Terms):
    function = autoact.search if terms is SEARCH_CALL else AutoActEstimator.__init__
    taken = set(inspect.signature(function).parameters)
    free = {f"recipe.arguments.{name}" for name in ("width", "depth", "dropout", "learning_rate", "weight_decay")}
    assert set(terms.arguments) <= {*KEYS, "trainer.max_epochs", *free}
    assert set(terms.arguments.values()) | {argument for argument, _ in terms.records.values()} <= taken
    assert {section for section in terms.records} <= {*GROUPS, "trainer"}
    for section, (_, record) in terms.records.items():
        if record != "dict":
            names = {one.name for one in fields(getattr(autoact, record.removeprefix("autoact.")))}
            assert {k.split(".")[1] for k in KEYS if k.startswith(f"{section}.")} == names


def test_every_text_below_the_command_line_that_names_a_key_can_be_said_in_a_call():
    for folder in ("study", "engines", "timing", "tracking", "training", "space"):
        for file in sorted((HERE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                    left = [key for key in KEY.findall(SEARCH_CALL.said(node.value)) if key in KEYS]
                    assert left == [], f"{file.name}: {node.value}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("give search.trials=20.", "give trials=20."),
        ("space.learning_rate=[0.1,10] or so", "space=autoact.SpaceSettings(learning_rate=[0.1, 10]) or so"),
        (
            "search.rungs.enabled=false trains",
            "settings=autoact.SearchSettings(rungs=autoact.RungSettings(enabled=False)) trains",
        ),
        ("set tracking.uri, or tracking=none", 'set autoact.TrackingSettings.uri, or tracking="none"'),
        ("the folder my.search.trials=2", "the folder my.search.trials=2"),
        ("trainer.max_epochs=N makes", 'trainer={"max_epochs": N} makes'),
    ],
)
def test_a_key_becomes_what_python_writes(text, said):
    assert SEARCH_CALL.said(text) == said


def test_what_a_face_does_not_rename_stays():
    assert Terms().said("search.trials=20 and engine.workers=2") == "search.trials=20 and engine.workers=2"
    assert "larger" in estimator_terms(False).said(
        "the same search with a larger budget (search.trials=20) goes on from here"
    )
