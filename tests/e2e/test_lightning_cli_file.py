"""A configuration file of LightningCLI is the module, the data, the callbacks and the Trainer's arguments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoact.cli.main import main

SHOP = """
import warnings

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Basket(lightning.LightningModule):
    def __init__(self, act: nn.Module, width: int = 8):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, width), act, nn.Linear(width, 1))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        warnings.warn("the scaler has not been fitted")
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.steps = batch_idx

    def validation_step(self, batch, batch_idx):
        self.log("val_mse", nn.functional.mse_loss(self(batch[0]), batch[1]))


class Baskets(lightning.LightningDataModule):
    def __init__(self, rows: int = 40):
        super().__init__()
        x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
        self.data = TensorDataset(x, x[:, :1].sin())

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=10)

    val_dataloader = test_dataloader = train_dataloader


class Counter(lightning.Callback):
    def __init__(self, file: str):
        self.file = file

    def on_fit_end(self, trainer, pl_module):
        with open(self.file, "a") as file:
            made = type(trainer.optimizers[0]).__name__
            file.write(f"{trainer.max_epochs} {made} {pl_module.net[0].out_features}\\n")
"""
FILE: dict[str, Any] = {
    "seed_everything": 7,
    "model": {"class_path": "shop.Basket", "init_args": {"act": {"class_path": "torch.nn.PReLU"}, "width": 6}},
    "optimizer": {"class_path": "torch.optim.RAdam", "init_args": {"lr": 0.02}},
    "lr_scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1}},
    "data": {"class_path": "shop.Baskets", "init_args": {"rows": 30}},
    "trainer": {
        "max_epochs": 3,
        "accelerator": "cpu",
        "devices": 1,
        "logger": None,
        "callbacks": [{"class_path": "shop.Counter", "init_args": {"file": "fits.txt"}}],
    },
    "ckpt_path": None,
}
COMMAND = ["monitor=val_mse", "mode=min", "space.candidates=[relu,tanh]", "search.trials=3", "confirm.seeds=0"]
COMMAND += ["hardware.rounds=3", "hardware.min_ms=0.5", "tracking=none", "space.rescale=false"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(FILE))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("shop", None)


def test_a_search_of_what_a_file_says(folder: Path) -> None:
    command = [sys.executable, "-m", "autoact", "search", "module=fit.yaml", "trust=shop", *COMMAND]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "fit.yaml: seed_everything=7 is not used: search.seed=7 sets the search's" in done.stdout
    assert "searched: net.1" in done.stdout and "accelerator=cpu is not used" in done.stdout
    assert set((folder / "fits.txt").read_text().splitlines()) == {"3 RAdam 6"}
    # Several trainings on several worker processes warn the same.
    assert done.stderr.count("UserWarning: the scaler has not been fitted") == 1


def changed(folder: Path, section: str, value: Any) -> None:
    (folder / "fit.yaml").write_text(yaml.safe_dump({**FILE, section: value}))


@pytest.mark.parametrize(
    ("section", "value", "arguments", "message"),
    [
        (
            "model",
            FILE["model"],
            ["trust=other"],
            "fit.yaml: model.class_path=shop.Basket runs code from 'shop': allow it with trust=shop",
        ),
        ("model", {"class_path": "shop.Bakset"}, [], "the module 'shop' has no 'Bakset': did you mean Basket"),
        ("model", FILE["model"], ["module_arguments.widht=3"], "Option 'widht' is not accepted"),
        ("model", FILE["model"], ["module_arguments.width=wide"], "Expected a <class 'int'>. Got value: wide"),
        ("model", {"width": 3}, [], "its section model: names no class: give the one that your script"),
        ("data", None, [], "its section data: names no class: give the one that your script"),
        ("trainer", {"max_epoch": 3}, [], "did you mean max_epochs"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], section: str, value: Any, arguments: list[str], message: str
) -> None:
    changed(folder, section, value)
    trust = [] if any(text.startswith("trust") for text in arguments) else ["trust=shop"]
    assert main(["search", "module=fit.yaml", *trust, *arguments, *COMMAND]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error


def test_files_that_are_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text, message in (
        ("gone.yaml", None, "gone.yaml cannot be read: No such file"),
        ("odd.yaml", "a: [", "odd.yaml is no YAML"),
        ("list.yaml", "- a", "list.yaml holds no sections"),
    ):
        if text is not None:
            (folder / name).write_text(text)
        assert main(["search", f"module={name}", "datamodule=fit.yaml", "trust=shop", *COMMAND]) == 2
        assert message in capsys.readouterr().err
