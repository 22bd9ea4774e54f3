"""A module in plain Lightning style, outside the package, on the whole road: command line and Python."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import autoact
from autoact.cli.main import main

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.slow,
]

MODELS = """
import lightning as L
import torch
from torch import nn
from torchmetrics.classification import BinaryAUROC


class Churn(L.LightningModule):
    def __init__(self, width=16, lr=1e-2):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(30, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Dropout(0.1),
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, 1), nn.Sigmoid(),
        )
        self.val_auc = BinaryAUROC()

    def forward(self, x):
        return self.net(x).squeeze(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.binary_cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_auc(self(x), y.int())
        self.log("val_auc", self.val_auc, on_epoch=True)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)]


def top_score(y_true, y_score):
    return float(y_true[y_score.argmax()])


class Counter(L.Callback):
    fits = 0

    def on_fit_start(self, trainer, pl_module):
        Counter.fits += 1
"""

DATA = """
import lightning as L
import torch
from sklearn.datasets import load_breast_cancer
from torch.utils.data import DataLoader, TensorDataset, random_split


class ChurnData(L.LightningDataModule):
    def setup(self, stage=None):
        x, y = load_breast_cancer(return_X_y=True)
        x = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
        data = TensorDataset(x, torch.tensor(y, dtype=torch.float32))
        self.train, self.val, self.test = random_split(data, [0.6, 0.2, 0.2])

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=32, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=64)

    def test_dataloader(self):
        return DataLoader(self.test, batch_size=64)
"""

SMALL = [
    "trainer.max_epochs=2",
    "space.candidates=[relu,tanh]",
    "search.trials=4",
    "search.tuning=1",
    "confirm.seeds=2",
    "hardware.rounds=3",
    "hardware.min_ms=0.5",
    "tracking=none",
    "engine=inline",
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A user's package in the folder from which he runs."""
    name = f"pkg_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "models.py").write_text(textwrap.dedent(MODELS))
    (folder / "data.py").write_text(textwrap.dedent(DATA))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        del sys.modules[module]


def test_a_metric_that_the_module_logs_has_no_predictions_to_average(
    package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [f"module={package}.models:Churn", f"datamodule={package}.data:ChurnData", f"trust={package}"]
    words = ["search", *own, "monitor=val_auc", "mode=max", *SMALL, "confirm.seeds=3", "confirm.ensemble=2"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "confirm.ensemble=2 averages predictions, and val_auc is logged by the module itself" in error
    assert error.count("\n") == 1 and "metric=package.module:function" in error


def test_the_command_line_takes_a_foreign_module_all_the_way(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "search",
        f"module={package}.models:Churn",
        f"datamodule={package}.data:ChurnData",
        "monitor=val_auc",
        "mode=max",
        f"trust={package}",
        f"callbacks={package}.models:Counter",
        "module_arguments.width=8",
        *SMALL,
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "Verdict:" in printed and "tuned baseline" in printed and "net.2" in printed
    files = list(Path("autoact-runs").glob("Churn-*/recommended.yaml"))
    assert len(files) == 1
    models = sys.modules[f"{package}.models"]
    assert models.Counter.fits >= 4
    recommendation = autoact.load_recommendation(files[0])
    assert list(recommendation.sites) == ["net.2", "net.5"]  # the Sigmoid at the output is not searched
    applied = recommendation.apply(models.Churn(width=8), "quality")
    assert applied.net[0].out_features == 8

    assert main(["train", *command[1:], f"recommendation={files[0]}", "policy=quality"]) == 0
    assert "policy quality" in capsys.readouterr().out

    fits = models.Counter.fits
    assert main(command) == 0  # the same command again trains nothing
    assert models.Counter.fits == fits + 2  # a few steps under two settings, which tell whether they are in force


def test_a_metric_of_the_users_own_decides(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["search", f"module={package}.models:Churn", f"datamodule={package}.data:ChurnData", f"trust={package}"]
    metric = [f"metric={package}.models:top_score", "metric_mode=max"]
    assert main([*command, *metric, *SMALL, "confirm.seeds=0"]) == 0
    assert "top_score" in capsys.readouterr().out


def test_in_python(package: str) -> None:
    import importlib

    models = importlib.import_module(f"{package}.models")
    data = importlib.import_module(f"{package}.data")
    result = autoact.search(
        lambda: models.Churn(width=8),
        data.ChurnData(),
        monitor="val_auc",
        mode="max",
        trials=4,
        candidates=["relu", "tanh"],
        granularity="model",
        trainer={"max_epochs": 2},
        confirm=autoact_confirm(2),
        hardware=autoact_hardware(),
        tracking="none",
        quiet=True,
    )
    assert result.status == "finished"
    assert len(result.records) >= 4
    assert result.recommendation is not None
    assert result.recommendation.policy("quality").evidence["seeds"] == 2
    assert {r.candidate.assignment.summary() for r in result.records} <= {"relu", "tanh"}


def autoact_confirm(seeds: int) -> Any:
    from autoact.study.settings import ConfirmSettings

    return ConfirmSettings(seeds=seeds)


def autoact_hardware() -> Any:
    from autoact.latency.hardware import HardwareSettings

    return HardwareSettings(device="cpu", rounds=3, min_ms=0.5, throughput_batch=64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["trust=[]"], "allow it with trust="),
        (["monitor=val_acc"], "monitor=val_acc was not logged by validation"),
        (["module={}.models:Chrun"], "did you mean Churn"),
        (["datamodule=null"], "needs datamodule="),
        (["mode=null"], "needs monitor=NAME and mode=max or mode=min"),
        (["task=churn"], "exclude each other"),
        (["trainer.max_epoch=3"], "did you mean max_epochs"),
        (["module_arguments.widht=3"], "widht"),
    ],
)
def test_mistakes_are_one_line(
    package: str, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    base = {
        "module": f"{package}.models:Churn",
        "datamodule": f"{package}.data:ChurnData",
        "monitor": "val_auc",
        "mode": "max",
        "trust": package,
    }
    changes = [text.format(package) for text in change]
    keys = {text.partition("=")[0] for text in changes}
    command = [*(f"{k}={v}" for k, v in base.items() if k not in keys), *SMALL, *changes]
    assert main(["search", *command]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
